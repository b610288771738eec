"""Colours are continued smoothly beyond where they are known."""

import numpy as np
import pytest

from lamina.decompose.fill import continue_colours, membrane, with_even_holes


def with_hole(height=60, width=80):
    known = np.ones((height, width), bool)
    known[20:45, 25:60] = False
    return known


def spoilt(colours, known):
    return np.where(known[..., None], colours, np.float32(255))


def grid(height=60, width=80):
    return np.mgrid[0:height, 0:width].astype(np.float32)


def test_a_flat_colour_stays_flat():
    colours = np.full((60, 80, 3), (12, 130, 240), np.float32)
    filled = continue_colours(spoilt(colours, with_hole()), with_hole())
    assert np.abs(filled - colours).max() < 0.01


def test_a_rounded_gradient_is_continued_within_one_level():
    y, x = grid()
    colours = np.stack([20 + 2 * x, 200 - 1.5 * y, 60 + x + y], axis=-1)
    filled = continue_colours(spoilt(np.round(colours), with_hole()), with_hole())
    assert np.abs(filled - colours).max() < 1


def test_specks_on_an_even_ground_do_not_leak_into_the_fill():
    colours = np.full((60, 80, 3), 100, np.float32)
    known = with_hole()
    ghost = colours.copy()
    ghost[19, 25:60] = 140
    assert np.abs(continue_colours(spoilt(ghost, known), known)[20:45, 25:60] - 100).max() < 0.5


@pytest.mark.parametrize("side", [3, 12, 16])
def test_a_chip_on_an_even_rim_does_not_leak_into_the_fill(side):
    """Half of a window is something else, and where a photo lay on the even half a chip of it is left."""
    colours = np.full((120, 320, 3), 250, np.float32)
    colours[:, 160:] = np.random.default_rng(1).integers(0, 256, (120, 160, 3))
    known = np.ones((120, 320), bool)
    known[20:100, 20:140] = False
    chip = slice(60 - side // 2, 60 - side // 2 + side), slice(140 - side, 140)
    colours[chip] = (150, 70, 20)
    known[chip] = True
    filled = continue_colours(spoilt(colours, known), known)
    assert np.abs(filled - 250)[~known].mean() < 0.1
    assert np.abs(filled - 250)[20:100, 20:110].max() < 0.5
    assert np.abs(filled - colours)[known].max() < 0.01


def test_what_lies_around_all_that_is_known_is_no_hole_and_a_frame_is_one():
    colours = np.full((200, 200, 3), (20, 30, 200), np.float32)
    around = np.zeros((200, 200), bool)
    around[60:140, 60:140] = True
    colours[60:140, 100:140] = np.random.default_rng(2).integers(0, 256, (80, 40, 3))
    assert np.array_equal(with_even_holes(colours, around)[1], around)
    frame = np.ones((200, 200), bool)
    frame[4:-4, 4:-4] = False
    frame[90:110, 90:110] = True
    flat = np.full((200, 200, 3), 250, np.float32)
    flat[90:110, 90:110] = (20, 30, 200)
    filled, known = with_even_holes(flat, frame)
    assert known.all()
    assert np.abs(filled - 250)[~frame].max() < 0.5


def test_known_pixels_of_a_restless_layer_are_kept():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (60, 80, 3)).astype(np.float32)
    filled = continue_colours(colours, with_hole())
    assert np.abs(filled - colours)[with_hole()].max() < 0.01
    assert 0 < filled[20:45, 25:60].mean() < 255


def test_nothing_known_gives_zero():
    assert not continue_colours(np.full((5, 6, 3), 33, np.float32), np.zeros((5, 6), bool)).any()


def test_a_membrane_lies_between_its_borders():
    _, x = grid()
    filled = membrane(x[..., None], with_hole())[..., 0]
    assert np.abs(filled - x).max() < 4
    assert (np.diff(filled[32, 25:60]) > 0).all()
