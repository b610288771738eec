"""Stored samples by seed: a window of a sample from shards, at the size asked for.

It takes the place of a scene maker wherever samples are drawn by (seed, size); knows nothing of training.
"""

from dataclasses import dataclass

import numpy as np

from lamina.data.sample import Sample
from lamina.data.shards import Shards
from lamina.errors import InputError
from lamina.pixels import premultiply, resize_premul, resize_rgba, round_u8, unpremultiply

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["WindowSource", "flatten"]

_LEAST = 8 / 255
"""A layer that covers no pixel of the window this much is not in it."""


@dataclass(frozen=True, slots=True)
class WindowSource:
    """Draws samples from shards; a pure function of (seed, size)."""

    shards: Shards
    max_layers: int = 20
    """A stack of more has its lowest layers flattened into one."""
    least_share: float = 0.7
    """A window's side is drawn between this share and the whole of the largest one of the asked aspect."""

    def __call__(self, seed: int, size: tuple[int, int]) -> Sample:
        """The window of this seed at `size` (width, height). Raises InputError when there are no samples."""
        if len(self.shards) == 0:
            raise InputError(f"{self.shards.folder} holds no samples; harvest some, or lower what is dropped")
        rng = np.random.default_rng(seed)
        stored = self.shards[int(rng.integers(len(self.shards)))]
        height, width = stored.composite.shape[:2]
        scale = min(width / size[0], height / size[1]) * rng.uniform(self.least_share, 1.0)
        across, down = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        left, top = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
        window = np.s_[top : top + down, left : left + across]
        layers = [resize_rgba(np.ascontiguousarray(layer[window]), size) for layer in stored.layers]
        kinds = list(stored.kinds)
        kept = [i for i, layer in enumerate(layers) if i == 0 or layer[..., 3].max() >= 255 * _LEAST]
        layers, kinds = [layers[i] for i in kept], [kinds[i] for i in kept]
        if (spare := len(layers) - self.max_layers) > 0:
            layers = [flatten(np.stack(layers[: spare + 1])), *layers[spare + 1 :]]
            kinds = [kinds[0], *kinds[spare + 1 :]]
        composite = resize_premul(stored.composite[window].astype(np.float32), size)
        return Sample(
            composite=round_u8(composite),
            layers=np.stack(layers),
            kinds=tuple(kinds),
            seed=seed,
            caption=stored.caption,
        )


def flatten(layers_lhwc_u8: np.ndarray) -> np.ndarray:
    """Composite of stored RGBA layers, bottom first, as stored RGBA."""
    below = np.zeros(layers_lhwc_u8.shape[1:], np.float32)
    for layer in layers_lhwc_u8:
        above = premultiply(layer, np.float32)
        below = above + below * (1 - above[..., 3:])
    return unpremultiply(below)
