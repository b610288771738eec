"""Cut a picture into small regions of one colour, and let them vote on the layer they belong to.

Regions carry the picture's own edges, which a network's small masks do not have. A region's vote is the mean of the
network's visible weights over it, joined with the votes of regions of like colour nearby: that is how a letter's
counter finds the ground, and a letter's stroke its text, though both are smaller than a cell of the network's grid.
Knows pixels and weights; nothing of layers' alphas or colours.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from lamina.pixels import channel_max, channel_sum

__all__ = ["part_where_sure", "segment", "vote"]

_FLAT_STEPS = (6, 14, 30)
"""Differences between neighbours (0-255) below which pixels belong together; later ones only where none fitted."""

_THIN = 12
"""Contrast (0-255) of a thin stroke against its surroundings that makes it a region of its own."""

_MOST_REGIONS = 2000
"""Regions that take part in the exchange of votes: the large and the doubtful ones. The others vote alone."""

_SURE = 0.6
"""Mean weight above which a layer takes its own part out of a region."""

_NEAR = 0.06
"""Reach of the exchange, in shares of the longer side."""

_LIKE = 12.0
"""Colour difference (Lab units, 8 bit) at which regions stop counting as alike."""

_TAIL = 1.5


def segment(rgb: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
    """Number every pixel with its region, 0 and up without gaps.

    Seeds are connected flat parts and thin strokes; a watershed on the colour differences grows them together.
    """
    gradient = channel_max(cv2.morphologyEx(rgb, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)))
    seeds = np.zeros(rgb.shape[:2], np.int32)
    near_seed = np.zeros(rgb.shape[:2], np.uint8)
    for step in _FLAT_STEPS:
        flat = ((gradient < step) & (near_seed == 0)).astype(np.uint8)
        _add_seeds(seeds, flat, 6 if step == _FLAT_STEPS[0] else 12)
        near_seed = cv2.dilate((seeds > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    _add_seeds(seeds, _thin_strokes(rgb, seeds), 4)
    if not seeds.any():
        return np.zeros(rgb.shape[:2], np.int32)
    cv2.watershed(rgb, seeds)
    return _numbered(_close(seeds, rgb))


def part_where_sure(regions: Int[np.ndarray, "h w"], weights: Float[np.ndarray, "L h w"]) -> Int[np.ndarray, "h w"]:
    """Regions parted where the weights are sure of two layers within one: a blurred edge has run them together.

    A layer takes its pixels out of a region when they are a twentieth of it and 1/400 of the picture, and their mean
    weight is above 0.6.
    """
    kinds = len(weights)
    most, largest = _largest(weights)
    key = regions.ravel() * np.int64(kinds) + most.ravel()
    size = (int(regions.max()) + 1) * kinds
    area = np.bincount(key, minlength=size).reshape(-1, kinds)
    trust = np.bincount(key, largest.ravel(), minlength=size).reshape(-1, kinds)
    apart = (area > area.sum(axis=1, keepdims=True) / 20) & (area > regions.size / 400) & (trust > _SURE * area)
    apart[np.arange(len(area)), area.argmax(axis=1)] = False
    if not apart.any():
        return regions
    return _numbered(np.where(apart.ravel()[key], size + key, regions.ravel() * np.int64(kinds)).reshape(regions.shape))


def vote(
    regions: Int[np.ndarray, "h w"],
    rgb: UInt8[np.ndarray, "h w 3"],
    weights: Float[np.ndarray, "L h w"],
) -> Float[np.ndarray, "L n"]:
    """How likely each region is seen in each layer: sums to one over the layers.

    `weights` are visible weights at the same size. Sharpened: foreground times 1.5, cubed, normalised.
    """
    flat = regions.ravel().astype(np.int64)
    area = np.bincount(flat).astype(np.float32)
    prior = np.stack([np.bincount(flat, w.ravel(), area.size) for w in weights]) / area
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    colour = np.stack([np.bincount(flat, lab[:, c], area.size) for c in range(3)], axis=1) / area[:, None]
    height, width = regions.shape
    ys, xs = np.divmod(np.arange(flat.size), width)
    place = np.stack([np.bincount(flat, ys, area.size), np.bincount(flat, xs, area.size)], axis=1) / area[:, None]
    return _exchange(prior.astype(np.float32), place / (_NEAR * max(height, width)), colour / _LIKE, area)


def _largest(weights: Float[np.ndarray, "L h w"]) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """The layer with the largest weight, and that: argmax and max, in a tenth of argmax's time."""
    most, largest = np.zeros(weights.shape[1:], np.uint8), weights[0].copy()
    for number in range(1, len(weights)):
        more = weights[number] > largest
        most[more] = number
        np.maximum(largest, weights[number], out=largest)
    return most, largest


