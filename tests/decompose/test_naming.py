"""Names and suggested edits from what a layer looks like."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lamina.decompose.naming import Kind, kind_of, looks_like_text, names_of, suggestions
from lamina.document import edits
from lamina.document.layer import Box, Layer, Text

RED = (215, 35, 45)


def layer(alpha: np.ndarray, colour: tuple[int, int, int] = RED, **fields: object) -> Layer:
    rgba = np.zeros((*alpha.shape, 4), np.uint8)
    rgba[..., :3] = colour
    rgba[..., 3] = alpha
    return Layer(**{"id": "a", "name": "", "rgba": rgba, **fields})  # type: ignore[arg-type]


def solid(height: int = 40, width: int = 40) -> np.ndarray:
    return np.full((height, width), 255, np.uint8)


def lettering(words: str = "Some words\nin two lines") -> np.ndarray:
    mask = Image.new("L", (160, 60))
    ImageDraw.Draw(mask).multiline_text((2, 2), words, fill=255, font=ImageFont.load_default(14))
    return np.asarray(mask)


def shadow() -> np.ndarray:
    return cv2.GaussianBlur(np.pad(solid(30, 30) // 2, 25), (0, 0), 8)


def slanted() -> np.ndarray:
    mask = np.zeros((90, 90), np.uint8)
    cv2.line(mask, (4, 8), (84, 70), 255, 3)
    return mask


def photo() -> Layer:
    rows, columns = np.mgrid[:90, :120]
    rgba = np.full((90, 120, 4), 255, np.uint8)
    rgba[..., 0], rgba[..., 1] = 2 * columns, 2 * rows
    rgba[..., 2] = np.random.default_rng(0).integers(0, 255, rows.shape)
    return Layer(id="p", name="", rgba=rgba)


CASES = {
    Kind.TEXT: layer(lettering()),
    Kind.SHAPE: layer(solid()),
    Kind.LINE: layer(slanted()),
    Kind.SHADOW: layer(shadow(), (10, 10, 20)),
    Kind.PHOTO: photo(),
    Kind.OBJECT: Layer(id="o", name="", rgba=np.dstack([photo().rgba[..., :3], np.tri(90, 120, dtype=np.uint8) * 255])),
}


@pytest.mark.parametrize("kind", list(CASES))
def test_every_kind_is_told_from_the_others(kind: Kind) -> None:
    assert kind_of(CASES[kind]) is kind
    assert kind_of(CASES[kind], bottom=True) is Kind.BACKGROUND


def test_live_text_and_lines_along_the_axes_are_known_and_an_empty_layer_is_no_trouble() -> None:
    assert kind_of(layer(solid(), text=Text(content="x"))) is Kind.TEXT
    assert kind_of(layer(solid(3, 90))) is Kind.LINE
    assert kind_of(layer(np.zeros((1, 1), np.uint8))) in set(Kind)


def test_small_print_is_no_shadow_and_letters_of_two_colours_and_sizes_are_text() -> None:
    small = cv2.resize(lettering(), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    assert kind_of(layer(small, (10, 10, 20))) is Kind.TEXT, "most of thin letters is rim"
    two = layer(np.vstack([lettering("Some words"), cv2.resize(lettering("of two"), (320, 120))[:, :160]]))
    rgba = two.rgba.copy()
    rgba[:, 60:, :3] = (20, 90, 200)
    assert kind_of(replace(two, rgba=rgba)) is Kind.TEXT


@pytest.mark.parametrize(("size", "sigma", "strength"), [(40, 1.5, 0.75), (40, 0.8, 0.84), (80, 3.0, 0.75)])
def test_the_shadow_of_a_word_is_a_shadow(size: int, sigma: float, strength: float) -> None:
    mask = Image.new("L", (14 * size, 2 * size))
    ImageDraw.Draw(mask).text((20, 10), "Some words here", fill=255, font=ImageFont.load_default(size))
    alpha = strength * cv2.GaussianBlur(np.asarray(mask, np.float32), (0, 0), sigma)
    assert kind_of(layer(alpha.astype(np.uint8), (0, 0, 0))) is Kind.SHADOW


@pytest.mark.parametrize("words", ["50%", "9:41", "Hi!", "1.2.3"])
def test_short_words_with_marks_are_text(words: str) -> None:
    mask = Image.new("L", (200, 60))
    ImageDraw.Draw(mask).text((5, 5), words, fill=255, font=ImageFont.load_default(40))
    assert kind_of(layer(np.asarray(mask))) is Kind.TEXT


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (1, 2049)])
def test_a_hairline_is_a_line_at_any_length(shape: tuple[int, int]) -> None:
    assert kind_of(layer(solid(*shape))) is Kind.LINE


def test_a_drawing_with_dashes_around_it_is_no_text() -> None:
    alpha = np.zeros((120, 200), np.uint8)
    alpha[30:110, 60:140] = 255
    alpha[6:14, 10:190:8] = 255
    assert not looks_like_text(alpha), "most of it is no letter"


@pytest.mark.parametrize(
    ("colour", "word"),
    [
        ((13, 50, 75), "dark blue"),
        ((255, 214, 140), "gold"),
        ((30, 30, 30), "black"),
        ((65, 70, 65), "dark grey"),
        ((245, 245, 240), "white"),
    ],
)
def test_a_shape_is_named_after_its_colour(colour: tuple[int, int, int], word: str) -> None:
    assert names_of([photo(), layer(solid(), colour)])[1] == f"Shape {word}"


def test_a_card_is_no_photo() -> None:
    rgba = np.full((90, 160, 4), 255, np.uint8)
    rgba[60:80, 20:70, :3] = (20, 90, 220)
    rgba[10:70, :160][lettering() > 127] = (20, 20, 20, 255)
    assert kind_of(Layer(id="c", name="", rgba=rgba)) is Kind.OBJECT


def test_names_are_numbered_where_they_repeat_and_a_namer_knows_better() -> None:
    stack = [photo(), CASES[Kind.SHAPE], CASES[Kind.SHAPE], CASES[Kind.OBJECT], CASES[Kind.OBJECT], CASES[Kind.TEXT]]
    plain = ["Background", "Shape red", "Shape red 2", "Object 1", "Object 2", "Text"]
    assert names_of(stack) == plain
    assert names_of(stack, lambda layer: 'Text "SALE"' if layer is CASES[Kind.TEXT] else None) == [
        *plain[:5],
        'Text "SALE"',
    ]
    assert names_of(stack, ground="Base")[0] == "Base"


@pytest.mark.parametrize("kind", list(CASES))
def test_suggestions_are_edits_that_there_are(kind: Kind) -> None:
    known = {edit.kind for edit in vars(edits).values() if isinstance(edit, type) and hasattr(edit, "kind")}
    found = suggestions(CASES[kind], Box(0, 0, 500, 500), bottom=False)
    assert found
    assert {entry["edit"] for entry in found} <= known
    assert all(entry["for"] for entry in found)


def test_the_ground_is_swapped_and_lettering_replaced_or_translated() -> None:
    canvas = Box(0, 0, 40, 40)
    assert suggestions(layer(solid()), canvas, bottom=True)[0] == {"edit": "replace", "for": "another ground"}
    assert suggestions(layer(solid()), Box(0, 0, 400, 400), bottom=True)[0]["edit"] == "recolor"
    assert "translation" in suggestions(CASES[Kind.TEXT], canvas, bottom=False)[0]["for"]


def test_text_is_told_from_shapes() -> None:
    assert looks_like_text(lettering())
    assert not looks_like_text(np.zeros((80, 80), np.uint8))
    assert not looks_like_text(np.pad(solid(), 20))
