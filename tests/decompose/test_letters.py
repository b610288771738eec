"""Lines of letters in a picture."""

import cv2
import numpy as np

from lamina.decompose.letters import lines, printed
from lamina.decompose.regions import segment


def found_in(picture):
    return lines(picture, segment(picture))


def test_the_ground_between_bright_letters_is_no_line_of_dark_ones():
    picture = np.full((200, 400, 3), (18, 50, 80), np.uint8)
    for number in range(9):
        cv2.putText(picture, "e", (40 + 22 * number, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 240, 215), 4)
    found = found_in(picture)
    assert found.max() == 1
    assert (picture[found > 0].sum(axis=1) > 280).mean() > 0.95


def test_points_beside_letters_belong_to_their_line_and_others_do_not():
    picture = np.full((200, 400, 3), 240, np.uint8)
    for number in range(5):
        cv2.putText(picture, "H", (40 + 30 * number, 100), cv2.FONT_HERSHEY_SIMPLEX, 1, (20, 20, 90), 4)
    cv2.circle(picture, (193, 90), 4, (20, 20, 90), -1)
    cv2.circle(picture, (193, 40), 4, (20, 20, 90), -1)
    cv2.circle(picture, (28, 90), 4, (0, 150, 0), -1)
    found = found_in(picture)
    assert found[90, 193] == found[90, 42] == 1
    assert found[40, 193] == found[90, 28] == 0


def bold_word(left, right):
    """Six bold letters across two grounds of these colours."""
    picture = np.full((400, 600, 3), left, np.uint8)
    picture[:, 300:] = right
    for number in range(6):
        x = 110 + 65 * number
        cv2.rectangle(picture, (x, 170), (x + 44, 230), (200, 160, 90), -1)
        cv2.rectangle(picture, (x + 20, 160), (x + 24, 215), left if x < 300 else right, -1)
    return picture


def test_a_bold_word_half_before_bright_and_half_before_dark_is_one_line():
    picture = bold_word((250, 250, 250), (60, 40, 40))
    found = found_in(picture)
    assert found.max() == 1
    assert (found[(picture == (200, 160, 90)).all(axis=2)] == 1).mean() > 0.99
    assert not (found[(picture != (200, 160, 90)).any(axis=2)] == 1).any()


def test_even_pieces_with_soft_edges_are_no_letters():
    assert not found_in(bold_word((215, 175, 105), (190, 150, 80))).any()


def test_letters_on_even_ground_are_printed_and_those_on_a_restless_one_may_be_none():
    picture = np.full((200, 400, 3), 240, np.uint8)
    picture[100:] = np.random.default_rng(0).integers(90, 250, (100, 400, 1))
    for down in (60, 160):
        for number in range(6):
            cv2.putText(picture, "H", (40 + 30 * number, down), cv2.FONT_HERSHEY_SIMPLEX, 1, (20, 20, 90), 4)
    number = np.zeros((200, 400), np.int32)
    ink = (picture == (20, 20, 90)).all(axis=2)
    number[:100][ink[:100]], number[100:][ink[100:]] = 1, 2
    assert np.array_equal(printed(picture, number), number == 1)
    assert not printed(picture, np.zeros_like(number)).any()