def _sharpen(weights: np.ndarray) -> np.ndarray:
    """Foreground times 1.5, cubed, normalised: what the networks' blurred weights are worth."""
    sharp = np.maximum(weights, 1e-4)
    sharp[1:] *= 1.5
    sharp = sharp**3
    return sharp / sharp.sum(axis=0)


def _exchange(
    prior: Float[np.ndarray, "L n"],
    place: Float[np.ndarray, "n 2"],
    colour: Float[np.ndarray, "n 3"],
    area: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "L n"]:
    """Mixture estimate: a layer's share at the place, times how usual the region's colour is for it nearby.

    The second factor is a density, so a thin text that covers a tenth of a cell still owns its own colour wholly.
    """
    doubt = 1.05 - prior.max(axis=0)
    chosen = np.argsort(-area * doubt, kind="stable")[:_MOST_REGIONS]
    mass = np.sqrt(area[chosen])
    near = 1 / (1 + _squares(place[chosen])) ** _TAIL
    alike = np.exp(-0.5 * _squares(colour[chosen])) * near
    own = prior[:, chosen]
    weighted = own * mass
    votes = own * (weighted @ alike + 1e-6) / (weighted @ near + 1e-3)
    out = prior.copy()
    out[:, chosen] = votes / votes.sum(axis=0)
    return _sharpen(out)


def _squares(features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n n"]:
    """Squared distance of every two rows."""
    rows = features.astype(np.float32)
    length = np.square(rows).sum(axis=1)
    squares = rows @ rows.T
    squares *= -2
    squares += length[:, None]
    squares += length
    return np.maximum(squares, 0, out=squares)


def _add_seeds(seeds: Int[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], smallest: int) -> None:
    """Number the connected parts of a mask in place, after the seeds there are; parts below `smallest` pixels not."""
    found: Any = cv2.connectedComponentsWithStats(mask, connectivity=4)
    count, parts, stats, _ = found
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest
    keep[0] = False
    number = np.zeros(count, np.int32)
    number[keep] = np.arange(1, int(keep.sum()) + 1) + seeds.max(initial=0)
    np.copyto(seeds, number[parts], where=seeds == 0)


def _thin_strokes(rgb: UInt8[np.ndarray, "h w 3"], seeds: Int[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Pixels that stand out of a 7 px surrounding, brighter or darker, and are nobody's seed."""
    box = np.ones((7, 7), np.uint8)
    out = np.zeros(rgb.shape[:2], bool)
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        contrast = channel_max(cv2.morphologyEx(rgb, operation, box))
        peak = cv2.dilate(contrast, np.ones((3, 3), np.uint8))
        out |= (contrast > _THIN) & (contrast.astype(np.float32) > 0.6 * peak)
    return (out & (seeds == 0)).astype(np.uint8)


def _close(seeds: Int[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
    """Give the watershed's border pixels to the neighbour of nearest colour."""
    colour = rgb.astype(np.int16)
    for _ in range(8):
        ys, xs = np.nonzero(seeds <= 0)
        if ys.size == 0:
            break
        best, found = np.full(ys.size, 10_000), np.full(ys.size, -1, np.int32)
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            ny, nx = np.clip(ys + dy, 0, seeds.shape[0] - 1), np.clip(xs + dx, 0, seeds.shape[1] - 1)
            number = seeds[ny, nx]
            far = channel_sum(np.abs(colour[ny, nx] - colour[ys, xs]))
            far[number <= 0] = 10_000
            better = far < best
            best[better], found[better] = far[better], number[better]
        seeds[ys, xs] = found
    return np.maximum(seeds, 0)


def _numbered(regions: Any) -> Int[np.ndarray, "h w"]:
    """The same regions with numbers 0 and up without gaps."""
    used = np.zeros(int(regions.max()) + 1, np.int32)
    used[regions.ravel()] = 1
    return (np.cumsum(used, dtype=np.int32) - 1)[regions]
