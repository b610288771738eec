"""The published layouts: where a released model's parts lie and what their configs say.

A folder as the diffusers library writes it (`model_index.json`, `transformer/`, `vae/`, `scheduler/`, `text_encoder/`,
`tokenizer/`, `processor/`), or one file of transformer weights beside such a folder's other parts. Every config is
checked against what this architecture is; another family is refused in one line. Knows names, shapes and configs.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.config import MMDiTConfig, ModelConfig, VaeConfig, preset
from lamina.model.flow import Schedule
from lamina.model.mmdit import MMDiT
from lamina.model.vae import published_shapes
from lamina.model.weights import Weights, open_file, open_folder, read_json, shapes_of

__all__ = [
    "CLASSES",
    "PIPELINE",
    "WEIGHT_FILES",
    "Released",
    "open_released",
    "open_transformer",
    "parts_beside",
    "published_report",
    "transformer_shapes",
]

WEIGHT_FILES = (".safetensors", ".gguf")
"""Endings of single files of transformer weights."""

PIPELINE = "QwenImageLayeredPipeline"
"""What `model_index.json` calls the family."""

CLASSES = {
    "transformer": "QwenImageTransformer2DModel",
    "vae": "AutoencoderKLQwenImage",
    "scheduler": "FlowMatchEulerDiscreteScheduler",
}
"""What the configs of its own parts call themselves."""

_RGB_ROW = "time_text_embed.addition_t_embedding.weight"
"""Only the layered member of its family has this tensor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """A released model on disk; its weights are not read yet."""

    name: str
    config: ModelConfig
    schedule: Schedule
    transformer: Weights
    vae: Weights
    """In the published 3-D layout."""
    folder: Path
    """Where text encoder, tokenizer and processor lie."""


def open_released(path: Path, parts: Path | None = None) -> Released:
    """Open a diffusers folder, or one file of transformer weights with the other parts in the folder `parts`.

    Without `parts`, a file's other parts are looked for in its folder and the one above. Every tensor's name and shape
    is checked, none is read. Raises CheckpointError in one line for whatever does not fit.
    """
    if path.is_dir():
        _check_index(path)
        config = _mmdit_config(path / "transformer" / "config.json")
        transformer, folder = open_folder(path / "transformer"), path
    else:
        config, transformer = open_transformer(path)
        folder = parts or parts_beside(path)
        if folder is None:
            raise CheckpointError(
                f"{path} holds the transformer alone; put it beside the folders vae, scheduler, text_encoder, "
                "tokenizer and processor of Qwen/Qwen-Image-Layered"
            )
    checkpoint.require_shapes(transformer, transformer_shapes(config), f"the transformer of {path.name}")
    vae_config = _vae_config(folder / "vae" / "config.json")
    vae = open_folder(folder / "vae")
    checkpoint.require_shapes(vae, published_shapes(vae_config), f"the VAE of {folder.name}")
    return Released(
        name=path.stem if path.is_file() else path.name,
        config=ModelConfig(vae=vae_config, mmdit=config, max_layers=preset("published").max_layers),
        schedule=_schedule(folder / "scheduler" / "scheduler_config.json"),
        transformer=transformer,
        vae=vae,
        folder=folder,
    )


def open_transformer(path: Path) -> tuple[MMDiTConfig, Weights]:
    """One file of transformer weights, and the config that its shapes tell. Raises CheckpointError when it is broken
    or of another family: before anything is fetched to go with it."""
    weights = open_file(path)
    return _guessed(weights, path), weights


def parts_beside(path: Path) -> Path | None:
    """The folder, of a file's own and the one above, that holds the parts beside the transformer; None without one."""
    return next((f for f in (path.parent, path.parent.parent) if (f / "vae" / "config.json").is_file()), None)


