"""Things that lie apart become layers of their own, as far as layers may be made.

A network that sees two things of one kind, or has no slot left, gives them one layer: a tower and a boat. What lies
apart is no part of the other; what is joined by something above may be, and stays; lettering stays in blocks. Knows
labels and answers; no layers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Int, UInt8
from scipy import ndimage

from lamina.decompose.coarse import Coarse, seen_labels
from lamina.decompose.letters import words
from lamina.decompose.order import ordered
from lamina.decompose.working import Working

__all__ = ["set_apart"]

_APART = 50
"""Things lie apart when they are farther from each other than the longer side over this."""

_LEAST, _LEAST_FINE = 2.5e-3, 5e-4
"""Share of the canvas that a thing takes to become a layer of its own, lettering with what is between its letters;
what a layer takes, not to be empty."""

_LEADING = 0.6
"""Lines of letters this share of their height apart are one block; words of a line, or what is beside a higher word, a
whole height."""

_TOUCHES = 0.05
"""A crumb has more than this share of its border on the upper layer that it goes with."""

_STEP = 2
"""Every so many rows and columns are looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Thing:
    layer: int
    area: int
    parts: Int[np.ndarray, "h w"]
    """Numbers what lies apart, every so many rows and columns, ..."""
    number: int
    """... and which of it this is."""


def set_apart(working: Working, coarse: Coarse, most: int, *, fine: bool = False) -> Coarse:
    """The answer with its labels settled and things that lie apart as layers, the largest first, up to `most` layers.

    Order stays: the parts of a layer stand where it stood, each with all that the network says of the whole. Pinned
    layers stay whole. Parts take the places of empty layers; with `fine`, small things and words come apart too, and
    where the network saw nothing but ground, what colour tells from the ground is a thing.
    """
    label = seen_labels(working, coarse)
    origin = np.arange(len(coarse.visible))
    free = origin.size - coarse.pinned
    if fine and free > 1 and working.odds is not None and not ((label > 0) & (label < free)).any():
        label = np.where((label == 0) & (working.odds < 1), 1, label).astype(np.uint8)
    letters = _lettering(label, working)
    label, of = _parted(label, letters, free, origin.size, most, _LEAST)
    origin = origin[of]
    if fine:
        label, of = _parted(label, np.zeros_like(letters), origin.size - coarse.pinned, origin.size, most, _LEAST_FINE)
        origin = origin[of]
    label = _without_crumbs(label, letters, origin.size - coarse.pinned)
    order = ordered(label[::_STEP, ::_STEP], origin.size - coarse.pinned, origin.size)
    origin, label = origin[order], np.argsort(order).astype(np.uint8)[label]
    return replace(
        coarse,
        visible=coarse.visible[origin],
        alpha=coarse.alpha[origin],
        rgb=coarse.rgb[origin],
        confidence=coarse.confidence[origin],
        label=label,
    )


def _lettering(label: UInt8[np.ndarray, "h w"], working: Working) -> Int[np.ndarray, "H W"]:
    """Lines of letters, numbered from 1 up, and words that are none, from -1 down, every so many rows and columns."""
    line, own = working.lines[::_STEP, ::_STEP], label[::_STEP, ::_STEP]
    word = words(own, np.ascontiguousarray(working.rgb[::_STEP, ::_STEP]))
    return np.where(line > 0, line, -word)


