"""Scenes on disk: the same whoever draws them, as shards and as documents."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from lamina.cli import main
from lamina.data.art import Bank
from lamina.data.scenes import SceneMaker
from lamina.data.shards import Shards


@pytest.fixture
def bank_folder(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny bank as `build_bank` would have written it, with its font in a file."""
    monkeypatch.undo()  # the other processes load the font from its file, so this one does
    folder = tmp_path / "bank"
    folder.mkdir()
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert isinstance(font.path, io.BytesIO)
    (folder / "font.ttf").write_bytes(font.path.getvalue())
    np.save(folder / "bank.npy", bank.pixels)
    rows = {kind: [[*map(float, row), False] for row in getattr(bank, kind)] for kind in ("cutouts", "grounds")}
    fonts = [[str(folder / "font.ttf"), False]]
    (folder / "bank.json").write_text(json.dumps({**rows, "fonts": fonts}))
    return folder


def draw(bank: Path, out: Path, *more: str) -> int:
    return main(["data", "scenes", str(bank), "-o", str(out), "--size", "96x64", "--seed", "3", *more])


def test_scenes_are_the_same_whoever_draws_them(bank_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert draw(bank_folder, tmp_path / "one", "--count", "3") == 0
    assert draw(bank_folder, tmp_path / "two", "--count", "3", "--workers", "2") == 0
    for name in ("index.json", "shard-00000.zip"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    made = SceneMaker(Bank.load(bank_folder, split="train"))(3 * 2**32 + 1, (96, 64))
    found = Shards(tmp_path / "one")[1]
    assert np.array_equal(found.layers[..., 3], made.layers[..., 3])
    assert np.array_equal(found.composite, made.composite)
    assert (found.kinds, found.seed) == (made.kinds, made.seed)

    assert draw(bank_folder, tmp_path / "docs", "--count", "2", "--as", "documents") == 0
    folders = sorted((tmp_path / "docs").iterdir())
    assert len(folders) == 2
    assert np.array_equal(np.asarray(Image.open(folders[1] / "composite.png").convert("RGB")), made.composite)
    count = json.loads((folders[1] / "meta.json").read_text())["n_layers"]
    layers = np.stack([np.asarray(Image.open(folders[1] / f"{k:02d}.png")) for k in range(count)])
    assert np.array_equal(layers, found.layers)
    assert not (folders[1] / f"{count:02d}.png").exists()
    capsys.readouterr()


def test_bad_banks_and_sizes_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert draw(tmp_path, tmp_path / "out", "--count", "1") == 2
    assert "no art bank" in capsys.readouterr().err
    assert draw(tmp_path, tmp_path / "out", "--count", "0") == 2
    assert "at least 1 scene" in capsys.readouterr().err
    assert main(["data", "scenes", "x", "-o", "y", "--count", "1", "--size", "96"]) == 2
    assert "expected a size such as 256x192" in capsys.readouterr().err
