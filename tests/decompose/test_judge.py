"""What looks failed in a stack is seen in it, and a better stack has the higher score."""

import cv2
import numpy as np
import pytest

from lamina.decompose import judge as judging
from lamina.decompose.judge import TERMS, Verdict
from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import Layer

WIDTH, HEIGHT = 320, 240


def judge(picture: np.ndarray, layers) -> Verdict:
    return judging.judge(picture, layers, [0.9] * len(layers))


GROUND = (225, 215, 195)


def blob(name: str, colour: tuple[int, int, int], centre: tuple[int, int], radius: int) -> Layer:
    fine = np.zeros((HEIGHT * 4, WIDTH * 4), np.uint8)
    cv2.circle(fine, (centre[0] * 4, centre[1] * 4), radius * 4, 255, -1)
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    rgba[..., :3] = colour
    rgba[..., 3] = cv2.resize(fine, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return Layer(id=name, name=name, rgba=rgba)


RED, BLUE = blob("red", (200, 40, 50), (90, 110), 60), blob("blue", (40, 70, 190), (230, 130), 50)


def ground(colour: tuple[int, int, int] = GROUND) -> Layer:
    return Layer(id="ground", name="ground", rgba=np.full((HEIGHT, WIDTH, 4), (*colour, 255), np.uint8))


def picture(*layers: Layer) -> np.ndarray:
    return flatten(Document(width=WIDTH, height=HEIGHT, layers=layers))


GOOD = (ground(), RED, BLUE)
PICTURE = picture(*GOOD)


def halves(layer: Layer) -> tuple[Layer, Layer]:
    left, right = layer.rgba.copy(), layer.rgba.copy()
    left[:, 90:, 3] = 0
    right[:, :90, 3] = 0
    return Layer(id="l", name="l", rgba=left), Layer(id="r", name="r", rgba=right)


def with_ghost(*, outline: bool) -> Layer:
    """A ground that still shows the red blob below it, or only its rim beside it."""
    rgba = ground().rgba.copy()
    alpha = RED.rgba[..., 3]
    where = alpha > 0
    if outline:
        where = (cv2.dilate(alpha, np.ones((7, 7), np.uint8)) > 0) & (alpha == 0)
    rgba[where, :3] = (np.array(GROUND) + (200, 40, 50)) // 2
    return Layer(id="ground", name="ground", rgba=rgba)


def test_nothing_is_wrong_with_the_true_stack() -> None:
    verdict = judge(PICTURE, GOOD)
    assert verdict.ghosts == verdict.cuts == ()
    assert set(verdict.terms) == set(TERMS)
    assert all(0 <= value <= 1 for value in verdict.terms.values())
    assert min(verdict.terms[name] for name in ("edges", "ground", "sure")) > 0.85


@pytest.mark.parametrize("outline", [False, True])
def test_a_ghost_left_below_is_seen(outline: bool) -> None:
    stack = (with_ghost(outline=outline), RED, BLUE)
    verdict = judge(picture(*stack), stack)
    assert verdict.ghosts == (1,)


def test_a_plate_of_the_same_colour_below_a_layer_is_no_ghost() -> None:
    plate = blob("plate", (190, 50, 60), (90, 110), 63)
    stack = (ground(), plate, RED, BLUE)
    assert judge(picture(*stack), stack).ghosts == ()


def test_a_ghost_in_the_layer_below_is_seen() -> None:
    card = blob("card", (120, 170, 120), (160, 120), 115)
    spoilt = card.rgba.copy()
    weight = RED.rgba[..., 3:] / 255 * 0.6
    spoilt[..., :3] = (spoilt[..., :3] + weight * (RED.rgba[..., :3].astype(float) - spoilt[..., :3])).round()
    stack = (ground(), Layer(id="card", name="card", rgba=spoilt), RED)
    assert judge(picture(*stack), stack).ghosts == (2,)


def test_a_faint_rim_towards_the_ground_is_no_cut() -> None:
    """Seven levels off the ground: an edge beside the ground, none between two upper layers."""
    faint = blob("faint", (218, 208, 188), (90, 110), 60)
    stack = (ground(), faint, BLUE)
    assert judge(picture(*stack), stack).cuts == ()


def test_an_object_cut_in_two_is_seen() -> None:
    verdict = judge(PICTURE, (ground(), *halves(RED), BLUE))
    assert [(cut.lower, cut.upper) for cut in verdict.cuts] == [(1, 2)]


def test_an_object_left_half_in_the_ground_is_seen() -> None:
    rgba = ground().rgba.copy()
    half = halves(RED)[0].rgba
    rgba[half[..., 3] > 0, :3] = half[half[..., 3] > 0, :3]
    verdict = judge(PICTURE, (Layer(id="g", name="g", rgba=rgba), halves(RED)[1], BLUE))
    assert [(cut.lower, cut.upper) for cut in verdict.cuts] == [(0, 1)]


def test_two_things_of_different_colours_that_touch_are_not_one_cut_in_two() -> None:
    stack = (ground(), RED, blob("blue", (40, 70, 190), (170, 110), 50))
    assert judge(picture(*stack), stack).cuts == ()


def test_the_true_stack_is_judged_better_than_spoilt_ones() -> None:
    best = judge(PICTURE, GOOD).score
    everything = Layer(id="all", name="all", rgba=PICTURE)
    spoilt = [
        (everything,),
        (
            everything,
            Layer(id="e", name="e", rgba=np.full((9, 9, 4), (*GOOD[1].rgba[110, 90, :3], 255), np.uint8), x=86, y=106),
        ),
        (ground(), *halves(RED), BLUE),
        (Layer(id="g", name="g", rgba=picture(ground(), RED)), BLUE),
    ]
    for stack in spoilt:
        assert judge(PICTURE, stack).score < best - 0.02


def test_large_pictures_are_judged_like_small_ones() -> None:
    def large(layer: Layer) -> Layer:
        return Layer(id=layer.id, name="", rgba=cv2.resize(layer.rgba, None, fx=5, fy=5), x=layer.x * 5, y=layer.y * 5)

    small = judge(PICTURE, GOOD).score
    assert judge(cv2.resize(PICTURE, None, fx=5, fy=5), [large(layer) for layer in GOOD]).score == pytest.approx(
        small, abs=0.1
    )


def test_a_stack_that_the_network_is_surer_of_is_judged_better() -> None:
    sure, unsure = (judging.judge(PICTURE, GOOD, [value] * 3).score for value in (0.9, 0.4))
    assert sure == pytest.approx(unsure + 0.5)


@pytest.mark.parametrize("radius", [80, 90])
def test_nothing_is_said_of_a_good_stack_before_transparency(radius: int) -> None:
    base, hole = blob("base", (245, 245, 245), (150, 120), radius), blob("hole", (0, 0, 0), (150, 120), 50)
    rgba = blob("ring", (240, 190, 40), (150, 120), 90).rgba.copy()
    rgba[..., 3] = np.where(hole.rgba[..., 3] > 127, 0, rgba[..., 3])
    stack = (base, Layer(id="ring", name="ring", rgba=rgba))
    shown = picture(*stack)
    shown[shown[..., 3] == 0] = (240, 190, 40, 0)  # as where colours go on below alpha 0
    verdict = judge(shown, stack)
    assert not verdict.cuts
    assert not verdict.ghosts
