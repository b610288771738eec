"""The quality benchmark, on two drawn documents."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamina.errors import InputError

SIZE = 64


@pytest.fixture
def quality(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import quality

    return quality


@pytest.fixture
def folder(tmp_path):
    """Documents of a green ground under a red square, and under the square with a blue bar on it."""
    ground = np.full((SIZE, SIZE, 4), (40, 160, 90, 255), np.uint8)
    square, bar = np.zeros_like(ground), np.zeros_like(ground)
    square[12:52, 12:52] = (220, 30, 30, 255)
    bar[28:36, 20:44] = (30, 30, 220, 255)
    for name, layers in {"one": [ground, square], "two": [ground, square, bar]}.items():
        document = tmp_path / name
        document.mkdir()
        for i, layer in enumerate(layers):
            Image.fromarray(layer).save(document / f"{i:02}.png")
        composite = np.zeros((SIZE, SIZE, 3), np.uint8)
        for layer in layers:
            composite = np.where(layer[..., 3:] > 0, layer[..., :3], composite)
        Image.fromarray(composite).save(document / "composite.png")
    return tmp_path


def test_classical_baseline_takes_flat_shapes_apart(quality, folder, capsys):
    quality.main([str(folder), "--model", "classical", "--json", str(folder / "report.json")])
    report = json.loads((folder / "report.json").read_text())
    assert report["mean"]["layer_f"] == pytest.approx(1.0)
    assert report["mean"]["ground"] == pytest.approx(0.0, abs=1 / 255)
    assert report["mean"]["exact_share"] == report["mean"]["coverage"] == 1.0
    assert "coverage 1.000 of 2 documents" in capsys.readouterr().out


def test_a_refusal_counts_as_the_worst_score(quality, folder, capsys):
    def refuse(picture, layers):
        raise InputError("no")

    row = quality.measure(folder / "one", refuse)
    assert (row.covered, row.scores.layer_f, row.scores.ground, row.exact_share) == (False, 0.0, 1.0, 0.0)
    assert "one: no" in capsys.readouterr().err


def test_the_table_is_worst_first_and_the_true_number_is_asked_for(quality, folder):
    asked = []

    def shift(picture, layers):
        asked.append(layers)
        stack = [np.asarray(Image.open(path)) for path in sorted(picture.parent.glob("0*.png"))]
        return [stack[0], *(np.roll(layer, 4, axis=1) for layer in stack[1:])]

    rows = [quality.measure(folder / name, shift) for name in ("one", "two")]
    assert asked == [2, 3]
    assert 0 < rows[0].exact_share < 1
    lines = quality.table(rows).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["two", "one", "mean"]


def test_auto_leaves_the_number_open(quality, folder):
    asked = []
    quality.measure(folder / "one", lambda picture, layers: asked.append(layers) or [], auto=True)
    assert asked == [None]
