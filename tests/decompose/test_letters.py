"""Lines of letters in a picture."""

import cv2
import numpy as np

from lamina.decompose.letters import lines, printed, words
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


def high_word(shapes, colours=((20, 20, 20),) * 9):
    """Shapes (left, top, right, bottom, hollow) of one label: the picture and the words found in it."""
    label = np.zeros((300, 600), np.uint8)
    picture = np.full((300, 600, 3), 235, np.uint8)
    for (left, top, right, bottom, hollow), colour in zip(shapes, colours, strict=False):
        label[top:bottom, left:right] = 1
        if hollow:
            label[top + 20 : bottom, left + 20 : right - 20] = 0
        picture[top:bottom, left:right][label[top:bottom, left:right] > 0] = colour
    return words(label, picture)


HIGH = [(40, 60, 130, 220, True), (150, 60, 240, 220, True), (260, 70, 330, 220, True)]


def test_letters_too_high_for_a_line_are_a_word():
    found = high_word(HIGH)
    assert {int(found[70, left + 5]) for left, *_ in HIGH} == {1}


def test_two_are_no_word_nor_is_what_differs_in_colour_or_height_or_stands_apart():
    assert not high_word(HIGH[:2]).any()
    assert not high_word(HIGH, ((20, 20, 20), (200, 30, 30), (20, 20, 20))).any()
    assert not high_word([*HIGH[:2], (260, 60, 350, 130, True)]).any()
    assert not high_word([*HIGH[:2], (460, 60, 550, 220, True)]).any()


def test_cards_in_a_row_are_no_word_nor_is_one_shape_again_and_again():
    assert not high_word([(*shape[:4], False) for shape in HIGH]).any()
    assert not high_word([(left, 60, left + 90, 220, True) for left in (40, 150, 260)]).any()


def test_what_something_lies_across_is_one_letter():
    label = np.zeros((300, 600), np.uint8)
    for left in (40, 150):
        label[60:220, left : left + 80] = 1
        label[100:220, left + 30 : left + 50] = 0
    picture = np.where(label[..., None] > 0, np.uint8(20), np.uint8(235)).repeat(3, 2)
    label[50:230, 188:192] = 2
    assert not words(label, picture).any()


def test_words_of_different_labels_have_different_numbers():
    picture = np.full((300, 600, 3), 235, np.uint8)
    label = np.zeros((300, 600), np.uint8)
    for number, left in enumerate((20, 90, 160, 320, 390, 460)):
        label[60:220, left : left + 50 - number % 3 * 5] = 1 + number // 3
        label[80:220, left + 15 : left + 35 - number % 3 * 5] = 0
    picture[label > 0] = 20
    found = words(label, picture)
    assert found.max() == 2
    assert np.array_equal(found > 0, label > 0)
