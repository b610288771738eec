"""LoRA files merged into weights as they are read: nothing is held twice, and tables see the merged numbers.

W + (alpha / rank) B A (arXiv 2106.09685). Files of PEFT and diffusers (`lora_A`, `lora_B`, with or without an adapter's
name), of DiffSynth (the same without a prefix), of kohya's scripts and ComfyUI (`lora_down`, `lora_up`, `alpha`). There
alpha is a tensor beside the others, elsewhere a word of PEFT's config, which diffusers keeps in the file's header and
PEFT in a file beside it (alpha_pattern names layers by the end of their names; rslora divides by the root of the rank,
arXiv 2312.03732); without any it is the rank. Knows names and shapes, no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# safetensors is untyped.

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from lamina.errors import CheckpointError
from lamina.model.weights import Lazy, Weights, open_file, read_json

__all__ = ["with_lora"]

_NAMES = re.compile(
    r"(?:base_model\.model\.|model\.diffusion_model\.|diffusion_model\.|transformer\.|pipe\.dit\.|dit\.|lora_unet_)*"
    r"(?P<layer>.+?)\."
    r"(?P<part>lora_A|lora_B|lora_down|lora_up|lora\.down|lora\.up|alpha)"
    r"(?:\.(?!bias$)[\w-]+)?(?:\.weight|(?P<bias>\.bias))?"
)
_DOWN, _UP = ("lora_A", "lora_down", "lora.down"), ("lora_B", "lora_up", "lora.up")
_HEADER = "lora_adapter_metadata"
"""Where diffusers keeps PEFT's config, as JSON, its names after that of the part."""

_BESIDE = ("adapter_model.safetensors", "adapter_config.json")
"""What PEFT calls a file and the config beside it."""

_NAMED = 3


class _Pair(NamedTuple):
    """One layer's addition."""

    down: Lazy
    up: Lazy
    scale: float
    """How much it counts: alpha over the rank."""
    bias: Lazy | None
    """An addition to the layer's bias (PEFT's `lora_bias`)."""


def with_lora(weights: Weights, path: Path, strength: float = 1.0) -> dict[str, Lazy]:
    """The weights with a LoRA file's additions; what they are added to in a type of 8 bits becomes bfloat16.

    Raises CheckpointError naming layers that the network does not have, halves that are alone, shapes that do not fit,
    and files with more than one adapter.
    """
    pairs = _pairs(path, weights)
    merged = dict(weights)
    for layer, pair in pairs.items():
        name = f"{layer}.weight"
        base = weights[name]
        flat = len(pair.down.shape) == len(pair.up.shape) == 2
        if not flat or pair.down.shape[0] != pair.up.shape[1] or (pair.up.shape[0], pair.down.shape[1]) != base.shape:
            raise CheckpointError(
                f"{path}: the addition to {layer} is {pair.up.shape} by {pair.down.shape}, the layer {base.shape}"
            )
        merged[name] = Lazy(base.shape, partial(_added, base, pair, strength))
        if pair.bias is not None:
            own = weights.get(f"{layer}.bias")
            if own is None or own.shape != pair.bias.shape:
                known = "none" if own is None else own.shape
                raise CheckpointError(f"{path}: the addition to {layer}'s bias is {pair.bias.shape}, the bias {known}")
            merged[f"{layer}.bias"] = Lazy(own.shape, partial(_moved, own, pair.bias, strength * pair.scale))
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
        if found["bias"]:
            if part != "up":
                strangers.append(name)
                continue
            part = "bias"
        own = parts.setdefault(layer, {})
        if part in own:
            raise CheckpointError(
                f"{path} has more than one addition to {layer} ({name} and another); expected one adapter a file: "
                "save each in a file of its own and name them all with --lora"
            )
        own[part] = lazy
    if strangers:
        raise CheckpointError(
            f"{path} has {len(strangers)} names that are no LoRA of this network: {_listed(strangers)}; "
            "expected one for Qwen-Image-Layered"
        )
    if alone := [layer for layer, own in parts.items() if not {"down", "up"} <= set(own)]:
        raise CheckpointError(f"{path} has only half of the additions to {_listed(alone)}")
    if not parts:
        raise CheckpointError(f"{path} holds no LoRA")
    words = _config(path)
    pairs: dict[str, _Pair] = {}
    for layer, own in parts.items():
        rank = own["down"].shape[0]
        scale = _told(own["alpha"], layer, path) / rank if "alpha" in own else _scale(words, layer, rank, path)
        pairs[layer] = _Pair(own["down"], own["up"], scale, own.get("bias"))
    return pairs


def _told(alpha: Lazy, layer: str, path: Path) -> float:
    """Alpha as a tensor says it."""
    if math.prod(alpha.shape) != 1:
        raise CheckpointError(f"{path}: alpha of {layer} has the shape {alpha.shape}, expected one number")
    value = float(alpha.read())
    if not math.isfinite(value):
        raise CheckpointError(f"{path}: alpha of {layer} is {value}, expected a finite number")
    return value


def _config(path: Path) -> Mapping[str, Any]:
    """PEFT's config of the file's adapter; empty where there is none."""
    if path.suffix.lower() != ".safetensors":
        return {}
    with safe_open(path, "pt") as file:
        words: str | None = (file.metadata() or {}).get(_HEADER)
    if words is None:
        beside = path.with_name(_BESIDE[1])
        return read_json(beside) if path.name == _BESIDE[0] and beside.is_file() else {}
    try:
        return {name.removeprefix("transformer."): value for name, value in json.loads(words).items()}
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: '{_HEADER}' in its header is no JSON object ({error})") from error


def _scale(words: Mapping[str, Any], layer: str, rank: int, path: Path) -> float:
    try:
        own = [
            alpha
            for ending, alpha in (words.get("alpha_pattern") or {}).items()
            if re.fullmatch(rf"(.*\.)?({ending})", layer)
        ]
        alpha = own[0] if own else words.get("lora_alpha")
        if alpha is None:
            return 1.0
        scale = float(alpha) / (math.sqrt(rank) if words.get("use_rslora") else rank)
        if not math.isfinite(scale):
            raise ValueError(f"it is {alpha}")
        return scale
    except (TypeError, ValueError, AttributeError, ZeroDivisionError, re.error) as error:
        raise CheckpointError(f"{path}: its config says no alpha for {layer} ({error})") from error


def _added(base: Lazy, pair: _Pair, strength: float) -> Tensor:
    addition = strength * pair.scale * (pair.up.read().float() @ pair.down.read().float())
    return _sum(base.read(), addition)


def _moved(base: Lazy, bias: Lazy, scale: float) -> Tensor:
    return _sum(base.read(), scale * bias.read().float())


def _sum(weight: Tensor, addition: Tensor) -> Tensor:
    """In the weight's type; 8 bits would round as much away as is added, so that bfloat16 takes their place."""
    dtype = torch.bfloat16 if weight.dtype.itemsize == 1 else weight.dtype
    return (weight.float() + addition).to(dtype)


def _listed(names: Iterable[str]) -> str:
    several = list(names)
    return ", ".join(several[:_NAMED]) + (", …" if len(several) > _NAMED else "")
