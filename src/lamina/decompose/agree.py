"""Let regions that belong together agree on their layer: neighbours without a strong edge, letters of one line.

Votes flow between neighbouring regions, the more the softer and longer their common border is, against the weight of
a region's own area (a random walker on the region graph); first between all layers, then, across somewhat harder
borders, among the objects only. Letters of like colour and height in one row go together by majority. Knows regions
and votes; nothing of networks or alphas.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import sparse

from lamina.pixels import channel_max

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
    """Number the lines of letters from 1 on: bright or dark strokes of like colour and height, side by side in rows."""
    side = max(rgb.shape)
    box = np.ones((side // _STROKE + 3, side // _STROKE + 3), np.uint8)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    out = np.zeros(rgb.shape[:2], np.int32)
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        contrast = channel_max(cv2.morphologyEx(rgb, operation, box))
        parts_found: Any = cv2.connectedComponentsWithStats((contrast > _CONTRAST).astype(np.uint8), connectivity=8)
        count, parts, stats, _ = parts_found
        left, top, width, height, area = stats.T.astype(np.float32)
        letter = (height >= _LETTER[0]) & (height < _LETTER[1] * side) & (width < 4 * height)
        letter &= area >= 0.1 * height * np.maximum(width, 0.2 * height)
        letter[0] = False
        found = np.flatnonzero(letter)
        found = found[np.argsort(-area[found], kind="stable")[:_MOST_LETTERS]]
        if found.size < _LEAST_LETTERS:
            continue
        alike = _in_one_row(top[found], (top + height)[found], left[found], (left + width)[found])
        # The fringe of a thin letter is mixed with the ground: its core tells the colour.
        inked = np.nonzero(parts)
        part, strength = parts[inked], contrast[inked]
        strongest = np.zeros(count, contrast.dtype)
        np.maximum.at(strongest, part, strength)
        core = strength >= 0.8 * strongest[part]
        ink, of = lab[inked][core], part[core]
        total = np.stack([np.bincount(of, channel, count) for channel in ink.T], axis=-1)
        colour = (total / np.maximum(np.bincount(of, minlength=count), 1)[:, None])[found]
        alike &= np.square(colour[:, None] - colour).sum(axis=2) < _LIKE**2
        groups, group = sparse.csgraph.connected_components(sparse.csr_matrix(alike), directed=False)
        large = np.bincount(group, minlength=groups) >= _LEAST_LETTERS
        number = np.zeros(count, np.int32)
        number[found] = np.where(large[group], np.cumsum(large)[group] + out.max(), 0)
        np.copyto(out, number[parts], where=number[parts] > 0)
    return out


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
