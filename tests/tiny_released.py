"""A tiny random model in the released layout, made for tests; nothing in it was learned."""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from lamina.model.blocks import Resident, Streamed
from lamina.model.config import MMDiTConfig, ModelConfig, VaeConfig
from lamina.model.denoise import Denoiser, Text, tabled_network
from lamina.model.flow import Schedule
from lamina.model.layouts import open_released
from lamina.model.mmdit import MMDiT
from lamina.model.released import ReleasedModel, draw_noise, load_vae
from lamina.model.save import save_released
from lamina.model.vae import Vae

TEXT_WIDTH = 64
CONFIG = ModelConfig(
    vae=VaeConfig(
        width=4,
        multipliers=(1, 2, 2, 2),
        res_blocks=1,
        latent_channels=8,
        latent_mean=(0.1, -0.2, 0.3, 0.0) * 2,
        latent_std=(1.5, 0.8, 1.2, 1.0, 0.9, 1.1, 1.3, 0.7),
    ),
    mmdit=MMDiTConfig(depth=3, heads=2, rope_axes=(4, 14, 14), latent_channels=8, text_width=TEXT_WIDTH),
)
CPU = torch.device("cpu")
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
            "<|video_pad|>", "<|vision_pad|>")  # fmt: skip


@cache
def networks(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[MMDiT, Vae]:
    """Random networks whose every part matters: norms and gates too."""
    torch.manual_seed(seed)
    found: list[Any] = [MMDiT(CONFIG.mmdit), Vae(CONFIG.vae)]
    for network in found:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        network.to(dtype).eval()
    return found[0], found[1]


def write(folder: Path, *, text: bool = False, dtype: torch.dtype = torch.float32, **options: Any) -> Path:
    """Write the model; with `text` also a text encoder, tokenizer and processor."""
    mmdit, vae = networks(dtype=dtype)
    if text:
        write_text(folder, dtype)
    save_released(
        folder, CONFIG, mmdit.state_dict(), vae.state_dict(), text=folder if text else None,
        schedule=Schedule(), **options,
    )  # fmt: skip
    return folder


def model(
    folder: Path, resident: int | None = None, frames: int = 0, dtype: torch.dtype = torch.float32
) -> ReleasedModel:
    """The model of a folder; its blocks streamed but for `resident`, if that is given."""
    released = open_released(folder)
    network = tabled_network(released.config.mmdit, released.transformer, dtype)
    modules = list(network.transformer_blocks)
    blocks = Resident(modules, CPU) if resident is None else Streamed(modules, CPU, resident=resident)
    vae = load_vae(released, device=CPU, dtype=dtype)
    return ReleasedModel(released, vae, Denoiser(network, blocks), device=CPU, frames=frames)


def inputs(batch: int = 1, layers: int = 2) -> dict[str, Any]:
    """Random pictures, prompts and noise for `layers`."""
    generator = torch.Generator().manual_seed(5)
    return {
        "pictures": torch.rand(batch, 4, 32, 48, generator=generator) * 2 - 1,
        "texts": Text(torch.randn(batch, 7, TEXT_WIDTH, generator=generator)),
        "bare": Text(torch.randn(batch, 6, TEXT_WIDTH, generator=generator)),
        "count": layers,
        "steps": 2,
        "noise": draw_noise(range(batch), (layers + 1, 8, 4, 6)),
    }


def write_text(folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """A tiny random Qwen2.5-VL with a tokenizer of single bytes."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2Tokenizer,
        Qwen2VLImageProcessorPil,
    )

    words = [*_SPECIAL, *sorted(ByteLevel.alphabet())]
    tokenizer: Any = Qwen2Tokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": list(_SPECIAL)})
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(words), "hidden_size": TEXT_WIDTH, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 14,
            "out_hidden_size": TEXT_WIDTH, "fullatt_block_indexes": [1],
        },
        vision_start_token_id=3, vision_end_token_id=4, image_token_id=5, video_token_id=6,
    )  # fmt: skip
    torch.manual_seed(7)
    encoder: Any = Qwen2_5_VLForConditionalGeneration(config).to(dtype).eval()
    encoder.generation_config.eos_token_id = 2
    encoder.generation_config.pad_token_id = 0
    encoder.save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    sizes = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    images: Any = Qwen2VLImageProcessorPil(size=sizes)
    images.save_pretrained(folder / "processor")
