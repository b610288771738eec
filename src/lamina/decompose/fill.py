"""Continue a layer's colours smoothly beyond the pixels where they are known.

A gradient (`trend`), where nearly all that is known lies on one, plus a membrane over what remains: values are kept
where known and relaxed towards the harmonic surface elsewhere, coarse to fine. Flat colours come out flat and gradients
as gradients. Knows arrays only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from lamina.decompose.nearby import around_holes
from lamina.decompose.trend import gradient_of
from lamina.pixels import channel_max

__all__ = ["continue_along", "continue_colours", "membrane"]

_SWEEPS = 3
"""Relaxations on every scale."""

_STRANGE = 6.0
"""What stands so far (0-255) off a gradient that nearly all lies on is something else."""


def continue_colours(colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Colours (0-255) at every pixel: kept where `known`, continued elsewhere; 0 when nothing is known."""
    trend = gradient_of(colours, known) if known.any() else None
    return membrane(colours, known) if trend is None else continue_along(trend, colours, known)


def continue_along(
    trend: Float[np.ndarray, "h w 3"], colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Colours at every pixel: kept where `known`, elsewhere the gradient that nearly all of them lie on and, smoothly,
    what they are beside it. What stands off it is something else's rim or a speck, and does not leak into the fill."""
    strange = channel_max(np.abs(colours - trend)) >= _STRANGE
    known = known & (~strange | around_holes(known, strange))
    return trend + membrane(colours - trend, known)


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
