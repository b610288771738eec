"""What is known of a picture's regions before it is decided which are its ground, as numbers for a network.

Of every region: what another network says of it, what colour tells, its size, place and shape, how near its colour is
to the ground's and to the rim's; of every common border, how long and how hard it is. Knows arrays only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int

from lamina.decompose.agree import common_borders
from lamina.decompose.coarse import Coarse, enlarged_weights, visible_weights
from lamina.decompose.regions import part_where_sure
from lamina.decompose.working import Working

__all__ = ["RegionGraph", "log_odds", "region_graph"]

_LEAST = 1e-3
"""Shares are kept this far from 0 and 1 before their odds are taken."""

_STEP, _SOFT = 64.0, 12.0
"""Differences of colour across a border (0-255): the unit, and where a border begins to be one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionGraph:
    """Regions of a working picture, and their borders."""

    regions: Int[np.ndarray, "h w"]
    """Number of every pixel's region."""
    said: Float[np.ndarray, " n"]
    """Log odds of being ground, as a network says."""
    by_colour: Float[np.ndarray, " n"]
    """The same, helped by what colour tells."""
    region: Float[np.ndarray, "n 30"]
    area: Float[np.ndarray, " n"]
    """Share of the picture."""
    rim: Float[np.ndarray, " n"]
    """Share of the picture's rim."""
    pairs: Int[np.ndarray, "2 m"]
    border: Float[np.ndarray, "m 5"]
    share: Float[np.ndarray, "2 m"]
    """What a border is of all the border of the regions on both sides."""


def log_odds(share: Any) -> Any:
    """log(p / (1 - p)), bounded."""
    inside = np.clip(share, _LEAST, 1 - _LEAST)
    return np.log(inside / (1 - inside))


def region_graph(working: Working, coarse: Coarse) -> RegionGraph:
    """The regions, as `coarse.seen_labels` is about to let them vote."""
    weights = enlarged_weights(working, coarse)
    helped = visible_weights(working, coarse)
    regions = part_where_sure(working.regions, helped)
    flat, count = regions.ravel(), int(regions.max()) + 1
    pixels = np.bincount(flat, minlength=count).astype(np.float32)

    def mean(values: Any) -> Any:
        return np.bincount(flat, np.asarray(values, np.float32).ravel(), count) / pixels

    ground, upper = mean(weights[0]), np.zeros(count)
    for weight in weights[1:]:
        np.maximum(upper, mean(weight), out=upper)
    rim = np.zeros(regions.shape, bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    on_rim = np.bincount(regions[rim], minlength=count)
    first, second, length, step = common_borders(regions, working.rgb)
    border = np.maximum(np.bincount(first, length, count) + np.bincount(second, length, count), 1e-6)
    area = pixels / flat.size
    said = log_odds(ground)
    lab = cv2.cvtColor(working.rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    colour, spread = _moments(lab, mean)
    own = [
        said,
        mean(log_odds(weights[0])),
        4 * np.sqrt(np.maximum(mean(np.square(weights[0])) - np.square(ground), 0)),
        log_odds(upper),
        *(mean(mask) for mask in (*working.ground, working.printed, working.lines > 0)),
        np.log(area) / 3,
        on_rim / rim.sum(),
        on_rim / (border + on_rim),
        _sides(regions, count) / 4,
        *_place(regions, mean, area),
        np.log(np.square(border) / pixels) / 2 - 1.5,
        spread.max(axis=1) / 10,
        np.log1p(_away(colour, _middle(colour, np.square(ground) * pixels))) - 2,
        np.log1p(_away(colour, np.median(lab[rim], axis=0))) - 2,
    ]
    everywhere = [
        weights[0].mean(),
        *(mask.mean() for mask in working.ground),
        working.ground[0][rim].mean(),
        weights[0][rim].mean(),
        float(working.odds is not None),
        np.log(len(weights)),
        np.log(count) / 5,
        weights.max(axis=0).mean(),
    ]
    share = np.stack([length / border[first], length / border[second]])
    differ = np.log1p(_away(colour[first], colour[second])) - 2
    return RegionGraph(
        regions=regions,
        said=said.astype(np.float32),
        by_colour=log_odds(mean(helped[0])).astype(np.float32),
        region=np.stack(own + [np.full(count, value) for value in everywhere], axis=1).astype(np.float32),
        area=area.astype(np.float32),
        rim=(on_rim / rim.sum()).astype(np.float32),
        pairs=np.stack([first, second]).astype(np.int64),
        border=np.stack([*np.log(share + 1e-4), np.exp(-np.square(step / _SOFT)), step / _STEP, differ], axis=1).astype(
            np.float32
        ),
        share=share.astype(np.float32),
    )


def _moments(lab: Float[np.ndarray, "h w 3"], mean: Any) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Mean and standard deviation of the colours of every region."""
    colour = np.stack([mean(lab[..., channel]) for channel in range(3)], axis=1)
    square = np.stack([mean(np.square(lab[..., channel])) for channel in range(3)], axis=1)
    return colour, np.sqrt(np.maximum(square - np.square(colour), 0))


def _place(regions: Int[np.ndarray, "h w"], mean: Any, area: Float[np.ndarray, " n"]) -> list[Any]:
    """How far every region spreads down and across, how much of that it fills, and how far from the middle it lies."""
    found: list[tuple[Any, Any]] = []
    for axis, side in enumerate(regions.shape):
        place = np.arange(side, dtype=np.float64) / side
        place = np.broadcast_to(place[:, None] if axis == 0 else place, regions.shape)
        middle = mean(place)
        deviation = np.sqrt(np.maximum(mean(np.square(place)) - np.square(middle), 0) + 1 / (12 * side * side))
        found.append((middle, deviation))
    (y, down), (x, across) = found
    return [4 * down, 4 * across, area / (12 * down * across), 2 * np.abs(y - 0.5), 2 * np.abs(x - 0.5)]


def _sides(regions: Int[np.ndarray, "h w"], count: int) -> Int[np.ndarray, " n"]:
    """How many sides of the picture every region touches."""
    sides = (regions[0], regions[-1], regions[:, 0], regions[:, -1])
    return np.sum([np.bincount(side, minlength=count) > 0 for side in sides], axis=0)


def _middle(colour: Float[np.ndarray, "n 3"], weight: Float[np.ndarray, " n"]) -> Float[np.ndarray, " 3"]:
    """Weighted median of the colours."""
    order = np.argsort(colour, axis=0, kind="stable")
    until = np.cumsum(weight[order], axis=0)
    place = np.minimum((until < until[-1] / 2).sum(axis=0), len(colour) - 1)
    return np.take_along_axis(colour, np.take_along_axis(order, place[None], axis=0), axis=0)[0]


def _away(colour: Float[np.ndarray, "n 3"], other: Any) -> Float[np.ndarray, " n"]:
    """How far (Lab units, 8 bit) the colours are from one."""
    return np.sqrt(np.square(colour - other).sum(axis=1))
