"""The embedded small network.

    lamina train recipes.small:small bank=BANK [shards=DIR steps=9500 init_from=CHECKPOINT refuse=PICTURES] -o RUN

Scenes are drawn while training; with shards of real documents (lamina data harvest, recipes/documents.py) windows of
them take a share, and so do photographs parted into subject and rest (photos=, recipes/photos.py). The card beside
src/lamina/weights/small.safetensors names the chain of runs, its steps and its scores; a run goes on from a
checkpoint's EMA weights with init_from, with a warm-up. The same command resumes.
With a permissive bank (recipes.bank --permissive) the recipe needs only art whose licence allows anything.
"""

from pathlib import Path

from lamina.data.art import Bank
from lamina.data.loader import SceneBatches, batches
from lamina.data.phash import read_hashes
from lamina.data.scenes import SceneMaker
from lamina.data.shards import INDEX, Shards
from lamina.data.windows import MixedSource, WindowSource
from lamina.model.cues import CUES
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
    shards: Path | None = None,
    shard_share: float = 0.3,
    photos: Path | None = None,
    photo_share: float = 0.12,
    steps: int = 9500,
    batch_size: int = 16,
    lr: float = 1e-3,
    decay_share: float = 0.3,
    precision: Precision = "bfloat16",
    backbone: bool = True,
    rounds: int = 2,
    init_from: Path | None = None,
    refuse: Path | None = None,
    workers: int = 1,
    seed: int = 0,
) -> Run:
    """256 px working size, mixed aspects, one step; validated on scenes of held-out art. `shard_share`
    of the samples are windows of documents in `shards`, a folder of shards or of several such folders, `photo_share` of
    the parted photographs in `photos` (recipes/photos.py). `refuse` names pictures, or their hashes, near which no
    sample may come."""
    config = TrainConfig(
        stage="small",
        model=SmallConfig(area=256 * 256, stem=4, cues=CUES, backbone=backbone, rounds=rounds),
        data=DataConfig(bank=bank, shards=shards, refuse=refuse, batch_size=batch_size, workers=workers),
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
    stored = {folder: share for folder, share in ((shards, shard_share), (photos, photo_share)) if folder is not None}
    source = _with_stored(scenes, stored) if stored else scenes
    held = SceneMaker(Bank.load(bank, split="validation"), max_layers=most)
    seen = {"zoom": 2, "cues": True}
    check = list(batches(SceneBatches(held, 32, config.data.sizes[:1], 1, 0.0, 0.0, **seen), 0, 4, workers=0))
    return Run(
        config=config,
        objective=small_objective,
        data=SceneBatches(source, batch_size, config.data.sizes, seed, refused=refused, twins=3, **seen),
        validate=lambda net: small_validation(net, check),
        sheet=small_sheet(check[0]._replace(**{name: value[:8] for name, value in check[0]._asdict().items()})),
    )


def _with_stored(scenes: SceneMaker, shares: dict[Path, float]) -> MixedSource:
    """Scenes, and windows of what folders of shards store: their share each, every document as often as any other."""
    windows: list[WindowSource] = []
    parts: list[float] = []
    for path, share in shares.items():
        folders = [path] if (path / INDEX).exists() else sorted(index.parent for index in path.glob(f"*/{INDEX}"))
        stored = [Shards(folder) for folder in folders]
        windows += [WindowSource(found, scenes.max_layers, least_share=0.5, varied_share=0.7) for found in stored]
        parts += [share * len(found) / sum(map(len, stored)) for found in stored]
    return MixedSource((scenes, *windows), (1 - sum(parts), *parts), scenes.max_layers)
