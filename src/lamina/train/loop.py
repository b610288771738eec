"""The training loop: one for every stage. Run it again to resume; the data position is the step itself.

A run folder holds state.safetensors (weights, EMA, optimiser, random state, step), checkpoint.safetensors (EMA weights
with their config, ready to load), config.json, metrics.jsonl and sheets/. No pickle; files appear whole. Under torchrun
the same loop trains on several processes with FSDP2 (lamina.train.parallel).
"""

import json
import signal
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lamina.errors import Cancelled
from lamina.model import checkpoint
from lamina.train import networks
from lamina.train.config import TrainConfig
from lamina.train.optim import Ema, Optimiser, rate, trained
from lamina.train.parallel import Group, full, group, moved, part_of, shard
from lamina.train.state import resume, save_state, set_random

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Batches", "Objective", "OnStep", "Partable", "Run", "Validate", "train"]

_AHEAD = 10
"""Batches that a loader process draws ahead: more than a group of SceneBatches, so that steps never wait for one."""

Objective = Callable[[Any, Any], tuple[Tensor, dict[str, float]]]
"""(network, batch) -> (loss, its parts by name). For several processes the loss is a mean over the batch's rows."""
OnStep = Callable[[int, int, dict[str, float]], None]
Validate = Callable[[nn.Module], dict[str, float]]


class Batches(Protocol):
    """Map from batch index to batch, a NamedTuple of tensors and tuples with one entry a row; a pure function of the
    index, which is what makes a resumed run see exactly the data an uninterrupted one would have seen."""

    def __getitem__(self, index: int) -> Any: ...


