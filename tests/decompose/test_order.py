"""What another layer lies all around lies on it."""

import numpy as np

from lamina.decompose.order import ordered


def banner() -> np.ndarray:
    """A ring of a letter (1) with the banner (2) around and within it, and a headline (1) beside the banner."""
    label = np.zeros((120, 200), np.uint8)
    label[50:100, 20:180] = 2
    label[60:85, 60:80] = 1
    label[68:76, 67:73] = 2
    label[10:30, 20:120] = 1
    return label


def test_a_letter_comes_onto_what_lies_all_around_it() -> None:
    assert ordered(banner(), 3, 3).tolist() == [0, 2, 1]


def test_what_is_right_stays() -> None:
    label = banner()
    swapped = np.array([0, 2, 1], np.uint8)[label]
    assert ordered(swapped, 3, 3).tolist() == [0, 1, 2]


def test_an_outline_lies_on_what_it_is_of() -> None:
    label = np.zeros((120, 120), np.uint8)
    label[20:100, 20:100] = 2
    label[24:96, 24:96] = 1
    assert ordered(label, 3, 3).tolist() == [0, 1, 2]


def test_what_is_beside_a_layer_stays_below_it() -> None:
    label = banner()
    label[60:85, 60:80] = 2
    label[90:110, 60:80] = 1
    assert ordered(label, 3, 3).tolist() == [0, 1, 2]


def test_what_a_box_was_drawn_for_stays_on_top() -> None:
    assert ordered(banner(), 2, 3).tolist() == [0, 1, 2]


def test_a_layer_between_is_not_passed_where_they_touch() -> None:
    """The letter cannot go above 2, which its headline touches; the banner, 3, goes below it instead."""
    label = np.where(banner() == 2, 3, banner()).astype(np.uint8)
    label[30:40, 20:120] = 2
    assert ordered(label, 4, 4).tolist() == [0, 3, 1, 2]
    label[45:50, 20:180] = 2
    assert ordered(label, 4, 4).tolist() == [0, 1, 2, 3], "it touches both"
