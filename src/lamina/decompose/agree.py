"""Let regions that belong together agree on their layer: neighbours without a strong edge, letters of one line.

Votes flow between neighbouring regions, the more the softer and longer their common border is, against the weight of
a region's own area (a random walker on the region graph); first between all layers, then, across somewhat harder
borders, among the objects only. Letters of like colour and height in one row go together by majority, and outlines go
with what is inside them. Knows regions and votes; nothing of networks or alphas.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import sparse

from lamina.pixels import channel_max

__all__ = ["agree_in_outlines", "agree_in_rows", "agree_with_neighbours", "common_borders"]

_Borders = tuple[Any, Any, Any, Any]
"""Every two regions that touch: their numbers, the pixels of the common border, the mean step of colour there."""

_SOFT = 20.0
_OBJECT_SOFT = 40.0
"""Difference (0-255) across a border at which votes hardly pass any more: to the ground too, and among objects."""

_PULL = 25
"""A border counts as its length times the longer side over this, a region's own vote as its area."""

_ROUNDS = 20

_STROKE, _SAME_STROKE = 64, 15.0
"""An outline is narrower than the longer side over the first; pieces of one differ by less (0-255) where they meet."""

_INNER, _OUTER, _SET_OFF = 0.4, 0.25, 40.0
"""Shares of an outline's border that lie on what it goes round and on its own layer, from which it is set off by more
than the third (0-255)."""

_OUTLINES = 2
"""So many go round one another."""


def agree_with_neighbours(
    votes: Float[np.ndarray, "L n"], regions: Int[np.ndarray, "h w"], borders: _Borders
) -> Float[np.ndarray, "L n"]:
    """Votes (summing to one over the layers, bottom first) after neighbours have been heard."""
    if votes.shape[1] < 2:
        return votes
    area = np.bincount(regions.ravel()).astype(np.float32)
    first, second, length, step = borders
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
    """Votes after the letters of every line (`letters`) have taken their common one."""
    count = int(line.max()) + 1
    inside = np.bincount((regions * np.int64(count) + line).ravel(), minlength=votes.shape[1] * count)
    inside = inside.reshape(-1, count)
    area = inside.sum(axis=1)
    best = inside[:, 1:].argmax(axis=1) + 1 if count > 1 else np.zeros(len(area), np.int64)
    line_of = np.where(inside[np.arange(len(area)), best] * 2 > area, best, 0)
    common = np.stack([np.bincount(line_of, area * vote, count) for vote in votes])
    common /= np.maximum(common.sum(axis=0), 1e-6)
    return np.where(line_of > 0, common[:, line_of], votes).astype(np.float32)


def agree_in_outlines(
    label: UInt8[np.ndarray, " n"], regions: Int[np.ndarray, "h w"], borders: _Borders
) -> UInt8[np.ndarray, " n"]:
    """Labels of the regions where narrow ones, set off from their layer and going round a thing of one above it, are
    that one's: the black around yellow letters, in one piece or several."""
    area, layers = np.bincount(regions.ravel()), int(label.max()) + 1
    widest = max(regions.shape) / _STROKE
    first, second = (np.concatenate(pair) for pair in (borders[:2], borders[1::-1]))
    length, step = (np.tile(values, 2) for values in borders[2:])
    narrow = 2 * area < widest * np.bincount(first, length, area.size)
    for _ in range(_OUTLINES):
        one = narrow[first] & narrow[second] & (step < _SAME_STROKE) & (label[first] == label[second])
        meets = sparse.coo_matrix((one[one], (first[one], second[one])), shape=(area.size, area.size))
        count, stroke = sparse.csgraph.connected_components(meets, directed=False)
        out = stroke[first] != stroke[second]
        of, own, other = stroke[first[out]], label[first[out]], label[second[out]]
        long, same = length[out], length[out] * (own == other)
        border, beyond, steps = (np.bincount(of, values, count) for values in (long, same, same * step[out]))
        within = np.bincount(of * np.int64(layers) + other, long * (other > own), count * layers).reshape(-1, layers)
        goes_round = 2 * np.bincount(stroke, area) < widest * border
        goes_round &= (within.max(axis=1) > _INNER * border) & (beyond > _OUTER * border) & (steps > _SET_OFF * beyond)
        label = np.where(goes_round[stroke], within.argmax(axis=1)[stroke], label).astype(np.uint8)
    return label


def common_borders(regions: Int[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"]) -> _Borders:
    """Where regions touch; each two once."""
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
