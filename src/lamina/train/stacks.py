"""Batches for the stages of the full model: stacks of pictures with captions, every batch a pure function of its index.

A batch has one size and pictures of any layer counts; empty slots fill it up and are marked. Every row carries a seed
from which its objective draws noise and timestep, so that neither the other rows nor the number of processes matter.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from lamina.data.sample import Sample
from lamina.data.windows import flatten
from lamina.errors import InputError
from lamina.train.parallel import Group

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["SampleSource", "StackBatches", "Stacks", "View"]

View = Literal["picture", "layers"]


class SampleSource(Protocol):
    """Samples by seed, such as lamina.data.scenes.SceneMaker."""

    def __call__(self, seed: int, size: tuple[int, int], /) -> Sample:
        """The sample of this seed at `size` (width, height)."""
        ...


class Stacks(NamedTuple):
    """A batch; pictures are stored straight RGBA, 0-255."""

    frames: Tensor
    """uint8, b n 4 h w: slot 0 the composite, then the layers bottom to top, zero where there is none; one slot alone
    in the view "picture"."""
    present: Tensor
    """bool, b n: which slots there are, from the first on."""
    picture: Tensor
    """uint8, b 3 h w: the flat picture as a model sees it, with its wear."""
    rgb: Tensor
    """bool, b: whether the only slot is an opaque picture; false for stacks."""
    seeds: Tensor
    """int64, b."""
    captions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackBatches:
    """Map from batch index to batch."""

    source: SampleSource
    batch_size: int
    sizes: tuple[tuple[int, int], ...]
    """Sizes (width, height), one a batch; the first in half of them."""
    seed: int
    view: View = "layers"
    """"layers": the composite and all layers. "picture": the flat picture alone, or one RGBA picture from it."""
    rgb_share: float = 0.5
    """In the view "picture": the share of flat, opaque pictures."""
    most: int = 20
    """Most layers of a stack; a sample with more is refused."""
    ranks: Group = field(default_factory=Group)
    """Whose rows are drawn; the loop sets it."""

    def part(self, ranks: Group) -> "StackBatches":
        """The same batches, of which only one process's rows are drawn."""
        return replace(self, ranks=ranks)

    def __getitem__(self, index: int) -> Stacks:
        rng = np.random.default_rng((self.seed, index))
        other = len(self.sizes) > 1 and rng.random() < 0.5
        size = self.sizes[int(rng.integers(1, len(self.sizes))) if other else 0]
        if self.batch_size % self.ranks.size:
            raise InputError(f"a batch of {self.batch_size} does not divide over {self.ranks.size} processes")
        share = self.batch_size // self.ranks.size
        seeds = rng.integers(2**62, size=self.batch_size)[self.ranks.rank * share :][:share]
        return _pad([self._row(int(seed), size) for seed in seeds])

    def _row(self, seed: int, size: tuple[int, int]) -> "_Row":
        sample = self.source(seed, size)
        if len(sample.layers) > self.most:
            raise InputError(f"sample {sample.seed} has {len(sample.layers)} layers; at most {self.most} fit")
        if self.view == "layers":
            stack = np.concatenate([flatten(sample.layers)[None], sample.layers])
            return _Row(stack, sample.composite, False, seed, sample.caption or _words(sample.kinds))
        rng = np.random.default_rng(seed)
        if rng.random() < self.rgb_share:
            opaque = np.dstack([sample.composite, np.full(sample.composite.shape[:2], 255, np.uint8)])
            return _Row(opaque[None], sample.composite, True, seed, sample.caption or _words(sample.kinds))
        if len(sample.layers) > 2 and rng.random() < 0.5:
            above = flatten(sample.layers[1:])
            return _Row(above[None], sample.composite, False, seed, f"{_words(sample.kinds[1:])}, cut out")
        chosen = int(rng.integers(len(sample.layers)))
        layer = sample.layers[chosen][None]
        return _Row(layer, sample.composite, False, seed, f"{_words(sample.kinds[chosen : chosen + 1])}, cut out")


class _Row(NamedTuple):
    frames: np.ndarray
    picture: np.ndarray
    rgb: bool
    seed: int
    caption: str


def _words(kinds: tuple[str, ...]) -> str:
    """What there is, bottom first, for samples that nobody described."""
    return ", ".join(kinds)


def _pad(rows: list[_Row]) -> Stacks:
    most = max(len(row.frames) for row in rows)
    frames = torch.zeros(len(rows), most, 4, *rows[0].picture.shape[:2], dtype=torch.uint8)
    present = torch.zeros(len(rows), most, dtype=torch.bool)
    for index, row in enumerate(rows):
        frames[index, : len(row.frames)] = torch.from_numpy(np.ascontiguousarray(row.frames)).permute(0, 3, 1, 2)
        present[index, : len(row.frames)] = True
    return Stacks(
        frames,
        present,
        torch.stack([torch.from_numpy(np.ascontiguousarray(row.picture)).permute(2, 0, 1) for row in rows]),
        torch.tensor([row.rgb for row in rows]),
        torch.tensor([row.seed for row in rows]),
        tuple(row.caption for row in rows),
    )
