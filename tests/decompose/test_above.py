"""What a box shows above its ground, where its sides cross other things, and where it is drawn a little too small."""

import cv2
import numpy as np
import pytest

from lamina.decompose.above import in_box
from lamina.decompose.working import Working
from lamina.document.layer import Box

PAPER, BLUE, RED, INK = (240, 236, 228), (40, 90, 200), (210, 50, 40), (20, 20, 24)


def paper(width: int = 320, height: int = 240) -> np.ndarray:
    return np.full((height, width, 3), PAPER, np.uint8)


def found_in(rgb: np.ndarray, box: tuple[int, int, int, int], weight: float = 0.0) -> np.ndarray:
    """What is found, as a mask; nothing where nothing is. `weight` is what the network sees above the ground."""
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    above = in_box(Working(opaque), Box(*box), np.full(rgb.shape[:2], weight, np.float32))
    return np.zeros(rgb.shape[:2], bool) if above is None else above.mask


def agree(mask: np.ndarray, truth: np.ndarray, *, but: int = 40) -> bool:
    return int((mask ^ truth).sum()) <= but


def is_in(rgb: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (rgb == colour).all(axis=-1)


def test_what_goes_on_beyond_a_box_is_none_of_its_thing() -> None:
    """A red square half on a blue band that crosses the picture."""
    rgb = paper()
    rgb[120:180] = BLUE
    rgb[80:150, 110:190] = RED
    assert agree(found_in(rgb, (100, 70, 200, 160)), is_in(rgb, RED))


def test_a_thing_that_a_box_cuts_is_cut_where_there_is_nothing_else() -> None:
    rgb = paper()
    cv2.circle(rgb, (160, 120), 70, RED, -1)
    left = is_in(rgb, RED) & (np.arange(320) < 200)
    assert agree(found_in(rgb, (80, 40, 200, 200)), left)


def test_an_outline_that_goes_on_stays_where_it_goes_round_the_thing() -> None:
    """A red square, outlined by a stroke that goes on to the right."""
    rgb = paper()
    rgb[60:130, 60:148] = rgb[124:130, 60:310] = INK
    rgb[66:124, 66:142] = RED
    mask = found_in(rgb, (52, 52, 156, 138))
    assert mask[60:130, 60:148].mean() > 0.99
    assert not mask[:, 160:].any()


@pytest.mark.parametrize("short", [0, 4])
def test_a_band_from_side_to_side_is_found_though_the_box_is_drawn_a_little_too_low(short: int) -> None:
    rgb = paper()
    rgb[160:] = BLUE
    rgb[190:210, 40:120] = RED
    assert agree(found_in(rgb, (0, 160 + short, 320, 240)), ~is_in(rgb, PAPER), but=0)


def test_letters_cut_off_by_the_picture_are_found() -> None:
    rgb = paper()
    for left in range(0, 320, 40):
        rgb[200:, left : left + 26] = INK
    assert agree(found_in(rgb, (0, 192, 320, 240)), is_in(rgb, INK))


def test_on_a_clean_ground_what_hardly_differs_is_found() -> None:
    rgb = paper()
    rgb[80:160, 80:240] = (228, 224, 216)
    assert agree(found_in(rgb, (70, 70, 250, 170)), is_in(rgb, (228, 224, 216)))


def test_a_belly_in_the_grounds_colour_is_the_things_if_the_network_sees_one() -> None:
    rgb = paper()
    cv2.ellipse(rgb, (160, 120), (60, 80), 0, 0, 360, INK, -1)
    cv2.ellipse(rgb, (160, 140), (35, 45), 0, 0, 360, PAPER, -1)
    box = (90, 30, 230, 210)
    assert not found_in(rgb, box, 0.1)[140, 160]
    assert found_in(rgb, box, 0.9)[140, 160]


def test_counters_of_letters_stay_open_whatever_the_network_sees() -> None:
    rgb = paper()
    for left in (60, 130, 200):
        cv2.ellipse(rgb, (left + 25, 120), (25, 35), 0, 0, 360, INK, 14)
    mask = found_in(rgb, (30, 70, 260, 170), 0.9)
    assert mask[is_in(rgb, INK)].mean() > 0.99
    assert not mask[120, [85, 155, 225]].any()
