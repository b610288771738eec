"""What a box of a picture shows above its ground, told by colour and by a network.

The ground of a box is what is seen just outside it and goes on there. Where that is of a few colours or a smooth
gradient, what differs is above it; on restless grounds colour densities inside and outside vote region by region, with
what the network says, and neighbours agree. Regions that go on beyond the box are none of the thing, outlines but for
their own part. Knows pictures and weights; nothing of layers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.cluster.vq import kmeans2

from lamina.decompose.agree import agree_with_neighbours, common_borders
from lamina.decompose.fill import continue_colours
from lamina.decompose.holes import hold
from lamina.decompose.working import Working
from lamina.document.layer import Box
from lamina.pixels import channel_sum

__all__ = ["LEAST", "Above", "in_box"]

_RING = (0.08, 4, 24)
"""Width of the ring outside a box whose colours are its ground: share of the box's shorter side, least, most (px)."""

_COLOURS = 4
_USUAL = 0.25
_ONE = 12.0
"""Colours looked for in a ring, the share of it from which one counts, and the Lab distance below which two are one."""

_CALM = 7.0
"""A ground is simple when nine tenths of its ring lie this near (Lab) to its colours."""

_DIFFERS = (4.0, 8.0)
"""Lab distances at which a pixel differs from a ground without any noise, and with some; on less even ones 2.5 times
their noise."""

_SAMPLED = 600
_KERNEL = 7.0
"""Pixels that stand for a ring or an inside, and the Lab width of their kernels."""

_DEEP = 2.0
"""Log odds that the middle of a box has over its rim, on a restless ground, to be the thing's."""

_WHOLE = (1.5, 0.05, 0.1)
"""Log odds of a region of the second as a share of the box, with less than the third of it in the ring, to be the
thing's, there: the ground's regions go on."""

_STRANGER = 0.15
"""A part that goes on beyond the ring is a neighbour's when it is less than this of what the box shows."""

_GOES_ON = 0.85
"""A region of less than this share within the box is part of something that goes on beyond it, ..."""

_ALONE = 0.15
"""... unless less than this share of what is above the ground is left without such regions."""

_OPEN = 0.3
"""Share of a ring that must go on beyond for the rest of it to be the thing's."""

_STROKE, _ROUND = 32, 0.5
"""An outline is narrower than the longer side over the first, and has this share of a thing's border."""

LEAST = 12
"""Pixels below which nothing was found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Above:
    """What was found: its pixels, and how clearly it stands out, 0-1."""

    mask: Bool[np.ndarray, "h w"]
    clear: float


def in_box(working: Working, box: Box, object_weight: Float[np.ndarray, "h w"]) -> Above | None:
    """What `box` (working pixels, within the picture) shows above its ground; None where all of it is ground.

    `object_weight` is how surely a network sees something above the ground at a pixel, 0-1.
    """
    rgb = working.rgb
    part, inside, ring, open_sides = _around(box, rgb.shape[1], rgb.shape[0])
    crop, weight = np.ascontiguousarray(rgb[part]), object_weight[part]
    regions, share_inside = _regions(working, part, inside)
    own = share_inside >= _GOES_ON
    beyond = ring & ~own[regions]  # what a box cut a little too small leaves of its thing is no ground
    if beyond.sum() > _OPEN * ring.sum():
        ring = beyond
    lab: Any = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    off = _off_ground(crop, lab, ring)
    noise = float(np.quantile(off[ring], 0.9))
    area = np.bincount(regions.ravel())
    limit = max(min(_DIFFERS[0] + 2 * noise, _DIFFERS[1]), 2.5 * noise)
    if noise < _CALM:
        differs = np.bincount(regions.ravel(), off.ravel() > limit) > 0.5 * area
    else:
        differs = _by_density(crop, lab, regions, ring, weight, np.bincount(regions.ravel(), off.ravel()) / area)
    shown, own = differs[regions], (differs & own)[regions]
    if (own & inside).sum() > _ALONE * (shown & inside).sum():
        shown = own | _outlines(regions, shown & ~own, own, max(rgb.shape) // _STROKE)
    shown = hold(shown.astype(np.uint8), weight, working.lines[part] > 0, working.lines.size) > 0
    found = _own_parts(shown, inside, open_sides)
    if found.sum() < LEAST:
        return None
    mask = np.zeros(rgb.shape[:2], bool)
    mask[part] = found
    return Above(mask=mask, clear=float(np.clip(off[found].mean() / (3 * limit), 0.1, 1)))


def _around(
    box: Box, width: int, height: int
) -> tuple[tuple[slice, slice], Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"], tuple[bool, bool, bool, bool]]:
    """The part of the picture that is looked at for a box, what of it is inside and what is the ring, and whether the
    picture goes on beyond its left, top, right and bottom."""
    least, most = _RING[1:]
    reach = int(np.clip(_RING[0] * min(box.width, box.height), least, most))
    wide = Box(box.left - reach, box.top - reach, box.right + reach, box.bottom + reach)
    wide = wide.intersect(Box(0, 0, width, height))
    inside = np.zeros((wide.height, wide.width), bool)
    inside[box.top - wide.top : box.bottom - wide.top, box.left - wide.left : box.right - wide.left] = True
    ring = ~inside
    if ring.sum() < 2 * (box.width + box.height):  # the box fills the picture: its own rim must do
        ring = np.ones_like(inside)
        ring[least:-least, least:-least] = False
    part = (slice(wide.top, wide.bottom), slice(wide.left, wide.right))
    return part, inside, ring, (wide.left > 0, wide.top > 0, wide.right < width, wide.bottom < height)


def _regions(
    working: Working, part: tuple[slice, slice], inside: Bool[np.ndarray, "h w"]
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, " n"]]:
    """The picture's regions in a part of it, numbered anew, and the share of each that is `inside` there."""
    whole = np.bincount(working.regions.ravel())
    here = np.bincount(working.regions[part].ravel(), minlength=whole.size) > 0
    regions = (np.cumsum(here, dtype=np.int32) - 1)[working.regions[part]]
    return regions, np.bincount(regions[inside], minlength=int(here.sum())) / whole[here]


