"""Settle single pixels by colour: what was voted with its region, but looks like another layer that is near.

Regions are too coarse for gaps between hairs, the counters of letters and strands thinner than a region. A pixel goes
to another layer when the network sees some of that layer around it, the pixel has that layer's colour, and not the
colour of the layer it was given to. Knows labels, weights and colours; nothing of alphas.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from lamina.decompose.fill import membrane
from lamina.pixels import channel_sum

__all__ = ["settle"]

_AROUND = 0.06
"""Least weight the network gives a layer where a pixel may go to it."""

_SURE = 0.9
"""Weight from which a layer's colour is taken from a place, if there are such places."""

_NEARER = 0.12
"""A pixel goes over when its squared distance to the new colour is below this share of that between both colours."""

_ALIKE = 48.0
"""What differs by more (root of summed squares, 0-255) from a layer's usual colour nearby does not go to it."""

_PLAIN = 14.0
"""Colours nearer to each other than this tell nothing."""

_MIXED = 28.0
"""So near to a mixture of two colours, a pixel is one."""

_TOUCH = 10
"""Layers that touch along more than the longer side over this exchange pixels."""

_MOSTLY = 0.3
"""Share of a layer that must look different from the lowest one, for that part alone to tell its colour."""

_SPOT = 40
"""A highlight is smaller than the square of the longer side over this; a larger hole may be full of glow."""

_EDGE, _WIDE, _FADES = 5, 25, 0.45
"""Sides (odd pixels) of the boxes within which an edge lies and with which it is compared, and the share of the step in
the wide one that it has at least."""

_COUNTER, _BESIDE = 0.003, 9
"""Share of the canvas below which an island of the ground may be a counter, and how far (pixels) from it the layer may
lie that it belongs to, with a stroke between them."""

_THIN, _SPECK = 5, 256
"""Narrower than so many pixels the ground is no more than a rim; a speck of it is smaller than the square of the longer
side over the second."""

_SCALE = 4
"""Usual colours are kept this many times smaller."""


