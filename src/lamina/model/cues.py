"""What colour tells of the ground before any network looks: a plain rule, and what the compact network sees of it.

Ground is what is reached from the picture's border through usual border colours or slow gradients. Knows pixels only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.cluster.vq import kmeans2

__all__ = ["CUES", "border_ground", "cues"]

CUES = 2
"""Channels of `cues`."""

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
    planes = cv2.split(lab)
    for colour in _usual_colours(lab[rim]):
        near |= sum(np.square(plane - own) for plane, own in zip(planes, colour, strict=True)) < _NEAR**2
    reached = near | _grown(rgb, rim & near)
    parts: Any = cv2.connectedComponents(reached.astype(np.uint8), connectivity=4)[1]
    from_border = np.zeros(int(parts.max()) + 1, bool)
    from_border[parts[rim & reached]] = True
    return from_border[parts], near


def cues(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 2"]:
    """What `border_ground` says, looked for at half the size: 255 where it says yes, 0 where no. Deterministic."""
    height, width = rgb.shape[:2]
    half = cv2.resize(rgb, (max(2, width // 2), max(2, height // 2)), interpolation=cv2.INTER_AREA)
    found = np.stack(border_ground(half), axis=-1).astype(np.uint8) * 255
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST)


def _usual_colours(border: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "k 3"]:
    rng = np.random.default_rng(0)
    sample = border[rng.integers(len(border), size=min(_SAMPLED, 4 * len(border)))].astype(np.float64)
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
