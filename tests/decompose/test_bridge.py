"""Holes are bridged along what goes on on both sides of them."""

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


def test_what_no_two_sides_agree_on_is_left_smooth() -> None:
    known = np.ones((60, 60), bool)
    known[20:40, 20:40] = False
    picture = np.random.default_rng(0).uniform(0, 255, (60, 60, 3)).astype(np.float32)
    picture[~known] = 0
    smooth = membrane(picture, known)
    assert np.abs(bridge(picture, known, smooth) - smooth)[~known].mean() < 12
    assert np.array_equal(bridge(picture, known, smooth)[known], smooth[known])


def test_a_corner_with_one_side_is_left_smooth() -> None:
    known = np.ones((40, 40), bool)
    known[:10, :10] = False
    picture = np.full((40, 40, 3), 90, np.float32)
    picture[~known] = 0
    assert np.allclose(bridge(picture, known, membrane(picture, known)), 90, atol=0.5)
