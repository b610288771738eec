"""The reference compositor."""

import numpy as np
import pytest

from lamina.document import composite
from lamina.document.composite import flatten, flatten_nodes
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Box, Group, Layer
from lamina.pixels import premultiply, unpremultiply


def layer(node_id, height=6, width=9, **values):
    rgba = np.random.default_rng(sum(node_id.encode())).integers(0, 256, (height, width, 4), np.uint8)
    return Layer(**{"id": node_id, "name": node_id, "rgba": rgba, **values})


def plain(node_id, colour, **values):
    return layer(node_id, rgba=np.array(colour, np.uint8).reshape(1, 1, 4), **values)


def dot(*nodes):
    return flatten(Document(width=1, height=1, layers=nodes))[0, 0].tolist()


def sample():
    inside = (layer("c", opacity=0.7), layer("d", x=2, y=1, blend=BlendMode.MULTIPLY), layer("e", angle=20.0))
    return Document(
        width=12,
        height=10,
        layers=(
            layer("a", 10, 12),
            layer("b", x=-3, y=5, opacity=0.35),
            Group(id="g", name="g", children=inside, opacity=0.6),
            layer("f", x=1.5, scale=(0.7, 1.3), blend=BlendMode.HUE),
        ),
    )


def test_upright_layers_equal_the_formula_pixel_by_pixel():
    nodes = (layer("a"), layer("b", x=-2, y=3, opacity=0.5), layer("c", 20, 3, x=4, y=-5))
    canvas = np.zeros((8, 8, 4))
    for node in nodes:
        for row, column in np.ndindex(8, 8):
            i, j = row - node.y, column - node.x
            if 0 <= i < node.height and 0 <= j < node.width:
                *colour, alpha = (float(v) / 255 for v in node.rgba[i, j])
                alpha *= node.opacity
                kept = canvas[row, column] * (1 - alpha)
                canvas[row, column] = np.array([*(c * alpha for c in colour), alpha]) + kept
    alpha = canvas[..., 3:]
    colour = np.divide(canvas[..., :3], alpha, out=np.zeros((8, 8, 3)), where=alpha > 0)
    expected = np.floor(np.concatenate([colour, alpha], axis=-1) * 255 + 0.5)
    assert np.array_equal(flatten(Document(width=8, height=8, layers=nodes)), expected)


def test_strips_equal_the_whole_at_once(monkeypatch):
    whole = flatten(sample())
    for pixels in (1, 30, 10**6):
        monkeypatch.setattr(composite, "_STRIP_PIXELS", pixels)
        assert np.array_equal(flatten(sample()), whole)


def test_a_box_of_the_canvas_equals_its_crop():
    crop = flatten_nodes(sample().layers, Box(2, 3, 9, 8))
    assert np.array_equal(crop, flatten(sample())[3:8, 2:9])


def test_one_opaque_layer_comes_back_exactly():
    rgba = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    rgba[..., 3] = 255
    assert np.array_equal(flatten(Document(width=50, height=40, layers=(layer("a", rgba=rgba),))), rgba)


def test_every_straight_pixel_survives_alone():
    colour, alpha = np.mgrid[0:256, 1:256].astype(np.uint8)
    rgba = np.dstack([colour, colour[::-1], colour, alpha])
    assert np.array_equal(flatten(Document(width=255, height=256, layers=(layer("a", rgba=rgba),))), rgba)


def test_nothing_composites_to_transparent_black():
    assert not flatten(Document(width=3, height=2)).any()


def test_hidden_nodes_and_opacity_zero_show_nothing():
    white, red = plain("w", [255, 255, 255, 255]), [255, 0, 0, 255]
    hidden = Group(id="g", name="g", children=(plain("r", red),), visible=False)
    assert dot(white, plain("h", red, visible=False), plain("z", red, opacity=0.0), hidden) == [255] * 4


def test_halves_are_rounded_up():
    assert dot(plain("a", [0, 0, 0, 255]), plain("b", [255, 255, 255, 255], opacity=0.5)) == [128, 128, 128, 255]


def test_a_group_is_rounded_to_bytes_before_it_is_placed():
    rng = np.random.default_rng(5)
    shape, off = (16, 16, 4), 0
    pixels = [rng.integers(0, 256, shape, np.uint8) for _ in range(3)]
    ground, low, high = (layer(str(i), rgba=rgba) for i, rgba in enumerate(pixels))
    group = Group(id="g", name="g", children=(low, high), opacity=0.8)
    got = flatten(Document(width=16, height=16, layers=(ground, group)))

    def over(src, dst):
        return src + dst * (1 - src[..., 3:])

    inner = over(premultiply(pixels[2]), premultiply(pixels[1]))
    for source, equal in ((premultiply(unpremultiply(inner)), True), (inner, False)):
        expected = unpremultiply(over(source * 0.8, premultiply(pixels[0])))
        assert np.array_equal(got, expected) is equal
        off = max(off, int(np.abs(got.astype(int) - expected).max()))
    assert off == 1


def test_blend_modes_inside_a_group_see_only_the_group():
    black, half = plain("k", [0, 0, 0, 255]), plain("m", [200, 100, 50, 255], blend=BlendMode.MULTIPLY)
    assert dot(black, half) == [0, 0, 0, 255]
    assert dot(black, Group(id="g", name="g", children=(half,))) == [200, 100, 50, 255]


@pytest.mark.parametrize("mode", BlendMode)
def test_a_blend_mode_on_an_opaque_ground_stays_opaque(mode):
    rgba = layer("a").rgba.copy()
    rgba[..., 3] = 255
    out = flatten(Document(width=9, height=6, layers=(layer("a", rgba=rgba), layer("b", blend=mode))))
    assert (out[..., 3] == 255).all()
