"""Single pixels go to the layer whose colour they have, where the network sees some of it."""

import cv2
import numpy as np

from lamina.decompose.refine import settle

PAPER, INK = (230, 226, 210), (30, 40, 120)


def ring():
    """A letter-like ring whose counter was voted with it; weights that are in doubt around it."""
    y, x = np.mgrid[0:60, 0:80]
    away = np.hypot(y - 30, x - 40)
    picture = np.full((60, 80, 3), PAPER, np.uint8)
    picture[(away < 18) & (away >= 9)] = INK
    weights = np.stack([np.where(away < 22, 0.4, 1), np.where(away < 22, 0.6, 0)]).astype(np.float32)
    return picture, (away < 18).astype(np.uint8), (away < 9), weights


def test_a_counter_finds_its_ground():
    picture, label, counter, weights = ring()
    found = settle(label, picture, weights)
    assert (found[counter] == 0).all()
    assert np.array_equal(found[~counter], label[~counter])


def test_a_lost_strand_finds_its_layer():
    picture, label, _, weights = ring()
    picture[29, 58:61] = INK
    found = settle(label, picture, weights)
    assert (found[29, 58:61] == 1).all()


def test_what_the_network_is_sure_of_stays():
    picture, label, _, weights = ring()
    weights[0], weights[1] = label == 0, label == 1
    assert np.array_equal(settle(label, picture, weights), label)


def test_colours_of_neither_layer_and_layers_of_one_colour_stay():
    picture, label, counter, weights = ring()
    picture[counter] = (130, 133, 165)
    assert np.array_equal(settle(label, picture, weights), label)
    assert np.array_equal(settle(label, np.full_like(picture, 128), weights), label)


def test_a_single_layer_stays():
    picture, _, _, weights = ring()
    assert not settle(np.zeros((60, 80), np.uint8), picture, weights).any()


def test_a_highlight_of_the_grounds_colour_is_no_hole():
    y, x = np.mgrid[0:480, 0:640]
    thing = np.hypot(y - 240, x - 320) < 200
    bright = np.exp(-np.square(np.hypot(y - 180, x - 280) / 24))[..., None]
    picture = np.where(thing[..., None], np.array(INK) + bright * (np.array(PAPER) - INK), PAPER).astype(np.uint8)
    picture[340:346, 280:320] = PAPER  # a gap has hard edges
    weights = np.stack([np.where(thing, 0.3, 1), np.where(thing, 0.7, 0)]).astype(np.float32)
    found = settle(thing.astype(np.uint8), picture, weights)
    assert (found[130:230, 230:330] == 1).all()
    assert (found[340:346, 280:320] == 0).all()


def letter_on_card():
    """A soft ring on a card on paper, with paper voted for its rim and its counter."""
    y, x = np.mgrid[0:300, 0:400]
    away = np.hypot(y - 150, x - 200)
    ink = np.clip(3 - np.abs(away - 9), 0, 1)[..., None]
    card = (x > 50) & (x < 350) & (y > 40) & (y < 260)
    picture = np.where(card[..., None], (18, 50, 80), PAPER) * (1 - ink) + np.array((250, 90, 60)) * ink
    label = np.where(card, np.where(ink[..., 0] == 1, 2, 1), 0).astype(np.uint8)
    label[(ink[..., 0] < 1) & (away < 13.5)] = 0
    near = cv2.GaussianBlur((away < 13).astype(np.float32), (0, 0), 1)
    weights = np.stack([np.where(card, 0.03, 0.95), np.where(card, 0.95 - 0.92 * near, 0.03), 0.02 + 0.92 * near])
    return picture.astype(np.uint8), label, card, weights.astype(np.float32)


def test_no_ground_is_left_between_a_letter_and_the_card_that_it_is_on():
    picture, label, card, weights = letter_on_card()
    assert (label[card] == 0).sum() > 150
    found = settle(label, picture, weights)
    assert not (found[card] == 0).any()
    assert (found[147:153, 197:203] == 1).all(), "the counter shows the card"
    assert np.array_equal(found[~card], label[~card])


def test_the_ground_is_seen_through_a_hole_in_a_card():
    picture, label, _, weights = letter_on_card()
    hole = (slice(80, 90), slice(80, 90))
    picture[hole], label[hole] = PAPER, 0
    weights[0][hole], weights[1][hole] = 0.95, 0.03
    assert (settle(label, picture, weights)[hole] == 0).all()


def letters_side_by_side(card):
    """Two bars with a sliver between them that has the ground's colour: by accident on a card, and on the ground."""
    ground, ink = (60, 85, 100), (250, 235, 210)
    picture = np.full((300, 400, 3), ground, np.uint8)
    label = np.zeros((300, 400), np.uint8)
    if card:
        picture[40:260, 50:350], label[40:260, 50:350] = (16, 52, 80), 1
    for left in (196, 201):
        picture[130:170, left : left + 4], label[130:170, left : left + 4] = ink, 2
    picture[130:170, 200] = np.array((16, 52, 80)) * 0.8 + np.array(ink) * 0.2 if card else ground
    label[130:170, 200] = 0
    letters = label == 2
    letters[130:170, 200] = True
    weights = np.stack([label == 0, (label == 1), letters]).astype(np.float32)
    if not card:
        label[130:170, 201:205], weights = 1, np.stack([label == 0, label == 1, label == 2]).astype(np.float32)
        weights[1, 130:170, 201:205], weights[2, 130:170, 201:205] = 1, 0
    return picture, label, weights * 0.94 + 0.02


def test_a_sliver_between_letters_is_the_card_that_they_are_on():
    picture, label, weights = letters_side_by_side(card=True)
    assert (settle(label, picture, weights.astype(np.float32))[132:168, 200] == 1).all()


def test_a_sliver_between_letters_on_the_ground_is_the_ground():
    picture, label, weights = letters_side_by_side(card=False)
    assert (settle(label, picture, weights.astype(np.float32))[130:170, 200] == 0).all()
