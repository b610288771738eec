"""The training loop: one for every stage. Run it again to resume; the data position is the step itself.

A run folder holds state.safetensors (weights, EMA, optimiser, step), checkpoint.safetensors (EMA weights with their
config, ready to load), config.json and metrics.jsonl. No pickle; files appear whole.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lamina.data.loader import Batch, SceneBatches, batches
from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.small import SmallNet
from lamina.train.config import TrainConfig
from lamina.train.optim import Ema, Optimiser, rate

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Objective", "train"]

_log = logging.getLogger(__name__)

Objective = Callable[[Any, Batch], tuple[Tensor, dict[str, float]]]


def train(
    config: TrainConfig,
    objective: Objective,
    data: SceneBatches,
    *,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    on_step: Callable[[int, int, dict[str, float]], None] | None = None,
) -> Path:
    """Train, or go on with, the run in `config.out`; return its checkpoint.

    `validate(network)` is called with EMA weights; `on_step(step, total, metrics)` after every step. Raises
    CheckpointError when the folder holds a run of another configuration.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    network = SmallNet(config.model)
    if config.init_from:
        checkpoint.fill(network, checkpoint.load(config.init_from, kind="small")[1])
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimiser, ema = Optimiser(network, config.optim), Ema(network, config.optim.ema)
    start = _resume(config, network, optimiser, ema)
    (config.out / "config.json").write_text(json.dumps(config.to_json(), indent=1))
    called: Any = torch.compile(network, dynamic=True) if config.compile else network

    began = time.monotonic()
    stream = batches(data, start, config.steps, workers=config.data.workers)
    for step, batch in enumerate(stream, start):
        loss, metrics = objective(called, batch)
        loss.backward()
        metrics["norm"] = optimiser.step(rate(step, config.steps, config.optim))
        ema.update(network, step)
        done = step + 1
        metrics["samples_per_second"] = (done - start) * config.data.batch_size / (time.monotonic() - began)
        if validate and (done % config.validate_every == 0 or done == config.steps):
            metrics |= {f"val_{name}": value for name, value in _with_ema(network, ema, validate).items()}
        _append(config.out / "metrics.jsonl", {"step": done, **metrics})
        if done % config.save_every == 0 or done == config.steps:
            _save(config, network, optimiser, ema, done)
        if on_step:
            on_step(done, config.steps, metrics)
    return config.out / "checkpoint.safetensors"


def _with_ema(network: nn.Module, ema: Ema, call: Callable[[nn.Module], dict[str, float]]) -> dict[str, float]:
    held = {name: value.detach().clone() for name, value in network.state_dict().items()}
    network.load_state_dict(ema.values)
    network.eval()
    try:
        with torch.no_grad():
            return call(network)
    finally:
        network.train()
        network.load_state_dict(held)


def _save(config: TrainConfig, network: nn.Module, optimiser: Optimiser, ema: Ema, step: int) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.values.items()}
    tensors |= {f"optim.{name}": value for name, value in optimiser.state().items()}
    temporary = config.out / "state.tmp"
    save_file(
        {name: value.contiguous().clone() for name, value in tensors.items()},
        temporary,
        metadata={"step": str(step), "run": _identity(config)},
    )
    temporary.replace(config.out / "state.safetensors")
    checkpoint.save(
        config.out / "checkpoint.safetensors", ema.values, config.model, kind="small", extra={"steps": str(step)}
    )


def _resume(config: TrainConfig, network: nn.Module, optimiser: Optimiser, ema: Ema) -> int:
    path = config.out / "state.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        header: dict[str, str] = file.metadata()
        if header["run"] != _identity(config):
            raise CheckpointError(f"{path} belongs to a run of another configuration; use another folder or remove it")
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def part(prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

    network.load_state_dict(part("network."))
    for name, value in part("ema.").items():
        ema.values[name].copy_(value)
    optimiser.load(part("optim."))
    _log.info("resumed at step %s", header["step"])
    return int(header["step"])


def _identity(config: TrainConfig) -> str:
    """What must be equal for a run to go on: all but the length, the pace of saving and the machine."""
    free = {"steps", "out", "save_every", "validate_every", "threads", "compile"}
    return json.dumps({key: value for key, value in config.to_json().items() if key not in free}, sort_keys=True)


def _append(path: Path, row: dict[str, float]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
