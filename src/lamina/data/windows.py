"""Stored samples by seed: a window of a sample from shards, at the size asked for; and sources of samples mixed.

They take the place of a scene maker wherever samples are drawn by (seed, size); know nothing of training.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from lamina.data.sample import Sample
from lamina.data.scenes import peel, wear
from lamina.data.shards import Shards
from lamina.errors import InputError
from lamina.pixels import premultiply, resize_premul, resize_rgba, round_u8, unpremultiply

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["MixedSource", "WindowSource", "flatten"]

_LEAST = 1e-3
"""A layer that is seen on less of the window than this is not in it."""

_TOUCH = 8
"""Alpha (0-255) from which a layer is there."""


@dataclass(frozen=True, slots=True)
class WindowSource:
    """Draws samples from shards; a pure function of (seed, size)."""

    shards: Shards
    max_layers: int = 20
    """A stack of more has its lowest layers flattened into one."""
    least_share: float = 0.7
    """A window's side is drawn between this share and the whole of the largest one of the asked aspect."""
    varied_share: float = 0.0
    """Share of samples that are varied: some layers left out, untouched neighbours merged by peeling, wear."""

    def __call__(self, seed: int, size: tuple[int, int]) -> Sample:
        """The window of this seed at `size` (width, height). Raises InputError when there are no samples."""
        if len(self.shards) == 0:
            raise InputError(f"{self.shards.folder} holds no samples; harvest some, or lower what is dropped")
        rng = np.random.default_rng(seed)
        while True:
            stored = self.shards[int(rng.integers(len(self.shards)))]
            height, width = stored.composite.shape[:2]
            scale = min(width / size[0], height / size[1]) * rng.uniform(self.least_share, 1.0)
            across, down = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
            left, top = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
            window = np.s_[top : top + down, left : left + across]
            layers = np.stack([resize_rgba(np.ascontiguousarray(layer[window]), size) for layer in stored.layers])
            composite = round_u8(resize_premul(stored.composite[window].astype(np.float32), size))
            kinds = list(stored.kinds)
            if self.varied_share and rng.random() < self.varied_share:
                layers, composite, kinds = _varied(rng, layers, composite, kinds)
            kept = _seen(layers)
            if len(kept) > 1 or not self.varied_share:
                break
        layers, kinds = layers[kept], [kinds[i] for i in kept]
        if (spare := len(layers) - self.max_layers) > 0:
            layers = np.concatenate([flatten(layers[: spare + 1])[None], layers[spare + 1 :]])
            kinds = [kinds[0], *kinds[spare + 1 :]]
        return Sample(composite=composite, layers=layers, kinds=tuple(kinds), seed=seed, caption=stored.caption)


@dataclass(frozen=True, slots=True)
class MixedSource:
    """Draws every sample from one of several sources; a pure function of (seed, size)."""

    sources: tuple[Callable[[int, tuple[int, int]], Sample], ...]
    shares: tuple[float, ...]
    """How often each is taken; they sum to one."""
    max_layers: int = 20

    def __call__(self, seed: int, size: tuple[int, int]) -> Sample:
        """The sample of this seed at `size` (width, height)."""
        chosen = int(np.random.default_rng((seed, 1)).choice(len(self.sources), p=self.shares))
        return self.sources[chosen](seed, size)


def _varied(
    rng: np.random.Generator, layers: UInt8[np.ndarray, "L h w 4"], composite: UInt8[np.ndarray, "h w 3"],
    kinds: list[str],
) -> tuple[UInt8[np.ndarray, "l h w 4"], UInt8[np.ndarray, "h w 3"], list[str]]:  # fmt: skip
    """Another picture of the same layers: some left out in half of the samples, then merged by peeling, then worn."""
    if rng.random() < 0.5:
        stay = np.flatnonzero(rng.random(len(layers)) > rng.uniform(0.0, 0.5))
        stay = np.union1d(stay, [0])
        if len(stay) < len(layers):
            layers, kinds = layers[stay], [kinds[i] for i in stay]
            composite = flatten(layers)[..., :3]
    if len(layers) > 1 and rng.random() < 0.5:
        there = (layers[1:, ::2, ::2, 3] > _TOUCH).reshape(len(layers) - 1, -1).astype(np.float32)
        groups = [[1 + i for i in group] for group in peel(there @ there.T > 0)]
        layers = np.stack([layers[0], *(flatten(layers[group]) for group in groups)])
        kinds = [kinds[0], *(kinds[group[0]] if len(group) == 1 else "mixed" for group in groups)]
    return layers, wear(rng, composite) if rng.random() < 0.3 else composite, kinds


def _seen(layers: UInt8[np.ndarray, "L h w 4"]) -> list[int]:
    """Layers that show, bottom first; the ground in any case."""
    through = np.ones(layers.shape[1:3], np.float32)
    kept: list[int] = []
    for number in range(len(layers) - 1, 0, -1):
        alpha = layers[number, ..., 3] / np.float32(255)
        if (alpha * through).mean() > _LEAST:
            kept.append(number)
            through *= 1 - alpha
    return [0, *reversed(kept)]


def flatten(layers_lhwc_u8: UInt8[np.ndarray, "L h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Composite of stored RGBA layers, bottom first, as stored RGBA."""
    below = np.zeros(layers_lhwc_u8.shape[1:], np.float32)
    for layer in layers_lhwc_u8:
        above = premultiply(layer, np.float32)
        below = above + below * (1 - above[..., 3:])
    return unpremultiply(below)
