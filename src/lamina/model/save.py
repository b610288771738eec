"""Write a model in the diffusers layout, which that library loads too.

Knows names, shapes and configs; what is read back is `layouts`.
"""

# pyright: reportUnknownVariableType=false
# safetensors is untyped.
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.config import MMDiTConfig, ModelConfig, VaeConfig
from lamina.model.flow import Schedule
from lamina.model.layouts import CLASSES, PIPELINE, transformer_shapes
from lamina.model.vae import published_shapes

__all__ = ["save_released"]

_SHARD = 5_000_000_000
"""Bytes of a shard at most."""

_TEXT = {
    "text_encoder": "Qwen2_5_VLForConditionalGeneration",
    "tokenizer": "Qwen2Tokenizer",
    "processor": "Qwen2VLProcessor",
}


def save_released(
    folder: Path,
    config: ModelConfig,
    transformer: Mapping[str, Tensor],
    vae: Mapping[str, Tensor],
    *,
    text: Path | None = None,
    schedule: Schedule | None = None,
    shard: int = _SHARD,
) -> None:
    """Write a model in the diffusers layout, which that library loads too.

    `vae` is the state of `Vae`, which has no time; it is given back the published 3-D shapes, with zeros where a single
    frame never reaches. `text` is a folder whose `text_encoder`, `tokenizer` and `processor` are copied. Raises
    CheckpointError when the weights do not fit the config or cannot be written.
    """
    checkpoint.require_shapes(transformer, transformer_shapes(config.mmdit), "the transformer to save")
    schedule = schedule or Schedule()
    terminal = schedule.terminal if schedule.terminal is not None else False
    settings = {
        "num_train_timesteps": 1000, "shift": 1.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 0.9,
        "base_image_seq_len": 256, "max_image_seq_len": 8192, "shift_terminal": terminal,
        "time_shift_type": schedule.kind,
    }  # fmt: skip
    try:
        for part in CLASSES:
            (folder / part).mkdir(parents=True, exist_ok=True)
        _write_json(folder / "transformer" / "config.json", _mmdit_words(config.mmdit))
        _write_json(folder / "vae" / "config.json", _vae_words(config.vae))
        words = {"_class_name": CLASSES["scheduler"], **settings}
        _write_json(folder / "scheduler" / "scheduler_config.json", words)
        _write_weights(folder / "transformer", transformer, shard)
        _write_weights(folder / "vae", _with_time(vae, config.vae), shard)
        for part in _TEXT:
            if text is not None and (text / part).is_dir() and text != folder:
                shutil.copytree(text / part, folder / part, dirs_exist_ok=True)
        index: dict[str, Any] = {
            "_class_name": PIPELINE,
            **{part: ["diffusers", name] for part, name in CLASSES.items()},
        }
        for part, kind in _TEXT.items():
            index[part] = ["transformers", kind] if (folder / part).is_dir() else [None, None]
        _write_json(folder / "model_index.json", index)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be written: {error}") from error


def _with_time(state: Mapping[str, Tensor], config: VaeConfig) -> dict[str, Tensor]:
    """The 3-D layout whose collapse these weights are: they lie in the last time slice, all else is zero."""
    shapes = published_shapes(config)
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if ".time_conv." in name:
            found[name] = torch.zeros(shape)
            continue
        if name not in state:
            raise CheckpointError(f"the VAE to save lacks {name}")
        tensor = state[name].detach().cpu()
        if len(shape) == 5:
            full = torch.zeros(shape, dtype=tensor.dtype)
            full[:, :, -1] = tensor
            tensor = full
        found[name] = tensor.reshape(shape)
    if unknown := sorted(set(state) - set(shapes)):
        raise CheckpointError(f"the VAE to save has unknown tensors: {', '.join(unknown[:3])}")
    return found


def _write_weights(folder: Path, state: Mapping[str, Tensor], most: int) -> None:
    """One file, or shards with an index; every file appears whole, the index last."""
    stem, size = "diffusion_pytorch_model", 0
    names: list[list[str]] = [[]]
    for name, tensor in state.items():
        length = tensor.numel() * tensor.element_size()
        if names[-1] and size + length > most:
            names.append([])
            size = 0
        names[-1].append(name)
        size += length
    places: dict[str, str] = {}
    for number, own in enumerate(names, start=1):
        file = f"{stem}.safetensors" if len(names) == 1 else f"{stem}-{number:05}-of-{len(names):05}.safetensors"
        tensors = {name: state[name].detach().cpu().contiguous() for name in own}
        save_file(tensors, folder / f".{file}.tmp", metadata={"format": "pt"})
        (folder / f".{file}.tmp").replace(folder / file)
        places |= dict.fromkeys(own, file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if len(names) > 1:
        _write_json(
            folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places}
        )
    else:
        (folder / f"{stem}.safetensors.index.json").unlink(missing_ok=True)


def _write_json(path: Path, words: Mapping[str, Any]) -> None:
    path.with_name(f".{path.name}.tmp").write_text(json.dumps(words, indent=2) + "\n", "utf-8")
    path.with_name(f".{path.name}.tmp").replace(path)


def _mmdit_words(config: MMDiTConfig) -> dict[str, Any]:
    return {
        "_class_name": CLASSES["transformer"],
        "num_layers": config.depth,
        "num_attention_heads": config.heads,
        "attention_head_dim": sum(config.rope_axes),
        "axes_dims_rope": list(config.rope_axes),
        "in_channels": config.token_width,
        "out_channels": config.latent_channels,
        "patch_size": config.patch,
        "joint_attention_dim": config.text_width,
        "guidance_embeds": False,
        "zero_cond_t": False,
        "use_additional_t_cond": True,
        "use_layer3d_rope": True,
    }


def _vae_words(config: VaeConfig) -> dict[str, Any]:
    return {
        "_class_name": CLASSES["vae"],
        "base_dim": config.width,
        "z_dim": config.latent_channels,
        "dim_mult": list(config.multipliers),
        "num_res_blocks": config.res_blocks,
        "attn_scales": [],
        "temperal_downsample": [place > 0 for place in range(len(config.multipliers) - 1)],
        "dropout": 0.0,
        "input_channels": config.image_channels,
        "latents_mean": list(config.latent_mean),
        "latents_std": list(config.latent_std),
    }
