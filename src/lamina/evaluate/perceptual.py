"""LPIPS and the Fréchet distance of Inception features, from weights that lie in local files.

The networks are read off the files: names as below, widths as found. Knows tensors and weight files only. Nothing is
ever downloaded. Sources: LPIPS, Zhang et al. 2018 (arXiv 1801.03924), version 0.1; FID, Heusel et al. 2017 (arXiv
1706.08500), with the network of the 2015-12-05 TensorFlow graph; Inception v3, Szegedy et al. 2015 (arXiv 1512.00567).

LPIPS takes two files: an AlexNet or VGG-16 whose convolutions are called features.N.weight and features.N.bias, as
torchvision's classifiers are (further tensors are ignored), and lin0.model.1.weight … lin4.model.1.weight, as in the
weights of the package `lpips`. FID takes one: Conv2d_1a_3x3.conv.weight, …bn.running_mean, … Mixed_7c.…, as in
pt_inception-2015-12-05-6726825d.pth, which pytorch-fid and torch-fidelity publish. All are read from safetensors;
docs/quality.md tells how to make that of a .pth.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lamina.errors import CheckpointError

__all__ = ["Inception", "Lpips", "frechet", "read_weights"]

_ALEX = (0, 3, 6, 8, 10)
_VGG = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_VGG_READ = (2, 7, 14, 21, 28)
"""Convolutions after whose ReLU LPIPS reads VGG-16; of AlexNet it reads all five."""

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""LPIPS 0.1 brings colours -1..1 to the backbone's own range by these, per channel."""

_SIDE = 299
_EPS = 1e-3
"""Inception's picture side, and the epsilon of its batch norms."""

_CONVERT = (
    'python -c "import sys, torch; from safetensors.torch import save_file; '
    'save_file(torch.load(sys.argv[1], weights_only=True), sys.argv[2])" IN.pth OUT.safetensors'
)

_State = Mapping[str, Tensor]


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The table of tensors in a .safetensors file; raises CheckpointError when it is none.

    A state dict in a .pth is a pickle, which is never read here: the message tells how to turn it into safetensors.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"{file} is no file; expected weights in .safetensors")
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} is no safetensors file ({error}); make one of a .pth: {_CONVERT}") from error