def _outlines(
    regions: Int[np.ndarray, "h w"], which: Bool[np.ndarray, "h w"], of: Bool[np.ndarray, "h w"], widest: int
) -> Bool[np.ndarray, "h w"]:
    """What of `which` regions goes round a thing, narrower than `widest` pixels: they may go round more than that."""
    edge = np.zeros(regions.shape, np.uint8)
    edge[:, 1:] += regions[:, 1:] != regions[:, :-1]
    edge[1:] += regions[1:] != regions[:-1]
    flat = regions.ravel()
    border = 2 * np.bincount(flat, edge.ravel())  # every border is two regions'
    narrow = 2 * np.bincount(flat) < widest * border
    rim = (cv2.dilate(of.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~of
    round_it = np.bincount(regions[rim], minlength=border.size) > _ROUND * rim.sum()
    beside = cv2.dilate(of.astype(np.uint8), np.ones((2 * widest + 1, 2 * widest + 1), np.uint8)) > 0
    return which & (narrow & round_it)[regions] & beside


def _off_ground(crop: Any, lab: Any, ring: Any) -> Float[np.ndarray, "h w"]:
    """Lab distance from the ground: from the usual colours of the ring, or from the ring continued inwards."""
    usual = _usual_colours(lab[ring])
    off = np.sqrt(np.min([channel_sum(np.square(lab - colour)) for colour in usual], axis=0))
    # A gradient has no usual colours: continue it, from where the ring is not somebody else's.
    clean = ring & (off <= np.quantile(off[ring], 0.75) + 1)
    trend = np.clip(continue_colours(crop.astype(np.float32), clean), 0, 255).astype(np.float32)
    trend_lab: Any = cv2.cvtColor(trend / 255, cv2.COLOR_RGB2LAB)
    return np.minimum(off, np.sqrt(channel_sum(np.square(lab - trend_lab)))).astype(np.float32)


def _usual_colours(ring: Float[np.ndarray, "n 3"]) -> list[Any]:
    rng = np.random.default_rng(0)
    sample = ring[rng.integers(len(ring), size=min(4000, 4 * len(ring)))].astype(np.float64)
    sample += rng.normal(0, 0.01, sample.shape)  # a flat ring has fewer colours than are looked for
    centres: Any = kmeans2(sample, _COLOURS, minit="++", rng=rng)[0]
    nearest = np.square(sample[:, None] - centres).sum(axis=2).argmin(axis=1)
    share = np.bincount(nearest, minlength=len(centres)) / len(sample)
    merged: list[Any] = []
    shares: list[float] = []
    for k in np.argsort(-share, kind="stable"):
        close = [i for i, colour in enumerate(merged) if np.linalg.norm(colour - centres[k]) < _ONE]
        if close:
            shares[close[0]] += float(share[k])
        else:
            merged.append(centres[k])
            shares.append(float(share[k]))
    kept = [colour for colour, s in zip(merged, shares, strict=True) if s >= _USUAL]
    return kept or merged[:1]


def _by_density(
    crop: Any, lab: Any, regions: Int[np.ndarray, "h w"], ring: Any, weight: Float[np.ndarray, "h w"], off: Any
) -> Bool[np.ndarray, " n"]:
    """Which regions are rather of the inside's colours than of the ring's; what the network says counts as half."""
    rng = np.random.default_rng(0)
    flat = regions.ravel()
    area = np.bincount(flat).astype(np.float32)
    colour = np.stack([np.bincount(flat, lab[..., c].ravel()) for c in range(3)], axis=1) / area[:, None]
    outside = lab[ring][rng.integers(int(ring.sum()), size=_SAMPLED)]
    within = lab[~ring][rng.integers(int((~ring).sum()), size=_SAMPLED)] if (~ring).any() else outside
    in_ring = np.bincount(flat, ring.ravel()) / area
    network = np.bincount(flat, weight.ravel()) / area
    ground = _density(colour, outside, np.ones(len(outside)))
    share = np.full(len(within), 0.5)
    ground_here = _density(within, outside, np.ones(len(outside)))
    for _ in range(3):  # the inside shows both: what the ring explains counts less for the thing
        own_here = _density(within, within, share)
        share = own_here / np.maximum(own_here + ground_here, 1e-9)
    own = _density(colour, within, share)
    above = own / np.maximum(own + ground, 1e-9)
    odds = (
        above
        * np.sqrt(np.maximum(network, 0.02))
        / np.maximum((1 - above) * np.sqrt(np.maximum(1 - network, 0.02)), 1e-6)
    )
    odds *= np.exp(_DEEP * (np.bincount(flat, _depth(ring).ravel()) / area - 0.5))
    odds *= np.exp(_WHOLE[0] * np.minimum(area / (_WHOLE[1] * (~ring).sum()), 1) * (in_ring < _WHOLE[2]))
    vote = np.where(in_ring > 0.5, 0.0, odds / (1 + odds)).astype(np.float32)
    votes = agree_with_neighbours(np.stack([1 - vote, vote]), regions, common_borders(regions, crop))
    differs = votes[1] > votes[0]
    # On a restless ground what is enclosed is rather the thing's own than a hole in it.
    _, open_parts = cv2.connectedComponents((~differs[regions]).astype(np.uint8), connectivity=4)
    outer = np.unique(open_parts[ring & ~differs[regions]])
    enclosed = ~differs[regions] & ~np.isin(open_parts, outer)
    return differs | ((np.bincount(flat, enclosed.ravel()) > 0.5 * area) & (off > _DIFFERS[0]))


def _depth(ring: Any) -> Float[np.ndarray, "h w"]:
    """How far inside the box a pixel lies: 0 at its rim, 1 from halfway to its middle on."""
    inside = np.pad((~ring).astype(np.uint8), 1)
    away = cv2.distanceTransform(inside, cv2.DIST_C, 3)[1:-1, 1:-1]
    return np.minimum(away / max(float(away.max()) / 2, 1e-6), 1).astype(np.float32)


def _density(at: Any, sample: Any, share: Any) -> Any:
    squares = np.square(at[:, None] - sample[None]).sum(axis=2)
    return np.exp(-0.5 * squares / _KERNEL**2) @ share / max(float(share.sum()), 1e-9)


def _own_parts(
    found: Bool[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"], open_sides: tuple[bool, bool, bool, bool]
) -> Bool[np.ndarray, "h w"]:
    """What was found in the box: a thing that reaches a little into the ring whole, no neighbour that pokes in.

    `open_sides` are those, left, top, right and bottom, where the picture goes on.
    """
    parts_found: Any = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    count, parts, stats, _ = parts_found
    within = np.bincount(parts[inside], minlength=count)
    within[0] = 0
    left, top, width, height = stats[:, :4].T
    at_rim = (left == 0, top == 0, left + width == found.shape[1], top + height == found.shape[0])
    beyond = np.logical_or.reduce([rim & is_open for rim, is_open in zip(at_rim, open_sides, strict=True)])
    edges = beyond & (not inside.all())  # without a ring, what touches the rim does not go on
    keep = (within > 0) & ~(edges & (within < _STRANGER * within.sum()))
    whole = keep & ~edges & (within > 0.5 * stats[:, cv2.CC_STAT_AREA])
    return (keep[parts] & inside) | whole[parts]
