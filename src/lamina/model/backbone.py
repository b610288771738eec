"""EfficientNet-Lite2 as the compact network's second eye: features of pictures at strides 4, 8, 16 and 32.

The shapes are those of EfficientNet (arXiv 1905.11946) in its Lite variant: no squeeze-and-excitation, ReLU6, the stem
as wide as in the smallest. Batch norms are folded into the convolutions; strides of 2 pad as TensorFlow does, more
below and to the right. What it knows of the world comes from ImageNet (recipes/backbone.py). Knows tensors only.
"""

import math
from typing import Final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# pyright: reportUnknownMemberType=false

__all__ = ["Backbone"]

_WIDER, _DEEPER = 1.1, 1.2
"""How much wider and deeper Lite2 is than Lite0."""

_STEM = 32

_STAGES: Final = (
    # expansion, kernel, stride, channels, blocks: those of Lite0
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)

_LOOKED_AT = (1, 2, 4, 6)
"""The last stage of each stride."""


class Backbone(nn.Module):
    """Features that tell things apart by what they are."""

    channels: Final = (24, 48, 120, 352)
    """Of the features at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, _STEM, 3, stride=2)
        self.stages = nn.ModuleList()
        inside = _STEM
        for index, (expansion, kernel, stride, channels, blocks) in enumerate(_STAGES):
            outside = _wider(channels)
            fixed = index in (0, len(_STAGES) - 1)
            stage = nn.Sequential()
            for block in range(blocks if fixed else math.ceil(blocks * _DEEPER)):
                stage.append(_Block(inside, outside, kernel, 1 if block else stride, expansion))
                inside = outside
            self.stages.append(stage)

    def forward(self, rgb_b3hw_11: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Features of a picture whose sides divide by 32: 24, 48, 120 and 352 channels at strides 4, 8, 16 and 32."""
        x = self.stem(rgb_b3hw_11)
        features: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _LOOKED_AT:
                features.append(x)
        return features


def _wider(channels: int) -> int:
    """Channels times the width, to the nearest multiple of 8, never less than nine tenths of it."""
    wanted = channels * _WIDER
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


class _Block(nn.Module):
    """Inverted bottleneck (arXiv 1801.04381): widen, look around in each channel by itself, narrow."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inside * expansion
        self.expand = _Conv(inside, inner, 1) if expansion > 1 else nn.Identity()
        self.around = _Conv(inner, inner, kernel, stride=stride, groups=inner)
        self.project = nn.Conv2d(inner, outside, 1)
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.around(self.expand(x)))
        return x + y if self.residual else y


class _Conv(nn.Conv2d):
    """A convolution and ReLU6; its output's sides are those of its input over the stride."""

    def __init__(self, inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inside, outside, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)
        before, both = (kernel - stride) // 2, kernel - stride
        self.margins = (before, both - before) * 2 if stride > 1 else ()

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(super().forward(F.pad(input, self.margins) if self.margins else input))
