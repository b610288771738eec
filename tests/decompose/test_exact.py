"""Exactness: whatever the stack was, the reference compositor gives the picture back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.decompose import exact
from lamina.decompose.exact import make_exact
from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Layer


def stack_of(*rasters, places=None):
    places = places or [(0, 0)] * len(rasters)
    return [
        Layer(id=str(i), name="", rgba=rgba, x=x, y=y)
        for i, (rgba, (x, y)) in enumerate(zip(rasters, places, strict=True))
    ]


def composite(layers, size):
    return flatten(Document(width=size[1], height=size[0], layers=tuple(layers)))


def noise(rng, height, width, alphas=None):
    rgba = rng.integers(0, 256, (height, width, 4), np.uint8)
    if alphas is not None:
        rgba[..., 3] = rng.choice(np.array(alphas, np.uint8), (height, width))
    return rgba


def without_hidden_colour(rgba):
    return np.where(rgba[..., 3:] > 0, rgba, 0)


def plain(height, width, colour):
    return np.full((height, width, 4), colour, np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["opaque", "extremes", "empty", "any"]),
    count=st.integers(1, 6),
)
def test_any_stack_becomes_any_picture(seed, kind, count):
    rng = np.random.default_rng(seed)
    size = tuple(int(v) for v in rng.integers(1, 13, 2))
    alphas = {"opaque": [255], "extremes": [0, 1, 128, 254, 255], "empty": [0], "any": None}[kind]
    picture = noise(rng, *size, alphas)
    rasters = [noise(rng, *rng.integers(1, 13, 2), alphas if rng.random() < 0.5 else None) for _ in range(count)]
    places = [tuple(int(v) for v in rng.integers(-6, 10, 2)) for _ in range(count)]
    layers, fidelity = make_exact(picture, stack_of(*rasters, places=places))
    assert np.array_equal(composite(layers, size), without_hidden_colour(picture))
    assert (fidelity.exact_share, fidelity.max_error, fidelity.psnr_db) == (1.0, 0, None)
    assert [layer.id for layer in layers] == [str(i) for i in range(count)]


def test_strips_repaired_two_at_a_time_give_what_one_gives(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(7)
    picture = noise(rng, 40, 30, [0, 128, 255])
    rasters = [noise(rng, 40, 30), noise(rng, 25, 20, [0, 200, 255]), noise(rng, 10, 30)]
    stack = stack_of(*rasters, places=[(0, 0), (5, 9), (0, 28)])
    whole, told = make_exact(picture, stack)
    monkeypatch.setattr(exact, "_STRIP_PIXELS", 3 * 30)
    layers, fidelity = make_exact(picture, stack)
    assert np.array_equal(composite(layers, (40, 30)), without_hidden_colour(picture))
    assert all(np.array_equal(one.rgba, other.rgba) for one, other in zip(layers, whole, strict=True))
    assert (fidelity.recoloured, fidelity.reassigned) == (told.recoloured, told.reassigned)
    assert fidelity.psnr_before_db == pytest.approx(told.psnr_before_db)


def test_an_exact_stack_is_left_alone():
    rng = np.random.default_rng(0)
    stack = stack_of(noise(rng, 9, 7, [255]), noise(rng, 4, 4, [90]), places=[(0, 0), (2, 3)])
    layers, fidelity = make_exact(composite(stack, (9, 7)), stack)
    assert all(np.array_equal(new.rgba, old.rgba) for new, old in zip(layers, stack, strict=True))
    assert fidelity.psnr_before_db is None
    assert fidelity.recoloured == fidelity.reassigned == 0


def test_small_errors_go_to_the_layer_that_shows_most():
    ground, veil = plain(3, 3, (100, 100, 100, 255)), plain(3, 3, (200, 0, 0, 60))
    picture = composite(stack_of(ground, veil), (3, 3)).copy()
    picture[1, 1, :3] += 2
    layers, fidelity = make_exact(picture, stack_of(ground, veil))
    assert np.array_equal(layers[1].rgba, veil)
    changed = (layers[0].rgba != ground).any(axis=2)
    assert changed.sum() == 1
    assert changed[1, 1]
    assert (fidelity.recoloured, fidelity.reassigned) == (1, 0)
    assert fidelity.psnr_before_db == pytest.approx(10 * np.log10(255**2 * 27 / 12))


def test_what_the_covering_layer_cannot_give_comes_from_below_and_alphas_stay():
    ground, veil = plain(2, 2, (0, 0, 0, 255)), plain(2, 2, (250, 250, 250, 128))
    picture = composite(stack_of(ground, veil), (2, 2)).copy()
    picture[0, 0, :3] = 240
    layers, fidelity = make_exact(picture, stack_of(ground, veil))
    assert layers[1].rgba[0, 0].tolist() == [255, 255, 255, 128]
    assert layers[0].rgba[0, 0, 0] == pytest.approx((240 - 128) / (127 / 255), abs=1)
    assert (layers[0].rgba[..., 3] == 255).all()
    assert (fidelity.recoloured, fidelity.reassigned) == (1, 0)


def test_of_layers_that_show_the_same_the_upper_one_changes():
    half = stack_of(plain(1, 1, (9, 9, 9, 255)), plain(1, 1, (90, 90, 90, 170)), plain(1, 1, (90, 90, 90, 102)))
    picture = composite(half, (1, 1)).copy()  # the upper two show two fifths each
    picture[..., :3] += 3
    done, _ = make_exact(picture, half)
    assert [np.array_equal(new.rgba, old.rgba) for new, old in zip(done, half, strict=True)] == [True, True, False]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_hidden_stays_as_it_is_and_opaque_pictures_never_move_alphas(seed):
    rng = np.random.default_rng(seed)
    picture = noise(rng, 9, 11, [255])
    rasters = [noise(rng, 9, 11, [255]), *(noise(rng, 9, 11, [0, 90, 255]) for _ in range(3))]
    layers, fidelity = make_exact(picture, stack_of(*rasters))
    assert fidelity.reassigned == 0
    for number, (before, after) in enumerate(zip(rasters, (on_canvas(layer, 9, 11) for layer in layers), strict=True)):
        assert np.array_equal(before[..., 3], after[..., 3])
        hidden = np.any([upper[..., 3] == 255 for upper in rasters[number + 1 :]], axis=0) & (before[..., 3] > 0)
        assert np.array_equal(before[hidden], after[hidden])


def on_canvas(layer, height, width):
    canvas = np.zeros((height, width, 4), np.uint8)
    canvas[layer.y : layer.y + layer.height, layer.x : layer.x + layer.width] = layer.rgba
    return canvas


def test_what_is_transparent_in_the_picture_is_in_every_layer():
    picture = plain(4, 4, (9, 9, 9, 255))
    picture[:, :2] = (77, 77, 77, 0)
    layers, _ = make_exact(picture, stack_of(plain(4, 4, (9, 9, 9, 255)), plain(4, 4, (9, 9, 9, 200))))
    assert all(layer.x == 2 and layer.width == 2 for layer in layers)


def test_a_stack_that_is_no_plain_copy_is_refused():
    picture = plain(2, 2, (1, 2, 3, 255))
    with pytest.raises(ValueError, match="at least one layer"):
        make_exact(picture, [])
    with pytest.raises(ValueError, match="upright"):
        make_exact(picture, [Layer(id="a", name="", rgba=picture, blend=BlendMode.MULTIPLY)])
