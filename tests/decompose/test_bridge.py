"""Holes are bridged along what goes on on both sides of them."""

import cv2
import numpy as np
import pytest

from lamina.decompose.bridge import bridge
from lamina.decompose.fill import membrane


def stripes(turn: str) -> np.ndarray:
    rows, columns = np.mgrid[0:120, 0:160]
    along = {"down": columns, "across": rows, "slanting": rows + columns}[turn]
    return np.where((along // 30 % 2)[..., None] > 0, (240.0, 200.0, 190.0), (250.0, 252.0, 255.0)).astype(np.float32)


@pytest.mark.parametrize("turn", ["down", "across", "slanting"])
def test_edges_go_on_below_a_letter(turn: str) -> None:
    picture = stripes(turn)
    known = np.ones(picture.shape[:2], bool)
    known[30:90, 50:62] = known[30:42, 50:110] = False
    holes = np.where(known[..., None], picture, 7)
    smooth = membrane(holes, known)
    off = np.abs(bridge(holes, known, smooth) - picture)[~known].mean()
    assert off < 0.5 * np.abs(smooth - picture)[~known].mean()


def test_sides_that_agree_in_one_line_by_chance_make_no_streak() -> None:
    rng = np.random.default_rng(1)
    picture = rng.uniform(0, 255, (80, 80, 3)).astype(np.float32)
    picture[40], known = 250, np.ones((80, 80), bool)
    known[20:60, 20:60] = False
    holes = np.where(known[..., None], cv2.blur(picture, (1, 3)), 0)
    smooth = membrane(holes, known)
    bridged = bridge(holes, known, smooth)
    assert np.abs(bridged - smooth)[30:50, 30:50].max() < 10


def test_what_no_two_sides_agree_on_is_left_smooth() -> None:
    known = np.ones((60, 60), bool)
    known[20:40, 20:40] = False
    picture = np.random.default_rng(0).uniform(0, 255, (60, 60, 3)).astype(np.float32)
    picture[~known] = 0
    smooth = membrane(picture, known)
    bridged = bridge(picture, known, smooth)
    assert np.abs(bridged - smooth)[~known].mean() < 2
    assert np.array_equal(bridged[known], smooth[known])


def test_a_corner_with_one_side_is_left_smooth() -> None:
    known = np.ones((40, 40), bool)
    known[:10, :10] = False
    picture = np.full((40, 40, 3), 90, np.float32)
    picture[~known] = 0
    assert np.allclose(bridge(picture, known, membrane(picture, known)), 90, atol=0.5)


def test_pixels_with_one_side_do_not_speak_against_a_rule() -> None:
    picture = stripes("down")
    known = np.ones(picture.shape[:2], bool)
    known[:60, 40:80] = False  # open at the picture's rim
    known[20:50, 80:110] = False
    holes = np.where(known[..., None], picture, 7)
    smooth = membrane(holes, known)
    inner = (slice(20, 50), slice(80, 110))
    off, before = (np.abs(filled - picture)[inner].mean() for filled in (bridge(holes, known, smooth), smooth))
    assert off < 0.5 * before
