"""Recolouring in OKLab, against the formulas written out per pixel."""

import numpy as np
import pytest

from lamina.document import recolor as module
from lamina.document.recolor import recolor


def oklab(rgb):
    """Björn Ottosson's linear_srgb_to_oklab, one colour at a time."""
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in rgb))
    cone_l = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    cone_m = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    cone_s = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return np.array(
        [
            0.2104542553 * cone_l + 0.7936177850 * cone_m - 0.0040720468 * cone_s,
            1.9779984951 * cone_l - 2.4285922050 * cone_m + 0.4505937099 * cone_s,
            0.0259040371 * cone_l + 0.7827717662 * cone_m - 0.8086757660 * cone_s,
        ]
    )


def greys(*values, alpha=255):
    return np.array([[[v, v, v, alpha] for v in values]], np.uint8)


def test_a_plain_picture_becomes_the_colour():
    (out,) = recolor([np.full((3, 2, 4), [90, 20, 200, 77], np.uint8)], (225, 29, 72), 1.0)
    assert (out == [225, 29, 72, 77]).all()


def test_lightness_keeps_its_differences_and_the_mean_moves():
    picture = greys(100, 120, 140, 160)
    (out,) = recolor([picture], (60, 120, 90), 1.0)
    before = np.array([oklab(p[:3]) for p in picture[0]])
    after = np.array([oklab(p[:3]) for p in out[0]])
    target = oklab((60, 120, 90))
    expected = target[0] + before[:, 0] - before[:, 0].mean()
    assert np.abs(after[:, 0] - expected).max() < 0.004
    assert np.abs(after[:, 1:] - target[1:]).max() < 0.006


def test_the_mean_is_weighted_by_alpha():
    picture = np.concatenate([greys(128), greys(250, alpha=0)], axis=1)
    (out,) = recolor([picture], (128, 128, 128), 1.0)
    assert out[0, 0].tolist() == [128, 128, 128, 255]
    assert out[0, 1, 3] == 0


def test_strength_mixes_between_old_and_new():
    picture = np.full((1, 1, 4), [200, 40, 40, 255], np.uint8)
    (half,) = recolor([picture], (40, 40, 200), 0.5)
    middle = (oklab((200, 40, 40)) + oklab((40, 40, 200))) / 2
    assert np.abs(oklab(half[0, 0, :3]) - middle).max() < 0.003
    assert recolor([picture], (40, 40, 200), 0.0)[0] is picture


def test_several_pictures_share_one_mean():
    dark, light = recolor([greys(40), greys(200)], (128, 128, 128), 1.0)
    assert dark[0, 0, 0] < 80
    assert light[0, 0, 0] > 170


def test_a_picture_without_alpha_stays():
    hidden = greys(9, alpha=0)
    assert recolor([hidden], (1, 2, 3), 1.0)[0] is hidden


@pytest.mark.parametrize("rows", [1, 3])
def test_strips_equal_the_whole_at_once(monkeypatch, rows):
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 4), np.uint8)
    (whole,) = recolor([picture], (10, 200, 90), 0.8)
    monkeypatch.setattr(module, "_STRIP_PIXELS", rows * 5)
    assert np.array_equal(recolor([picture], (10, 200, 90), 0.8)[0], whole)
