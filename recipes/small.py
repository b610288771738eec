"""The embedded small network.

    lamina train recipes.small:small bank=BANK [steps=9500 init_from=CHECKPOINT refuse=PICTURES] -o RUN

Scenes are drawn while training. The card beside src/lamina/weights/small.safetensors names the chain of runs, its steps
and its scores; a run goes on from a checkpoint's EMA weights with init_from, with a warm-up. The same command resumes.
With a permissive bank (recipes.bank --permissive) the recipe needs only art whose licence allows anything.
"""

from pathlib import Path

from lamina.data.art import Bank
from lamina.data.loader import SceneBatches, batches
from lamina.data.phash import read_hashes
from lamina.data.scenes import SceneMaker
from lamina.model.small import SmallConfig
from lamina.train.config import DataConfig, OptimConfig, Precision, TrainConfig
from lamina.train.loop import Run
from lamina.train.objectives import small_objective, small_validation
from lamina.train.sheets import small_sheet

__all__ = ["small"]


def small(
    out: Path,
    *,
    bank: Path,
    steps: int = 9500,
    batch_size: int = 16,
    lr: float = 1e-3,
    decay_share: float = 0.3,
    precision: Precision = "bfloat16",
    init_from: Path | None = None,
    refuse: Path | None = None,
    workers: int = 1,
    seed: int = 0,
) -> Run:
    """128 px working size, mixed aspects, one step; validated on scenes of held-out art. `refuse` names pictures, or
    their hashes, near which no scene may come."""
    config = TrainConfig(
        stage="small",
        model=SmallConfig(),
        data=DataConfig(bank=bank, refuse=refuse, batch_size=batch_size, workers=workers),
        optim=OptimConfig(lr=lr, decay_share=decay_share),
        steps=steps,
        seed=seed,
        init_from=init_from,
        precision=precision,
        out=out,
    )
    most = config.model.max_layers
    refused = tuple(int(value) for value in read_hashes(refuse)) if refuse else ()
    scenes = SceneMaker(Bank.load(bank, split="train"), max_layers=most)
    held = SceneMaker(Bank.load(bank, split="validation"), max_layers=most)
    check = list(batches(SceneBatches(held, 32, config.data.sizes[:1], 1, 0.0, 0.0), 0, 4, workers=0))
    return Run(
        config=config,
        objective=small_objective,
        data=SceneBatches(scenes, batch_size, config.data.sizes, seed, refused=refused),
        validate=lambda net: small_validation(net, check),
        sheet=small_sheet(check[0]._replace(**{name: value[:8] for name, value in check[0]._asdict().items()})),
    )
