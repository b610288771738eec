"""Soft edges: which two layers meet at a pixel, and how much of it the upper one takes.

At working size every pixel knows its own label, the nearest other one and the distance to it. Near such a border the
pixel's colour is projected on the line between the two layers' own colours, continued up to the border from where
they are clean; where the colours are too alike or too restless for that, a plain step of one pixel decides.
Knows labels and colours; nothing of alphas of hidden parts.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from lamina.pixels import box_slices, channel_max, channel_sum

__all__ = ["Borders", "clean_parts", "far_parts", "find_borders", "reach_strands", "upper_share"]

_REACH = 3.0
"""How far from a border (working pixels) colours decide; beyond, the labels do."""

_STRAND_REACH = 8.0
"""The same among thin strands and gaps, where the network is in doubt."""

_STRAND = 15
"""Contrast (0-255) of a strand or a gap against its 7 px surroundings."""

_DOUBT = (0.97, 0.27)
"""Doubt begins below this largest weight, and is whole when it is lower by that."""

_CROOKED, _AMONG = (1.3, 2.0), 31
"""Hairs make a border longer than the side of a window: strands begin from the first times that, and are told wholly
from the second; the window's side in working pixels."""

_CLEAN_DEPTH = 1.4
"""Pixels this deep inside their label are taken for unmixed."""

_FAR = 64
"""What lies farther from a border than the longer side over this is free of its glow and shadow."""

_PURE_WINDOW = 15
"""Among thin strokes, the purest pixels are looked for in windows of this side."""

_NEAR = 41
"""Between things on it, a layer's thin parts say nothing when it is clean within a window of this side."""

_NOISE = 5.0
"""Colour noise (0-255) that is always reckoned with."""

_DEAD = 0.05
"""Shares this near to none or all are none or all, nearer on even colours: noise must not leave a veil."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Borders:
    """Who meets whom, at working size."""

    label: UInt8[np.ndarray, "h w"]
    lower: UInt8[np.ndarray, "h w"]
    """The lower of the pixel's own label and the nearest other one."""
    upper: UInt8[np.ndarray, "h w"]
    depth: Float[np.ndarray, "h w"]
    """Signed distance to the border in working pixels: positive where the upper one is seen."""
    reach: Float[np.ndarray, "h w"]
    """Distance to the border up to which colours decide."""


