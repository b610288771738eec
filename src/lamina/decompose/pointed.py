"""Which thing of a picture lies under a point, told by its lines of letters, its regions and who is seen where.

Knows pictures and labels; nothing of layers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from lamina.decompose.above import LEAST, Above
from lamina.decompose.working import Working
from lamina.pixels import channel_sum

__all__ = ["under_point"]

_SAME_INK = 14.0
_LEAST_LETTERS = 3
"""Lab distance of letters of one line, and how many make one; two are enough when they are of one height."""

_PATCH, _UNEVEN, _SET_OFF, _MOST_SIDES = 4e-3, 12.0, 25.0, 0.8
"""A patch is a thing by itself from this share of the canvas on, with a standard deviation below the second and steps
above the third (0-255) along this share of its border."""

_REACH = 3
"""Pixels beside a line of letters from which a point still means it."""

_BESIDE = 5
"""Pixels beside a letter from which a point still means it."""

_LARGE = 0.6
"""Share of the canvas above which what lies under a point is no thing on a ground."""


def under_point(working: Working, x: int, y: int, label: UInt8[np.ndarray, "h w"]) -> Above | None:
    """The thing under working pixel (x, y); None where that is the ground. `label` is who a network sees at each pixel.

    In this order: the line of letters that the point hits, as it is read off the whole picture; the patch of even
    colour, large and set off on most sides; letters in a row by their colour; the part of the layer seen there; the
    patch whatever it is. With a patch comes what lies on it and is seen to be of the same layer.
    """
    lab: Any = cv2.cvtColor(working.rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    for mask in _candidates(working, lab, x, y, label):
        if LEAST <= mask.sum() < _LARGE * mask.size:
            rim = (cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0) & ~mask
            step = float(np.linalg.norm(lab[mask].mean(axis=0) - lab[rim].mean(axis=0))) if rim.any() else 0.0
            return Above(mask=mask, clear=float(np.clip(step / 30, 0.1, 1)))
    return None


def _candidates(
    working: Working, lab: Any, x: int, y: int, label: UInt8[np.ndarray, "h w"]
) -> Iterator[Bool[np.ndarray, "h w"]]:
    """What the point may mean, the likeliest first; each is worked out when the one before was none."""
    hit = working.lines[max(0, y - _REACH) : y + _REACH + 1, max(0, x - _REACH) : x + _REACH + 1]
    if hit.any():
        yield working.lines == np.bincount(hit[hit > 0]).argmax()
    patch = working.regions == working.regions[y, x]
    reached, near = working.ground
    own = label == label[y, x]
    if not label[y, x]:
        own &= ~(reached | near)
    with_what_lies_on_it = patch | (_enclosed(patch) & own)
    if not reached[y, x] and _stands_alone(working.rgb, patch):
        yield with_what_lies_on_it
    line = _line_at(lab, x, y)
    if line is not None:
        yield line
    if own[y, x]:
        yield _part_at(own, x, y)
    if not reached[y, x]:
        yield with_what_lies_on_it


def _stands_alone(rgb: UInt8[np.ndarray, "h w 3"], patch: Bool[np.ndarray, "h w"]) -> bool:
    """Whether a patch is a thing by itself: large, even, with another colour on most sides."""
    if patch.sum() < _PATCH * patch.size:
        return False
    own, mask = rgb[patch].astype(np.float32), patch.astype(np.uint8)
    rim, skipped = (cv2.dilate(mask, np.ones((side, side), np.uint8)) > 0 for side in (7, 3))
    beside = np.abs(rgb[rim & ~skipped] - own.mean(axis=0)).max(axis=1)
    return bool(own.std(axis=0).max() < _UNEVEN and (beside > _SET_OFF).mean() > _MOST_SIDES)


def _part_at(mask: Bool[np.ndarray, "h w"], x: int, y: int) -> Bool[np.ndarray, "h w"]:
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return parts == parts[y, x]


def _enclosed(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """What a mask surrounds: parts of the rest that do not reach the rim of the canvas."""
    _, rest = cv2.connectedComponents(np.pad(~mask, 1, constant_values=True).astype(np.uint8), connectivity=4)
    return ~mask & (rest[1:-1, 1:-1] != rest[0, 0])


def _line_at(lab: Any, x: int, y: int) -> Bool[np.ndarray, "h w"] | None:
    """The line of letters at a point, or hardly beside it: of the ink that stands out most there."""
    wide = (slice(max(0, y - 20), y + 21), slice(max(0, x - 20), x + 21))
    usual = np.median(lab[wide].reshape(-1, 3), axis=0)
    hit = lab[y, x] - usual
    on_ink = float(np.linalg.norm(hit)) > _SAME_INK
    reach = 2 if on_ink else _BESIDE
    around = (slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1))
    off = lab[around] - usual
    strength = off @ hit if on_ink else np.sqrt(channel_sum(np.square(off)))
    rows, columns = np.unravel_index(int(strength.argmax()), strength.shape)
    top, left = around[0].start + int(rows), around[1].start + int(columns)
    if np.linalg.norm(lab[top, left] - usual) < 2 * _SAME_INK:
        top, left = y, x  # inside something large, as a wide letter
    return _line(channel_sum(np.square(lab - lab[top, left])) < _SAME_INK**2, left, top)


def _line(ink: Bool[np.ndarray, "h w"], x: int, y: int) -> Bool[np.ndarray, "h w"] | None:
    """The letters of like height in a row with that under the point; None when they are fewer than three."""
    parts_found: Any = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    _, parts, stats, _ = parts_found
    first = int(parts[y, x])
    if first == 0:
        return None
    height = int(stats[first, cv2.CC_STAT_HEIGHT])
    if height > ink.shape[0] / 4 or height < 4:
        return None
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    alike = (stats[:, cv2.CC_STAT_HEIGHT] > 0.35 * height) & (stats[:, cv2.CC_STAT_HEIGHT] < 2.2 * height)
    alike &= (stats[:, cv2.CC_STAT_WIDTH] < 6 * height) & (stats[:, cv2.CC_STAT_AREA] >= 4)
    alike &= np.minimum(bottom, bottom[first]) - np.maximum(top, top[first]) > 0.35 * np.minimum(bottom - top, height)
    alike[0] = False
    row = np.flatnonzero(alike)
    row = row[np.argsort(left[row], kind="stable")]
    members, reach = {first}, [int(left[first]), int(right[first])]
    for _ in range(2):  # to the right and back to the left
        for k in (*row, *row[::-1]):
            if max(left[k] - reach[1], reach[0] - right[k]) < 1.2 * height:
                members.add(int(k))
                reach = [min(reach[0], int(left[k])), max(reach[1], int(right[k]))]
    heights = stats[list(members), cv2.CC_STAT_HEIGHT]
    if len(members) < (2 if heights.min() > 0.85 * heights.max() else _LEAST_LETTERS):
        return None
    return np.isin(parts, list(members))