def settle(
    label: UInt8[np.ndarray, "h w"], picture: UInt8[np.ndarray, "h w 3"], weights: Float[np.ndarray, "L h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Labels after every pixel has been asked. `weights` are the network's visible weights, at the same size."""
    used = np.flatnonzero(np.bincount(label.ravel(), minlength=len(weights)))
    if len(used) < 2:
        return label
    clean = _inner(label)
    usual = np.zeros((len(weights), -(-label.shape[0] // _SCALE), -(-label.shape[1] // _SCALE), 3), np.float32)
    colours = picture.astype(np.float32)
    unlike = clean
    for number in used:
        own = clean & (label == number)
        if number != used[0]:  # what looks like the lowest, as a counter, does not tell the colour of the others
            other = own & unlike
            own = other if np.count_nonzero(other) > _MOSTLY * np.count_nonzero(own) else own
        sure = own & (weights[number] > _SURE)
        usual[number] = _usual(colours, sure if sure.any() else own)
        if number == used[0]:
            lowest = cv2.resize(usual[number], label.shape[::-1], interpolation=cv2.INTER_LINEAR)
            unlike = channel_sum(np.square(colours - lowest)) > _PLAIN**2
    meets = _meeting(label, len(weights))
    rows, columns = (np.arange(side) // _SCALE for side in label.shape)
    cell = rows[:, None] * usual.shape[2] + columns
    usual_flat, flat = usual.reshape(len(weights), -1, 3), colours.reshape(-1, 3)
    nearest = np.full(label.size, np.inf, np.float32)
    out = label.copy()
    for number in used:
        asked = np.flatnonzero((weights[number] > _AROUND) & (cv2.LUT(label, meets[number]) > 0))
        at = cell.take(asked)
        there, own = usual_flat[number].take(at, axis=0), usual_flat[label.take(asked), at]
        away = channel_sum(np.square(flat.take(asked, axis=0) - there))
        apart = channel_sum(np.square(own - there))
        goes = (away < _NEARER * apart) & (apart > _PLAIN**2) & (away < _ALIKE**2) & (away < nearest.take(asked))
        asked = asked[goes]
        nearest[asked] = away[goes]
        out.put(asked, number)
    out = _without_highlights(_without_islands(out, label, used[1:]), label, picture)
    islands = _Islands.of(out)
    shore = (out == 0) & ~islands.everywhere()
    if shore.any():  # what stays of a card between its letters would tell the ground's colour, near the card
        usual[0] = _usual(colours, shore)
    return _without_scraps(islands.given(out, picture, usual), picture, usual)


def _without_highlights(
    out: UInt8[np.ndarray, "h w"], label: UInt8[np.ndarray, "h w"], picture: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w"]:
    """Gives back small holes in upper layers that fade in: a gap shows the ground behind an edge, a highlight has none.

    At an edge, colours differ within few pixels nearly as much as within many.
    """
    hole = ((out == 0) & (label > 0)).astype(np.uint8)
    if not hole.any():
        return out
    found: Any = cv2.connectedComponents(hole, connectivity=8)
    count, parts = found
    box = np.ones((3, 3), np.uint8)
    rim = (hole > 0) & (cv2.erode(hole, box) == 0)
    near, wide = (_steps(picture, rim, parts[rim], count, side) for side in (_EDGE, _WIDE))
    fades = near < _FADES * wide
    # what is joined to the ground that was there is no hole
    fades[parts[cv2.dilate(((label == 0) & (out == 0)).astype(np.uint8), box) > 0]] = False
    fades[np.bincount(parts.ravel(), minlength=count) > (max(label.shape) / _SPOT) ** 2] = False
    fades[0] = False
    return np.where(fades[parts], label, out)


def _steps(picture: Any, where: Any, part: Any, count: int, side: int) -> Any:
    """For every part, the sum of the steps of colour within boxes of `side` pixels around its pixels."""
    edge: Any = cv2.morphologyEx(picture, cv2.MORPH_GRADIENT, np.ones((side, side), np.uint8))
    return np.bincount(part, np.sqrt(channel_sum(np.square(edge[where].astype(np.float32)))), count)


def _without_islands(
    out: UInt8[np.ndarray, "h w"], label: UInt8[np.ndarray, "h w"], upper: Iterable[int]
) -> UInt8[np.ndarray, "h w"]:
    """Gives back specks on other upper layers: parts that touch one and hang on nothing their new layer had before."""
    for number in upper:
        new = out == number
        parts: Any = cv2.connectedComponents(cv2.dilate(new.astype(np.uint8), np.ones((5, 5))), connectivity=8)[1]
        lost = np.zeros(parts.max() + 1, bool)
        lost[parts[(out > 0) & ~new]] = True
        lost[parts[new & (label == number)]] = False
        lost[0] = False
        back = new & lost[parts]
        out[back] = label[back]
    return out


@dataclass(frozen=True, kw_only=True, slots=True)
class _Islands:
    """Small parts of the ground with other layers all around, as counters of letters."""

    parts: Int[np.ndarray, "h w"]
    numbers: Int[np.ndarray, " n"]
    """Which of the parts they are."""
    boxes: Int[np.ndarray, "n 4"]
    """Left, top, width, height."""
    centres: Float[np.ndarray, "n 2"]

    @classmethod
    def of(cls, label: UInt8[np.ndarray, "h w"]) -> "_Islands":
        found: Any = cv2.connectedComponentsWithStats((label == 0).astype(np.uint8), connectivity=4)
        _, parts, stats, centres = found
        left, top, width, height, area = stats.T
        inside = (left > 0) & (top > 0) & (left + width < label.shape[1]) & (top + height < label.shape[0])
        inside &= area < _COUNTER * label.size
        inside[0] = False
        numbers = np.flatnonzero(inside)
        return cls(parts=parts, numbers=numbers, boxes=stats[numbers, :4], centres=centres[numbers])

    def everywhere(self) -> Bool[np.ndarray, "h w"]:
        """Where there is any."""
        chosen = np.zeros(self.parts.max() + 1, bool)
        chosen[self.numbers] = True
        return chosen[self.parts]

    def given(
        self, label: UInt8[np.ndarray, "h w"], picture: UInt8[np.ndarray, "h w 3"], usual: Float[np.ndarray, "L H W 3"]
    ) -> UInt8[np.ndarray, "h w"]:
        """Labels with every island given to the upper layer beside it whose usual colour it has, if it has not the
        ground's."""
        out = label.copy()
        for number, (left, top, width, height), centre in zip(self.numbers, self.boxes, self.centres, strict=True):
            rows = slice(max(0, top - _BESIDE), top + height + _BESIDE)
            columns = slice(max(0, left - _BESIDE), left + width + _BESIDE)
            island = self.parts[rows, columns] == number
            x, y = (int(place) // _SCALE for place in centre)
            beside = np.unique(label[rows, columns])
            here = np.median(picture[rows, columns][island], axis=0)
            off = channel_sum(np.square(usual[beside, y, x] - here))
            best = int(off.argmin())
            if off[best] < min(_PLAIN**2, _NEARER * off[0]) and off[0] > _PLAIN**2:
                out[rows, columns][island] = beside[best]
        return out


def _without_scraps(
    out: UInt8[np.ndarray, "h w"], picture: UInt8[np.ndarray, "h w 3"], usual: Float[np.ndarray, "L H W 3"]
) -> UInt8[np.ndarray, "h w"]:
    """Gives what is left of the ground between two upper layers, as the soft rim of a letter on a card, to the lower
    one: what is thin and unlike the ground's usual colour, then specks and slivers."""
    free = (out == 0).astype(np.uint8)
    thin = (free > 0) & (cv2.morphologyEx(free, cv2.MORPH_OPEN, np.ones((_THIN, _THIN), np.uint8)) == 0)
    ys, xs = np.nonzero(thin)
    ground = cv2.resize(usual[0], out.shape[::-1])[ys, xs]
    thin[ys, xs] = channel_sum(np.square(picture[ys, xs] - ground)) > _PLAIN**2
    out = _given_down(out, thin, picture, usual)
    free = (out == 0).astype(np.uint8)
    found: Any = cv2.connectedComponentsWithStats(free, connectivity=4)
    _, parts, stats, _ = found
    wide = cv2.morphologyEx(free, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    scrap = np.bincount(parts.ravel(), wide.ravel()) == 0
    scrap |= stats[:, cv2.CC_STAT_AREA] < (max(out.shape) / _SPECK) ** 2
    scrap[0] = False
    return _given_down(out, scrap[parts], picture, usual, parts)


def _given_down(
    out: UInt8[np.ndarray, "h w"],
    where: Bool[np.ndarray, "h w"],
    picture: UInt8[np.ndarray, "h w 3"],
    usual: Float[np.ndarray, "L H W 3"],
    parts: Int[np.ndarray, "h w"] | None = None,
) -> UInt8[np.ndarray, "h w"]:
    """Those pixels of the ground given to the lower of two upper layers beside them, or beside their part, that are a
    mixture of the colours of both."""
    box = np.ones((_BESIDE, _BESIDE), np.uint8)
    ys, xs = np.nonzero(where)
    high: Any = cv2.dilate(out, box)[ys, xs]
    low: Any = cv2.erode(np.where(out > 0, out, 255).astype(np.uint8), box)[ys, xs]
    if parts is not None:
        lowest = np.full(parts.max() + 1, 255, np.uint8)
        np.minimum.at(lowest, parts[ys, xs], low)
        low = lowest[parts[ys, xs]]
    two = low < high
    ys, xs, low, high = ys[two], xs[two], low[two], high[two]
    y, x = ys // _SCALE, xs // _SCALE
    below = usual[low, y, x]
    line, offset = usual[high, y, x] - below, picture[ys, xs] - below
    share = np.maximum(channel_sum(offset * line) / np.maximum(channel_sum(np.square(line)), 1), 0)
    mixed = channel_sum(np.square(offset - share[:, None] * line)) < _MIXED**2
    given = out.copy()
    given[ys[mixed], xs[mixed]] = low[mixed]
    return given


def _inner(label: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Where a label's colour shows: off its border, and where it is thin, as far off as it is there."""
    around = (cv2.getStructuringElement(shape, (3, 3)) for shape in (cv2.MORPH_CROSS, cv2.MORPH_RECT))
    depth: Any = sum((cv2.dilate(label, box) == cv2.erode(label, box)).astype(np.uint8) for box in around)
    return depth >= cv2.dilate(depth, np.ones((5, 5), np.uint8))


def _meeting(label: UInt8[np.ndarray, "h w"], count: int) -> UInt8[np.ndarray, "n 256"]:
    """Which two layers exchange pixels: the ground and any other, and those with a long common border."""
    pairs = np.zeros(count * count, np.int64)
    for one, other in ((label[1:], label[:-1]), (label[:, 1:], label[:, :-1])):
        differ = one != other
        pairs += np.bincount(one[differ].astype(np.int64) * count + other[differ], minlength=count * count)
    touches = pairs.reshape(count, count)
    meets = np.zeros((count, 256), np.uint8)
    meets[:, :count] = touches + touches.T > max(label.shape) / _TOUCH
    meets[0, 1:count] = meets[1:, 0] = 1
    return meets


def _usual(picture: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "H W 3"]:
    """The colour around every cell, continued from where it is known."""
    height, width = known.shape
    size = (-(-width // _SCALE), -(-height // _SCALE))
    mask = known.astype(np.uint8)
    share: Any = cv2.resize(mask * np.float32(1), size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(cv2.copyTo(picture, mask), size, interpolation=cv2.INTER_AREA)
    return membrane(total / np.maximum(share, 1e-6)[..., None], share > 0)
