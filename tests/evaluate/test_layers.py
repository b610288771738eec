"""Figures of single layers and of the composite, on stacks whose values follow by hand."""

import numpy as np
import pytest

from lamina.evaluate.layers import BEST_PSNR, exact_share, hidden_error, layer_ious, match, mean_iou, psnr

SIZE = 20


def patch(colour, box=(0, 0, SIZE, SIZE)):
    layer = np.zeros((SIZE, SIZE, 4), np.uint8)
    left, top, right, bottom = box
    layer[top:bottom, left:right] = colour
    return layer


WHITE, BLACK, RED = (255, 255, 255, 255), (0, 0, 0, 255), (255, 0, 0, 255)
GROUND, LEFT = patch(WHITE), patch(RED, (0, 0, 10, 20))


def hidden(predicted, true):
    return hidden_error(predicted, true, match(layer_ious(predicted, true)))


def test_iou_is_soft_and_matched_one_to_one():
    faint = patch((255, 0, 0, 51), (0, 0, 10, 20))
    ious = layer_ious([GROUND, faint, LEFT], [GROUND, LEFT])
    assert ious[1, 1] == pytest.approx(0.2)
    assert match(ious) == [(0, 0), (2, 1)]
    assert mean_iou(ious, match(ious)) == 1.0


def test_a_true_layer_without_partner_counts_as_zero_and_a_surplus_one_costs_nothing():
    right = patch(RED, (10, 0, 20, 20))
    assert mean_iou(*(lambda i: (i, match(i)))(layer_ious([GROUND], [GROUND, LEFT]))) == 0.5
    ious = layer_ious([GROUND, LEFT, right], [GROUND, LEFT])
    assert mean_iou(ious, match(ious)) == 1.0


def test_layers_that_share_nothing_are_no_pair_and_nothing_predicted_is_zero():
    ious = layer_ious([patch(RED, (0, 0, 5, 20))], [patch(RED, (10, 0, 20, 20))])
    assert match(ious) == []
    assert mean_iou(ious, []) == 0.0
    none = layer_ious([], [GROUND, LEFT])
    assert (match(none), mean_iou(none, [])) == ([], 0.0)


def test_hidden_content_that_is_right_costs_nothing_and_only_hidden_pixels_count():
    ground = GROUND.copy()
    ground[:, 10:] = BLACK  # in full view
    assert hidden([ground, LEFT], [GROUND, LEFT]) == 0.0


def test_a_missing_hidden_part_costs_a_half_whatever_its_colour():
    for colour in (WHITE, BLACK, RED, (12, 200, 77, 255)):
        seen = patch(colour, (10, 0, 20, 20))
        assert hidden([seen, LEFT], [patch(colour), LEFT]) == pytest.approx(0.5)


def test_a_wrong_hidden_colour_costs_its_difference():
    ground = GROUND.copy()
    ground[:, :10, :3] = (204, 255, 255)
    assert hidden([ground, LEFT], [GROUND, LEFT]) == pytest.approx(0.2 / 3)


def test_half_the_alpha_costs_a_quarter():
    ground = GROUND.copy()
    ground[:, :10, 3] = 0
    half = ground.copy()
    half[:, :10] = (255, 255, 255, 127)
    assert hidden([half, LEFT], [GROUND, LEFT]) == pytest.approx(0.25, abs=0.002)


def test_every_hidden_layer_weighs_the_same_and_one_without_partner_is_an_empty_one():
    middle = patch((0, 0, 255, 255), (0, 0, 20, 10))
    # Hidden under LEFT: half the ground and half of the middle layer; under the middle layer: more of the ground.
    assert hidden([GROUND, LEFT], [GROUND, middle, LEFT]) == pytest.approx(0.25)


def test_nothing_hidden_says_nothing():
    right = patch(RED, (10, 0, 20, 20))
    assert hidden([LEFT, right], [LEFT, right]) is None
    assert hidden([GROUND], [GROUND]) is None
    assert hidden([GROUND, LEFT], [GROUND, patch(RED, (0, 0, 7, 7))]) is None  # 49 pixels
    assert hidden([GROUND, LEFT], [GROUND, patch((255, 0, 0, 127))]) is None  # one sees through


def test_psnr_by_hand_and_its_ends():
    assert psnr(patch(BLACK), patch(WHITE)) == 0.0
    assert psnr(patch(BLACK), patch((51, 51, 51, 255))) == pytest.approx(20 * np.log10(5))
    assert psnr(LEFT, LEFT) == BEST_PSNR
    assert psnr(patch((0, 0, 0, 0)), patch(WHITE)) == BEST_PSNR  # over white


def test_exact_share_counts_alpha_and_not_the_colour_of_nothing():
    other = LEFT.copy()
    other[0, 0, 3] = 254
    other[:, 10:, :3] = 77
    assert exact_share(other, LEFT) == 1 - 1 / SIZE**2
