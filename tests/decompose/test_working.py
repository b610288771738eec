"""The picture at the size that labels are found on."""

from collections.abc import Callable

import numpy as np
import pytest

from lamina.decompose.working import Working


def picture(width: int, height: int) -> np.ndarray:
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[height // 4 : height // 2, width // 4 : width // 2, :3] = (200, 40, 40)
    return rgba


@pytest.mark.parametrize(
    ("size", "working"),
    [
        ((320, 200), (320, 200)),  # never enlarged
        ((819, 1024), (819, 1024)),
        ((1024, 1024), (916, 916)),  # bounded by area
        ((3840, 2160), (1221, 687)),
        ((4000, 1000), (1280, 320)),  # and by side
        ((6000, 16), (1280, 3)),
    ],
)
def test_a_picture_is_reduced_to_an_area_and_a_side(size: tuple[int, int], working: tuple[int, int]) -> None:
    found = Working(picture(*size))
    assert found.rgb.shape == (working[1], working[0], 3)
    assert found.scale == (working[0] / size[0], working[1] / size[1])


def test_what_it_tells_is_found_once_and_the_same_when_told_ahead() -> None:
    asked, told = Working(picture(160, 120)), Working(picture(160, 120))
    told.tell()
    assert told.__dict__.keys() >= {"lines", "odds", "regions", "ground", "page"}
    assert asked.lines is asked.lines
    assert np.array_equal(asked.lines, told.lines)
    assert asked.odds is not None
    assert told.odds is not None
    assert np.array_equal(asked.odds, told.odds)


def test_colour_tells_no_ground_where_a_picture_has_alpha() -> None:
    clear = picture(160, 120)
    clear[:20, :, 3] = 0
    found = Working(clear)
    assert found.odds is None
    assert not found.opaque


def test_the_even_region_all_round_is_a_page() -> None:
    rgba = picture(160, 120)
    rgba[70:100, 20:60, :3] = 251  # a card hardly darker than the page is none of it
    page = Working(rgba).page
    assert page is not None
    assert np.array_equal(page, (rgba[..., :3] == 255).all(axis=2))


def beside(rgba: np.ndarray) -> None:
    rgba[:, :20, :3] = (30, 60, 90)


def across(rgba: np.ndarray) -> None:
    rgba[..., :3] = np.linspace(200, 255, rgba.shape[1]).astype(np.uint8)[:, None]


def part_clear(rgba: np.ndarray) -> None:
    rgba[:, :5, 3] = 0


@pytest.mark.parametrize("change", [beside, across, part_clear])
def test_what_does_not_go_round_or_is_not_even_or_opaque_is_no_page(change: Callable[[np.ndarray], None]) -> None:
    rgba = picture(160, 120)
    change(rgba)
    assert Working(rgba).page is None