def find_borders(label: UInt8[np.ndarray, "h w"]) -> Borders:
    """Look up the nearest other label and its distance for every pixel; alone on the canvas, it is far from itself."""
    other = label.copy()
    distance = np.full(label.shape, 1e4, np.float32)
    for number in np.unique(label):
        mask = label == number
        if mask.all():
            break
        rows, columns = box_slices(mask, 1)
        part, own = mask[rows, columns], label[rows, columns]
        away, nearest = cv2.distanceTransformWithLabels(
            part.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        owner = np.zeros(int(nearest.max()) + 1, np.uint8)
        owner[nearest[~part]] = own[~part]
        other[rows, columns][part] = owner[nearest[part]]
        distance[rows, columns][part] = away[part]
    upper = np.maximum(label, other)
    depth = np.where(label == upper, distance - 0.5, 0.5 - distance).astype(np.float32)
    reach = np.full(label.shape, _REACH, np.float32)
    return Borders(label=label, lower=np.minimum(label, other), upper=upper, depth=depth, reach=reach)


def reach_strands(
    borders: Borders, picture: UInt8[np.ndarray, "h w 3"], weights: Float[np.ndarray, "L h w"]
) -> Borders:
    """Borders with the ground that reach farther among hairs and the like: thin things where the network doubts and the
    border is crooked. Along a smooth one they are a drawing's outline, or the ground's own."""
    box = np.ones((7, 7), np.uint8)
    light, dark = (cv2.morphologyEx(picture, how, box) for how in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
    contrast = channel_max(np.maximum(light, dark))
    thin = cv2.dilate((contrast > _STRAND).astype(np.uint8), np.ones((3, 3), np.uint8))
    doubt = np.clip((_DOUBT[0] - weights.max(axis=0)) / _DOUBT[1], 0, 1) * thin * (borders.lower == 0)
    rim = ((borders.depth > 0) & (borders.depth < 1)).astype(np.float32)
    length = cv2.boxFilter(rim, -1, (_AMONG, _AMONG), normalize=False) / _AMONG
    doubt *= np.clip((length - _CROOKED[0]) / (_CROOKED[1] - _CROOKED[0]), 0, 1)
    return replace(borders, reach=(_REACH + (_STRAND_REACH - _REACH) * doubt).astype(np.float32))


def clean_parts(
    borders: Borders, number: int, picture: Float[np.ndarray, "h w 3"], around: Float[np.ndarray, "h w 3"] | None
) -> Bool[np.ndarray, "h w"]:
    """Where a label's own colour shows unmixed: away from its border, or the purest pixels of what is thinner.

    `around` holds the colours of the layers below, where they are known already: the purest are the farthest from it.
    """
    inside = borders.label == number
    if not inside.any():
        return inside
    box = box_slices(inside)
    out = np.zeros_like(inside)
    beside = None if around is None else around[box]
    out[box] = _clean(inside[box], np.abs(borders.depth[box]), borders.lower[box] == number, picture[box], beside)
    return out


def _clean(inside: Any, depth: Any, lower: Any, picture: Any, around: Any) -> Any:
    """`clean_parts` within the label's box: what is `inside`, where the label is the `lower` one of a border."""
    depth = np.where(inside, depth, 0)
    clean = depth >= _CLEAN_DEPTH
    thin = inside & ~clean & (cv2.dilate(depth, np.ones((5, 5), np.uint8)) < _CLEAN_DEPTH)
    if thin.any():
        near = cv2.dilate(clean.astype(np.uint8), np.ones((_NEAR, _NEAR), np.uint8)) > 0
        thin &= ~(lower & near)
    if not thin.any():
        return clean
    if around is None:
        return clean | (thin & (depth >= cv2.dilate(depth, np.ones((5, 5), np.uint8))))
    contrast = np.zeros(thin.shape, np.float32)
    contrast[thin] = channel_sum(np.abs(picture[thin] - around[thin]))
    purest = cv2.dilate(contrast, np.ones((_PURE_WINDOW, _PURE_WINDOW), np.uint8))
    return clean | (thin & (contrast >= 0.85 * purest))


def far_parts(borders: Borders, clean: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The clean parts that no glow or shadow of a neighbour reaches; all of what is narrower than such a reach."""
    reach = max(borders.depth.shape) // _FAR
    far = clean & (np.abs(borders.depth) > reach)
    box = np.ones((4 * reach + 1, 4 * reach + 1), np.uint8)
    return far | (clean & (cv2.dilate(far.astype(np.uint8), box) == 0))


def upper_share(
    here: Float[np.ndarray, "n 3"],
    lower: Float[np.ndarray, "n 4"],
    upper: Float[np.ndarray, "n 4"],
    depth: Float[np.ndarray, " n"],
    reach: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """The upper layer's share (0-1) of pixels near a border, 0-255 colours.

    The fourth channel of `lower` and `upper` is the variance of the layer's colour about it; `depth` and `reach` as in
    Borders.
    """
    line = upper[:, :3] - lower[:, :3]
    length = channel_sum(np.square(line))
    offset = here - lower[:, :3]
    share = channel_sum(offset * line) / np.maximum(length, 1e-3)
    inside = np.clip(share, 0, 1)
    beside = channel_sum(np.square(offset - inside[:, None] * line))
    restless = np.square(1 - inside) * lower[:, 3] + np.square(inside) * upper[:, 3] + _NOISE**2
    trust = length / (length + 4 * restless) * np.exp(-beside / (0.1 * length + 2 * restless))
    trust *= np.clip(reach - np.abs(depth), 0, 1)
    dead = np.clip(1.5 * np.sqrt((lower[:, 3] + 1) / np.maximum(length, 1)), 0.005, _DEAD)
    share = np.clip((share - dead) / (1 - 2 * dead), 0, 1)
    step = np.clip(depth + 0.5, 0, 1)
    return step + trust * (share - step)
