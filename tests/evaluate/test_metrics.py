"""Layer-F, ground error and the published protocol: small stacks by hand, and the 32 documents' reference figures."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamina.errors import InputError
from lamina.evaluate.metrics import Scores, group_layers, means, reduce_stack, score

EVAL = Path(os.environ.get("LAMINA_EVAL", Path(__file__).parents[3] / "shared" / "eval"))
REFERENCE = json.loads((EVAL / "reference.json").read_text())["documents"] if EVAL.exists() else {}
needs_documents = pytest.mark.skipif(
    not REFERENCE, reason="set LAMINA_EVAL to a folder of documents with their reference.json"
)
WHITE, RED, BLUE = (255, 255, 255, 255), (255, 0, 0, 255), (0, 0, 255, 255)


def patch(colour, box=(0, 0, 20, 20), size=(20, 20)):
    """A full canvas (width, height) with one half-open box of one colour."""
    layer = np.zeros((size[1], size[0], 4), dtype=np.uint8)
    left, top, right, bottom = box
    layer[top:bottom, left:right] = colour
    return layer


GROUND, LEFT, RIGHT = patch(WHITE), patch(RED, (0, 0, 10, 20)), patch(BLUE, (10, 0, 20, 20))
ABOVE = patch(BLUE, (5, 0, 15, 20))


def test_truth_against_itself_is_perfect():
    scores = score([GROUND, LEFT, ABOVE], [GROUND, LEFT, ABOVE])
    assert scores == Scores(
        layer_f=1.0, ground=0.0, rgb_l1=(0.0,) * 6, alpha_iou=(1.0,) * 6, groups_pred=3, groups_true=3
    )


def test_fewer_than_two_visible_layers_is_the_worst_score():
    for prediction in ([], [GROUND], [GROUND, patch((9, 9, 9, 7))]):
        scores = score(prediction, [GROUND, LEFT])
        assert (scores.layer_f, scores.ground, scores.rgb_l1[0], scores.alpha_iou[5]) == (0.0, 1.0, 1.0, 0.0)
        assert scores.groups_pred == len(reduce_stack(prediction))


def test_layer_f_halves_the_iou_of_a_layer_that_covers_twice_the_truth():
    assert score([GROUND, patch(RED, (0, 0, 20, 10))], [GROUND, patch(RED, (0, 0, 10, 10))]).layer_f == 0.5


def test_layer_f_counts_every_surplus_layer():
    assert score([GROUND, LEFT, ABOVE], [GROUND, LEFT]).layer_f == pytest.approx(2 / 3)


def test_layer_f_does_not_mind_the_order_above_the_ground():
    assert score([GROUND, ABOVE, LEFT], [GROUND, LEFT, ABOVE]).layer_f == 1.0


def test_layer_f_weighs_half_transparent_pixels_by_half():
    assert score([GROUND, patch((255, 0, 0, 51), (0, 0, 10, 20))], [GROUND, LEFT]).layer_f == pytest.approx(0.2)


def test_nothing_above_the_predicted_ground_scores_zero():
    scores = score([LEFT, RIGHT], [GROUND, LEFT])
    assert (scores.groups_pred, scores.layer_f) == (1, 0.0)


def test_ground_error_looks_only_where_the_truth_hides_the_ground():
    ground = GROUND.copy()
    ground[:, 10:, :3] = 0
    assert score([ground, LEFT], [GROUND, LEFT]).ground == 0.0
    ground[:, :10, :3] = (204, 255, 255)
    assert score([ground, LEFT], [GROUND, LEFT]).ground == pytest.approx(0.2 / 3)


def test_ground_error_shows_holes_in_the_predicted_ground_white():
    assert score([RIGHT, patch(RED)], [patch(BLUE), LEFT]).ground == pytest.approx(2 / 3)


def test_ground_error_is_absent_where_little_is_hidden():
    assert score([GROUND, LEFT], [GROUND, patch(RED, (0, 0, 7, 7))]).ground is None


def test_rgb_l1_is_taken_over_the_reference_only():
    scores = score([GROUND, patch(BLUE)], [GROUND, LEFT])
    assert scores.rgb_l1[0] == pytest.approx((0 + 2 / 3) / 2)
    assert scores.alpha_iou[0] == pytest.approx((1 + 0.5) / 2)


def test_a_merge_mends_a_split_layer_and_further_steps_repeat_it():
    lower, upper = patch(RED, (0, 0, 12, 20)), patch(RED, (4, 0, 20, 20))
    scores = score([GROUND, lower, upper], [GROUND, patch(RED)])
    # Path: ground-ground, lower-whole (IoU .6), upper-whole (.8); after the merge all is equal.
    assert scores.alpha_iou == pytest.approx((0.8, 1.0, 1.0, 1.0, 1.0, 1.0))
    # Where a layer is empty its colour counts as black: a third away from red.
    assert scores.rgb_l1 == pytest.approx(((0.4 / 3 + 0.2 / 3) / 3, 0, 0, 0, 0, 0))


def test_layers_side_by_side_become_one_group():
    groups = group_layers([GROUND, LEFT, RIGHT])
    assert len(groups) == 2
    np.testing.assert_array_equal(groups[1], LEFT + RIGHT)


def test_grouping_peels_from_the_top():
    # LEFT lies under ABOVE; the small patch overlaps neither, so it goes with the topmost.
    small = patch(BLUE, (18, 0, 20, 2))
    groups = group_layers([GROUND, small, LEFT, ABOVE])
    assert [int((group[..., 3] > 0).sum()) for group in groups] == [400, 200, 204]


def test_reducing_averages_premultiplied_to_a_long_side_of_512():
    layer = patch(RED, (0, 0, 1024, 300), (1024, 400))
    layer[:, 1::2] = (0, 255, 0, 0)
    (reduced,) = reduce_stack([layer])
    assert reduced.shape == (200, 512, 4)
    assert tuple(reduced[0, 0]) == (255, 0, 0, 128)
    assert not reduced[150:].any()


def test_reducing_never_enlarges_and_clears_faint_alpha_with_its_colour():
    layer = patch((200, 100, 50, 8))
    layer[0] = (200, 100, 50, 7)
    (reduced,) = reduce_stack([layer])
    assert not reduced[0].any()
    np.testing.assert_array_equal(reduced[1:], layer[1:])


def test_colour_under_alpha_zero_is_never_compared():
    noisy = LEFT.copy()
    noisy[:, 10:, :3] = 77
    assert score([GROUND, noisy], [GROUND, LEFT]).rgb_l1 == (0.0,) * 6


def test_sizes_that_differ_and_a_flat_truth_are_refused():
    with pytest.raises(InputError, match="truth of"):
        score([patch(WHITE, size=(10, 20))] * 2, [GROUND, LEFT])
    with pytest.raises(InputError, match="two or more"):
        score([GROUND, LEFT], [GROUND])


def test_means_leave_out_unknown_grounds():
    perfect = score([GROUND, LEFT], [GROUND, LEFT])
    unknown = score([GROUND, LEFT, ABOVE], [GROUND, patch(RED, (0, 0, 7, 7))])
    mean = means([perfect, unknown])
    assert mean["ground"] == 0.0
    assert mean["group_error"] == 0.5
    assert mean["layer_f"] == pytest.approx((1 + unknown.layer_f) / 2)
    assert len(mean["rgb_l1"]) == len(mean["alpha_iou"]) == 6


@needs_documents
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", json.loads((EVAL / "reference.json").read_text())["documents"] if EVAL.exists() else []
)
def test_reference_prediction_scores_as_published(name):
    paths = sorted((EVAL / "documents" / name).glob("[0-9][0-9].png"))
    true = [np.asarray(Image.open(path).convert("RGBA")) for path in paths]
    scores = score(reference_prediction(true), true)
    found = {
        "layer_f": scores.layer_f,
        "ground": scores.ground,
        "rgb_l1": list(scores.rgb_l1),
        "alpha_iou": list(scores.alpha_iou),
    }
    assert found == {key: pytest.approx(value, abs=2e-6) for key, value in REFERENCE[name].items()}


def reference_prediction(true):
    """The truth, all but the bottom moved 8 px to the right, its two topmost layers merged where there are over two."""
    layers = [true[0]]
    for layer in true[1:]:
        moved = np.zeros_like(layer)
        moved[:, 8:] = layer[:, :-8]
        layers.append(moved)
    if len(layers) > 2:
        top, below = Image.fromarray(layers.pop()), Image.fromarray(layers.pop())
        layers.append(np.asarray(Image.alpha_composite(below, top)))
    return layers
