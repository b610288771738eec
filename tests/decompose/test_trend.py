"""Gradients are found through noise, rims and what does not belong to them."""

import numpy as np
import pytest

from lamina.decompose.trend import gradient_of, trend_of

SIZE = (120, 160)


def grid():
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return y / SIZE[0], x / SIZE[1]


def stops(along):
    """Four colours, straight between them."""
    places, colours = (0, 0.3, 0.6, 1), np.float32([(20, 30, 80), (120, 60, 90), (200, 90, 90), (240, 180, 120)])
    return np.stack([np.interp(along, places, channel) for channel in colours.T], axis=-1).astype(np.float32)


def known_but_for_holes():
    known = np.ones(SIZE, bool)
    known[30:80, 40:100] = False
    return known


@pytest.mark.parametrize(
    "along", [lambda y, x: y, lambda y, x: x, lambda y, x: (y + x) / 2, lambda y, x: (1 + y - x) / 2]
)
def test_steps_in_one_direction_are_a_trend(along):
    colours, known = stops(along(*grid())), known_but_for_holes()
    spoilt = np.where(known[..., None], colours, 0)
    off = np.abs(trend_of(spoilt, known) - colours)
    assert off.mean() < 0.5
    assert off[~known].max() < 3


def test_a_shadow_does_not_bend_a_trend():
    colours, known = stops(grid()[0]), known_but_for_holes()
    spoilt = colours.copy()
    spoilt[20:90, 35:105] *= 0.6
    assert np.abs(trend_of(spoilt, known) - colours).max() < 3


def test_a_plane_and_a_paraboloid_are_gradients_and_go_on():
    y, x = grid()
    for depth in (30 + 60 * y + 90 * x, 220 - 300 * ((y - 0.5) ** 2 + (x - 0.4) ** 2)):
        colours = np.repeat(depth[..., None], 3, axis=2).astype(np.float32)
        found = gradient_of(np.round(colours), known_but_for_holes())
        assert found is not None
        assert np.abs(found - colours).max() < 1


def test_steps_are_no_gradient_to_go_on_with():
    """Two margins fit any steps; what lies between them need not."""
    y, _ = grid()
    known = np.zeros(SIZE, bool)
    known[:, :10] = known[:, -10:] = True
    assert gradient_of(stops(y) + np.where(y > 0.7, 60, 0)[..., None].astype(np.float32), known) is None


def test_noise_is_no_gradient():
    colours = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.float32)
    assert gradient_of(colours, known_but_for_holes()) is None


def test_nothing_known_has_no_gradient_and_no_trend():
    colours, known = np.full((*SIZE, 3), 33, np.float32), np.zeros(SIZE, bool)
    assert gradient_of(colours, known) is None
    assert not trend_of(colours, known).any()
