"""Figures of single layers, not grouped, and of the composite: overlap, what is hidden, recomposition.

Stacks are stored RGBA, bottom first, reduced as `metrics.reduce_stack` does; this knows no files or documents.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from lamina.evaluate.matching import Path, best_pairs
from lamina.pixels import over_flat

__all__ = ["BEST_PSNR", "exact_share", "hidden_error", "layer_ious", "match", "mean_iou", "psnr"]

BEST_PSNR = 100.0
"""Decibels that stand for no difference, and the most that is counted."""

_LEAST_HIDDEN = 50  # px; of a layer that is hidden less, the figure says nothing


def layer_ious(
    predicted: Sequence[UInt8[np.ndarray, "h w 4"]], true: Sequence[UInt8[np.ndarray, "h w 4"]]
) -> Float[np.ndarray, "p t"]:
    """Soft IoU of the alphas of every predicted and every true layer: sum of minima over sum of maxima; 0 if empty."""
    ours, theirs = ([np.ascontiguousarray(layer[..., 3]) for layer in side] for side in (predicted, true))
    sums_ours, sums_theirs = ([int(alpha.sum(dtype=np.int64)) for alpha in side] for side in (ours, theirs))
    ious = np.zeros((len(ours), len(theirs)))
    for i, a in enumerate(ours):
        for j, b in enumerate(theirs):
            shared = int(np.minimum(a, b).sum(dtype=np.int64))
            ious[i, j] = shared / max(1, sums_ours[i] + sums_theirs[j] - shared)
    return ious


def match(ious: Float[np.ndarray, "p t"]) -> Path:
    """The one-to-one pairs (predicted, true) of the largest sum of IoUs; pairs that share nothing are left out."""
    return [pair for pair in best_pairs(ious) if ious[pair] > 0] if ious.size else []


def mean_iou(ious: Float[np.ndarray, "p t"], pairs: Path) -> float:
    """Mean IoU over the true layers, the ground among them; a true layer without a partner counts 0."""
    return float(sum(ious[pair] for pair in pairs)) / max(1, ious.shape[1])


def hidden_error(
    predicted: Sequence[UInt8[np.ndarray, "h w 4"]], true: Sequence[UInt8[np.ndarray, "h w 4"]], pairs: Path
) -> float | None:
    """How wrong layers are where upper ones hide them, 0-1; None where the truth hides next to nothing.

    A true layer is hidden at pixels where its own alpha is over one half while the true layers above it let less than
    one half through. There it is compared with its partner of `pairs`, or with an empty layer when it has none: both
    are laid over black and over white, and the absolute RGB differences are averaged over pixels, channels and the two
    grounds. The result is the mean over true layers with at least 50 hidden pixels. A hidden part that is missing
    costs 1/2 whatever its colour; a right alpha with a wrong colour costs that difference of colour.
    """
    partner = {j: i for i, j in pairs}
    through = np.ones(true[0].shape[:2], np.float32)
    errors: list[float] = []
    for j in range(len(true) - 1, -1, -1):
        hidden = (true[j][..., 3] > 127) & (through < 0.5)
        if int(hidden.sum()) >= _LEAST_HIDDEN:
            shown = true[j][hidden].astype(np.float64) / 255
            guess = predicted[partner[j]][hidden].astype(np.float64) / 255 if j in partner else np.zeros_like(shown)
            errors.append(_difference(shown, guess))
        through *= 1 - true[j][..., 3] / np.float32(255)
    return float(np.mean(errors)) if errors else None


def psnr(one: UInt8[np.ndarray, "h w c"], other: UInt8[np.ndarray, "h w c"]) -> float:
    """Peak signal-to-noise ratio of two pictures in dB, transparent ones over white; at most BEST_PSNR."""
    first, second = (over_flat(p) if p.shape[2] == 4 else p for p in (one, other))
    squares = float(np.square(first.astype(np.float32) - second).mean(dtype=np.float64))
    return min(BEST_PSNR, 10 * math.log10(255.0**2 / squares)) if squares else BEST_PSNR


def exact_share(one: UInt8[np.ndarray, "h w 4"], other: UInt8[np.ndarray, "h w 4"]) -> float:
    """Share of pixels that are equal byte for byte; colour under alpha 0 is not compared."""
    same = (one == other).all(axis=-1) | ((one[..., 3] == 0) & (other[..., 3] == 0))
    return float(same.mean())


def _difference(one: Float[np.ndarray, "n 4"], other: Float[np.ndarray, "n 4"]) -> float:
    """Mean absolute RGB difference over black and over white."""
    (a, p), (b, q) = ((x[:, 3:], x[:, :3] * x[:, 3:]) for x in (one, other))
    return float((np.abs(p - q) + np.abs((p - q) - (a - b))).mean() / 2)
