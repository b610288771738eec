"""Who is seen at each working pixel, as it is read out of a network's answer."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lamina.decompose.coarse import Coarse, _off_ground, seen_labels  # pyright: ignore[reportPrivateUsage]
from lamina.decompose.working import Working


def small_print() -> tuple[np.ndarray, np.ndarray]:
    """Two words of brown letters on a pale ground, and a dark square: the picture and where the letters are."""
    image = Image.new("L", (400, 300))
    ImageDraw.Draw(image).text((40, 60), "fifteen drops", 255, ImageFont.load_default(28))
    letters = np.asarray(image) > 127
    picture = np.full((300, 400, 4), 255, np.uint8)
    picture[..., :3] = np.where(letters[..., None], (150, 90, 70), (250, 235, 220))
    picture[180:260, 250:350, :3] = (40, 50, 90)
    return picture, letters


def answer(weight_there: float) -> Coarse:
    """The square is the upper layer's; where the letters are, the network sees a little of it, or none."""
    upper = np.zeros((30, 40), np.float32)
    upper[18:26, 25:35] = 1
    upper[5:10, 3:26] = weight_there
    visible = np.stack([1 - upper, upper])
    rgb = np.full((2, 30, 40, 3), 0.5, np.float32)
    return Coarse(visible=visible, alpha=visible, rgb=rgb, confidence=np.ones(2, np.float32))


@pytest.mark.parametrize(("weight", "is_seen"), [(0.15, True), (0.0, False)])
def test_small_print_that_colour_tells_from_the_ground_is_none_of_it(weight: float, is_seen: bool) -> None:
    picture, letters = small_print()
    label = seen_labels(Working(picture), answer(weight))
    assert (label[letters].mean() > 0.95) == is_seen
    assert (label[letters].mean() > 0.05) == is_seen
    assert not label[120:170].any()
    assert label[220, 300] == 1


def test_small_print_may_be_all_that_is_no_ground() -> None:
    picture, letters = small_print()
    weights = np.stack([np.full((300, 400), 0.9, np.float32), np.full((300, 400), 0.1, np.float32)])
    label = _off_ground(np.zeros((300, 400), np.uint8), Working(picture), weights)
    assert label[letters].mean() > 0.95


def button() -> tuple[np.ndarray, np.ndarray]:
    """A blue button with letters in the white of the page: the picture and where the letters are."""
    image = Image.new("L", (400, 300))
    ImageDraw.Draw(image).text((110, 130), "Send them", 255, ImageFont.load_default(34))
    letters = np.asarray(image) > 127
    picture = np.full((300, 400, 4), 255, np.uint8)
    picture[100:200, 60:340, :3] = (30, 100, 240)
    picture[letters] = 255
    return picture, letters


def doubtful(first: int) -> Coarse:
    """The button is the upper layer's; where its letters are, from this column on, the network is in doubt."""
    upper = np.zeros((30, 40), np.float32)
    upper[10:20, 6:34] = 0.9
    upper[12:18, first:30] = 0.35
    visible = np.stack([1 - upper, upper])
    return replace(answer(0.0), visible=visible, alpha=visible)


@pytest.mark.parametrize("half", [False, True], ids=["wholly", "in half"])
def test_letters_in_the_colour_of_the_page_are_no_holes_in_a_button(*, half: bool) -> None:
    picture, letters = button()
    label = seen_labels(Working(picture), doubtful(20 if half else 10))
    assert (label[letters] == 1).all()
    assert label[:95].max() == 0


def test_a_page_is_ground_though_the_network_takes_half_of_it_for_the_thing() -> None:
    picture = np.full((300, 400, 4), 255, np.uint8)
    picture[120:180, 250:350, :3] = (30, 100, 240)
    thing = picture[..., 0] == 30
    upper = np.zeros((30, 40), np.float32)
    upper[:, 20:] = 0.98
    visible = np.stack([1 - upper, upper])
    label = seen_labels(Working(picture), replace(answer(0.0), visible=visible, alpha=visible))
    assert np.array_equal(label == 1, thing)


def test_only_letters_on_an_even_ground_are_spared() -> None:
    """On a restless one a line may be a part of it: there colour decides, against a weak answer of the network."""
    picture, letters = button()
    restless = np.random.default_rng(4).integers(0, 130, (100, 280, 3), dtype=np.uint8)
    picture[100:200, 60:340, :3] = np.where(letters[100:200, 60:340, None], 255, restless)
    working = Working(picture)
    working.__dict__["lines"] = letters.astype(np.int32)
    assert not working.printed.any()
    label = seen_labels(working, doubtful(10))
    assert not label[letters].any()
