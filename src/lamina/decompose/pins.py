"""Labels that stand firm, whatever the votes say: how what a caller asked for gets through the read-out.

Knows maps of labels only; `steer` makes them.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

__all__ = ["Pins"]

_SLIVER = 3
"""Pixels (odd) that a neighbour between a pinned thing and its ground must be thick to be more than the thing's rim."""


class Pins:
    """The pinned labels at working size; none of them where `pinned` is None."""

    def __init__(self, pinned: UInt8[np.ndarray, "H W"] | None, shape: tuple[int, ...]) -> None:
        self.label: Any = None
        self.count = 0
        """How many labels are pinned somewhere."""
        if pinned is not None:
            self.label = cv2.resize(pinned, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
            self.count = int(np.count_nonzero(np.unique(pinned)))

    def without(self, label: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        """Labels where what is pinned counts as ground, so that nothing else takes it for a part of its own."""
        return label if self.label is None else np.where(self.label > 0, 0, label).astype(np.uint8)

    def on(self, label: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        """Labels with the pinned ones over them, and with them what is left of others in a thin rim around them."""
        if self.label is None:
            return label
        box = np.ones((_SLIVER, _SLIVER), np.uint8)
        thick = np.zeros(label.shape, bool)
        for number in np.unique(label):
            if number:
                thick |= cv2.morphologyEx((label == number).astype(np.uint8), cv2.MORPH_OPEN, box) > 0
        near: Any = cv2.dilate(self.label, box)
        rim = (label > 0) & ~thick & (self.label == 0) & (near > 0)
        return np.where(self.label > 0, self.label, np.where(rim, near, label)).astype(np.uint8)
