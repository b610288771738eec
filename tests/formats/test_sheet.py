"""The contact sheet: every picture is there, at its place, labelled, and the sheet stays small."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Group, Layer
from lamina.formats import sheet

RED, GREEN, BLUE = (230, 20, 20), (20, 200, 20), (20, 20, 230)


def plain(height: int, width: int, colour: tuple[int, int, int], alpha: int = 255) -> np.ndarray:
    return np.broadcast_to(np.array((*colour, alpha), np.uint8), (height, width, 4)).copy()


def sample() -> Document:
    document = Document(
        width=400,
        height=300,
        layers=(
            Layer(id="a", name="Ground", rgba=plain(300, 400, GREEN)),
            Group(
                id="g",
                name="Pair",
                children=(Layer(id="b", name="Patch", rgba=plain(100, 200, RED), x=40, y=60, opacity=0.5),),
            ),
            Layer(id="c", name="Unseen", rgba=plain(300, 400, BLUE), visible=False, blend=BlendMode.MULTIPLY),
        ),
    )
    return replace(document, source=flatten(document))


def pictures(drawn: Image.Image) -> list[np.ndarray]:
    """The framed pictures of a sheet, in reading order, found as solid shapes on the paper."""
    pixels = np.asarray(drawn)
    filled = (pixels != pixels[0, 0]).any(axis=-1)
    found = []
    for top, bottom in runs(filled.mean(axis=1) > 0.3):
        for left, right in runs(filled[top:bottom].all(axis=0)):
            found.append(pixels[top + 1 : bottom - 1, left + 1 : right - 1])
    return found


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 20]


def test_input_every_layer_and_composite_are_shown():
    found = pictures(sheet.draw(sample()))
    assert [picture.shape for picture in found] == [(300, 400, 3)] * 5
    half = tuple(np.asarray(flatten(sample()))[100, 100, :3])
    at_patch = [tuple(picture[100, 100]) for picture in found]
    assert at_patch == [half, GREEN, RED, BLUE, half]


def test_layer_lies_at_its_place_on_the_checkerboard():
    patch = pictures(sheet.draw(sample()))[2]
    red = (patch == RED).all(axis=-1)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (60, 160, 40, 240)
    assert len(np.unique(patch[~red], axis=0)) == 2


def test_shrunk_layer_lies_at_its_place():
    big = Document(width=1000, height=750, layers=(Layer(id="a", name="a", rgba=plain(175, 275, RED), x=251, y=125),))
    picture = pictures(sheet.draw(big))[0]
    red = np.abs(picture.astype(float) - RED).max(axis=-1) < 60
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    expected = tuple(edge * 0.48 for edge in (125, 300, 251, 526))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [(1, 1, 1), (16, 16, 3), (5000, 30, 4), (30, 5000, 4), (640, 400, 60), (300, 300, 160), (400, 300, 0)],
)
def test_sheet_of_any_document_stays_within_its_bound(width, height, count):
    dot = plain(2, 2, RED)
    layers = tuple(Layer(id=str(i), name=f"dot {i}", rgba=dot, x=i % width, y=i % height) for i in range(count))
    drawn = sheet.draw(Document(width=width, height=height, layers=layers))
    assert max(drawn.size) <= sheet.MAX_SIDE


def test_names_of_any_writing_and_length_are_drawn_inside_their_column():
    names = ["é 漢字\nsecond line", "long " * 60, "", "\x00\ud800"]
    layers = tuple(Layer(id=str(i), name=name, rgba=plain(300, 400, RED)) for i, name in enumerate(names))
    drawn = sheet.draw(Document(width=400, height=300, layers=layers))
    pixels = np.asarray(drawn)
    gaps = (pixels == pixels[0, 0]).all(axis=(0, 2))
    assert max(right - left for left, right in runs(~gaps)) <= 480 + 2


def test_another_name_gives_another_caption():
    document = sample()
    renamed = replace(document, layers=(replace(document.layers[0], name="Other"), *document.layers[1:]))
    assert np.asarray(sheet.draw(document)).tobytes() != np.asarray(sheet.draw(renamed)).tobytes()


def test_file_is_a_png_of_what_is_drawn_and_the_same_every_time(tmp_path):
    assert sheet.write(sample(), tmp_path / "a.png") == []
    sheet.write(sample(), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(sheet.draw(sample())))
