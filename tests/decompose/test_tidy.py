"""What is left of a stack, and what it is called."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lamina.decompose.exact import make_exact
from lamina.decompose.tidy import tidy
from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import Layer

SIZE = 120


def ground(colour=(40, 60, 70)):
    return Layer(id="g", name="", rgba=np.full((SIZE, SIZE, 4), (*colour, 255), np.uint8))


def patch(name, colour, side=30, x=20, y=20):
    return Layer(id=name, name="", rgba=np.full((side, side, 4), (*colour, 255), np.uint8), x=x, y=y)


def lettering(size=100, words="Some words\nin two lines"):
    mask = Image.new("L", (SIZE, SIZE // 2))
    ImageDraw.Draw(mask).multiline_text((2, 2), words, fill=255, font=ImageFont.load_default(size))
    rgba = np.full((SIZE // 2, SIZE, 4), (250, 250, 250, 0), np.uint8)
    rgba[..., 3] = np.asarray(mask)
    return Layer(id="t", name="", rgba=rgba, x=0, y=60)


def tidied(*layers, confidence=None):
    picture = flatten(Document(width=SIZE, height=SIZE, layers=layers))
    result = tidy(picture, layers, np.array(confidence or [0.9] * len(layers)), key="k")
    again = flatten(Document(width=SIZE, height=SIZE, layers=tuple(result.layers)))
    assert np.array_equal(again, picture), "tidying keeps the stack exact"
    return result


def test_layers_are_named_after_what_they_look_like():
    photo = np.random.default_rng(0).integers(0, 256, (40, 40, 4), np.uint8)
    photo[..., 3] = 255
    stack = (
        ground(),
        patch("a", (220, 30, 40)),
        patch("b", (215, 35, 45), x=60),
        Layer(id="p", name="", rgba=photo, x=75, y=5),
        lettering(13),
    )
    result = tidied(*stack)
    assert [layer.name for layer in result.layers] == ["Background", "Shape red", "Shape red 2", "Object 1", "Text"]
    assert result.warnings == []


def test_an_empty_layer_is_dropped_and_said():
    empty = Layer(id="e", name="", rgba=np.zeros((1, 1, 4), np.uint8))
    result = tidied(ground(), empty, patch("a", (220, 30, 40)), confidence=[1, 0.2, 0.7])
    assert [layer.name for layer in result.layers] == ["Background", "Shape red"]
    assert result.confidence == pytest.approx([1, 0.7])
    assert "1 of 3 layers showed next to nothing" in result.warnings[0]


def test_a_doubtful_speck_goes_to_the_layers_below_but_a_sure_one_stays():
    speck = patch("s", (250, 250, 0), side=2)
    assert len(tidied(ground(), speck, patch("a", (1, 2, 3), x=60), confidence=[1, 0.2, 1]).layers) == 2
    assert len(tidied(ground(), speck, patch("a", (1, 2, 3), x=60), confidence=[1, 0.9, 1]).layers) == 3


def test_a_layer_that_repeats_another_is_dropped_and_said():
    result = tidied(ground(), patch("a", (220, 30, 40)), patch("b", (221, 31, 40)))
    assert len(result.layers) == 2
    assert "repeated another" in result.warnings[0]


def test_one_layer_that_holds_everything_is_said():
    assert "one layer holds everything" in tidied(ground()).warnings[-1]


def test_ids_follow_from_the_key_and_the_place():
    first, second = (tidied(ground(), patch("a", (220, 30, 40))) for _ in range(2))
    assert [layer.id for layer in first.layers] == [layer.id for layer in second.layers]
    assert len({layer.id for layer in first.layers}) == 2
    other = tidy(flatten(Document(width=SIZE, height=SIZE, layers=(ground(),))), [ground()], np.ones(1), key="other")
    assert other.layers[0].id != first.layers[0].id


def test_a_stack_stays_trimmed():
    wide = np.zeros((SIZE, SIZE, 4), np.uint8)
    wide[5:9, 5:20] = (1, 2, 3, 255)
    picture = flatten(Document(width=SIZE, height=SIZE, layers=(ground(), Layer(id="w", name="", rgba=wide))))
    layers, _ = make_exact(picture, [ground(), Layer(id="w", name="", rgba=wide)])
    assert (layers[1].x, layers[1].y, layers[1].width, layers[1].height) == (5, 5, 15, 4)


def test_a_speck_far_from_its_layer_joins_the_one_beside_it():
    thing = patch("a", (220, 30, 40), side=40, x=10, y=10)
    other = np.zeros((SIZE, SIZE, 4), np.uint8)
    other[80:112, 80:112] = (30, 60, 220, 255)
    other[20:21, 50:51] = (200, 40, 50, 255)  # on the rim of the thing, far from the other one
    other[60:61, 20:21] = (250, 250, 0, 255)  # alone on the ground, and of no likeness to it: it stays
    other[100:101, 10:11] = (44, 64, 74, 140)  # alone on the ground and hardly to be told from it
    result = tidied(ground(), thing, Layer(id="b", name="", rgba=other))
    below, first, second = result.layers
    assert first.box == (10, 10, 51, 50)
    assert first.rgba[10, 40].tolist() == [200, 40, 50, 255]
    assert second.box == (20, 60, 112, 112)
    assert below.rgba[100, 10].tolist() == [42, 62, 72, 255]


def test_dots_of_letters_stay_with_their_letters():
    words = lettering(13, "iiii jjjj iii\nijijij iii")
    stack = (ground(), patch("a", (220, 30, 40), side=20, x=70, y=10), words)
    assert np.array_equal(tidied(*stack).layers[-1].rgba[..., 3].sum(), words.rgba[..., 3].sum())


def test_the_bottom_of_a_mostly_transparent_picture_is_named_by_its_kind_and_goes_when_empty():
    shade = np.zeros((SIZE, SIZE, 4), np.uint8)
    shade[40:80, 40:80] = (10, 10, 20, 90)
    soft, red = Layer(id="s", name="", rgba=shade), patch("r", (220, 30, 40), x=45, y=45)
    assert [layer.name for layer in tidied(soft, red).layers] == ["Shadow", "Shape red"]
    empty = Layer(id="e", name="", rgba=np.zeros((1, 1, 4), np.uint8))
    assert [layer.name for layer in tidied(empty, red, patch("b", (40, 60, 200), x=80)).layers] == [
        "Shape red",
        "Shape blue",
    ]


def test_of_a_stack_that_shows_nothing_the_bottom_stays():
    nothing = np.zeros((24, 32, 4), np.uint8)
    layers = [Layer(id=str(number), name="", rgba=nothing[:1, :1].copy()) for number in range(3)]
    result = tidy(nothing, layers, np.zeros(3, np.float32), key="k")
    assert len(result.layers) == 1
    assert result.failed


def test_soft_rims_alone_are_no_bottom_of_a_transparent_picture():
    """Faint rims of two shapes, as a ground's share of mixed pixels leaves them."""
    rims = np.zeros((SIZE, SIZE, 4), np.uint8)
    rims[39, 40:70] = rims[40:70, 39] = (220, 30, 40, 9)
    red = patch("r", (220, 30, 40), x=40, y=40)
    stack = [Layer(id="s", name="", rgba=rims), red, patch("b", (40, 60, 200), x=80)]
    result = tidied(*stack)
    assert [layer.name for layer in result.layers] == ["Shape red", "Shape blue"]
    assert result.warnings == []
    assert not result.failed


def test_a_hairline_is_a_bottom_of_a_transparent_picture():
    line = np.zeros((SIZE, SIZE, 4), np.uint8)
    line[110, 40:46] = (20, 20, 20, 255)
    stack = [Layer(id="s", name="", rgba=line), patch("r", (220, 30, 40), side=60, x=20, y=20)]
    assert len(tidied(*stack, patch("b", (40, 60, 200), x=85)).layers) == 3
