"""TrainConfig: all that defines a run, frozen and saved beside its checkpoints."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from lamina.errors import InputError
from lamina.model.config import MMDiTConfig, VaeConfig
from lamina.model.small import SmallConfig

__all__ = ["DataConfig", "LoraConfig", "Network", "OptimConfig", "Precision", "TrainConfig"]

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where samples come from: drawn from a bank of art, or read from shards."""

    bank: Path | None = None
    """Folder of an art bank (recipes/bank.py)."""
    shards: Path | None = None
    """Folder of harvested shards."""
    refuse: Path | None = None
    """Pictures that must not be learned from: a folder, or its list of `lamina data hashes`."""
    batch_size: int = 32
    """Pictures a step, over all processes together."""
    sizes: tuple[tuple[int, int], ...] = ((128, 128), (112, 144), (144, 112), (176, 96), (96, 176))
    """Working sizes (width, height), one a group of batches; the first in half of them."""
    workers: int = 1
    """Loader processes; 0 draws in the training process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """AdamW; warm-up, flat rate, then a cosine tail."""

    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 100
    decay_share: float = 0.3
    """The last share of the steps falls to zero along a cosine."""
    clip: float = 1.0
    ema: float = 0.998


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraConfig:
    """Low-rank additions to the linear layers of a checkpoint's network (arXiv 2106.09685)."""

    base_kind: str
    """Kind of the checkpoint it is for: small, mmdit."""
    base: str
    """SHA-256 of that checkpoint's file; the additions mean nothing on other weights."""
    rank: int = 16
    alpha: float = 16.0
    """The addition counts alpha / rank times."""
    targets: tuple[str, ...] = ("attn.*", "*_mlp.*")
    """Patterns of the linear layers' names, matched at the end of the name after a dot; `*` is anything."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(f"LoRA of rank {self.rank}; expected 1 or more")


Network = SmallConfig | VaeConfig | MMDiTConfig | LoraConfig
"""What may be trained; each is a kind of checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One run."""

    stage: str
    """Name of the phase: "small" is the embedded network's, the others are those of recipes/paper.py."""
    model: Network
    data: DataConfig
    optim: OptimConfig = field(default_factory=OptimConfig)
    steps: int
    seed: int = 0
    init_from: Path | None = None
    """Start from the EMA weights of this checkpoint instead of random ones."""
    out: Path
    """Folder of the run: state, checkpoint, metrics.jsonl."""
    save_every: int = 200
    validate_every: int = 500
    sheet_every: int = 500
    """A sample sheet every so many steps, where the recipe draws one."""
    threads: int = 1
    """CPU threads of the training process."""
    compile: bool = False
    """Compile the network with torch.compile."""
    precision: Precision = "float32"
    """bfloat16 computes the network under autocast; weights, optimiser and EMA stay float32."""
    device: str = "auto"
    """Where to train: auto (a CUDA device if there is one), cpu, cuda."""
    recipe: tuple[str, ...] = ()
    """The words of `lamina train` that make this run: the recipe and its key=value pairs."""

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "validate_every", "sheet_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is below 1")
        if self.precision not in get_args(Precision):
            raise InputError(f"precision '{self.precision}'; expected one of {', '.join(get_args(Precision))}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data of every field."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, Path) else value
