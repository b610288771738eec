"""Lines of letters in a picture: what is of one colour and height and stands side by side in a row.

Looked for among strokes that are narrower and brighter, or darker, than what is around them, and among even regions of
one colour: of bold letters before something half bright and half dark, strokes tell none. Knows the picture and its
regions; nothing of layers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage, sparse

from lamina.pixels import channel_max, channel_sum

__all__ = ["lines", "printed", "words"]

_STROKE = 25
"""Letters are looked for among strokes narrower than the longer side over this, and two pixels."""

_CONTRAST = 40
"""Contrast (0-255) of a letter against what is around it."""

_LETTER = (5, 1 / 6)
"""Least height of a letter in pixels, and the largest as a share of the longer side."""

_EVEN = 5.0
"""Deviation of colour (Lab units) within an even letter."""

_LEAST_CORE = 8
"""Pixels of an even letter that lie inside it."""

_LIKE = 16.0
"""Colour difference (Lab units, 8 bit) below which letters are alike."""

_GAP = 0.5
"""Share of what is around a line that has its colour, from which it is no line but the ground between letters."""

_BESIDE, _PAPER = (9, 5), 12.0
"""What lies beside letters: off the soft rims, so many pixels wide in all; its standard deviation (0-255) at most."""

_LEAST_LETTERS, _LEAST_IN_WORD = 4, 3
_MOST_LETTERS = 1500

_CARD, _SAME_SHAPE = 0.9, 0.08
"""Share of its box that a thing fills, its holes included, from which it is rather a card than a letter; things that
differ by less in that, holes left out, and in width by height, are one shape."""


def lines(rgb: UInt8[np.ndarray, "h w 3"], regions: Int[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Number the lines of letters from 1 on, with the points and accents beside them; 0 is the rest.

    `regions` are those of even colour, from 0 on.
    """
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    out = np.zeros(rgb.shape[:2], np.int32)
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT, None):
        found = _Parts.even(rgb, lab, regions) if kind is None else _Parts.strokes(rgb, lab, kind)
        line = found.lines(lab)
        if not line.any():
            continue
        number = line[found.parts]
        number[number > 0] += out.max()
        out = np.where(number > 0, number, _joined(out, number))
    if not out.any():
        return out
    used = np.bincount(out.ravel()) > 0
    used[0] = False
    return np.cumsum(used, dtype=np.int32)[out] * (out > 0)


