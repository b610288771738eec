"""What a half of an answer is worth: with both true, drawn documents come apart; with one, no worse than with none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = 96


@pytest.fixture
def halves(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import halves

    return halves


@pytest.fixture
def documents(tmp_path):
    """A page with a square and, apart from it, a bar; and the page with a card of nearly its colour."""
    page = np.full((SIZE, SIZE, 4), (250, 250, 250, 255), np.uint8)
    square, bar, card = (np.zeros_like(page) for _ in range(3))
    square[10:40, 10:40] = (220, 30, 30, 255)
    bar[60:70, 20:80] = (30, 30, 220, 255)
    card[20:80, 20:80] = (243, 243, 243, 255)
    for name, layers in {"one": [page, square, bar], "two": [page, card]}.items():
        (tmp_path / name).mkdir()
        for i, layer in enumerate(layers):
            Image.fromarray(layer).save(tmp_path / name / f"{i:02}.png")
    return tmp_path


def test_each_half_is_worth_something(halves, documents) -> None:
    found = halves.measure(documents)
    assert list(found) == ["said", "ground", "parting", "both"]
    assert found["both"]["layer_f"] > 0.95
    assert found["both"]["ground"] < 0.02
    for half in ("ground", "parting"):
        assert found["said"]["layer_f"] - 0.02 <= found[half]["layer_f"]


def test_without_reading_the_truth_is_worth_the_same(halves, documents) -> None:
    read, by_colour = (halves.measure(documents, by_colour=colour) for colour in (False, True))
    assert by_colour["both"] == read["both"]
    assert by_colour["ground"] == read["ground"]


def test_what_lies_nowhere_is_continued(halves) -> None:
    rest = np.zeros((2, 4, 8), np.float32)
    rest[0, :, :2], rest[1, :, 6:] = 1, 1
    everywhere = halves._continued(rest, rest.any(axis=0))
    assert (everywhere[0, :, :4] == 1).all()
    assert (everywhere[1, :, 5:] == 1).all()
