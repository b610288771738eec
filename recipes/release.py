"""Turn trained checkpoints into a model folder in the diffusers layout, which Lamina and diffusers load:

    python -m recipes.release runs/i2l/checkpoint.safetensors runs/vae/checkpoint.safetensors OUT --text FOLDER

FOLDER is a model folder whose text encoder, tokenizer and processor made the embeddings of the training; without it the
model takes embeddings alone. Weights are stored as bfloat16, or as --dtype says.
"""

import argparse
from pathlib import Path

import torch

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.config import MMDiTConfig, ModelConfig, VaeConfig, from_json
from lamina.model.save import save_released

__all__ = ["release"]

_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def release(
    transformer: Path, vae: Path, out: Path, *, text: Path | None = None, dtype: torch.dtype = torch.bfloat16
) -> None:
    """Write the folder `out` from a checkpoint of the MMDiT and one of the RGBA-VAE.

    Raises CheckpointError when a checkpoint is of another kind (a LoRA is merged first, lamina.train.lora.merge_file),
    when they do not belong together, or when `text` has no text encoder.
    """
    shape, weights = checkpoint.load(transformer, "mmdit")
    vae_shape, vae_weights = checkpoint.load(vae, "vae")
    config = ModelConfig(vae=from_json(VaeConfig, vae_shape), mmdit=from_json(MMDiTConfig, shape))
    if config.vae.image_channels != 4:
        raise CheckpointError(f"{vae} is an RGB VAE; train recipes.paper:vae from it first")
    if text is not None and not (text / "text_encoder").is_dir():
        raise CheckpointError(f"{text} has no text_encoder; expected a model folder in the diffusers layout")
    states = [{name: value.to(dtype) for name, value in state.items()} for state in (weights, vae_weights)]
    save_released(out, config, *states, text=text)


def main() -> None:
    """Write a release from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transformer", type=Path)
    parser.add_argument("vae", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", type=Path, help="Folder whose text encoder, tokenizer and processor are copied.")
    parser.add_argument("--dtype", choices=_DTYPES, default="bfloat16")
    args = parser.parse_args()
    release(args.transformer, args.vae, args.out, text=args.text, dtype=_DTYPES[args.dtype])
    print(args.out)


if __name__ == "__main__":
    main()
