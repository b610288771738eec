"""Stacks drawn with numpy alone, in no time: what tests of training learn from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lamina.data.sample import Sample
from lamina.data.shards import ShardWriter, pack
from lamina.data.windows import flatten
from lamina.model import checkpoint
from lamina.model.config import preset
from lamina.model.vae import Vae
from lamina.train.autoencode import TrainedVae
from lamina.train.flow import FlowObjective
from lamina.train.stacks import StackBatches, View
from lamina.train.text import HashedText

TINY = preset("tiny")


def draw(seed: int, size: tuple[int, int]) -> Sample:
    """A flat ground and one to three flat boxes, some of them translucent."""
    rng = np.random.default_rng(seed)
    width, height = size
    layers = np.zeros((2 + seed % 3, height, width, 4), np.uint8)
    layers[0] = [*rng.integers(0, 256, 3), 255]
    for layer in layers[1:]:
        x, y = rng.integers(0, width // 2), rng.integers(0, height // 2)
        layer[y : y + height // 2, x : x + width // 2] = [*rng.integers(0, 256, 3), rng.choice([128, 255])]
    kinds = ("ground", *["shape"] * (len(layers) - 1))
    return Sample(composite=flatten(layers)[..., :3], layers=layers, kinds=kinds, seed=seed)


def some(view: View = "layers", **changes: object) -> StackBatches:
    values = {"source": draw, "batch_size": 2, "sizes": ((16, 16), (24, 16)), "seed": 3, "view": view}
    return StackBatches(**{**values, **changes})  # type: ignore[arg-type]


def objective(*, condition: bool = True, **changes: object) -> FlowObjective:
    torch.manual_seed(0)
    vae = TrainedVae(TINY.vae).requires_grad_(False).eval()
    values = {"vae": vae, "encoder": HashedText(TINY.mmdit.text_width), "condition": condition}
    return FlowObjective(**{**values, **changes})  # type: ignore[arg-type]


def write_shards(folder: Path, count: int = 4) -> Path:
    writer = ShardWriter(folder)
    for seed in range(count):
        writer.add(f"scene-{seed}", pack(draw(seed, (48, 40))))
    writer.close()
    return folder


def write_rgb_vae(path: Path) -> Path:
    torch.manual_seed(0)
    config = replace(TINY.vae, image_channels=3)
    checkpoint.save(path, Vae(config).state_dict(), config, kind="vae")
    return path
