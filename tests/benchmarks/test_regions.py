"""The bed that measures boxes and points: what is asked for, and what counts as having it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = (160, 200)


@pytest.fixture
def bed(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import regions

    return regions


def stack() -> list[np.ndarray]:
    """A ground, a card, a square on it, a veil over all that shows little, a dot too small to be asked for."""
    ground, card, square, veil, dot = (np.zeros((*SIZE, 4), np.uint8) for _ in range(5))
    ground[:] = (240, 236, 228, 255)
    card[30:130, 30:170] = (40, 90, 200, 255)
    square[50:90, 60:110] = (210, 50, 40, 255)
    veil[:] = (0, 0, 0, 30)
    dot[5:9, 5:9] = (0, 0, 0, 255)
    return [ground, card, square, veil, dot]


def test_every_pixel_is_owned_by_what_is_mostly_seen(bed) -> None:
    owner = bed.owners(stack())
    assert [owner[y, x] for y, x in ((150, 10), (40, 40), (60, 70), (6, 6))] == [0, 1, 2, 4]


def test_a_box_wants_what_lies_within_it_a_point_what_it_hits_with_or_without_what_lies_on_it(bed) -> None:
    owner = bed.owners(stack())
    found = bed.regions(owner)
    assert [(region.kind, region.layer) for region in found] == [("box", 1), ("point", 1), ("box", 2), ("point", 2)]
    boxed, pointed = found[0], found[1]
    assert np.array_equal(boxed.wanted[0], (owner == 1) | (owner == 2))
    assert np.array_equal(pointed.wanted[0], owner == 1)
    assert np.array_equal(pointed.wanted[1], (owner == 1) | (owner == 2))
    ((x, y),), (box,) = pointed.options.point, boxed.options.box
    assert owner[y, x] == 1
    assert np.abs(np.subtract(box, (30, 30, 170, 130))).max() < 12
    assert bed.regions(owner)[0].options == boxed.options, "the same boxes every time"


def test_overlap_is_that_with_the_nearest_of_what_may_be_wanted(bed) -> None:
    wide, narrow = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    wide[:, :100] = narrow[:, :50] = True
    assert bed.overlap(narrow, (wide, narrow)) == 1
    assert bed.overlap(narrow, (wide,)) == pytest.approx(0.5)
    assert bed.overlap(np.zeros(SIZE, bool), (wide,)) == 0


def test_a_folder_of_documents_is_measured(bed, tmp_path, capsys) -> None:
    layers = stack()[:3]
    folder = tmp_path / "documents" / "one"
    folder.mkdir(parents=True)
    for number, layer in enumerate(layers):
        Image.fromarray(layer).save(folder / f"{number:02d}.png")
    flat = layers[0].copy()
    for layer in layers[1:]:
        flat[layer[..., 3] > 0] = layer[layer[..., 3] > 0]
    Image.fromarray(flat).save(folder / "composite.png")
    assert bed.main([str(folder.parent), "-o", str(tmp_path / "rows.json")]) == 0
    said = capsys.readouterr().out
    assert "box: overlap 1.000, 1.000 of 2" in said
    assert "point: overlap 1.000" in said
    assert (tmp_path / "rows.json").exists()