@runtime_checkable
class Partable(Protocol):
    """Batches that can draw one process's rows alone; others are drawn whole and cut."""

    def part(self, ranks: Group) -> Batches: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What a recipe returns: all that `train` needs."""

    config: TrainConfig
    objective: Objective
    data: Batches
    network: Callable[[], nn.Module] | None = None
    """Makes the network where that of `config.model` is not it, as for LoRA."""
    validate: Validate | None = None
    sheet: Callable[[nn.Module], Image.Image] | None = None

    def changed(self, **fields: Any) -> "Run":
        """The same run with other values of its config; None leaves a field as it is."""
        return replace(self, config=replace(self.config, **{k: v for k, v in fields.items() if v is not None}))

    def train(self, on_step: OnStep | None = None) -> Path:
        """Train, or go on; see `train`."""
        return train(
            self.config,
            self.objective,
            self.data,
            network=self.network,
            validate=self.validate,
            sheet=self.sheet,
            on_step=on_step,
        )


def train(
    config: TrainConfig,
    objective: Objective,
    data: Batches,
    *,
    network: Callable[[], nn.Module] | None = None,
    validate: Validate | None = None,
    sheet: Callable[[nn.Module], Image.Image] | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Train, or go on with, the run in `config.out`; return its checkpoint.

    `network()` makes the network when that of `config.model` is not it. `validate(network)` and `sheet(network)` are
    called with EMA weights, without gradients; `on_step(step, total, metrics)` after every step, in the first process.
    Raising Cancelled or KeyboardInterrupt from it stops a single process with its state saved. Raises CheckpointError
    when the folder holds a run of another configuration.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    with group(config.device) as (ranks, device), _no_denormals(), warnings.catch_warnings():
        # Norms keep float32 weights under autocast, which torch has no fused kernel for.
        warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")
        # FSDP warns of writing into views that a module returns; nothing here does.
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
        return _Loop(config, objective, ranks, device, network).run(data, validate, sheet, on_step)


@contextmanager
def _no_denormals() -> Generator[None]:
    """Numbers too small to be normal are 0: gradients of sure masks are, and cost some CPUs half of their time."""
    before = torch.tensor(1e-40).item() == 0.0  # it is a state of the processor, which everything else lives with
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


class _Loop:
    """One process's part of a run."""

    def __init__(
        self,
        config: TrainConfig,
        objective: Objective,
        ranks: Group,
        device: torch.device,
        make: Callable[[], nn.Module] | None,
    ) -> None:
        self.config, self.objective, self.ranks, self.device = config, objective, ranks, device
        config.out.mkdir(parents=True, exist_ok=True)
        network = make() if make else networks.build(config.model)
        if config.init_from:
            networks.start_from(config.init_from, network, config.model)
        if ranks.size == 1:  # faster, but FSDP takes no parameters that are laid out otherwise
            network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.network = network.to(device)
        shard(self.network, ranks, device)
        self.optimiser, self.ema = Optimiser(self.network, config.optim), Ema(self.network, config.optim.ema)
        self.start, self.random = resume(config, self.network, self.optimiser, self.ema, ranks)

    def run(
        self,
        data: Batches,
        validate: Validate | None,
        sheet: Callable[[nn.Module], Image.Image] | None,
        on_step: OnStep | None,
    ) -> Path:
        config, network = self.config, self.network
        self._write_config()
        called: Any = torch.compile(network, dynamic=True) if config.compile else network
        stream = self._stream(data)
        set_random(self.random)  # after the loader, which draws too
        began = time.monotonic()
        for step, batch in enumerate(stream, self.start):
            done = step + 1
            metrics = self._step(called, batch, step)
            metrics["samples_per_second"] = (done - self.start) * config.data.batch_size / (time.monotonic() - began)
            last = done == config.steps
            if validate and (last or done % config.validate_every == 0):
                metrics |= {f"val_{name}": value for name, value in self._with_ema(validate).items()}
            if sheet and (last or done % config.sheet_every == 0):
                self._write_sheet(self._with_ema(sheet), done)
            saved = last or done % config.save_every == 0
            if self.ranks.first:
                _append(config.out / "metrics.jsonl", {"step": done, **metrics})
            if saved:
                self._save(done)
            if on_step and self.ranks.first:
                try:
                    on_step(done, config.steps, metrics)
                except (Cancelled, KeyboardInterrupt):
                    if not saved and self.ranks.size == 1:
                        self._save(done)
                    raise
        return config.out / "checkpoint.safetensors"

    def _step(self, called: Any, batch: Any, step: int) -> dict[str, float]:
        batch = moved(batch, self.device)
        with self._computing():
            loss, metrics = self.objective(called, batch)
        loss.backward()
        metrics = self.ranks.mean(metrics)
        metrics["norm"] = self.optimiser.step(rate(step, self.config.steps, self.config.optim))
        self.ema.update(self.network, step)
        return metrics

    def _computing(self) -> torch.autocast:
        """In the run's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _stream(self, data: Batches) -> Iterator[Any]:
        """Batches from the run's position on, drawn in processes of their own when there are workers."""
        own = data.part(self.ranks) if isinstance(data, Partable) else _Cut(data, self.ranks)
        loader: DataLoader[Any] = DataLoader(
            _Indexed(own), batch_size=None, sampler=range(self.start, self.config.steps),
            num_workers=self.config.data.workers, worker_init_fn=_leave_interrupts,
            prefetch_factor=_AHEAD if self.config.data.workers else None,
        )  # fmt: skip
        return iter(loader)

    def _with_ema(self, call: Callable[[nn.Module], Any]) -> Any:
        network = self.network
        held = {name: value.detach().clone() for name, value in trained(network).items()}
        network.load_state_dict(self.ema.values, strict=False)
        network.eval()
        kept = torch.get_rng_state()  # looking must not change what is learned
        try:
            with torch.no_grad(), self._computing():
                return call(network)
        finally:
            torch.set_rng_state(kept)
            network.train()
            network.load_state_dict(held, strict=False)

    def _save(self, step: int) -> None:
        config = self.config
        save_state(config, self.network, self.optimiser, self.ema, step, self.ranks)
        weights = {name: full(value) for name, value in self.ema.values.items()}
        if self.ranks.first:
            words = {"steps": str(step), "chain": json.dumps(networks.chain_of(config, step))}
            path = config.out / "checkpoint.safetensors"
            checkpoint.save(path, weights, config.model, kind=networks.kind_of(config.model), extra=words)
        self.ranks.barrier()

    def _write_config(self) -> None:
        if not self.ranks.first:
            return
        _whole(self.config.out / "config.json", lambda path: path.write_text(_pretty(self.config)))
        metrics = self.config.out / "metrics.jsonl"
        if metrics.exists():  # what a killed run did past its last state is done again
            rows = [row for row in metrics.read_text().splitlines(True) if json.loads(row)["step"] <= self.start]
            _whole(metrics, lambda path: path.write_text("".join(rows)))

    def _write_sheet(self, image: Image.Image, step: int) -> None:
        if self.ranks.first:
            folder = self.config.out / "sheets"
            folder.mkdir(exist_ok=True)
            _whole(folder / f"{step:08}.png", lambda path: image.save(path, "PNG"))


class _Indexed(Dataset[Any]):
    """Batches as torch's loader takes them."""

    def __init__(self, data: Batches) -> None:
        self.data = data

    def __getitem__(self, index: int) -> Any:
        return self.data[index]


class _Cut:
    """One process's rows of batches that are drawn whole."""

    def __init__(self, data: Batches, ranks: Group) -> None:
        self.data, self.ranks = data, ranks

    def __getitem__(self, index: int) -> Any:
        return part_of(self.data[index], self.ranks)


def _leave_interrupts(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; only the training process answers it, then ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _pretty(config: TrainConfig) -> str:
    return json.dumps(config.to_json(), indent=1)


def _whole(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_suffix(".tmp")
    write(temporary)
    temporary.replace(path)


def _append(path: Path, row: dict[str, float]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
