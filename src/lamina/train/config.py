"""TrainConfig: all that defines a run, frozen and saved beside its checkpoints."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lamina.errors import InputError
from lamina.model.small import SmallConfig

__all__ = ["DataConfig", "OptimConfig", "TrainConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where scenes come from."""

    bank: Path
    """Folder of an art bank (recipes/bank.py)."""
    batch_size: int = 32
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
class TrainConfig:
    """One run."""

    stage: str
    """Name of the objective; "small" is the one of the embedded network."""
    model: SmallConfig
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
    threads: int = 1
    """CPU threads of the training process."""
    compile: bool = False
    """Compile the network with torch.compile."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps {self.steps} is below 1")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data of every field."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, Path) else value
