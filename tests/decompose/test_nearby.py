"""What lies around a hole tells its colour, be it usual or not."""

import numpy as np

from lamina.decompose.fill import continue_colours


def test_a_hole_in_a_card_on_the_ground_is_filled_with_the_card() -> None:
    colours = np.full((80, 120, 3), 200, np.float32)
    colours[20:46, 20:56] = (30, 60, 120)
    known = np.ones((80, 120), bool)
    known[28:38, 30:46] = known[60:70, 80:100] = False
    filled = continue_colours(colours, known)
    assert np.abs(filled[28:38, 30:46] - (30, 60, 120)).max() < 3
    assert np.abs(filled[60:70, 80:100] - 200).max() < 3


def test_a_rim_of_another_colour_around_half_of_a_hole_does_not_leak_in() -> None:
    colours = np.full((80, 120, 3), 200, np.float32)
    colours[20:50, 28:30] = (30, 60, 120)
    known = np.ones((80, 120), bool)
    known[20:50, 30:60] = False
    assert np.abs(continue_colours(colours, known)[20:50, 30:60] - 200).max() < 3
