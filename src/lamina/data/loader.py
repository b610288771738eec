"""Batches of scenes for training: buckets by size and layer count, every batch a pure function of its index.

That purity is what makes a resumed run see exactly the data an uninterrupted one would have seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lamina.data.phash import refuses
from lamina.data.sample import Sample
from lamina.model.cues import cues
from lamina.pixels import round_u8

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Batch", "SampleSource", "SceneBatches", "batches"]

_GROUP = 8
"""Batches drawn together and sorted by layer count, so that little padding is computed."""


class Batch(NamedTuple):
    """Padded truth: `layers` hold straight RGBA bytes, bottom first; `slots` marks the slots a picture is given."""

    picture: Tensor
    """uint8, b c h w: RGB, and the cues of lamina.model.cues where the network sees them"""
    layers: Tensor
    """uint8, b M 4 h' w', zero where a picture has fewer layers; as large as the picture, or a whole number of times
    smaller"""
    truth: Tensor
    """int64, b: how many layers there are"""
    counts: Tensor
    """float32, b: how many are asked for; 0 = find out"""
    slots: Tensor
    """bool, b L"""


class SampleSource(Protocol):
    """Samples by seed: scenes that are drawn (SceneMaker), or windows of stored ones (WindowSource)."""

    @property
    def max_layers(self) -> int: ...

    def __call__(self, seed: int, size: tuple[int, int], /) -> Sample: ...


@dataclass(frozen=True, slots=True)
class SceneBatches(Dataset[Batch]):
    """Map from batch index to batch."""

    scenes: SampleSource
    batch_size: int
    sizes: tuple[tuple[int, int], ...]
    """Sizes (width, height) of the layers; the first is used in half of the groups."""
    seed: int
    auto_share: float = 0.35
    """Share of pictures asked for without a number; these get up to 6 slots too many."""
    excess_share: float = 0.2
    """Share of pictures asked for more layers than there are."""
    refused: tuple[int, ...] = ()
    """Perceptual hashes (lamina.data.phash) of pictures that must not be learned from, as those of evaluation sets."""
    zoom: int = 1
    """The picture is this many times larger than the layers."""
    cues: bool = False
    """Whether the picture has the cues beside RGB."""
    twins: int = 0
    """How often every sample comes again, mirrored or not, with other colours: drawing takes less time."""
    _held: dict[int, list[Batch]] = field(default_factory=dict[int, list[Batch]], repr=False, compare=False)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> Batch:
        group, place = divmod(index, _GROUP)
        return self._group(group)[place]

    def _group(self, group: int) -> list[Batch]:
        if group not in self._held:
            self._held.clear()
            self._held[group] = self._draw(group)
        return self._held[group]

    def _draw(self, group: int) -> list[Batch]:
        rng = np.random.default_rng((self.seed, group))
        other = len(self.sizes) > 1 and rng.random() < 0.5
        size = self.sizes[int(rng.integers(1, len(self.sizes))) if other else 0]
        count = _GROUP * self.batch_size
        rows: list[Batch] = []
        while len(rows) < count:
            sample = self._sample(int(rng.integers(2**62)), size)
            rows.append(self._row(rng, sample, size))
            for _ in range(min(self.twins, count - len(rows))):
                rows.append(self._row(rng, _twin(rng, sample), size))
        rows.sort(key=lambda row: len(row.slots))
        split = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        return [_pad(split[i]) for i in rng.permutation(_GROUP)]

    def _sample(self, seed: int, size: tuple[int, int]) -> Sample:
        refused = np.array(self.refused, np.uint64)
        drawn = (size[0] * self.zoom, size[1] * self.zoom)
        while refuses(refused, (sample := self.scenes(seed, drawn)).composite):
            seed += 1
        return sample

    def _row(self, rng: np.random.Generator, sample: Sample, size: tuple[int, int]) -> Batch:
        truth = len(sample.layers)
        count, slots, draw = truth, truth, rng.random()
        if draw < self.auto_share:
            count, slots = 0, truth + int(rng.integers(1, 7))
        elif draw < self.auto_share + self.excess_share:
            count = slots = truth + int(rng.integers(1, 4))
        most = self.scenes.max_layers
        picture, layers = sample.composite, sample.layers
        if self.cues:
            picture = np.concatenate([picture, cues(picture)], axis=-1)
        if self.zoom > 1:
            layers = np.stack([_shrunk(layer, size) for layer in layers])
        return Batch(
            torch.from_numpy(picture).permute(2, 0, 1),
            torch.from_numpy(layers).permute(0, 3, 1, 2),
            torch.tensor(truth),
            torch.tensor(float(min(count, most))),
            torch.ones(min(slots, most), dtype=torch.bool),
        )


def _shrunk(rgba: UInt8[np.ndarray, "h w 4"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 4"]:
    """Premultiplied means over blocks; `size` divides the size there is."""
    premul = rgba.astype(np.float32)
    premul[..., :3] *= premul[..., 3:] / 255
    small = cv2.resize(premul, size, interpolation=cv2.INTER_AREA)
    small[..., :3] *= 255 / np.maximum(small[..., 3:], 1)
    return round_u8(small)


def _twin(rng: np.random.Generator, sample: Sample) -> Sample:
    """The sample mirrored or not, its colour channels in another order, some as negatives: its truth stays true."""
    order, negative = rng.permutation(3), (rng.random(3) < 0.25) * np.uint8(255)
    turned = slice(None, None, -1 if rng.random() < 0.5 else 1)
    layers = sample.layers[:, :, turned]
    layers = np.concatenate([layers[..., order] ^ negative, layers[..., 3:]], axis=-1)
    return replace(sample, composite=sample.composite[:, turned][..., order] ^ negative, layers=layers)


def batches(data: SceneBatches, start: int, stop: int, *, workers: int = 1) -> Iterator[Batch]:
    """Batches `start` to `stop` in order; drawn in a process of their own when `workers` is 1."""
    return iter(DataLoader(data, batch_size=None, sampler=_Range(start, stop), num_workers=workers))


class _Range(Sampler[int]):
    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        return self.stop - self.start


def _pad(rows: list[Batch]) -> Batch:
    most = max(row.layers.shape[0] for row in rows)
    length = max(row.slots.shape[0] for row in rows)
    layers = torch.zeros(len(rows), most, *rows[0].layers.shape[1:], dtype=torch.uint8)
    slots = torch.zeros(len(rows), length, dtype=torch.bool)
    for index, row in enumerate(rows):
        layers[index, : row.layers.shape[0]] = row.layers
        slots[index, : row.slots.shape[0]] = row.slots
    return Batch(
        torch.stack([row.picture for row in rows]),
        layers,
        torch.stack([row.truth for row in rows]),
        torch.stack([row.counts for row in rows]),
        slots,
    )
