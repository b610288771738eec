"""The embedded small network: python -m recipes.small BANK_FOLDER RUN_FOLDER [--steps 4700] [--threads 1]

Reproduces src/lamina/weights/small.safetensors (its card names steps and scores). Scenes are drawn while training.
Run the same command again to resume. With --permissive banks (recipes.bank --permissive) the same recipe needs only
art whose licence allows anything.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from lamina.data.art import Bank
from lamina.data.loader import SceneBatches, batches
from lamina.data.scenes import SceneMaker
from lamina.model.small import SmallConfig
from lamina.train.config import DataConfig, OptimConfig, TrainConfig
from lamina.train.loop import train
from lamina.train.objectives import small_objective, small_validation

__all__ = ["small"]


def small(bank: Path, out: Path, *, steps: int = 4700, batch_size: int = 16) -> TrainConfig:
    """The shipped recipe: 128 px working size, one step, mixed aspects."""
    return TrainConfig(
        stage="small",
        model=SmallConfig(),
        data=DataConfig(bank=bank, batch_size=batch_size),
        optim=OptimConfig(),
        steps=steps,
        out=out,
    )


def main() -> None:
    """Train from the command line, with a line of progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4700)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--init-from", type=Path)
    args = parser.parse_args()
    config = replace(
        small(args.bank, args.out, steps=args.steps, batch_size=args.batch),
        threads=args.threads,
        compile=args.compile,
        init_from=args.init_from,
    )
    scenes = SceneMaker(Bank.load(config.data.bank, split="train"), max_layers=config.model.max_layers)
    data = SceneBatches(scenes, config.data.batch_size, config.data.sizes, config.seed)
    held = SceneMaker(Bank.load(config.data.bank, split="validation"), max_layers=config.model.max_layers)
    held_batches = list(batches(SceneBatches(held, 32, config.data.sizes[:1], 1, 0.0, 0.0), 0, 4, workers=0))

    def on_step(step: int, total: int, metrics: dict[str, float]) -> None:
        if step % 20 == 0 or "val_iou" in metrics:
            words = " ".join(f"{name} {value:.3f}" for name, value in metrics.items())
            print(f"{step}/{total} {words}", file=sys.stderr, flush=True)

    path = train(
        config, small_objective, data, validate=lambda net: small_validation(net, held_batches), on_step=on_step
    )
    print(path)


if __name__ == "__main__":
    main()
