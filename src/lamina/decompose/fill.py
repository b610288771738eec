"""Continue a layer's colours smoothly beyond the pixels where they are known.

A trend (a constant, plane or paraboloid, where nearly all that is known lies on one) plus a membrane over what
remains: values are kept where known and relaxed towards the harmonic surface elsewhere, coarse to fine. Flat colours
come out flat and gradients as gradients. Knows arrays only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from lamina.decompose.nearby import around_holes
from lamina.pixels import channel_max

__all__ = ["continue_colours", "gradient_of", "membrane"]

_SWEEPS = 3
"""Relaxations on every scale."""

_CLEAN = 3.0
"""A trend describes a layer when nine tenths of its pixels lie this near to it (0-255)."""

_FIT_SAMPLES = 6000


def continue_colours(colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Colours (0-255) at every pixel: kept where `known`, continued elsewhere; 0 when nothing is known."""
    trend = gradient_of(colours, known) if known.any() else None
    if trend is None:
        return membrane(colours, known)
    # What stands off a clean gradient is something else's rim or a speck: it must not leak into the fill.
    strange = channel_max(np.abs(colours - trend)) >= 2 * _CLEAN
    known = known & (~strange | around_holes(known, strange))
    return trend + membrane(colours - trend, known)


def membrane(values: Float[np.ndarray, "h w c"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w c"]:
    """Values kept where `known` and filled with a near-harmonic surface elsewhere; 0 when nothing is known."""
    weight = known.astype(np.float32)
    return _fill(np.ascontiguousarray(values * weight[..., None], dtype=np.float32), weight)


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
    below[share < 1e-6] = 0
    coarse = _fill(below, (share >= 1e-6).astype(np.float32))
    out = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    keep = known[..., None] > 0
    np.copyto(out, values, where=keep)
    for _ in range(_SWEEPS):
        relaxed = cv2.filter2D(out, -1, _CROSS, borderType=cv2.BORDER_REPLICATE).reshape(out.shape)
        np.copyto(relaxed, values, where=keep)
        out = relaxed
    return out


_CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4


def gradient_of(
    colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"] | None:
    """The constant, plane or paraboloid that nearly all known pixels lie on, everywhere; None if there is none."""
    ys, xs = np.nonzero(known)
    step = max(1, ys.size // _FIT_SAMPLES)
    ys, xs = ys[::step], xs[::step]
    height, width = known.shape
    wanted = colours[ys, xs]
    for degree in (0, 1, 2):
        terms = _terms(ys / height - 0.5, xs / width - 0.5, degree)
        if terms.shape[1] * 8 > ys.size and degree:
            return None
        factors, clean = _robust_fit(terms, wanted)
        if clean > 0.9:
            rows, columns = np.mgrid[0:height, 0:width]
            grid = _terms(rows.ravel() / height - 0.5, columns.ravel() / width - 0.5, degree)
            return (grid.astype(np.float32) @ factors.astype(np.float32)).reshape(height, width, 3)
    return None


def _terms(y: np.ndarray, x: np.ndarray, degree: int) -> Any:
    terms = [np.ones_like(y), y, x, y * y, x * y, x * x]
    return np.stack(terms[: (1, 3, 6)[degree]], axis=1)


def _robust_fit(terms: Any, wanted: Any) -> tuple[Any, float]:
    """Least squares without the worst fifth (a median for a constant), and the share of pixels it describes."""
    factors: Any = np.zeros((terms.shape[1], wanted.shape[1]))
    factors[0] = np.median(wanted, axis=0)
    for _ in range(4 if terms.shape[1] > 1 else 0):
        off = np.abs(wanted - terms @ factors).max(axis=1)
        inside = off <= max(_CLEAN, float(np.quantile(off, 0.8)))
        factors = np.linalg.lstsq(terms[inside], wanted[inside], rcond=None)[0]
    off = np.abs(wanted - terms @ factors).max(axis=1)
    return factors, float((off < _CLEAN).mean())
