"""Continue a layer's colours smoothly beyond the pixels where they are known.

A gradient (`trend`), where nearly all that is known lies on one, or nearly all around a hole, plus a membrane over what
remains: values are kept where known and relaxed towards the harmonic surface elsewhere, coarse to fine. Flat colours
come out flat and gradients as gradients. Knows arrays only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from lamina.decompose.nearby import around_holes
from lamina.decompose.trend import gradient_of
from lamina.pixels import box_slices, channel_max

__all__ = ["continue_along", "continue_colours", "deep_holes", "membrane", "with_even_holes"]

_SWEEPS = 3
"""Relaxations on every scale."""

_STRANGE = 6.0
"""What stands so far (0-255) off a gradient that nearly all lies on is something else."""

_DEEP = (16, 12.0)
"""A hole is smooth altogether, as below a letter, unless it is the longer side over the first deep somewhere, and so
many pixels."""

_EVEN_RIM = 64
"""The rim that tells whether a hole is smooth is the longer side over this wide."""


def continue_colours(colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Colours (0-255) at every pixel: kept where `known`, continued elsewhere; 0 when nothing is known."""
    trend = gradient_of(colours, known) if known.any() else None
    if trend is not None:
        return continue_along(trend, colours, known)
    return membrane(*with_even_holes(colours, known))


def continue_along(
    trend: Float[np.ndarray, "h w 3"], colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Colours at every pixel: kept where `known`, elsewhere the gradient that nearly all of them lie on and, smoothly,
    what they are beside it. What stands off it is something else's rim or a speck, and does not leak into the fill."""
    return trend + membrane(colours - trend, _sound(trend, colours, known))


def _sound(trend: Any, colours: Any, known: Any) -> Any:
    """What is known but for what stands off the gradient, unless that is all there is around a hole."""
    strange = channel_max(np.abs(colours - trend)) >= _STRANGE
    return known & (~strange | around_holes(known, strange))


def with_even_holes(
    colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Both with those deep holes filled whose rim nearly all lies on a gradient, whatever is known elsewhere: smoothly,
    and nowhere lighter or darker than the rim."""
    colours, known = colours.copy(), known.copy()
    reach = max(2, round(max(known.shape) / _EVEN_RIM))
    _, holes, deep = deep_holes(~known)
    for number in np.flatnonzero(deep):
        part = box_slices(holes == number, reach)
        hole, here = holes[part] == number, colours[part]
        if hole.shape == known.shape and all(edge.any() for edge in (hole[0], hole[-1], hole[:, 0], hole[:, -1])):
            continue  # it lies around all that is known
        rim = known[part] & (cv2.dilate(hole.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0)
        trend = gradient_of(here, rim) if rim.any() else None
        if trend is not None:
            on_rim, rim = here[rim], rim & _sound(trend, here, known[part])
            filled = trend + membrane(here - trend, rim)
            here[hole] = np.clip(filled[hole], on_rim.min(axis=0), on_rim.max(axis=0))
            known[part] |= hole
    return colours, known


def deep_holes(
    hole: Bool[np.ndarray, "h w"],
) -> tuple[Float[np.ndarray, "h w"], Int[np.ndarray, "h w"], Bool[np.ndarray, " n"]]:
    """How deep each pixel lies in a hole, the holes numbered from 1 on, and which of them are deep."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    found: Any = cv2.connectedComponents(hole.astype(np.uint8))
    count, holes = found
    deep = np.zeros(count, bool)
    deep[holes[depth >= max(max(hole.shape) / _DEEP[0], _DEEP[1])]] = True
    return depth, holes, deep


def membrane(values: Float[np.ndarray, "h w c"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w c"]:
    """Values kept where `known` and filled with a near-harmonic surface elsewhere; 0 when nothing is known."""
    kept: Any = cv2.copyTo(np.ascontiguousarray(values, np.float32), known.astype(np.uint8))
    return _fill(kept.reshape(values.shape), known.astype(np.float32))


def _fill(values: Any, known: Any) -> Any:
    """One scale of the pyramid; `values` are 0 where not known."""
    height, width = known.shape
    if known.min() > 0:
        return values
    if max(height, width) <= 2:
        total = known.sum()
        mean = values.sum(axis=(0, 1)) / max(total, 1)
        return np.where(known[..., None] > 0, values, mean).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    share = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    below = cv2.resize(values, half, interpolation=cv2.INTER_AREA).reshape(half[1], half[0], -1)
    below /= np.maximum(share, 1e-6)[..., None]
    coarse = _fill(below, (share >= 1e-6).astype(np.float32))
    out = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    keep = (known > 0).astype(np.uint8)
    cv2.copyTo(values, keep, out)
    for _ in range(_SWEEPS):
        out = cv2.filter2D(out, -1, _CROSS, borderType=cv2.BORDER_REPLICATE).reshape(out.shape)
        cv2.copyTo(values, keep, out)
    return out


_CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
