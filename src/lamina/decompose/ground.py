"""Where the ground surely is, by colour alone: what is reached from the picture's border through usual border colours
or slow gradients. A plain rule that a young network gains from; knows pixels only."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.cluster.vq import kmeans2

__all__ = ["border_ground", "ground_odds"]

_TELLING = (0.05, 0.97)
"""Shares of the canvas between which a ground found by colour is believed."""

_STEP = 4
"""Bytes a neighbour's channel may differ while the ground grows: gradients yes, edges no."""

_NEAR = 10.0
"""Lab distance at which a pixel has a colour of the border."""

_COLOURS = 4
_USUAL = 0.1
"""Colours looked for on the border, and the share of it from which one counts."""

_SAMPLED = 4000


def border_ground(rgb: UInt8[np.ndarray, "h w 3"]) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Pixels that hang together with the border in colour, and those of the border's usual colours anywhere."""
    height, width = rgb.shape[:2]
    lab: Any = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    rim = np.zeros((height, width), dtype=bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    near = np.zeros((height, width), dtype=bool)
    for colour in _usual_colours(lab[rim]):
        near |= np.square(lab - colour).sum(axis=2) < _NEAR**2
    reached = near | _grown(rgb, rim & near)
    _, parts = cv2.connectedComponents(reached.astype(np.uint8), connectivity=4)
    from_border = np.unique(parts[rim & reached])
    return np.isin(parts, from_border[from_border > 0]), near


def ground_odds(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"] | None:
    """Factors on the ground's weight by colour; None where colour tells nothing. Deterministic.

    e where a pixel hangs on the border, e^0.5 where it has a colour of the border but is enclosed, as the inside of a
    letter, 1/e elsewhere.
    """
    reached, near = border_ground(rgb)
    if not _TELLING[0] < reached.mean() < _TELLING[1]:
        return None
    return np.exp(np.where(reached, 1.0, np.where(near, 0.5, -1.0))).astype(np.float32)


def _usual_colours(border: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "k 3"]:
    rng = np.random.default_rng(0)
    sample = border[rng.integers(len(border), size=_SAMPLED)].astype(np.float64)
    # the jitter tells equal pixels apart: a flat border has fewer colours than are looked for
    centres: Any = kmeans2(sample + rng.normal(0, 0.01, sample.shape), _COLOURS, minit="++", rng=rng)[0]
    nearest = np.square(border[:, None] - centres[None]).sum(axis=2).argmin(axis=1)
    share = np.bincount(nearest, minlength=len(centres)) / len(border)
    return centres[share >= _USUAL].astype(np.float32)


def _grown(rgb: UInt8[np.ndarray, "h w 3"], seeds: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    height, width = rgb.shape[:2]
    mask = np.zeros((height + 2, width + 2), np.uint8)
    canvas, step = rgb.copy(), (_STEP,) * 3
    for y, x in zip(*np.nonzero(seeds), strict=True):
        if not mask[y + 1, x + 1]:
            cv2.floodFill(canvas, mask, (int(x), int(y)), 0, step, step, 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8))
    return mask[1:-1, 1:-1] > 0