def words(label: UInt8[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
    """Number the words that one upper label shows from 1 on, their letters as high as they may be; 0 is the rest."""
    out = np.zeros(label.shape, np.int32)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    for number in range(1, int(label.max()) + 1):
        found = _Parts.of(label, number, lab)
        word = found.words()
        out = np.where(word[found.parts] > 0, word[found.parts] + out.max(), out)
    return out


def printed(rgb: UInt8[np.ndarray, "h w 3"], number: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Lines of letters (as `lines` numbers them) on an even ground: what looks like one among trees or rays may be
    none."""
    count = int(number.max()) + 1
    if count == 1:
        return np.zeros(number.shape, bool)
    inked: Any = number.astype(np.float32)
    wide, close = (cv2.dilate(inked, np.ones((side, side), np.uint8)).astype(np.int32) for side in _BESIDE)
    ys, xs = np.nonzero((wide > 0) & (close == 0))
    of, here = wide[ys, xs], rgb[ys, xs].astype(np.float32)
    mean, square = (_means(values, of, count) for values in (here, np.square(here)))
    even = (square - np.square(mean)).max(axis=1) < _PAPER**2
    even[0] = False
    return even[number]


def _joined(before: Int[np.ndarray, "h w"], after: Int[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Lines found before, under the number of the line that they share most with, if that is half of either."""
    met = before > 0
    count, others = int(before.max()) + 1, int(after.max()) + 1
    if others == 1:
        return before
    common = np.bincount(before[met] * others + after[met], minlength=count * others).reshape(count, others)
    best = common[:, 1:].argmax(axis=1) + 1
    least = np.minimum(common.sum(axis=1), np.bincount(after.ravel(), minlength=others)[best])
    joins = common[np.arange(count), best] * 2 > least
    return np.where(joins, best, np.arange(count)).astype(np.int32)[before]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    """What may be letters, part by part; part 0 is the rest."""

    parts: Int[np.ndarray, "h w"]
    boxes: Float[np.ndarray, "4 n"]
    """Top, bottom, left, right."""
    area: Float[np.ndarray, " n"]
    colour: Float[np.ndarray, "n 3"]
    """Lab, 8 bit."""

    @classmethod
    def strokes(cls, rgb: UInt8[np.ndarray, "h w 3"], lab: UInt8[np.ndarray, "h w 3"], operation: int) -> "_Parts":
        """What is narrow and brighter (top hat) or darker (black hat) than what is around it."""
        side = max(rgb.shape) // _STROKE + 3
        contrast = channel_max(cv2.morphologyEx(rgb, operation, np.ones((side, side), np.uint8)))
        found: Any = cv2.connectedComponentsWithStats((contrast > _CONTRAST).astype(np.uint8), connectivity=8)
        count, parts, stats, _ = found
        left, top, width, height, area = stats.T.astype(np.float32)
        # The fringe of a thin letter is mixed with the ground: its core tells the colour.
        inked = np.nonzero(parts)
        part, strength = parts[inked], contrast[inked]
        strongest = np.zeros(count, contrast.dtype)
        np.maximum.at(strongest, part, strength)
        core = strength >= 0.8 * strongest[part]
        ink, of = lab[inked][core], part[core]
        colour = _means(ink, of, count)
        return cls(parts=parts, boxes=np.stack([top, top + height, left, left + width]), area=area, colour=colour)

    @classmethod
    def even(
        cls, rgb: UInt8[np.ndarray, "h w 3"], lab: UInt8[np.ndarray, "h w 3"], regions: Int[np.ndarray, "h w"]
    ) -> "_Parts":
        """Regions of one colour and of a letter's height, with strong edges."""
        boxes = np.array([_sides(span) for span in ndimage.find_objects(regions + 1)], np.float32).T
        low = boxes[1] - boxes[0] < _LETTER[1] * max(lab.shape)
        number = np.where(low, np.cumsum(low), 0)
        parts, count = number[regions], int(low.sum()) + 1
        area = np.bincount(parts.ravel(), minlength=count).astype(np.float32)
        box = np.ones((3, 3), np.uint8)
        inside = cv2.morphologyEx(regions.astype(np.float32), cv2.MORPH_GRADIENT, box) == 0
        rim, core = np.where(inside, 0, parts), np.where(inside, parts, 0)
        ys, xs = np.nonzero(rim)
        step = channel_max(cv2.morphologyEx(rgb, cv2.MORPH_GRADIENT, box))[ys, xs]
        edge = _means(step[:, None], rim[ys, xs], count)[:, 0]
        ys, xs = np.nonzero(core)
        ink, of = lab[ys, xs].astype(np.float32), core[ys, xs]
        colour, square = (_means(values, of, count) for values in (ink, np.square(ink)))
        uneven = channel_sum(np.maximum(square - np.square(colour), 0)) > _EVEN**2
        area[uneven | (edge < _CONTRAST) | (np.bincount(of, minlength=count) < _LEAST_CORE)] = 0
        boxes = np.concatenate([np.zeros((4, 1), np.float32), boxes[:, low]], axis=1)
        return cls(parts=parts, boxes=boxes, area=area, colour=colour)

    @classmethod
    def of(cls, label: UInt8[np.ndarray, "h w"], number: int, lab: UInt8[np.ndarray, "h w 3"]) -> "_Parts":
        """What hangs together in a label, be it below others that lie on it."""
        whole: Any = cv2.connectedComponents((label >= number).astype(np.uint8), connectivity=8)[1]
        parts = np.where(label == number, whole, 0)
        spans: Any = ndimage.find_objects(parts)
        boxes = np.array([(0, 0, 0, 0), *(_sides(span) for span in spans)], np.float32).T
        inked = np.nonzero(parts)
        of = parts[inked]
        area = np.bincount(of, minlength=len(spans) + 1).astype(np.float32)
        return cls(parts=parts, boxes=boxes, area=area, colour=_means(lab[inked].astype(np.float32), of, area.size))

    def words(self) -> Int[np.ndarray, " n"]:
        """The number of the word that a part is a letter of, from 1 on; 0 for none."""
        number = np.zeros(self.area.size, np.int32)
        found = self._letters(np.inf)
        alike = self._alike(found)
        groups, group = sparse.csgraph.connected_components(sparse.csr_matrix(alike), directed=False)
        for word in np.flatnonzero(np.bincount(group, minlength=groups) >= _LEAST_IN_WORD):
            own = found[group == word]
            if np.median([self._fills(part) for part in own]) < _CARD and self._differ(own):
                number[own] = number.max() + 1
        return number

    def _differ(self, parts: Int[np.ndarray, " m"]) -> bool:
        """Whether they are not one shape again and again, as marks of a list and icons' discs are."""
        top, bottom, left, right = self.boxes[:, parts]
        height, width = bottom - top, right - left
        return bool(np.ptp(width / height) > _SAME_SHAPE or np.ptp(self.area[parts] / (height * width)) > _SAME_SHAPE)

    def _fills(self, part: int) -> float:
        """Share of its box that a part fills, its holes included."""
        top, bottom, left, right = self.boxes[:, part].astype(int)
        shape = (self.parts[top:bottom, left:right] == part).astype(np.uint8)
        outlines: Any = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(shape, outlines, -1, 1, cv2.FILLED)
        return float(shape.mean())

    def _alike(self, found: Int[np.ndarray, " m"]) -> Bool[np.ndarray, "m m"]:
        """Which parts are of one colour and height, and side by side."""
        colour = self.colour[found]
        near = channel_sum(np.square(colour[:, None] - colour)) < _LIKE**2
        return _in_one_row(*self.boxes[:, found]) & near

    def lines(self, lab: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, " n"]:
        """The number of the line that a part belongs to, from 1 on; 0 for none."""
        number = np.zeros(self.area.size, np.int32)
        found = self._letters(max(lab.shape))
        if found.size < _LEAST_LETTERS:
            return number
        alike = self._alike(found)
        groups, group = sparse.csgraph.connected_components(sparse.csr_matrix(alike), directed=False)
        for line in np.flatnonzero(np.bincount(group, minlength=groups) >= _LEAST_LETTERS):
            own = found[group == line]
            hue = self.colour[own].mean(axis=0)
            frame = _frame(self.boxes[:, own])
            if _goes_round(lab, frame, hue):
                continue
            marks = channel_sum(np.square(self.colour - hue)) < _LIKE**2
            marks &= (self.boxes[::2] > frame[::2, None]).all(axis=0)
            marks &= (self.boxes[1::2] < frame[1::2, None]).all(axis=0)
            marks[0] = False
            number[own] = number[marks & (number == 0)] = number.max() + 1
        return number

    def _letters(self, side: float) -> Int[np.ndarray, " m"]:
        """Parts that may be letters, the largest first."""
        top, bottom, left, right = self.boxes
        height, width = bottom - top, right - left
        letter = (height >= _LETTER[0]) & (height < _LETTER[1] * side) & (width < 4 * height)
        letter &= self.area >= 0.1 * height * np.maximum(width, 0.2 * height)
        letter[0] = False
        found = np.flatnonzero(letter)
        return found[np.argsort(-self.area[found], kind="stable")[:_MOST_LETTERS]]


def _sides(span: tuple[slice, slice] | None) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of a part, if there is any of it."""
    return (0, 0, 0, 0) if span is None else (span[0].start, span[0].stop, span[1].start, span[1].stop)


def _means(values: Any, of: Int[np.ndarray, " m"], count: int) -> Float[np.ndarray, "n c"]:
    """Mean of the values (m x c) of every number 0..count-1; 0 where there are none."""
    total = np.stack([np.bincount(of, channel, count) for channel in values.T], axis=-1)
    return total / np.maximum(np.bincount(of, minlength=count), 1)[:, None]


def _in_one_row(top: Any, bottom: Any, left: Any, right: Any) -> Bool[np.ndarray, "n n"]:
    """Which boxes are of like height, stand in a row and next to each other, not inside each other."""
    height = bottom - top
    lower, higher = np.minimum(height[:, None], height), np.maximum(height[:, None], height)
    common = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    gap = np.maximum(left[:, None], left) - np.minimum(right[:, None], right)
    return (higher < 2 * lower) & (common > 0.6 * lower) & (gap < lower) & (gap > -0.3 * lower)


def _frame(boxes: Float[np.ndarray, "4 n"]) -> Float[np.ndarray, " 4"]:
    """Top, bottom, left and right around the boxes of a line: half a letter above and below, a letter beside."""
    letter = float(np.median(boxes[1] - boxes[0]))
    least, most = boxes[::2].min(axis=1), boxes[1::2].max(axis=1)
    margin = np.array([letter / 2, letter]) + 2
    return np.stack([least - margin, most + margin], axis=1).ravel()


def _goes_round(lab: UInt8[np.ndarray, "h w 3"], frame: Float[np.ndarray, " 4"], hue: Float[np.ndarray, " 3"]) -> bool:
    """Whether most of a frame has this colour."""
    height, width = lab.shape[:2]
    top, bottom, left, right = np.clip(frame, 0, (height - 1, height - 1, width - 1, width - 1)).astype(int)
    sides = [lab[top, left:right], lab[bottom, left:right], lab[top:bottom, left], lab[top:bottom, right]]
    return float((channel_sum(np.square(np.concatenate(sides) - hue)) < _LIKE**2).mean()) > _GAP
