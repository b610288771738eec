"""Let regions that belong together agree on their layer: neighbours without a strong edge, letters of one line.

Votes flow between neighbouring regions, the more the softer and longer their common border is, against the weight of
a region's own area (a random walker on the region graph); first between all layers, then, across somewhat harder
borders, among the objects only. Letters of like colour and height in one row go together by majority. Knows regions
and votes; nothing of networks or alphas.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import sparse

from lamina.pixels import channel_max

__all__ = ["agree_in_rows", "agree_with_neighbours", "common_borders"]

_SOFT = 20.0
_OBJECT_SOFT = 40.0
"""Difference (0-255) across a border at which votes hardly pass any more: to the ground too, and among objects."""

_PULL = 25
"""A border counts as its length times the longer side over this, a region's own vote as its area."""

_ROUNDS = 20


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
