"""Holes in the ground's colour that are none: the belly of a penguin on white, the paper of a drawn card.

Colour cannot tell them from ground that is seen through a thing; a network can. Knows labels and weights only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

__all__ = ["hold"]

_SURE = 0.5
"""Mean weight from which a network takes a hole for something."""

_ENCLOSED = 0.9
"""Share of a hole's border that lies on one thing, from which it is that thing's."""

_LEAST = 3e-4
"""Share of the canvas that a hole takes at least: of smaller ones, as gaps between hairs, a network sees nothing."""

_LIKE_HEIGHT, _CLOSE, _MOST_LETTERS = 0.7, 0.6, 1000
"""Letters of a row: the lower one's share of the higher one's height, and of the height at which they overlap; how far
apart, in shares of their height; how many are looked at."""


def hold(
    label: UInt8[np.ndarray, "h w"], weight: Float[np.ndarray, "h w"], lines: Bool[np.ndarray, "h w"], canvas: int
) -> UInt8[np.ndarray, "h w"]:
    """Labels where holes in a thing through which a network sees no ground (0) are the thing's, but for those in
    letters. `weight` is how surely it sees something else there, 0-1; `lines` is where letters are known to be; what is
    looked at may be a part of a `canvas` of so many pixels."""
    ground = label == 0
    found: Any = cv2.connectedComponents(np.pad(ground, 1, constant_values=True).astype(np.uint8), connectivity=4)
    count, holes = found[0], found[1][1:-1, 1:-1]
    area = np.maximum(np.bincount(holes.ravel(), minlength=count), 1)
    held = (np.bincount(holes.ravel(), weight.ravel(), count) > _SURE * area) & (area > _LEAST * canvas)
    held[[0, found[1][0, 0]]] = False
    if not held.any():
        return label
    beside: Any = cv2.dilate(holes.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
    rim = held[beside] & ~ground
    kinds = int(label.max()) + 1
    border = np.bincount(beside[rim] * np.int64(kinds) + label[rim], minlength=count * kinds).reshape(count, kinds)
    owner = border.argmax(axis=1).astype(np.uint8)
    held &= border.max(axis=1) > _ENCLOSED * border.sum(axis=1)
    held[beside[rim & lines]] = False
    for number in np.unique(owner[held]):
        held[beside[rim & _in_rows(label == number)]] = False
    return np.where(held[holes], owner[holes], label)


def _in_rows(shown: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Parts that stand close beside one of their own height, as letters do."""
    found: Any = cv2.connectedComponentsWithStats(shown.astype(np.uint8), connectivity=8)
    _, parts, stats, _ = found
    largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:_MOST_LETTERS]
    left, top, width, height = (side[:, None] for side in stats[largest, :4].T)
    alike = np.minimum(height, height.T) > _LIKE_HEIGHT * np.maximum(height, height.T)
    alike &= np.minimum(top + height, (top + height).T) - np.maximum(top, top.T) > _LIKE_HEIGHT * height
    alike &= np.maximum(left, left.T) - np.minimum(left + width, (left + width).T) < _CLOSE * height
    np.fill_diagonal(alike, False)
    return np.isin(parts, largest[alike.any(axis=1)])
