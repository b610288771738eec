"""Regions that belong together get one layer."""

import cv2
import numpy as np
import pytest

from lamina.decompose.agree import agree_in_outlines, agree_in_rows, agree_with_neighbours, common_borders
from lamina.decompose.letters import lines


def bands(*greys, side=100):
    """Upright bands of these greys: the picture and its regions."""
    regions = np.repeat(np.arange(len(greys)), side // len(greys))[None].repeat(side, axis=0).astype(np.int32)
    return np.array(greys, np.uint8)[regions][..., None].repeat(3, axis=2), regions


def votes_of(*layers):
    """One vote of .9 for each region's layer."""
    votes = np.full((3, len(layers)), 0.05, np.float32)
    votes[list(layers), range(len(layers))] = 0.9
    return votes


def test_a_narrow_doubtful_region_follows_the_neighbour_without_an_edge():
    picture = np.full((100, 100, 3), 200, np.uint8)
    picture[:, 45:] = 60
    regions = np.zeros((100, 100), np.int32)
    regions[:, 45:] = 2
    regions[:, 40:45] = 1
    votes = votes_of(0, 0, 1)
    votes[:, 1] = (0.4, 0.55, 0.05)
    heard = agree_with_neighbours(votes, regions, common_borders(regions, picture))
    assert heard.argmax(axis=0).tolist() == [0, 0, 1]
    assert np.allclose(heard.sum(axis=0), 1, atol=1e-4)


def test_a_strong_edge_keeps_votes_apart():
    picture, regions = bands(20, 140, 240, 20)
    votes = votes_of(0, 1, 0, 2)
    votes[:, 2] = (0.5, 0.45, 0.05)
    heard = agree_with_neighbours(votes, regions, common_borders(regions, picture))
    assert np.allclose(heard[:, 2], votes[:, 2], atol=1e-3)
    assert heard.argmax(axis=0).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(("neighbour", "found"), [(1, 1), (0, 2)])
def test_across_a_moderate_edge_objects_agree_with_objects_but_not_with_the_ground(neighbour, found):
    regions = np.where(np.arange(100) < 90, 0, 1)[None].repeat(100, axis=0).astype(np.int32)
    picture = np.where(regions[..., None] == 0, 100, 125).astype(np.uint8).repeat(3, axis=2)
    votes = votes_of(neighbour, 2)
    votes[:, 1] = (0.05, 0.42, 0.53)
    assert agree_with_neighbours(votes, regions, common_borders(regions, picture)).argmax(axis=0).tolist() == [
        neighbour,
        found,
    ]


def test_letters_of_a_line_go_together_by_majority_and_others_keep_their_layer():
    picture = np.full((400, 400, 3), 230, np.uint8)
    regions = np.zeros((400, 400), np.int32)
    places = [(40 + 24 * i, 60) for i in range(6)] + [(60, 300)]
    for number, (x, y) in enumerate(places, 1):
        cv2.putText(picture, "H", (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 90), 3)
        regions[y - 20 : y + 4, x - 2 : x + 20][(picture[y - 20 : y + 4, x - 2 : x + 20] < 200).any(axis=2)] = number
    votes = votes_of(0, 1, 1, 2, 1, 1, 0, 2)
    heard = agree_in_rows(votes, regions, lines(picture, regions))
    assert heard.argmax(axis=0).tolist() == [0, 1, 1, 1, 1, 1, 1, 2]
    assert np.array_equal(heard[:, [0, 7]], votes[:, [0, 7]])


def test_a_picture_without_letters_keeps_its_votes():
    picture, regions = bands(30, 200)
    votes = votes_of(0, 1)
    assert np.array_equal(agree_in_rows(votes, regions, lines(picture, regions)), votes)


def outlined(width=3, ink=20, inside=220):
    """A disc and its outline on a light ground, 200 pixels square: the picture and its regions, 0 to 2."""
    regions = np.zeros((200, 200), np.int32)
    cv2.circle(regions, (100, 100), 50 + width, 1, -1)
    cv2.circle(regions, (100, 100), 50, 2, -1)
    return np.array([235, ink, inside], np.uint8)[regions][..., None].repeat(3, axis=2), regions


@pytest.mark.parametrize(
    ("drawn", "layers", "found"),
    [
        ({}, (0, 0, 1), (0, 1, 1)),
        ({}, (0, 0, 0), (0, 0, 0)),  # a ring on the ground
        ({}, (0, 2, 1), (0, 2, 1)),  # of an upper layer that has lines of its own
        ({"width": 24}, (0, 0, 1), (0, 0, 1)),  # a disc before another
        ({"ink": 210}, (0, 0, 1), (0, 0, 1)),  # hardly set off from the ground: its shadow
    ],
)
def test_an_outline_goes_with_what_it_goes_round(drawn, layers, found):
    picture, regions = outlined(**drawn)
    label = agree_in_outlines(np.array(layers, np.uint8), regions, common_borders(regions, picture))
    assert label.tolist() == list(found)


def test_an_outline_in_pieces_and_one_round_another_go_along():
    picture, regions = outlined()
    regions[(regions == 1) & (np.arange(200) < 90)] = 3
    wider = cv2.dilate((regions > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    picture[wider & (regions == 0)] = (200, 30, 30)
    regions[wider & (regions == 0)] = 4
    label = agree_in_outlines(np.array([0, 0, 1, 0, 0], np.uint8), regions, common_borders(regions, picture))
    assert label.tolist() == [0, 1, 1, 1, 1]


def test_one_region_has_no_outline():
    regions = np.zeros((8, 8), np.int32)
    picture = np.zeros((8, 8, 3), np.uint8)
    assert agree_in_outlines(np.zeros(1, np.uint8), regions, common_borders(regions, picture)).tolist() == [0]
