"""The rivals' predictions, measured as anybody would: written to a folder, then `lamina evaluate --pred`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamina.cli import main

SIZE = 64


@pytest.fixture
def rivals(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import rivals

    return rivals


@pytest.fixture
def folder(tmp_path):
    """Documents of a green ground under a red square, and under the square with a blue bar on it."""
    ground = np.full((SIZE, SIZE, 4), (40, 160, 90, 255), np.uint8)
    square, bar = np.zeros_like(ground), np.zeros_like(ground)
    square[12:52, 12:52] = (220, 30, 30, 255)
    bar[28:36, 20:44] = (30, 30, 220, 255)
    for name, layers in {"one": [ground, square], "two": [ground, square, bar]}.items():
        document = tmp_path / "true" / name
        document.mkdir(parents=True)
        for i, layer in enumerate(layers):
            Image.fromarray(layer).save(document / f"{i:02}.png")
    return tmp_path / "true"


def measured(rivals, folder, rival):
    out = folder.parent / rival
    rivals.main([str(folder), rival, "-o", str(out)])
    assert main(["evaluate", str(folder), "--pred", str(out), "-o", str(out / "r.json")]) == 0
    return json.loads((out / "r.json").read_text())["mean"]


@pytest.mark.parametrize("rival", ["classical", "oracle"])
def test_flat_shapes_are_taken_apart(rivals, folder, rival):
    mean = measured(rivals, folder, rival)
    assert mean["layer_f"] == pytest.approx(1.0, abs=0.05)
    assert mean["ground"] == pytest.approx(0.0, abs=1 / 255)
    assert mean["exact_share"] == mean["coverage"] == 1.0


def test_perfect_coarse_answers_are_the_truth_but_for_its_edges(rivals, folder):
    mean = measured(rivals, folder, "oracle-raw")
    assert mean["coverage"] == 1.0
    assert mean["ground"] == pytest.approx(0.0, abs=1 / 255)
    assert 0.85 < mean["layer_f"] <= 1
    assert mean["hidden"] < 0.05


def test_one_failure_is_said_and_left_out(rivals, folder, tmp_path, capsys):
    (folder / "broken.psd").write_bytes(b"8BPS nothing")
    assert rivals.predict(folder, "classical", tmp_path / "p", limit=2) == 1
    assert "broken: " in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "p").iterdir()] == ["one"]
