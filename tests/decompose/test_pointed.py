"""Which thing lies under a point."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lamina.decompose.pointed import under_point
from lamina.decompose.working import Working

COLOURS = ((220, 60, 50), (240, 200, 40), (50, 160, 80), (40, 90, 200))


def working(rgb: np.ndarray) -> Working:
    return Working(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))


def test_an_even_patch_set_off_on_most_sides_is_a_thing_though_the_network_sees_a_larger_one() -> None:
    rgb = np.full((240, 320, 3), 245, np.uint8)
    for quarter, colour in enumerate(COLOURS):
        cv2.ellipse(rgb, (160, 120), (80, 80), 0, 90 * quarter, 90 * quarter + 90, colour, -1)
    wheel = (rgb != 245).any(axis=-1)
    red = (rgb == COLOURS[0]).all(axis=-1)
    found = under_point(working(rgb), 190, 150, wheel.astype(np.uint8))
    assert found is not None
    assert (found.mask ^ red).sum() < 0.05 * red.sum()


def test_a_shaded_thing_is_had_whole() -> None:
    """Its regions are no things by themselves: the network's layer is."""
    rgb = np.full((240, 320, 3), 245, np.uint8)
    rows, columns = np.mgrid[:240, :320]
    ball = (rows - 120) ** 2 + (columns - 160) ** 2 < 80**2
    shade = np.clip(230 - 1.1 * np.hypot(rows - 90, columns - 130), 20, 230).astype(np.uint8)
    rgb[ball] = np.stack([shade, shade // 3, shade // 4], axis=-1)[ball]
    found = under_point(working(rgb), 150, 110, ball.astype(np.uint8))
    assert found is not None
    assert (found.mask ^ ball).sum() < 0.02 * ball.sum()


def test_a_line_of_letters_that_change_their_colour_is_one() -> None:
    image = Image.new("L", (480, 200))
    ImageDraw.Draw(image).text((40, 80), "fifteen", 255, ImageFont.load_default(48))
    share = np.asarray(image)[..., None] / np.float32(255)
    ink = np.linspace((160, 50, 30), (30, 60, 200), 480)[None]
    rgb = (share * ink + (1 - share) * (250, 235, 220)).astype(np.uint8)
    picture = working(rgb)
    ys, xs = np.nonzero(share[..., 0] > 0.9)
    label = np.where(share[..., 0] > 0.5, 1 + (np.arange(480) > 100), 0).astype(np.uint8)
    found = under_point(picture, int(xs[0]), int(ys[0]), label)
    assert found is not None
    assert found.mask[:, :70].any()
    assert found.mask[:, 150:].any()
