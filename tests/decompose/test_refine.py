"""Single pixels go to the layer whose colour they have, where the network sees some of it."""

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