class Lpips:
    """The distance LPIPS 0.1 of two pictures."""

    def __init__(self, backbone: _State, linear: _State, device: torch.device | None = None) -> None:
        """Raises CheckpointError when a tensor is missing or the two files do not belong together."""
        self.name = "vgg16" if "features.28.weight" in backbone else "alexnet"
        self.device = device or torch.device("cpu")
        convolutions = _VGG if self.name == "vgg16" else _ALEX
        read = _VGG_READ if self.name == "vgg16" else _ALEX
        names = [f"features.{n}.{part}" for n in convolutions for part in ("weight", "bias")]
        self._state = _taken(backbone, names, f"the {self.name} for LPIPS", self.device)
        lines = _taken(linear, [f"lin{k}.model.1.weight" for k in range(5)], "the linear weights", self.device)
        self._weights = [weight.reshape(1, -1, 1, 1) for weight in lines.values()]
        self._convolutions, self._read = convolutions, read
        widths = [len(self._state[f"features.{n}.bias"]) for n in read]
        if widths != [weight.shape[1] for weight in self._weights]:
            found = [weight.shape[1] for weight in self._weights]
            raise CheckpointError(f"the linear weights are for features of {found} channels, {self.name} has {widths}")

    def __call__(self, one_bchw_11: Float[Tensor, "b 3 h w"], other_bchw_11: Float[Tensor, "b 3 h w"]) -> list[float]:
        """One distance a pair of pictures; 0 for equal ones."""
        with torch.inference_mode():
            return [float(value) for value in self.distance(one_bchw_11, other_bchw_11)]

    def distance(
        self, one_bchw_11: Float[Tensor, "b 3 h w"], other_bchw_11: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, " b"]:
        """The same as a tensor, for training: gradients reach the pictures."""
        total = torch.zeros(len(one_bchw_11), device=self.device)
        ours, theirs = self._features(one_bchw_11), self._features(other_bchw_11)
        for a, b, weight in zip(ours, theirs, self._weights, strict=True):
            total = total + (weight * (_unit(a) - _unit(b)).square()).sum(dim=1).mean(dim=(1, 2))
        return total

    def _features(self, x: Tensor) -> list[Tensor]:
        shift, scale = (torch.tensor(v, device=self.device).reshape(1, 3, 1, 1) for v in (_SHIFT, _SCALE))
        x = (x.to(self.device) - shift) / scale
        found: list[Tensor] = []
        before = [-1, *self._convolutions]
        for last, n in pairwise(before):
            if last >= 0 and n - last == 3:  # the number left out between two convolutions and a ReLU is a pooling
                x = F.max_pool2d(x, 3, 2) if self.name == "alexnet" else F.max_pool2d(x, 2, 2)
            weight, bias = self._state[f"features.{n}.weight"], self._state[f"features.{n}.bias"]
            first_of_alexnet = self.name == "alexnet" and n == 0
            stride, padding = (4, 2) if first_of_alexnet else (1, weight.shape[-1] // 2)
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            if n in self._read:
                found.append(x)
        return found


class Inception:
    """Features of FID: 2048 a picture with the published weights."""

    def __init__(self, state: _State, device: torch.device | None = None) -> None:
        """Raises CheckpointError when a tensor is missing."""
        self.device = device or torch.device("cpu")
        names = [f"{part}.{end}" for part in _parts() for end in _CONV_ENDS]
        self._state = _taken(state, names, "the Inception network for FID", self.device)

    def __call__(self, pictures_bchw_01: Float[Tensor, "b 3 h w"]) -> Float[np.ndarray, "b d"]:
        """Features of pictures 0-1; resized to 299x299 first, bilinearly and without widening when shrinking."""
        with torch.inference_mode():
            x = F.interpolate(pictures_bchw_01.to(self.device), (_SIDE, _SIDE), mode="bilinear", align_corners=False)
            x = self._stem(2 * x - 1)
            for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
                x = self._branches(name, x, _A, _mean_pool)
            x = self._branches("Mixed_6a", x, _B, None)
            for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
                x = self._branches(name, x, _C, _mean_pool)
            x = self._branches("Mixed_7a", x, _D, None)
            x = self._branches("Mixed_7b", x, _E, _mean_pool)
            # The graph that FID was defined with takes the maximum here, against the paper.
            x = self._branches("Mixed_7c", x, _E, lambda y: F.max_pool2d(y, 3, 1, 1))
            return x.mean(dim=(2, 3)).cpu().numpy().astype(np.float64)

    def _stem(self, x: Tensor) -> Tensor:
        x = self._conv("Conv2d_1a_3x3", x, 2, False)
        x = self._conv("Conv2d_2a_3x3", x, 1, False)
        x = F.max_pool2d(self._conv("Conv2d_2b_3x3", x, 1, True), 3, 2)
        x = self._conv("Conv2d_3b_1x1", x, 1, True)
        return F.max_pool2d(self._conv("Conv2d_4a_3x3", x, 1, False), 3, 2)

    def _branches(
        self, block: str, x: Tensor, chains: Sequence[Any], pool: Callable[[Tensor], Tensor] | None
    ) -> Tensor:
        """Every chain of convolutions on `x`, side by side; then the pooled branch. A block without `pool` halves."""
        outs: list[Tensor] = []
        for chain, forks in chains:
            y = x
            for number, name in enumerate(chain, 1):
                halves = pool is None and number == len(chain)
                y = self._conv(f"{block}.{name}", y, 2 if halves else 1, not halves)
            outs += [self._conv(f"{block}.{name}", y, 1, True) for name in forks] or [y]
        if pool is None:
            outs.append(F.max_pool2d(x, 3, 2))
        else:
            outs.append(self._conv(f"{block}.branch_pool", pool(x), 1, True))
        return torch.cat(outs, dim=1)

    def _conv(self, name: str, x: Tensor, stride: int, padded: bool) -> Tensor:
        """Convolution without bias, batch norm by the running statistics, ReLU; `padded` keeps the size."""
        weight, gain, bias, mean, variance = (self._state[f"{name}.{end}"] for end in _CONV_ENDS)
        padding = (weight.shape[2] // 2, weight.shape[3] // 2) if padded else (0, 0)
        x = F.conv2d(x, weight, None, stride, padding)
        return F.relu(F.batch_norm(x, mean, variance, gain, bias, False, 0.0, _EPS))


def frechet(one: Float[np.ndarray, "n d"], other: Float[np.ndarray, "m d"]) -> float:
    """Fréchet distance of the normal distributions with the means and covariances of two sets of features.

    |mean difference|² + tr C1 + tr C2 - 2 tr (C1 C2)^½. With centred features X, Y the last trace is the sum of the
    singular values of X Yᵀ over sqrt((n-1)(m-1)): no root of a matrix is needed, few samples do no harm to it.
    Raises ValueError for fewer than two samples of either.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError(f"a covariance of {min(len(one), len(other))} samples; expected two or more")
    x, y = ((f - f.mean(axis=0)) / np.sqrt(len(f) - 1) for f in (one, other))
    shift = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    spread = np.square(x).sum() + np.square(y).sum()
    x, y = (np.asarray(cast(Any, np.linalg).qr(f, mode="r")) if len(f) > f.shape[1] else f for f in (x, y))
    common = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return max(0.0, float(shift + spread - 2 * common))


_CONV_ENDS = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")

# Blocks of Inception v3: chains of convolutions, each with what its end forks into; the pooled branch goes last.
_A = ((("branch1x1",), ()), (("branch5x5_1", "branch5x5_2"), ()), (tuple(f"branch3x3dbl_{k}" for k in (1, 2, 3)), ()))
_B = ((("branch3x3",), ()), (tuple(f"branch3x3dbl_{k}" for k in (1, 2, 3)), ()))
_C = (
    (("branch1x1",), ()),
    (tuple(f"branch7x7_{k}" for k in (1, 2, 3)), ()),
    (tuple(f"branch7x7dbl_{k}" for k in (1, 2, 3, 4, 5)), ()),
)
_D = ((("branch3x3_1", "branch3x3_2"), ()), (tuple(f"branch7x7x3_{k}" for k in (1, 2, 3, 4)), ()))
_E = (
    (("branch1x1",), ()),
    (("branch3x3_1",), ("branch3x3_2a", "branch3x3_2b")),
    (("branch3x3dbl_1", "branch3x3dbl_2"), ("branch3x3dbl_3a", "branch3x3dbl_3b")),
)
_BLOCKS = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _A),
    "Mixed_6a": _B,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _C),
    "Mixed_7a": _D,
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), _E),
}
_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")


def _parts() -> list[str]:
    """Every convolution of the network, by its name in the file."""
    names: list[str] = [*_STEM]
    for block, chains in _BLOCKS.items():
        names += [f"{block}.{name}" for chain, forks in chains for name in (*chain, *forks)]
        names += [f"{block}.branch_pool"] * (chains not in (_B, _D))
    return names


def _mean_pool(x: Tensor) -> Tensor:
    """Means of 3x3, at the rim over the pixels that are there, as the TensorFlow graph has it."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _unit(x: Tensor) -> Tensor:
    """Every pixel's features at length 1; no features stay none, with a slope of 0."""
    return x / ((x.square().sum(dim=1, keepdim=True) + 1e-20).sqrt() + 1e-10)


def _taken(state: _State, names: Sequence[str], what: str, device: torch.device) -> dict[str, Tensor]:
    """These tensors of a file; raises CheckpointError naming the first that is missing."""
    missing = [name for name in names if name not in state]
    if missing:
        raise CheckpointError(f"{what}: {len(missing)} of {len(names)} tensors are missing, the first is {missing[0]}")
    return {name: state[name].float().to(device) for name in names}
