"""The baseline without a network: ground grown from the border by colour, the rest parted by colour and place.

Knows nothing of the measured documents; its numbers were set once, by reason, and never tuned. Every layer shows the
picture's own pixels, so the stack composites back to the picture.
"""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.cluster.vq import kmeans2
from scipy.ndimage import binary_fill_holes

from lamina.model.cues import border_ground

__all__ = ["decompose", "push_pull"]

_PLACE_WEIGHT = 40.0  # Lab units that the long side is worth when parting the foreground
_SAMPLED = 20_000  # pixels that find the clusters


def decompose(rgb: UInt8[np.ndarray, "h w 3"], layers: int) -> list[UInt8[np.ndarray, "h w 4"]]:
    """`layers` full-canvas layers (stored state), bottom first: the opaque ground, then parts by falling size."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    ground = border_ground(rgb)[0]
    parts = _part(lab, ~ground, layers - 1)
    filled = push_pull(rgb, ground) if ground.any() else np.full_like(rgb, 255)
    stack = [np.dstack([filled, np.full(ground.shape, 255, np.uint8)])]
    above = ~ground
    for part in parts:
        # What later layers cover may belong to this one too: holes of its shape that they fill.
        above = above & ~part
        shape = part | (binary_fill_holes(part) & above)
        colour = push_pull(rgb, part) if part.any() else rgb
        stack.append(np.dstack([np.where(shape[..., None], colour, 0), shape.astype(np.uint8) * 255]))
    return stack


def push_pull(rgb: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Fill unknown pixels with the average of the known ones around them, from an image pyramid; known ones stay."""
    weight = known.astype(np.float32)
    spread = _pull(np.dstack([rgb * weight[..., None], weight]).astype(np.float32))
    return np.where(known[..., None], rgb, np.clip(np.rint(spread), 0, 255).astype(np.uint8))


def _pull(premul: Float[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 3"]:
    height, width = premul.shape[:2]
    weight = premul[..., 3:]
    if height == 1 and width == 1:
        return premul[..., :3] / np.maximum(weight, 1e-6)
    halved = cv2.resize(premul, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(_pull(halved), (width, height), interpolation=cv2.INTER_LINEAR)
    return premul[..., :3] + (1.0 - weight) * coarse


def _part(
    lab: Float[np.ndarray, "h w 3"], foreground: Bool[np.ndarray, "h w"], count: int
) -> list[Bool[np.ndarray, "h w"]]:
    """`count` disjoint masks that cover the foreground, largest first, by clusters of colour and place."""
    rows, columns = np.nonzero(foreground)
    place = np.stack([rows, columns], axis=1) * (_PLACE_WEIGHT / max(foreground.shape))
    features = np.concatenate([lab[rows, columns], place], axis=1).astype(np.float32)
    labels = _nearest(features, _clusters(features, count)) if len(features) else np.zeros(0, np.int64)
    masks = np.zeros((count, *foreground.shape), dtype=bool)
    masks[labels, rows, columns] = True
    return sorted(masks, key=lambda mask: -int(mask.sum()))


def _clusters(points: Float[np.ndarray, "n f"], count: int) -> Float[np.ndarray, "k f"]:
    """Centres of `count` clusters, found on a sample of the points."""
    rng = np.random.default_rng(0)
    sample = points[rng.integers(len(points), size=_SAMPLED)].astype(np.float64)
    # The jitter tells equal points apart: flat artwork may have fewer colours than there are clusters.
    centres: Any = kmeans2(sample + rng.normal(0, 0.01, sample.shape), count, minit="++", rng=rng)[0]
    return centres


def _nearest(points: Float[np.ndarray, "n f"], centres: Float[np.ndarray, "k f"]) -> Int[np.ndarray, " n"]:
    return np.argmin([((points - centre) ** 2).sum(axis=1) for centre in centres], axis=0)
