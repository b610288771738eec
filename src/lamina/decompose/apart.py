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
from lamina.decompose.laid_on import LaidOn, lettering_on, parts_on
from lamina.decompose.letters import words
from lamina.decompose.order import ordered
from lamina.decompose.working import Working

__all__ = ["fill_up", "set_apart", "shown"]

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
    """The answer with its labels settled and lettering on cards and things that lie apart as layers, the largest first,
    up to `most` layers.

    Order stays: the parts of a layer stand where it stood, what came off it above it, each with all that the network
    says of the whole. Pinned layers stay whole. Parts take the places of empty layers; with `fine`, small things and
    words come apart too, and where the network saw nothing but ground, what colour tells from the ground is a thing.
    """
    label = seen_labels(working, coarse)
    origin = np.arange(len(coarse.visible))
    free = origin.size - coarse.pinned
    if fine and free > 1 and working.odds is not None and not ((label > 0) & (label < free)).any():
        label = np.where((label == 0) & (working.odds < 1), 1, label).astype(np.uint8)
    stack = _Labels(label=label, origin=origin, pinned=coarse.pinned, most=most)
    cards = lettering_on(working, label, free)
    stack.put_above(cards)
    letters = _lettering(stack.label, working)
    stack.part(letters, _LEAST)
    if fine:
        stack.part(np.zeros_like(letters), _LEAST_FINE)
    laid = np.any([part.mask for part in cards], axis=0) if cards else np.zeros(label.shape, bool)
    stack.label = _without_crumbs(stack.label, letters, stack.free, laid)
    return stack.answer(coarse)


def fill_up(working: Working, coarse: Coarse, most: int) -> Coarse:
    """The answer, its labels settled, with what stands out of layers as layers above them, the largest first, as long
    as there are fewer than `most`; they take the places of empty layers."""
    assert coarse.label is not None
    stack = _Labels(label=coarse.label, origin=np.arange(len(coarse.visible)), pinned=coarse.pinned, most=most)
    if not stack.room():
        return coarse
    stack.put_above(lettering_on(working, stack.label, stack.free, cards=False))
    stack.put_above(parts_on(working, stack.label, stack.free, stack.origin.size, stack.room()))
    return stack.answer(coarse)


def shown(coarse: Coarse) -> int:
    """How many layers of an answer, its labels settled, show more than next to nothing."""
    assert coarse.label is not None
    return int(np.count_nonzero(np.bincount(coarse.label.ravel()) >= _LEAST_FINE * coarse.label.size))


@dataclass(kw_only=True, slots=True)
class _Labels:
    """Who is seen at each working pixel, while layers are added."""

    label: UInt8[np.ndarray, "h w"]
    origin: Int[np.ndarray, " n"]
    """The answer's layer that each is of."""
    pinned: int
    """How many of the topmost layers stay as they are."""
    most: int

    @property
    def free(self) -> int:
        """The first of the pinned layers."""
        return self.origin.size - self.pinned

    def empty(self) -> list[int]:
        """Upper layers that show next to nothing, the least first."""
        area = np.bincount(self.label.ravel(), minlength=self.origin.size)
        least = _LEAST_FINE * self.label.size
        return sorted((number for number in range(1, self.free) if area[number] < least), key=lambda k: area[k])

    def room(self) -> int:
        """How many layers may be added, with the places of those that show next to nothing."""
        return max(self.most, self.origin.size) - self.origin.size + len(self.empty())

    def answer(self, coarse: Coarse) -> Coarse:
        """The answer with these layers, in the order that outlines tell."""
        order = ordered(self.label[::_STEP, ::_STEP], self.free, self.origin.size)
        origin = self.origin[order]
        return replace(
            coarse,
            visible=coarse.visible[origin],
            alpha=coarse.alpha[origin],
            rgb=coarse.rgb[origin],
            confidence=coarse.confidence[origin],
            label=np.argsort(order).astype(np.uint8)[self.label],
        )

    def put_above(self, parts: list[LaidOn]) -> None:
        """Make parts, the first ones if there is no room for all, layers just above the one that they are of, which may
        be an earlier part; empty layers go to make room, and what they showed to what is nearest."""
        count, empty, room = self.origin.size, self.empty(), self.room()
        parts = parts[:room]
        if not parts:
            return
        lost = empty[: max(0, len(empty) + len(parts) - room)]
        order = [number for number in range(count) if number not in lost]
        parent = np.arange(count + len(parts))
        raised = self.label.astype(np.int64)
        for new, part in enumerate(parts, start=count):
            raised[part.mask], parent[new] = new, part.layer
            above = order.index(part.layer) + 1
            while above < len(order) and _descends(order[above], part.layer, parent):
                above += 1
            order.insert(above, new)
        for new in range(count, parent.size):
            parent[new] = parent[parent[new]]
        place = np.zeros(parent.size, np.uint8)
        place[order] = np.arange(len(order))
        self.label, self.origin = place[raised], self.origin[parent[order]]
        gone = np.isin(raised, lost)
        if gone.any():
            nearest: Any = ndimage.distance_transform_edt(gone, return_distances=False, return_indices=True)
            self.label = self.label[tuple(nearest)]

    def part(self, letters: Int[np.ndarray, "h w"], least: float) -> None:
        """Make things that lie apart layers, the largest first."""
        small, empty = self.label[::_STEP, ::_STEP], self.empty()
        numbers = [number for number in range(1, self.free) if number not in empty]
        things = [thing for number in numbers for thing in _things(small, letters, number, least)[1:]]
        things.sort(key=lambda thing: -thing.area)
        self.put_above(
            [
                LaidOn(t.layer, (self.label == t.layer) & _enlarged(t.parts == t.number, self.label.shape))
                for t in things[: self.room()]
            ]
        )


def _descends(number: int, layer: int, parent: Int[np.ndarray, " n"]) -> bool:
    """Whether a layer came off another, or off what did."""
    while parent[number] != number and number != layer:
        number = int(parent[number])
    return number == layer


def _lettering(label: UInt8[np.ndarray, "h w"], working: Working) -> Int[np.ndarray, "H W"]:
    """Lines of letters, numbered from 1 up, and words that are none, from -1 down, every so many rows and columns."""
    line, own = working.lines[::_STEP, ::_STEP], label[::_STEP, ::_STEP]
    word = words(own, np.ascontiguousarray(working.rgb[::_STEP, ::_STEP]))
    return np.where(line > 0, line, -word)


def _without_crumbs(
    label: UInt8[np.ndarray, "h w"], letters: Int[np.ndarray, "H W"], free: int, laid: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Labels where what still lies apart in a layer, too small for any, goes with the upper layer that it touches most:
    the network saw that it stands out, not of what it is a part. What is `laid` on another stays."""
    small, out = label[::_STEP, ::_STEP], label.copy()
    for number in range(1, free):
        own = small == number
        parts, area = _lying_apart(own, letters)
        for crumb in np.argsort(-area, kind="stable")[1:]:
            if not 0 < area[crumb] < _LEAST_FINE * small.size:
                continue
            mask = own & (parts == crumb)
            if laid[::_STEP, ::_STEP][mask].any():
                continue
            rim = (cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0) & ~mask
            beside = np.bincount(small[rim], minlength=free)[:free]
            beside[[0, number]] = 0
            if beside.max() > _TOUCHES * rim.sum():
                out[(label == number) & _enlarged(parts == crumb, label.shape)] = beside.argmax()
    return out


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