def transformer_shapes(config: MMDiTConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published transformer of this config; nothing is allocated."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in MMDiT(config).state_dict().items()}


def published_report() -> dict[str, tuple[int, int]]:
    """Tensors and parameters of the published transformer and VAE, counted on shapes alone."""
    config = preset("published")
    parts = {"transformer": transformer_shapes(config.mmdit), "vae": published_shapes(config.vae)}
    return {name: (len(shapes), sum(math.prod(shape) for shape in shapes.values())) for name, shapes in parts.items()}


def _check_index(folder: Path) -> None:
    index = folder / "model_index.json"
    if not index.is_file():
        raise CheckpointError(
            f"{folder} has no model_index.json; expected a folder as 'hf download Qwen/Qwen-Image-Layered --local-dir' "
            "writes it, or one .safetensors or .gguf file"
        )
    kind = read_json(index).get("_class_name")
    if kind != PIPELINE:
        raise CheckpointError(f"{folder} holds a model of the family {kind}; expected {PIPELINE}")


def _mmdit_config(path: Path) -> MMDiTConfig:
    words = _words(path, "transformer")
    base = MMDiTConfig()
    expected = {"use_additional_t_cond": True, "use_layer3d_rope": True, "zero_cond_t": False, "guidance_embeds": False}
    for name, value in expected.items():
        if bool(words.get(name, False)) != value:
            raise CheckpointError(
                f"{path}: {name} is {not value}; another member of the Qwen-Image family, not Layered"
            )
    channels, patch = words.get("out_channels") or 16, words.get("patch_size", 2)
    try:
        axes = tuple(words.get("axes_dims_rope", base.rope_axes))
        config = MMDiTConfig(
            depth=words["num_layers"],
            heads=words["num_attention_heads"],
            rope_axes=(axes[0], axes[1], axes[2]),
            latent_channels=channels,
            patch=patch,
            text_width=words["joint_attention_dim"],
        )
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}; download it again") from error
    except (TypeError, IndexError) as error:
        raise CheckpointError(f"{path} has values of a wrong kind ({error}); download it again") from error
    if words.get("in_channels") != config.token_width or words.get("attention_head_dim") != sum(axes):
        raise CheckpointError(
            f"{path}: in_channels {words.get('in_channels')} and attention_head_dim {words.get('attention_head_dim')}; "
            f"expected {config.token_width} and {sum(axes)}"
        )
    return config


def _vae_config(path: Path) -> VaeConfig:
    words = _words(path, "vae")
    try:
        return _vae_of(words, path)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} has values of a wrong kind ({error}); download it again") from error


def _vae_of(words: dict[str, Any], path: Path) -> VaeConfig:
    multipliers = tuple(words.get("dim_mult", (1, 2, 4, 4)))
    if words.get("attn_scales") or words.get("input_channels", 3) != 4:
        raise CheckpointError(
            f"{path}: {words.get('input_channels', 3)} channels; expected an RGBA-VAE of 4, no attn_scales"
        )
    if list(words.get("temperal_downsample", [])) != [place > 0 for place in range(len(multipliers) - 1)]:
        raise CheckpointError(
            f"{path}: temperal_downsample {words.get('temperal_downsample')} is not the published kind"
        )
    published = preset("published").vae
    return VaeConfig(
        image_channels=4,
        width=words.get("base_dim", 96),
        multipliers=multipliers,
        res_blocks=words.get("num_res_blocks", 2),
        latent_channels=words.get("z_dim", 16),
        latent_mean=tuple(map(float, words.get("latents_mean", published.latent_mean))),
        latent_std=tuple(map(float, words.get("latents_std", published.latent_std))),
    )


def _schedule(path: Path) -> Schedule:
    words = _words(path, "scheduler")
    odd = [name for name in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas")
           if words.get(name)]  # fmt: skip
    kind = words.get("time_shift_type", "exponential")
    if odd or not words.get("use_dynamic_shifting") or kind not in ("linear", "exponential"):
        raise CheckpointError(f"{path}: {odd[0] if odd else kind}; expected dynamic shifting, linear or exponential")
    try:
        return Schedule(kind=kind, terminal=float(words["shift_terminal"]) if words.get("shift_terminal") else None)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: shift_terminal is no number ({error}); download it again") from error


def _guessed(weights: Weights, path: Path) -> MMDiTConfig:
    """The config that a transformer's shapes tell; the axes of RoPE are 1/8, 7/16 and 7/16 of a head."""
    shapes = shapes_of(weights)
    numbers = [int(found[1]) for name in shapes if (found := re.match(r"transformer_blocks\.(\d+)\.", name))]
    try:
        tokens, texts = shapes["img_in.weight"], shapes["txt_in.weight"]
        head = shapes["transformer_blocks.0.attn.norm_q.weight"][0]
    except KeyError as error:
        known = ", ".join(sorted(shapes)[:2]) or "nothing"
        raise CheckpointError(
            f"{path} is no transformer of this family: it lacks {error}, it has {known}, …"
        ) from error
    if _RGB_ROW not in shapes:
        raise CheckpointError(f"{path} is a Qwen-Image transformer, but not Layered: it has no {_RGB_ROW}")
    return MMDiTConfig(
        depth=max(numbers) + 1,
        heads=tokens[0] // head,
        rope_axes=(head // 8, head * 7 // 16, head * 7 // 16),
        latent_channels=tokens[1] // 4,
        text_width=texts[1],
    )


def _words(path: Path, part: str) -> dict[str, Any]:
    words = read_json(path)
    if words.get("_class_name") != CLASSES[part]:
        raise CheckpointError(f"{path} describes a {words.get('_class_name')}; expected {CLASSES[part]}")
    return words
