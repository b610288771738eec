"""The exact state of a run on disk, from which it goes on as if it had never stopped; on one computer, bit for bit.

A process writes what it holds: weights, EMA, optimiser, the states of torch's random generators, and the step, which
is also the position in the data. Several processes write a file each. No pickle; files appear whole.
"""

import json
import logging
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lamina.errors import CheckpointError
from lamina.train.config import TrainConfig
from lamina.train.optim import Ema, Optimiser, trained
from lamina.train.parallel import Group, local

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["resume", "save_state", "set_random"]

_log = logging.getLogger(__name__)

_FREE = {
    "steps",
    "out",
    "save_every",
    "validate_every",
    "sheet_every",
    "threads",
    "compile",
    "device",
    "workers",
    "recipe",
}
"""Fields in which a run may differ and still go on: its length, the pace of saving, the machine."""


def save_state(
    config: TrainConfig, network: nn.Module, optimiser: Optimiser, ema: Ema, step: int, ranks: Group
) -> None:
    """Write the state after `step` steps; all processes call it."""
    tensors = {f"network.{name}": value for name, value in trained(network).items()}
    tensors |= {f"ema.{name}": value for name, value in ema.values.items()}
    tensors |= {f"optim.{name}": value for name, value in optimiser.state().items()}
    tensors |= {f"random.{name}": value for name, value in _random().items()}
    path = _path(config, ranks)
    temporary = path.with_suffix(".tmp")
    save_file(
        {name: local(value.detach()).contiguous().clone() for name, value in tensors.items()},
        temporary,
        metadata={"step": str(step), "run": _identity(config)},
    )
    ranks.barrier()  # so that the files of all processes change within a moment
    temporary.replace(path)


def resume(
    config: TrainConfig, network: nn.Module, optimiser: Optimiser, ema: Ema, ranks: Group
) -> tuple[int, dict[str, Tensor]]:
    """Fill everything from the run's folder; the step reached (0 for a new run) and the random state for `set_random`.

    Raises CheckpointError when the folder holds a run of another configuration, or of processes that parted.
    """
    path = _path(config, ranks)
    if not ranks.same(int(path.exists())):
        raise CheckpointError(f"{config.out} lacks the state of some of its {ranks.size} processes; start from its EMA")
    if not path.exists():
        if others := sorted(config.out.glob("state*.safetensors")):
            raise CheckpointError(f"{others[0]} is of another number of processes; run as many, or start from its EMA")
        return 0, {}
    with safe_open(path, "pt") as file:
        header: dict[str, str] = file.metadata()
        if header["run"] != _identity(config):
            raise CheckpointError(f"{path} belongs to a run of another configuration; use another folder or remove it")
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not ranks.same(int(header["step"])):
        raise CheckpointError(f"the processes' states in {config.out} are of different steps; start from its EMA")

    def part(prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

    own = trained(network)
    for name, value in part("network.").items():
        local(own[name].detach()).copy_(value)
    for name, value in part("ema.").items():
        local(ema.values[name]).copy_(value)
    optimiser.load(part("optim."))
    _log.info("resumed at step %s", header["step"])
    return int(header["step"]), part("random.")


def set_random(states: dict[str, Tensor]) -> None:
    """Put torch's generators back where `save_state` found them; nothing for a new run."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _random() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _path(config: TrainConfig, ranks: Group) -> Path:
    several = f".{ranks.rank}-of-{ranks.size}" if ranks.size > 1 else ""
    return config.out / f"state{several}.safetensors"


def _identity(config: TrainConfig) -> str:
    """What must be equal for a run to go on: the fields, and the words of the recipe that became no field."""
    fields = {key: value for key, value in config.to_json().items() if key not in _FREE}
    del fields["data"]["workers"]
    words = sorted(word for word in config.recipe[1:] if word.partition("=")[0] not in _FREE)
    return json.dumps(fields | {"words": words}, sort_keys=True)
