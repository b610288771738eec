"""A restless ground goes on below what covered it like what is seen of it."""

import cv2
import numpy as np

from lamina.decompose.exemplar import continue_ground
from lamina.decompose.fill import continue_colours

HOLE = (slice(40, 90), slice(60, 120))


def stripes(height=128, width=180):
    """Slanted bands of two colours."""
    y, x = np.mgrid[0:height, 0:width]
    return np.where(((x + y // 2) // 10 % 2)[..., None] > 0, (210.0, 160.0, 90.0), (120.0, 70.0, 30.0)).astype(
        np.float32
    )


def around(colours, hole=HOLE):
    known = np.ones(colours.shape[:2], bool)
    known[hole] = False
    return known, np.where(known[..., None], colours, np.float32(0))


def off(filled, colours):
    return np.abs(filled - colours)[HOLE].mean()


def test_a_pattern_goes_on_where_a_smooth_surface_would_blur_it():
    colours = stripes()
    known, spoilt = around(colours)
    assert off(continue_ground(spoilt, known), colours) < 0.4 * off(continue_colours(spoilt, known), colours)


def test_what_is_known_is_kept():
    colours = stripes()
    known, spoilt = around(colours)
    assert np.abs(continue_ground(spoilt, known) - colours)[known].max() < 0.01


def test_grain_goes_on_as_grain():
    rng = np.random.default_rng(1)
    colours = (128 + 12 * rng.standard_normal((256, 360, 1)) * np.ones(3)).astype(np.float32)
    known, spoilt = around(colours)
    inside = continue_ground(spoilt, known)[HOLE]
    assert inside.std() > 0.5 * colours.std()
    assert inside.std() > 3 * continue_colours(spoilt, known)[HOLE].std()
    assert abs(inside.mean() - 128) < 8


def test_a_scrap_in_the_hole_does_not_leak():
    colours = stripes()
    known, spoilt = around(colours)
    known[59:68, 80:98] = True
    spoilt[59:68, 80:98] = (0, 255, 255)
    assert off(continue_ground(spoilt, known), colours) < 12


def test_the_shadow_beside_a_hole_does_not_fill_it():
    """A dark rim is left around it, and elsewhere the picture is dark as well: nothing dark belongs in the hole."""
    size, rng = (192, 256), np.random.default_rng(2)

    def blotches(mean):
        coarse = rng.standard_normal((size[0] // 6, size[1] // 6)).astype(np.float32)
        fine = mean + 15 * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
        return np.repeat(fine[..., None], 3, axis=2)

    colours = blotches(200)
    colours[:, :103] = blotches(50)[:, :103]
    known = np.ones(size, bool)
    known[50:140, 130:220] = False
    rim = (cv2.dilate((~known).astype(np.uint8), np.ones((17, 17), np.uint8)) > 0) & known
    spoilt = np.where(known[..., None], colours, 0).astype(np.float32)
    spoilt[rim] *= 0.25
    assert continue_ground(spoilt, known)[70:120, 150:200].mean() > 150


def test_an_even_ground_stays_even():
    colours = np.full((64, 64, 3), (12, 130, 240), np.float32)
    known, spoilt = around(colours, (slice(20, 40), slice(20, 40)))
    assert np.abs(continue_ground(spoilt, known) - colours).max() < 0.01


def test_too_little_known_gives_a_smooth_surface():
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 256, (40, 40, 3)).astype(np.float32)
    known = np.zeros((40, 40), bool)
    known[:, :2] = True
    filled = continue_ground(colours * known[..., None], known)
    assert np.isfinite(filled).all()
    assert 0 < filled[:, 10:].mean() < 255


def test_nothing_known_gives_nothing():
    assert not continue_ground(np.full((5, 6, 3), 33, np.float32), np.zeros((5, 6), bool)).any()


def busy_with_an_even_card():
    """Stripes, and a card whose colours rise to the right, from 10 pixels around the hole on."""
    colours = stripes(256, 360)
    rows, columns = slice(60, 180), slice(90, 250)
    colours[rows, columns] = 60 + np.arange(160, dtype=np.float32)[:, None] / 2 * np.ones(3, np.float32)
    return colours, (slice(75, 165), slice(105, 235))


def test_a_hole_with_an_even_rim_is_even_however_restless_the_ground_is():
    colours, hole = busy_with_an_even_card()
    known, spoilt = around(colours, hole)
    assert np.abs(continue_ground(spoilt, known) - colours)[hole].max() < 1


def test_a_rim_on_one_side_says_no_more_than_it_shows():
    colours, hole = stripes(256, 360), slice(0, 80)
    colours[80:100] = 90 + np.arange(20, dtype=np.float32)[:, None, None] ** 2 / 4
    known, spoilt = around(colours, hole)
    filled = continue_ground(spoilt, known)[hole]
    assert filled.min() > 85
    assert filled.max() < 185


def lettered(faded=0.0):
    """Bands, and a flat field that hardly slopes to their right, with a thin bar on either, which dims what is beside
    it by so many levels on the field: what is there, what is seen, what is far from the bars, and all that is seen."""
    colours = stripes(192, 256)
    colours[:, 128:] = 200 + np.linspace(0, 3, 128, dtype=np.float32)[None, :, None]
    bars = np.zeros((192, 256), bool)
    bars[60:130, 50:54] = bars[60:130, 200:204] = True
    wide = cv2.dilate(bars.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    seen = colours.copy()
    seen[:, 128:][wide[:, 128:]] -= faded
    return colours, seen, ~wide, ~bars


def test_what_is_seen_beside_letters_on_a_restless_ground_goes_on_below_them():
    colours, seen, far, beside = lettered()
    spoilt = np.where(beside[..., None], seen, np.float32(0))
    bar = np.s_[64:126, 50:54]
    ghost, gone = (np.abs(continue_ground(spoilt, far, near) - colours)[bar].mean() for near in (None, beside))
    assert gone < 0.75 * ghost


def test_a_faint_shadow_beside_letters_on_an_even_ground_does_not():
    colours, seen, far, beside = lettered(faded=12.0)
    spoilt = np.where(beside[..., None], seen, np.float32(0))
    bar = np.s_[64:126, 200:204]
    assert np.abs(continue_ground(spoilt, far, beside) - colours)[bar].max() < 3


def test_below_a_large_thing_what_is_seen_beside_it_changes_nothing():
    colours = stripes()
    known, spoilt = around(colours)
    beside = known.copy()
    known[30:100, 50:130] = False
    inside = np.s_[50:80, 70:110]
    assert np.array_equal(continue_ground(spoilt, known, beside)[inside], continue_ground(spoilt, known)[inside])
