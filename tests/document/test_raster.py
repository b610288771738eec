"""A layer's placed raster: copied where it can be, resampled once where it must."""

import numpy as np
import pytest

from lamina.document import raster
from lamina.document.layer import Box, Layer
from lamina.document.raster import rasterize


def layer(rgba, **values):
    return Layer(**{"id": "a", "name": "A", "rgba": np.ascontiguousarray(rgba, np.uint8), **values})


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


def smooth(height, width):
    v, u = np.mgrid[0:height, 0:width]
    red, green = 255 * u / (width - 1), 255 * v / (height - 1)
    return np.stack([red, green, 128 + 60 * np.sin(u / 9), np.full_like(red, 255.0)], axis=-1).astype(np.uint8)


def test_an_upright_layer_is_its_own_pixels():
    upright = layer(noise(5, 7), x=3, y=-2)
    rgba, x, y = rasterize(upright)
    assert np.shares_memory(rgba, upright.rgba)
    assert (x, y) == (3, -2)


@pytest.mark.parametrize("size", [(5, 7), (5, 6), (4, 6)])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact_and_fill_the_box(size, turns):
    turned = layer(noise(*size), x=2, y=1, angle=90.0 * turns)
    rgba, x, y = rasterize(turned)
    assert np.array_equal(rgba, np.rot90(turned.rgba, -turns))
    assert Box(x, y, x + rgba.shape[1], y + rgba.shape[0]) == turned.box


def test_nothing_within_the_clip_is_none():
    assert rasterize(layer(noise(5, 7)), Box(10, 0, 12, 5)) is None


PLACES = [
    {"x": 0.25, "y": 3.5},
    {"scale": (0.4, 0.7)},
    {"scale": (2.5, 1.5), "x": 4},
    {"angle": 33.0},
    {"angle": 200.0, "scale": (0.3, 1.4), "y": 0.3},
    {"angle": 90.0, "scale": (1.3, 0.8)},
]


@pytest.mark.parametrize("values", PLACES)
def test_neither_clip_nor_strips_change_a_pixel(values, monkeypatch):
    placed = layer(noise(23, 31), **values)
    whole, x, y = rasterize(placed)
    box = placed.box
    clip = Box(box.left + 3, box.top + 2, box.right - 4, box.bottom - 1)
    part, px, py = rasterize(placed, clip)
    assert (px, py) == clip[:2]
    assert np.array_equal(part, whole[py - y :, px - x :][: part.shape[0], : part.shape[1]])
    monkeypatch.setattr(raster, "_STRIP_PIXELS", 1)
    monkeypatch.setattr(raster, "_TILE_PIXELS", 25)
    assert np.array_equal(rasterize(placed)[0], whole)


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0])
def test_a_plain_area_keeps_its_colour_and_its_crisp_rim(scale):
    rgba, _, _ = rasterize(layer(np.full((16, 32, 4), [10, 200, 90, 255]), scale=(scale, scale)))
    assert rgba.shape == (16 * scale, 32 * scale, 4)
    assert (rgba == [10, 200, 90, 255]).all()


def test_shrinking_averages_what_falls_together():
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    rgba, _, _ = rasterize(layer(np.dstack([checks, checks, checks, np.full_like(checks, 255)]), scale=(0.125, 0.125)))
    assert np.abs(rgba[1:-1, 1:-1, :3].astype(int) - 127.5).max() <= 2.5


def test_half_a_pixel_aside_halves_the_rim():
    rgba, x, _ = rasterize(layer(np.full((4, 4, 4), 255), x=0.5))
    assert (x, rgba.shape) == (0, (4, 5, 4))
    assert rgba[0, :, 3].tolist() == [128, 255, 255, 255, 128]


def test_hidden_colour_does_not_bleed_into_the_visible():
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, :4] = [0, 0, 255, 255]
    rgba[:, 4:] = [255, 0, 0, 0]
    out, _, _ = rasterize(layer(rgba, angle=20.0, scale=(1.7, 1.7)))
    assert out[..., 0].max() == 0


def test_a_turn_slightly_off_a_quarter_looks_like_the_quarter():
    exact, _, _ = rasterize(layer(smooth(40, 40), angle=90.0))
    box = layer(smooth(40, 40)).box
    near, _, _ = rasterize(layer(smooth(40, 40), angle=90.001), box)
    assert np.abs(near.astype(int) - exact).max() <= 1


def test_rotation_is_clockwise_about_the_centre():
    rgba = np.zeros((41, 41, 4), np.uint8)
    rgba[19:22, 35:38] = 255
    alpha = rasterize(layer(rgba, angle=30.0), Box(0, 0, 41, 41))[0][..., 3].astype(float)
    v, u = np.mgrid[0:41, 0:41]
    centre = (alpha * u).sum() / alpha.sum() - 20, (alpha * v).sum() / alpha.sum() - 20
    assert np.allclose(centre, (16 * np.cos(np.pi / 6), 16 * np.sin(np.pi / 6)), atol=0.05)
    assert abs(alpha.sum() / 255 - 9) < 0.1


def test_rotation_and_scale_keep_area():
    placed = layer(np.full((20, 30, 4), 255), angle=25.0, scale=(0.6, 1.5))
    alpha = rasterize(placed)[0][..., 3]
    assert abs(alpha.sum() / 255 / (20 * 1.5 * 30 * 0.6) - 1) < 0.005


def test_a_linear_ramp_stays_linear_when_rotated():
    _, u = np.mgrid[0:60, 0:60]
    ramp = np.dstack([u * 4, u * 4, u * 4, np.full_like(u, 255)])
    out, x, y = rasterize(layer(ramp, angle=15.0))
    rows, columns = np.mgrid[0 : out.shape[0], 0 : out.shape[1]]
    dx, dy = columns + x + 0.5 - 30, rows + y + 0.5 - 30
    expected = 4 * (dx * np.cos(np.radians(15)) + dy * np.sin(np.radians(15)) + 29.5)
    inner = np.hypot(dx, dy) < 26
    assert np.abs(out[..., 0] - expected)[inner].max() <= 0.51


def test_a_speck_smaller_than_a_pixel_keeps_its_share():
    rgba, _, _ = rasterize(layer(np.full((10, 10, 4), 255), scale=(0.05, 0.05), x=0.2, y=0.2))
    assert rgba[..., 3].sum() == pytest.approx(0.25 * 255, abs=2)
