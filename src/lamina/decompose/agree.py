"""Let regions that belong together agree on their layer: neighbours without a strong edge, letters of one line.

Votes flow between neighbouring regions, the more the softer and longer their common border is, against the weight of
a region's own area (a random walker on the region graph); first between all layers, then, across somewhat harder
borders, among the objects only. Letters of like colour and height in one row go together by majority. Knows regions
and votes; nothing of networks or alphas.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import sparse

from lamina.pixels import channel_max, channel_sum

__all__ = ["agree_in_rows", "agree_with_neighbours", "common_borders", "lines"]

_SOFT = 20.0
_OBJECT_SOFT = 40.0
"""Difference (0-255) across a border at which votes hardly pass any more: to the ground too, and among objects."""

_PULL = 25
"""A border counts as its length times the longer side over this, a region's own vote as its area."""

_ROUNDS = 20

_STROKE = 25
"""Letters are looked for among strokes narrower than the longer side over this, and two pixels."""

_CONTRAST = 40
"""Contrast (0-255) of a letter against what is around it."""

_LETTER = (5, 1 / 6)
"""Least height of a letter in pixels, and the largest as a share of the longer side."""

_LIKE = 16.0
"""Colour difference (Lab units, 8 bit) below which letters are alike."""

_GAP = 0.5
"""Share of what is around a line that has its colour, from which it is no line but the ground between letters."""

_LEAST_LETTERS = 4
_MOST_LETTERS = 1500


def agree_with_neighbours(
    votes: Float[np.ndarray, "L n"], regions: Int[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "L n"]:
    """Votes (summing to one over the layers, bottom first) after neighbours have been heard."""
    if votes.shape[1] < 2:
        return votes
    area = np.bincount(regions.ravel()).astype(np.float32)
    first, second, length, step = common_borders(regions, rgb)
    pull = length * (max(regions.shape) / _PULL)

    def flow(votes: Any, softness: float, taking_part: Bool[np.ndarray, " n"]) -> Any:
        weight = pull * np.exp(-np.square(step / softness)) * (taking_part[first] & taking_part[second])
        one_way = sparse.coo_matrix((weight, (first, second)), shape=(area.size, area.size))
        both: Any = (one_way + one_way.T).tocsr()
        total = area + np.asarray(both.sum(axis=1)).ravel()
        heard = votes
        for _ in range(_ROUNDS):
            heard = (area * votes + (both @ heard.T).T) / total
        return heard

    votes = flow(votes, _SOFT, np.ones(area.size, bool))
    is_object = votes.argmax(axis=0) > 0
    among = flow(votes[1:] / np.maximum(votes[1:].sum(axis=0), 1e-6), _OBJECT_SOFT, is_object)
    objects = np.concatenate([np.zeros((1, area.size), np.float32), among])
    return np.where(is_object, objects, votes).astype(np.float32)


def agree_in_rows(
    votes: Float[np.ndarray, "L n"], regions: Int[np.ndarray, "h w"], line: Int[np.ndarray, "h w"]
) -> Float[np.ndarray, "L n"]:
    """Votes after the letters of every line (`lines`) have taken their common one."""
    count = int(line.max()) + 1
    inside = np.bincount((regions * np.int64(count) + line).ravel(), minlength=votes.shape[1] * count)
    inside = inside.reshape(-1, count)
    area = inside.sum(axis=1)
    best = inside[:, 1:].argmax(axis=1) + 1 if count > 1 else np.zeros(len(area), np.int64)
    line_of = np.where(inside[np.arange(len(area)), best] * 2 > area, best, 0)
    common = np.stack([np.bincount(line_of, area * vote, count) for vote in votes])
    common /= np.maximum(common.sum(axis=0), 1e-6)
    return np.where(line_of > 0, common[:, line_of], votes).astype(np.float32)


def lines(rgb: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
    """Number the lines of letters from 1 on: bright or dark strokes of like colour and height, side by side in rows,
    with the points and accents beside them."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    out = np.zeros(rgb.shape[:2], np.int32)
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        strokes = _Strokes.of(rgb, lab, operation)
        number = strokes.lines(lab)
        number[number > 0] += out.max()
        np.copyto(out, number[strokes.parts], where=number[strokes.parts] > 0)
    return out


@dataclass(frozen=True, kw_only=True, slots=True)
class _Strokes:
    """What is narrow and brighter, or darker, than what is around it, part by part; part 0 is the rest."""

    parts: Int[np.ndarray, "h w"]
    boxes: Float[np.ndarray, "4 n"]
    """Top, bottom, left, right."""
    area: Float[np.ndarray, " n"]
    colour: Float[np.ndarray, "n 3"]
    """Lab, 8 bit."""

    @classmethod
    def of(cls, rgb: UInt8[np.ndarray, "h w 3"], lab: UInt8[np.ndarray, "h w 3"], operation: int) -> "_Strokes":
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
        total = np.stack([np.bincount(of, channel, count) for channel in ink.T], axis=-1)
        colour = total / np.maximum(np.bincount(of, minlength=count), 1)[:, None]
        return cls(parts=parts, boxes=np.stack([top, top + height, left, left + width]), area=area, colour=colour)

    def lines(self, lab: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, " n"]:
        """The number of the line that a part belongs to, from 1 on; 0 for none."""
        number = np.zeros(self.area.size, np.int32)
        found = self._letters(max(lab.shape))
        if found.size < _LEAST_LETTERS:
            return number
        colour = self.colour[found]
        alike = _in_one_row(*self.boxes[:, found]) & (channel_sum(np.square(colour[:, None] - colour)) < _LIKE**2)
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

    def _letters(self, side: int) -> Int[np.ndarray, " m"]:
        """Parts that may be letters, the largest first."""
        top, bottom, left, right = self.boxes
        height, width = bottom - top, right - left
        letter = (height >= _LETTER[0]) & (height < _LETTER[1] * side) & (width < 4 * height)
        letter &= self.area >= 0.1 * height * np.maximum(width, 0.2 * height)
        letter[0] = False
        found = np.flatnonzero(letter)
        return found[np.argsort(-self.area[found], kind="stable")[:_MOST_LETTERS]]


def common_borders(regions: Int[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"]) -> tuple[Any, Any, Any, Any]:
    """Every two regions that touch: their numbers, the pixels of the common border, the mean step of colour there."""
    keys, steps = list[Any](), list[Any]()
    count = int(regions.max()) + 1
    for one, other in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        a, b = regions[one], regions[other]
        ys, xs = np.nonzero(a != b)
        a, b = a[ys, xs].astype(np.int64), b[ys, xs]
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        steps.append(channel_max(np.abs(rgb[one][ys, xs].astype(np.int16) - rgb[other][ys, xs])))
    pairs, index = np.unique(np.concatenate(keys), return_inverse=True)
    length = np.bincount(index).astype(np.float32)
    return pairs // count, pairs % count, length, np.bincount(index, np.concatenate(steps)) / length


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
