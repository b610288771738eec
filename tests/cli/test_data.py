"""`lamina data harvest` and `hashes`: what a user types, sees and gets."""

import json
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina.cli import main
from lamina.data.shards import Shards
from lamina.document.document import Document
from lamina.document.layer import Layer

WIDTH, HEIGHT = 160, 120


def write(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ground = np.kron(rng.integers(0, 256, (6, 8, 4)), np.ones((20, 20, 1))).astype(np.uint8)
    ground[..., 3] = 255
    top = np.full((50, 60, 4), (200, 40, 10, 255), np.uint8)
    layers = (Layer(id="a", name="Ground", rgba=ground), Layer(id="b", name="Top", rgba=top, x=50, y=30))
    lamina.write(Document(width=WIDTH, height=HEIGHT, layers=layers), path)


def test_a_harvest_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source, out = tmp_path / "designs", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    write(source / "a.psd", 1)
    write(source / "deep" / "b.ora", 2)
    write(source / "eval.ora", 3)
    (source / "bad.psd").write_bytes(b"8BPS and no more")
    (tmp_path / "evaluation").mkdir()
    write(tmp_path / "evaluation" / "truth.png", 3)
    assert main(["data", "hashes", str(tmp_path / "evaluation"), "-o", str(tmp_path / "hashes.json")]) == 0
    options = ["-o", str(out), "--refuse", str(tmp_path / "hashes.json"), "--licence", "CC0-1.0", "--max-side", "128"]
    options += ["--gate", "harvest_gates:no_text", "--captioner", "harvest_gates:mean_colour", "--min-area", "0.01"]
    capsys.readouterr()
    assert main(["data", "harvest", str(source), *options]) == 0
    table = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert table["files tried"] == "4"
    assert table["samples kept"] == "2"
    assert table["dropped: refused"] == table["dropped: cannot be read"] == "1"
    samples = list(Shards(out))
    assert [sample.provenance["source"]["path"] for sample in samples] == ["a.psd", "deep/b.ora"]
    assert all(sample.caption.startswith("mean ") for sample in samples)
    assert all(sample.composite.shape == (96, 128, 3) for sample in samples)
    assert all(sample.provenance["licence"] == "CC0-1.0" for sample in samples)

    assert main(["data", "harvest", str(source), *options, "--json"]) == 0  # everything is known: no process starts
    report = json.loads(capsys.readouterr().out)
    assert (report["tried"], report["kept"]) == (4, 2)
    assert report == {"output": str(out), **json.loads((out / "report.json").read_text())}


def test_mistakes_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path / "a.ora", 1)
    for more, words in (
        (["--gate", "harvest_gates"], "not of the form module:function"),
        (["--captioner", f"qwen:{tmp_path}"], "no config.json"),
        (["--refuse", str(tmp_path / "none.json")], "cannot read"),
        (["--workers", "0"], "0 workers is outside 1-256"),
        (["--merge", "often"], "expected always or needed"),
        (["--per-shard", "0"], "outside 1-512"),
    ):
        assert main(["data", "harvest", str(tmp_path), "-o", str(tmp_path / "out"), *more]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
