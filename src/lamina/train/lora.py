"""LoRA: a checkpoint's network stays as it is and learns small additions, of low rank, to its linear layers.

W x + (alpha / rank) B A x with B = 0 at the start (arXiv 2106.09685). A LoRA checkpoint holds A and B alone with a
LoraConfig that names, by hash, the weights it is for; `merge` folds it into them. Knows no stage and no data.
"""

import fnmatch
import hashlib
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.errors import CheckpointError, InputError
from lamina.model import checkpoint
from lamina.model.config import from_json
from lamina.train import networks
from lamina.train.config import LoraConfig

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["LoraLinear", "add_lora", "file_hash", "load_lora", "merge", "merge_file"]


class LoraLinear(nn.Module):
    """A frozen linear layer and its addition, which is nothing at the start."""

    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's answer with the addition."""
        return self.base(x) + self.scale * F.linear(F.linear(x, self.down), self.up)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The layer with the addition folded in."""
        self.base.weight += self.scale * self.up @ self.down
        return self.base


def add_lora(network: nn.Module, config: LoraConfig) -> nn.Module:
    """Freeze the network and put additions on the linear layers that `config.targets` names; return it.

    A comes from torch's generator. Raises InputError when no linear layer is meant.
    """
    network.requires_grad_(False)
    meant = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and any(fnmatch.fnmatch(f".{name}", f"*.{p}") for p in config.targets)
    ]
    if not meant:
        raise InputError(f"{type(network).__name__} has no linear layer named like {', '.join(config.targets)}")
    for name in meant:
        layer: Any = network.get_submodule(name)
        _put(network, name, LoraLinear(layer, config.rank, config.alpha / config.rank))
    return network


def merge(network: nn.Module) -> nn.Module:
    """Fold every addition into its layer; the network has its old names again and learns as before. Return it."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, LoraLinear)]
    for name, module in found:
        _put(network, name, module.merged())
    return network.requires_grad_(True)


def load_lora(network: nn.Module, path: Path) -> nn.Module:
    """Put a saved LoRA on its base network; return it. Raises CheckpointError when it does not fit."""
    config = from_json(LoraConfig, checkpoint.load(path, "lora")[0])
    networks.start_from(path, add_lora(network, config), config)
    return network


def merge_file(base: Path, lora: Path, out: Path) -> None:
    """Write the checkpoint `base` with the LoRA folded in, an ordinary checkpoint of the base's kind and config.

    Raises CheckpointError when the LoRA was made for other weights.
    """
    config = from_json(LoraConfig, checkpoint.load(lora, "lora")[0])
    if (found := file_hash(base)) != config.base:
        raise CheckpointError(f"{lora} is for weights of SHA-256 {config.base[:12]}…, {base} has {found[:12]}…")
    network: Any = merge(load_lora(networks.load(base, config.base_kind), lora))
    words = {"lora": file_hash(lora), "base": config.base}
    checkpoint.save(out, network.state_dict(), network.config, kind=config.base_kind, extra=words)


def file_hash(path: Path) -> str:
    """SHA-256 of a file. Raises CheckpointError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    above, _, last = name.rpartition(".")
    setattr(network.get_submodule(above), last, module)
