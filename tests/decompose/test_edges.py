"""Soft edges follow the picture's colours, or a step where these say nothing."""

import numpy as np
import pytest

from lamina.decompose.edges import clean_parts, far_parts, find_borders, reach_strands, upper_share


def halves():
    label = np.zeros((12, 20), np.uint8)
    label[:, 8:] = 2
    return label


def test_borders_know_who_meets_whom_and_how_far_it_is():
    borders = find_borders(halves())
    assert (borders.lower == 0).all()
    assert (borders.upper == 2).all()
    assert np.allclose(borders.depth[5], np.arange(20) - 7.5, atol=0.1)


def test_a_single_label_has_no_border():
    borders = find_borders(np.full((4, 5), 3, np.uint8))
    assert (borders.lower == 3).all()
    assert (np.abs(borders.depth) > 1000).all()


def shares(here, lower, upper, depth, variance=(0.0, 0.0), reach=3.0):
    rows = [np.array([[*colour, off]], np.float32) for colour, off in zip((lower, upper), variance, strict=True)]
    places = (np.array([value], np.float32) for value in (depth, reach))
    return float(upper_share(np.array([here], np.float32), *rows, *places)[0])


def test_a_mixed_colour_gives_its_share_whatever_the_labels_say():
    for share in (0.2, 0.5, 0.8):
        mixed = [200 * share, 100, 250 - 250 * share]
        for depth in (-1.0, 1.0):
            assert abs(shares(mixed, (0, 100, 250), (200, 100, 0), depth) - share) < 0.03


def test_labels_decide_where_colours_are_alike_or_restless_or_far_from_a_border():
    assert shares((100, 100, 100), (100, 100, 100), (102, 100, 100), 1.5) > 0.9
    assert shares((0, 0, 0), (0, 0, 0), (60, 60, 60), 1.5, variance=(5000.0, 5000.0)) > 0.6
    assert shares((0, 0, 0), (0, 0, 0), (255, 255, 255), 5.0) == 1
    assert shares((0, 0, 0), (0, 0, 0), (255, 255, 255), 5.0, reach=8.0) < 0.01


def test_the_colour_of_an_even_layer_is_its_own_however_restless_the_other_is():
    assert shares((0, 0, 0), (0, 0, 0), (150, 150, 150), 0.5, variance=(0.0, 5000.0)) < 0.01
    assert shares((150, 150, 150), (0, 0, 0), (150, 150, 150), -0.5, variance=(5000.0, 0.0)) > 0.99


@pytest.mark.parametrize(("crooked", "farthest"), [(True, 8), (False, 3)])
def test_borders_reach_farther_only_among_thin_things_that_the_network_doubts(crooked, farthest):
    picture = np.full((40, 60, 3), 200, np.uint8)
    picture[:, 10::6] = 40
    weights = np.full((2, 40, 60), 0.5, np.float32)
    weights[:, 20:] = [[[1]], [[0]]]
    label = (np.arange(60) > 30).astype(np.uint8)[None].repeat(40, axis=0)
    if crooked:
        label[::3] = np.arange(60) > 20
    reach = reach_strands(find_borders(label), picture, weights).reach
    assert (reach[:20, 18:36] == farthest).all()
    assert (reach[20:] == 3).all()
    assert (reach[:, :6] == 3).all()


def test_faint_noise_leaves_no_veil():
    assert shares((101, 100, 100), (100, 100, 100), (250, 250, 250), -1.0) == 0


def test_the_rim_of_a_label_is_not_clean_and_thin_strokes_keep_their_purest_pixels():
    label = np.zeros((30, 40), np.uint8)
    label[5:15, 5:15] = 1
    label[22:24, 5:35] = 1
    picture = np.full((30, 40, 3), 240, np.float32)
    picture[label == 1] = 20
    picture[23, 5:35] = 120
    clean = clean_parts(find_borders(label), 1, picture, np.full_like(picture, 240))
    assert clean[6:14, 6:14].all()
    assert not clean[5, 5:15].any()
    assert clean[22, 5:35].all()
    assert not clean[23].any()


def test_what_is_seen_of_a_card_between_letters_does_not_tell_its_colour():
    label = np.zeros((60, 200), np.uint8)
    label[5:55, 5:195] = 1
    label[20:40, 20:60:3] = 2
    picture = np.full((60, 200, 3), 20, np.float32)
    picture[20:40, 20:60] = 90  # mixed with the letters
    between = label[20:40, 21:59] == 1
    clean = clean_parts(find_borders(label), 1, picture, np.full_like(picture, 240))
    assert not clean[20:40, 21:59][between].any()
    label[5:55] = np.where(label[5:55] == 2, 2, 0)
    label[20:40, 20:60] = np.where(label[20:40, 20:60] == 2, 2, 1)
    assert clean_parts(find_borders(label), 1, picture, np.full_like(picture, 240)).any(), "seen nowhere else"


def test_colours_are_taken_from_beyond_the_glow_but_narrow_gaps_keep_theirs():
    label = np.zeros((128, 256), np.uint8)
    label[30:100, 30:100] = 1
    label[30:100, 106:170] = 1
    borders = find_borders(label)
    clean = borders.depth < -1
    far = far_parts(borders, clean)
    assert not far[60, 171:174].any()
    assert far[60, 180:].all()
    assert far[60, 103], "between the two there is nothing farther away"
    assert not (far & ~clean).any()
