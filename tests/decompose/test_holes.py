"""Holes in a thing that are none, for a network sees no ground through them."""

import cv2
import numpy as np
import pytest

from lamina.decompose.coarse import Coarse, seen_labels
from lamina.decompose.holes import hold as hold_in
from lamina.decompose.working import Working

SIZE = 120 * 160
NO_LETTERS = np.zeros((120, 160), bool)
HOLE = (slice(40, 80), slice(50, 110))


def hold(label: np.ndarray, weight: np.ndarray, letters: np.ndarray, canvas: int = SIZE) -> np.ndarray:
    return hold_in(label, weight, letters, canvas)


def framed(number: int = 1) -> np.ndarray:
    """A thing with a hole in it, on the ground."""
    label = np.zeros((120, 160), np.uint8)
    label[20:100, 30:130] = number
    label[HOLE] = 0
    return label


def seen(weight: float) -> np.ndarray:
    """What a network sees above the ground: the thing for certain, so much in its hole."""
    something = (framed() > 0).astype(np.float32)
    something[HOLE] = weight
    return something


@pytest.mark.parametrize(("weight", "number"), [(0.6, 2), (0.4, 0)])
def test_a_hole_is_the_things_where_the_network_sees_no_ground(weight: float, number: int) -> None:
    held = hold(framed(2), seen(weight), NO_LETTERS)
    assert (held[HOLE] == number).all()
    assert np.array_equal(np.delete(held, np.s_[40:80], axis=0), np.delete(framed(2), np.s_[40:80], axis=0))


def test_holes_too_small_for_a_network_to_see_stay_open() -> None:
    """As gaps between hairs do."""
    canvas = int(2400 / 3e-4)
    assert np.array_equal(hold(framed(), seen(1), NO_LETTERS, canvas + 10), framed())
    assert (hold(framed(), seen(1), NO_LETTERS, canvas - 10)[HOLE] == 1).all()


def test_what_the_picture_cuts_off_is_no_hole() -> None:
    label = framed()
    label[80:, 50:110] = 0
    assert np.array_equal(hold(label, np.ones_like(seen(1)), NO_LETTERS), label)


def test_a_hole_between_two_things_stays() -> None:
    label = framed()
    label[20:100, 80:130][label[20:100, 80:130] > 0] = 2
    assert np.array_equal(hold(label, seen(1), NO_LETTERS), label)


def test_a_hole_with_a_speck_of_another_thing_on_its_border_is_held() -> None:
    label = framed()
    label[40:45, 105:110] = 2
    held = hold(label, seen(1), NO_LETTERS)
    assert (held[HOLE] > 0).all()
    assert (held == 2).sum() == 25


def test_holes_on_which_letters_border_stay() -> None:
    letters = NO_LETTERS.copy()
    letters[45:75, 45:50] = True
    assert np.array_equal(hold(framed(), seen(1), letters), framed())


def rings(count: int) -> np.ndarray:
    """Rings side by side: two are letters, one is a ring."""
    label = np.zeros((120, 160), np.uint8)
    for k in range(count):
        cv2.circle(label, (40 + 38 * k, 60), 14, 1, 4)
    return label


@pytest.mark.parametrize("count", [1, 2])
def test_rings_in_a_row_are_letters(count: int) -> None:
    label = rings(count)
    held = hold(label, np.ones(label.shape, np.float32), NO_LETTERS)
    assert held[60, 40] == (1 if count == 1 else 0)


def test_a_white_belly_on_a_white_page_is_the_penguins() -> None:
    """Colour would leave it to the page; on the way from an answer to labels the network is heard."""
    picture = np.full((240, 320, 4), 255, np.uint8)
    cv2.ellipse(picture, (160, 120), (60, 90), 0, 0, 360, (20, 20, 30, 255), -1)
    cv2.ellipse(picture, (160, 130), (36, 56), 0, 0, 360, (255, 255, 255, 255), -1)
    upper = np.zeros((30, 40), np.float32)
    cv2.ellipse(upper, (20, 15), (7, 11), 0, 0, 360, 0.8, -1)
    visible = np.stack([1 - upper, upper])
    answer = Coarse(
        visible=visible, alpha=visible, rgb=np.full((2, 30, 40, 3), 0.5, np.float32), confidence=np.ones(2, np.float32)
    )
    label = seen_labels(Working(picture), answer)
    assert label[130, 160] == 1
    assert label[:20].max() == 0
