"""Networks to train, by their config: how each is built, what its checkpoint is called, and from what it may start."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.config import MMDiTConfig, VaeConfig, from_json, to_json
from lamina.model.mmdit import MMDiT
from lamina.model.small import SmallConfig, SmallNet, finer
from lamina.model.vae import Vae, init_from_rgb
from lamina.train.autoencode import TrainedVae
from lamina.train.config import LoraConfig, Network, TrainConfig
from lamina.train.optim import trained

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["build", "chain_of", "kind_of", "load", "start_from"]

_KINDS: dict[type[Any], str] = {SmallConfig: "small", VaeConfig: "vae", MMDiTConfig: "mmdit", LoraConfig: "lora"}
_CLASSES: dict[str, tuple[type[Any], type[nn.Module]]] = {
    "small": (SmallConfig, SmallNet),
    "vae": (VaeConfig, TrainedVae),
    "mmdit": (MMDiTConfig, MMDiT),
}


def kind_of(config: Network) -> str:
    """What a checkpoint of this config's network is called."""
    return _KINDS[type(config)]


def build(config: Network) -> nn.Module:
    """A new network, with weights from torch's generator. Raises CheckpointError for LoRA, which needs its base."""
    kind = kind_of(config)
    if kind not in _CLASSES:
        raise CheckpointError("a LoRA is no network of its own; make it on its base with lamina.train.lora.add_lora")
    return _CLASSES[kind][1](config)


def load(path: Path, kind: str | None = None) -> nn.Module:
    """The network of a checkpoint, with its weights; raises CheckpointError unless it is of this kind, if one is given.

    A checkpoint's weights are the EMA's.
    """
    kind = kind or checkpoint.read_header(path).kind
    if kind not in _CLASSES:
        raise CheckpointError(f"{path} is of kind '{kind}', expected one of {', '.join(_CLASSES)}")
    config, state = checkpoint.load(path, kind)
    network = build(from_json(_CLASSES[kind][0], config))
    checkpoint.fill(network, {name: value.float() for name, value in state.items()})
    return network


def start_from(path: Path, network: nn.Module, config: Network) -> None:
    """Give a network the EMA weights of a checkpoint of its kind.

    An RGBA-VAE may start from an RGB VAE: then alpha is not read yet and opaque everywhere (arXiv 2512.15603, 3.1). A
    small network may start from one that sees less: a smaller picture, no cues, fewer closer looks. A LoRA's network
    takes its additions.
    Raises CheckpointError when the checkpoint is of another kind or shape, or a LoRA for other weights.
    """
    kind = kind_of(config)
    saved, state = checkpoint.load(path, kind)
    if isinstance(config, VaeConfig) and config.image_channels == 4 and saved.get("image_channels") == 3:
        rgb = Vae(from_json(VaeConfig, saved))
        if replace(config, image_channels=3) != rgb.config:
            raise CheckpointError(f"{path} is an RGB VAE of another shape: {to_json(rgb.config)}")
        checkpoint.fill(rgb, state)
        state = init_from_rgb(rgb).state_dict()
    if isinstance(config, LoraConfig) and from_json(LoraConfig, saved).base != config.base:
        raise CheckpointError(f"{path} is a LoRA for other weights than those of SHA-256 {config.base[:12]}…")
    if isinstance(config, SmallConfig):
        state = finer(state, from_json(SmallConfig, saved), config)
        fresh = {name: value for name, value in network.state_dict().items() if name.startswith("closer.")}
        state = fresh | state
    own = {name: tuple(value.shape) for name, value in trained(network).items()}
    checkpoint.require_shapes(state, own, f"the {kind} to train")
    network.load_state_dict({name: value.float() for name, value in state.items()}, strict=False)


def chain_of(config: TrainConfig, step: int) -> list[dict[str, Any]]:
    """The runs that led to a checkpoint, first to last: stage, steps, seed. Earlier ones are read from `init_from`."""
    before: list[dict[str, Any]] = []
    if config.init_from is not None:
        words = checkpoint.read_header(config.init_from).extra
        before = json.loads(words["chain"]) if "chain" in words else [{"file": config.init_from.name, **words}]
    return [*before, {"stage": config.stage, "steps": step, "seed": config.seed}]