def _without_crumbs(
    label: UInt8[np.ndarray, "h w"], letters: Int[np.ndarray, "H W"], free: int
) -> UInt8[np.ndarray, "h w"]:
    """Labels where what still lies apart in a layer, too small for any, goes with the upper layer that it touches most:
    the network saw that it stands out, not of what it is a part."""
    small, out = label[::_STEP, ::_STEP], label.copy()
    for number in range(1, free):
        own = small == number
        parts, area = _lying_apart(own, letters)
        for crumb in np.argsort(-area, kind="stable")[1:]:
            if not 0 < area[crumb] < _LEAST_FINE * small.size:
                continue
            mask = own & (parts == crumb)
            rim = (cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~mask
            beside = np.bincount(small[rim], minlength=free)[:free]
            beside[[0, number]] = 0
            if beside.max() > _TOUCHES * rim.sum():
                out[(label == number) & _enlarged(parts == crumb, label.shape)] = beside.argmax()
    return out


def _parted(
    label: UInt8[np.ndarray, "h w"], letters: Int[np.ndarray, "H W"], free: int, count: int, most: int, least: float
) -> tuple[UInt8[np.ndarray, "h w"], Int[np.ndarray, " n"]]:
    """Labels where things apart have their own, and for each new label the one that it was."""
    area = np.bincount(label.ravel(), minlength=count)
    empty = [number for number in range(1, free) if area[number] < _LEAST_FINE * label.size]
    things = [
        thing
        for number in range(1, free)
        if number not in empty
        for thing in _things(label[::_STEP, ::_STEP], letters, number, least)[1:]
    ]
    things.sort(key=lambda thing: -thing.area)
    room = max(most, count) - count + len(empty)
    things = things[:room]
    lost = sorted(empty, key=lambda number: area[number])[: max(0, len(empty) + len(things) - room)]
    out, origin = np.zeros_like(label), [0]
    for number in range(1, count):
        if number in lost:
            continue
        own = label == number
        out[own] = len(origin)
        origin.append(number)
        for thing in things:
            if thing.layer == number:
                out[own & _enlarged(thing.parts == thing.number, label.shape)] = len(origin)
                origin.append(number)
    gone = np.isin(label, lost)
    if gone.any():
        nearest: Any = ndimage.distance_transform_edt(gone, return_distances=False, return_indices=True)
        out = out[tuple(nearest)]
    return out, np.array(origin)


def _things(
    label: UInt8[np.ndarray, "h w"], letters: Int[np.ndarray, "h w"], number: int, least: float
) -> list[_Thing]:
    """What lies apart in a layer and is large enough, the largest first."""
    parts, area = _lying_apart(label == number, letters, label > number)
    order = np.argsort(-area, kind="stable")
    return [
        _Thing(layer=number, area=int(area[k]), parts=parts, number=int(k))
        for k in order
        if area[k] >= least * label.size
    ]


def _lying_apart(
    own: Bool[np.ndarray, "h w"], letters: Int[np.ndarray, "h w"], joining: Bool[np.ndarray, "h w"] | None = None
) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, " n"]]:
    """Number what lies apart in a mask, unless `joining` joins it; with the areas, lettering's with what is between its
    letters."""
    reach = max(own.shape) // _APART
    wide: Any = cv2.dilate(own.astype(np.uint8), np.ones((reach + 1, reach + 1), np.uint8))
    filled = own.copy()
    for rows, columns in filter(None, ndimage.find_objects(np.where(own & (letters < 0), -letters, 0))):
        beside = rows.stop - rows.start
        wide[rows, max(0, columns.start - beside) : columns.stop + beside] = 1
    for rows, columns in filter(None, ndimage.find_objects(np.where(own & (letters > 0), letters, 0))):
        filled[rows, columns] = True
        height = rows.stop - rows.start
        above = max(0, rows.start - round(_LEADING * height)), max(0, columns.start - height)
        below = rows.stop + round(_LEADING * height), columns.stop + height
        wide[above[0] : below[0], above[1] : below[1]] = 1
    parts: Any = cv2.connectedComponents(wide if joining is None else wide | joining, connectivity=8)[1]
    count = parts.max() + 1
    return parts, np.bincount(parts[filled], minlength=count) * (np.bincount(parts[own], minlength=count) > 0)


def _enlarged(mask: Bool[np.ndarray, "h w"], shape: tuple[int, ...]) -> Bool[np.ndarray, "H W"]:
    """A mask of every so many rows and columns at the size of all of them."""
    return mask.repeat(_STEP, 0).repeat(_STEP, 1)[: shape[0], : shape[1]]
