"""What a network says about a picture, and who is seen at each working pixel, as it is read out of that.

Colour regions of the picture vote on the layer they belong to (`regions`, `agree`), the ground helped by what hangs
together with the border (`ground`). Knows arrays; no network and no layers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from lamina.decompose.agree import agree_in_outlines, agree_in_rows, agree_with_neighbours, common_borders
from lamina.decompose.holes import hold
from lamina.decompose.parts import close_gaps, join_moved, join_pieces, join_specks, keep_off_ground, keep_whole, untorn
from lamina.decompose.refine import settle
from lamina.decompose.regions import part_where_sure, vote
from lamina.decompose.working import Working

__all__ = ["Coarse", "enlarged_weights", "resized", "seen_labels", "visible_weights"]


_MOSTLY_GROUND, _MOSTLY_OFF, _SEEN = 0.5, 0.7, 0.06
"""Shares of a line of letters that are the ground's and that colour tells from it, and mean weight that the network
gives an upper layer there, from which it is that layer's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coarse:
    """What a network says about a picture, at its own size, layers bottom first; it spans the whole picture."""

    visible: Float[np.ndarray, "L h w"]
    """Weight with which each layer is seen; sums to one over the layers, where things set apart count once."""
    alpha: Float[np.ndarray, "L h w"]
    """Coverage 0-1, hidden parts included."""
    rgb: Float[np.ndarray, "L h w 3"]
    """Straight colour 0-1, hidden parts included."""
    confidence: Float[np.ndarray, " L"]
    """How sure the network is that the layer exists, 0-1."""
    pinned: int = 0
    """How many of the topmost layers are what a caller asked for; what they show stands firm."""
    label: UInt8[np.ndarray, "H W"] | None = None
    """Who is seen at each working pixel, where that has been settled."""
    odds: Float[np.ndarray, "H W"] | None = None
    """Factors on the ground's weight at each working pixel, where they have been read (`reader`); else colour's own."""


def seen_labels(working: Working, coarse: Coarse) -> UInt8[np.ndarray, "h w"]:
    """The layer seen at each working pixel: what is settled, else what its region voted, or what its colour says
    against that."""
    if coarse.label is not None:
        return coarse.label
    weights = visible_weights(working, coarse)
    small, regions = working.rgb, part_where_sure(working.regions, weights)
    borders = common_borders(regions, small)
    votes = agree_with_neighbours(vote(regions, small, weights), regions, borders)
    label_of = agree_in_rows(votes, regions, working.lines).argmax(axis=0).astype(np.uint8)
    voted = agree_in_outlines(label_of, regions, borders)[regions]
    letters = working.lines > 0
    whole = keep_whole(join_specks(voted, small, letters), letters)
    # White letters on a card are no holes in it, where the ground around them is even.
    settled = keep_off_ground(settle(whole, small, weights), whole, working.printed)
    settled = untorn(settled, whole, small, working.regions)
    settled = join_moved(settled, small, whole)
    label = _off_ground(close_gaps(join_pieces(settled, small), small), working, weights)
    something = 1 - resized(coarse.visible[0].astype(np.float32), (label.shape[1], label.shape[0]))
    return hold(label, something, letters, label.size)


def _off_ground(
    label: UInt8[np.ndarray, "h w"], working: Working, weights: Float[np.ndarray, "L h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Labels where lines of letters that colour tells from the ground are none of it, though the network says so: the
    rest of a line is the upper layer's that has most of it; small print, finer than what the network looks at, that
    which it sees most in all of it, if any."""
    count = int(working.lines.max()) + 1
    if working.odds is None or count == 1 or len(weights) == 1:
        return label
    inked = np.nonzero(working.lines)
    line = working.lines[inked]
    area = np.maximum(np.bincount(line, minlength=count), 1)
    ground, off = (np.bincount(line, mask[inked], count) / area for mask in (label == 0, working.odds < 1))
    seen = np.stack([np.bincount(line, weight[inked], count) / area for weight in weights[1:]])
    small_print = (ground > _MOSTLY_GROUND) & (off > _MOSTLY_OFF) & (seen.max(axis=0) > _SEEN)
    torn = (ground > 0) & (ground <= _MOSTLY_GROUND) & (off > _MOSTLY_OFF)
    if not small_print.any() and not torn.any():
        return label
    kinds = len(weights)
    own = np.bincount(line * np.int64(kinds) + label[inked], minlength=count * kinds).reshape(count, kinds)[:, 1:]
    owner = np.where(torn & own.any(axis=1), 1 + own.argmax(axis=1), 0)
    owner[small_print] = 1 + (seen * area)[:, small_print].sum(axis=1).argmax()
    owner = owner[working.lines]
    return np.where((owner > 0) & ((label == 0) | small_print[working.lines]), owner, label).astype(np.uint8)


def visible_weights(working: Working, coarse: Coarse) -> Float[np.ndarray, "L h w"]:
    """The network's visible weights at working size, the ground's helped by what was read, or by colour; a page is
    nothing but ground."""
    weights = enlarged_weights(working, coarse)
    odds = working.odds if coarse.odds is None else coarse.odds
    if odds is not None:
        weights[0] *= odds
        weights /= weights.sum(axis=0)
    if working.page is not None:
        weights[:, working.page] = 0
        weights[0, working.page] = 1
    return weights


def enlarged_weights(working: Working, coarse: Coarse) -> Float[np.ndarray, "L h w"]:
    """The network's visible weights at working size."""
    size = (working.rgb.shape[1], working.rgb.shape[0])
    return np.stack([resized(weight, size) for weight in coarse.visible.astype(np.float32)])


def resized(values: Any, size: tuple[int, int]) -> Any:
    """Bilinear when enlarging, area means when shrinking; `size` is (width, height)."""
    shrinks = size[0] < values.shape[1] or size[1] < values.shape[0]
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
