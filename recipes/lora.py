"""LoRA fine-tuning of a checkpoint on harvested PSD shards:

    lamina train recipes.lora:lora base=CHECKPOINT shards=SHARDS [vae=VAE text=TEXT] -o runs/lora
    python -m recipes.lora BASE runs/lora/checkpoint.safetensors OUT      # fold it in: an ordinary checkpoint

The base is a small network, or an MMDiT of stage 4 (then `vae` and `text` are those of recipes/paper.py). A VAE has no
linear layers, so it cannot be a base. Rank 32 at 1e-4 is what public trainers of the released model use.
"""

import argparse
from pathlib import Path
from typing import Any

from lamina.data.loader import SceneBatches, batches
from lamina.errors import InputError
from lamina.model import checkpoint
from lamina.model.config import MMDiTConfig, from_json
from lamina.model.small import SmallConfig
from lamina.train import networks
from lamina.train.config import DataConfig, LoraConfig, OptimConfig, Precision, TrainConfig
from lamina.train.loop import Run
from lamina.train.lora import add_lora, file_hash, merge_file
from lamina.train.objectives import small_objective, small_validation
from lamina.train.sheets import flow_sheet, small_sheet
from lamina.train.stacks import StackBatches
from recipes.paper import flow_objective, flow_validation, samples, sizes

__all__ = ["lora"]


def lora(
    out: Path,
    *,
    base: Path,
    shards: Path | None = None,
    bank: Path | None = None,
    held: Path | None = None,
    vae: Path | None = None,
    text: str = "hashed",
    init_from: Path | None = None,
    rank: int = 32,
    alpha: float = 32.0,
    steps: int = 2000,
    batch_size: int = 8,
    side: int = 640,
    lr: float = 1e-4,
    warmup: int = 50,
    guidance: float = 4.0,
    sample_steps: int = 50,
    precision: Precision = "float32",
    workers: int = 1,
    save_every: int = 200,
    validate_every: int = 500,
    seed: int = 0,
) -> Run:
    """Additions to the linear layers of `base`, learned on `shards`; `side` is the working size of an MMDiT.

    `init_from` is a LoRA of the same base to go on from.
    """
    header = checkpoint.read_header(base)
    if header.kind not in ("small", "mmdit"):
        raise InputError(f"{base} is of kind '{header.kind}'; a LoRA needs linear layers: small or mmdit")
    settings = LoraConfig(base_kind=header.kind, base=file_hash(base), rank=rank, alpha=alpha)
    shape: Any = from_json(SmallConfig if header.kind == "small" else MMDiTConfig, header.config)

    def config(stage: str, working: tuple[tuple[int, int], ...]) -> TrainConfig:
        return TrainConfig(
            stage=stage,
            model=settings,
            data=DataConfig(bank=bank, shards=shards, batch_size=batch_size, sizes=working, workers=workers),
            optim=OptimConfig(lr=lr, weight_decay=0.0, warmup=warmup, ema=0.99),
            steps=steps,
            seed=seed,
            init_from=init_from,
            out=out,
            save_every=save_every,
            validate_every=validate_every,
            sheet_every=validate_every,
            precision=precision,
        )

    def network() -> Any:
        return add_lora(networks.load(base, header.kind), settings)

    if header.kind == "small":
        made = config("lora-small", DataConfig().sizes)
        drawn = samples(bank, shards, shape.max_layers)
        data = SceneBatches(drawn, batch_size, made.data.sizes, seed)
        unseen = samples(bank, held or shards, shape.max_layers, split="validation")
        fixed = SceneBatches(unseen, min(8, batch_size), made.data.sizes[:1], seed + 1, 0.0, 0.0)
        check = list(batches(fixed, 0, 2, workers=0))
        return Run(
            config=made,
            objective=small_objective,
            data=data,
            network=network,
            validate=lambda net: small_validation(net, check),
            sheet=small_sheet(check[0]),
        )
    if vae is None:
        raise InputError("a LoRA of an mmdit needs vae=CHECKPOINT, the VAE of its latents")
    objective = flow_objective(vae, text, shape, condition=True)
    made = config("lora-image-to-layers", sizes(side, objective.vae.config.stride * shape.patch))
    data = StackBatches(source=samples(bank, shards, 20), batch_size=batch_size, sizes=made.data.sizes, seed=seed)
    unseen = samples(bank, held or shards, 20, split="validation")
    fixed = StackBatches(source=unseen, batch_size=min(4, batch_size), sizes=made.data.sizes, seed=seed + 1)
    held_out = [fixed[0], fixed[1]]
    return Run(
        config=made,
        objective=objective,
        data=data,
        network=network,
        validate=flow_validation(objective, objective, held_out, sample_steps, guidance),
        sheet=flow_sheet(objective, held_out[0], steps=sample_steps, guidance=guidance),
    )


def main() -> None:
    """Fold a LoRA into its base, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("lora", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    merge_file(args.base, args.lora, args.out)


if __name__ == "__main__":
    main()
