"""What the bare ground looks like beside things, and where that can be told.

Beyond some reach of everything the ground is seen as it is. Where nearly all of that is one gradient, so is the rest.
Else it goes on towards the things as the gradient that most of it lies on plus a membrane, every piece between hard
edges for itself. How far that can be trusted is tried: a ring of ground just beyond the reach is told from what lies
farther off still, and where that fails the reach is narrowed. Knows arrays only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from lamina.decompose.fill import membrane
from lamina.decompose.together import each
from lamina.decompose.trend import gradient_of, trend_of
from lamina.pixels import channel_max

__all__ = ["Plate", "find_plate"]

_REACHES = (9, 18, 36)
"""The ground is bare farther from things than the longer side over one of these, the widest that will do."""

_RING = 1.7
"""The ring that is tried ends where the reach times this does."""

_OFF = 5.0
"""Levels (0-255) that the ring may be told wrong by."""

_WIDER = 9
"""Where the ring is told wrong, so it is within a square of this side."""

_LEAST = 150
"""Pixels beyond the ring, and half as many in it, from which a piece is told."""

_EVEN = 0.04
"""Share of the picture that must be bare ground, to tell that all of it is one gradient."""

_RIM = 3.0
"""Beside things, in their soft rims, hard edges are not seen: no way leads there from one piece to another."""

_PIECES = 12
"""Pieces of the ground that are looked at, the largest ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plate:
    """The ground beside things."""

    colour: Float[np.ndarray, "h w 3"]
    """0-255; 0 where it cannot be told."""
    doubt: Float[np.ndarray, "h w"]
    """Levels by which the colour may be wrong."""
    reach: Float[np.ndarray, "h w"]
    """How far from things (as `away`) the ground was told from; 0 where it cannot be."""
    widest: float
    """The widest reach that was tried."""


def find_plate(
    picture: Float[np.ndarray, "h w 3"], ground: Bool[np.ndarray, "h w"], away: Float[np.ndarray, "h w"], side: float
) -> Plate:
    """The plate within reach of things. `ground` is where no thing is seen and no hard edge; `away` the distance to the
    nearest thing, `side` the picture's longer one in the same unit."""
    plate = Plate(
        colour=np.zeros(picture.shape, np.float32),
        doubt=np.zeros(ground.shape, np.float32),
        reach=np.zeros(ground.shape, np.float32),
        widest=side / _REACHES[0],
    )
    reach = plate.widest
    far = ground & (away > reach)
    even = gradient_of(picture, far) if far.mean() > _EVEN else None
    if even is not None:
        beside = away <= reach
        np.copyto(plate.colour, even, where=beside[..., None])
        plate.reach[beside] = reach
        return plate
    pieces = _pieces(ground, away)
    area = np.bincount(pieces.ravel())
    order = np.argsort(-area[1:], kind="stable")[:_PIECES] + 1
    boxes = ndimage.find_objects(pieces)

    def tell(name: int) -> None:
        box = boxes[name - 1]
        whole = replace(plate, colour=plate.colour[box], doubt=plate.doubt[box], reach=plate.reach[box])
        _tell(whole, picture[box], pieces[box] == name, away[box], side)

    each(tell, order[area[order] >= 2 * _LEAST])
    return plate


def _pieces(ground: Any, away: Any) -> Int[np.ndarray, "h w"]:
    """Number the pieces of the ground between hard edges from 1 on, each with the rims beside it."""
    inner = ground & (away > _RIM)
    found: Any = cv2.connectedComponents(inner.astype(np.uint8), connectivity=4)
    nearest: Any = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    return found[1][tuple(nearest)] * ground


def _tell(plate: Plate, picture: Any, piece: Any, away: Any, side: float) -> None:
    """Tell a piece of the ground, in place."""
    trend = trend_of(picture, piece & (away > side / _REACHES[-1]))
    rest = picture - trend
    untold = piece.copy()
    for part in _REACHES:
        reach = side / part
        far = piece & (away > reach)
        farther = far & (away > _RING * reach)
        ring = far & ~farther
        if farther.sum() < _LEAST or 2 * ring.sum() < _LEAST:
            continue
        off = cv2.blur(channel_max(np.abs(rest - membrane(rest, farther))) * ring, (3, 3))
        off = cv2.dilate(off, np.ones((_WIDER, _WIDER), np.uint8))
        doubt = membrane(off[..., None], ring)[..., 0]
        told = untold & (away <= reach) & (doubt <= _OFF)
        if told.any():
            plate.colour[told] = (trend + membrane(rest, far))[told]
            plate.doubt[told], plate.reach[told] = doubt[told], reach
            untold &= ~told
