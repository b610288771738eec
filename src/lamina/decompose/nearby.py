"""Which colours that are not a layer's usual ones still belong to it, because a hole lies wholly among them.

A word on a card that was left in the ground must be filled with the card's colour, not with the ground's. Knows masks.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool

__all__ = ["around_holes"]

_RING = 5
"""Side of the box (odd) that a hole's ring is looked for in."""

_NEAR = 15
"""And of the box within which such colours count."""

_MOSTLY = 0.7


def around_holes(known: Bool[np.ndarray, "h w"], strange: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The `strange` ones of the `known` pixels that lie around holes (parts not known) whose ring is mostly strange."""
    strange = strange & known
    if not strange.any():
        return strange
    found: Any = cv2.connectedComponents((~known).astype(np.uint8), connectivity=8)
    count, holes = found
    # as float32, which dilates and holds every number of a hole exactly
    ring: Any = cv2.dilate(holes.astype(np.float32), np.ones((_RING, _RING), np.uint8)).astype(np.int32)
    total = np.bincount(ring[known], minlength=count)
    among = np.bincount(ring[strange], minlength=count) > _MOSTLY * total
    among[0] = False
    near = cv2.dilate(among[holes].astype(np.uint8), np.ones((_NEAR, _NEAR), np.uint8)) > 0
    return strange & near
