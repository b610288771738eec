"""LoRA files merged into weights as they are read: nothing is held twice, and tables see the merged numbers.

W + (alpha / rank) B A (arXiv 2106.09685). Files of PEFT and diffusers (`lora_A`, `lora_B`, with or without an adapter's
name), of DiffSynth (the same without a prefix), of kohya's scripts and ComfyUI (`lora_down`, `lora_up`, `alpha`). Knows
names and shapes, no network.
"""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lamina.errors import CheckpointError
from lamina.model.weights import Lazy, Weights, open_file

__all__ = ["with_lora"]

_NAMES = re.compile(
    r"(?:base_model\.model\.|model\.diffusion_model\.|diffusion_model\.|transformer\.|pipe\.dit\.|dit\.|lora_unet_)*"
    r"(?P<layer>.+?)\."
    r"(?P<part>lora_A|lora_B|lora_down|lora_up|lora\.down|lora\.up|alpha)(?:\.[\w-]+)?(?:\.weight)?"
)
_DOWN, _UP = ("lora_A", "lora_down", "lora.down"), ("lora_B", "lora_up", "lora.up")
_NAMED = 3


class _Pair(NamedTuple):
    """One layer's addition."""

    down: Lazy
    up: Lazy
    alpha: Lazy | None


def with_lora(weights: Weights, path: Path, strength: float = 1.0) -> dict[str, Lazy]:
    """The weights with a LoRA file's additions.

    Raises CheckpointError naming layers that the network does not have, halves that are alone, and shapes that do not
    fit.
    """
    pairs = _pairs(path, weights)
    merged = dict(weights)
    for layer, pair in pairs.items():
        name = f"{layer}.weight"
        base = weights[name]
        if pair.down.shape[0] != pair.up.shape[1] or (pair.up.shape[0], pair.down.shape[1]) != base.shape:
            raise CheckpointError(
                f"{path}: the addition to {layer} is {pair.up.shape} by {pair.down.shape}, the layer {base.shape}"
            )
        merged[name] = Lazy(base.shape, partial(_added, base, pair, strength))
    return merged


def _pairs(path: Path, weights: Weights) -> dict[str, _Pair]:
    known = {name.removesuffix(".weight") for name in weights if name.endswith(".weight")}
    flat = {layer.replace(".", "_"): layer for layer in known}
    parts: dict[str, dict[str, Lazy]] = {}
    strangers: list[str] = []
    for name, lazy in open_file(path).items():
        found = _NAMES.fullmatch(name)
        layer = None if found is None else found["layer"]
        layer = flat.get(layer, layer) if layer is not None else None
        if found is None or layer not in known:
            strangers.append(name)
            continue
        part = "down" if found["part"] in _DOWN else "up" if found["part"] in _UP else "alpha"
        parts.setdefault(layer, {})[part] = lazy
    if strangers:
        raise CheckpointError(
            f"{path} has {len(strangers)} names that are no LoRA of this network: {_listed(strangers)}; "
            "expected one for Qwen-Image-Layered"
        )
    if alone := [layer for layer, own in parts.items() if not {"down", "up"} <= set(own)]:
        raise CheckpointError(f"{path} has only half of the additions to {_listed(alone)}")
    if not parts:
        raise CheckpointError(f"{path} holds no LoRA")
    return {layer: _Pair(own["down"], own["up"], own.get("alpha")) for layer, own in parts.items()}


def _added(base: Lazy, pair: _Pair, strength: float) -> Tensor:
    weight, down, up = base.read(), pair.down.read().float(), pair.up.read().float()
    scale = strength if pair.alpha is None else strength * float(pair.alpha.read()) / len(down)
    return (weight.float() + scale * (up @ down)).to(weight.dtype)


def _listed(names: Iterable[str]) -> str:
    several = list(names)
    return ", ".join(several[:_NAMED]) + (", …" if len(several) > _NAMED else "")
