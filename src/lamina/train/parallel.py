"""Several processes as one trainer: PyTorch's FSDP2, each process with its share of the weights and of the batch.

Processes are started from outside (torchrun); alone, everything here is the identity, and torch's slow modules for
several are not loaded. Knows no network and no data.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lamina.errors import DeviceError, InputError

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Group", "full", "group", "local", "moved", "part_of", "shard"]

B = TypeVar("B")


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The processes that train together, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """True in the one process that writes files and talks."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all."""
        if self.size > 1:
            dist.barrier()

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean over all processes of each value; all must name the same ones."""
        if self.size == 1:
            return values
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        total = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return dict(zip(values, (total / self.size).tolist(), strict=True))

    def same(self, number: int) -> bool:
        """True when this number is the same in all processes."""
        if self.size == 1:
            return True
        numbers: list[Any] = [None] * self.size
        dist.all_gather_object(numbers, number)
        return len(set(numbers)) == 1


@contextmanager
def group(device: str) -> Generator[tuple[Group, torch.device]]:
    """This process's place and its device; joins the processes that torchrun started, if it did.

    `device` is auto, cpu or cuda. Raises DeviceError when there is no such device.
    """
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        raise DeviceError(f"device '{device}' is not here; expected auto, cpu, or cuda on a computer that has it")
    index = int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device(kind, index) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(place)
    started = not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if started:
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        if dist.is_initialized():
            yield Group(rank=dist.get_rank(), size=dist.get_world_size()), place
            dist.barrier()  # a process that leaves first would break the others' connections
        else:
            yield Group(), place
    finally:
        if started:
            dist.destroy_process_group()


def shard(network: nn.Module, ranks: Group, device: torch.device) -> None:
    """Spread the parameters over the processes: every block of a ModuleList by itself, then the rest."""
    if ranks.size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (ranks.size,))
    for module in network.modules():
        if isinstance(module, nn.ModuleList):
            for block in module:
                if any(True for _ in block.parameters()):
                    fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def part_of(batch: B, ranks: Group) -> B:
    """This process's rows of a batch, a NamedTuple of tensors and tuples that all have one entry a row.

    Raises InputError unless the rows divide evenly, for only then is the mean of the processes' losses that of all.
    """
    if ranks.size == 1:
        return batch
    rows = len(cast("Any", batch)[0])
    if rows % ranks.size:
        raise InputError(f"a batch of {rows} does not divide over {ranks.size} processes")
    share = rows // ranks.size
    own = slice(ranks.rank * share, (ranks.rank + 1) * share)
    return type(batch)(*(value[own] for value in cast("Any", batch)))


def moved(batch: B, device: torch.device) -> B:
    """A batch with its tensors on this device."""
    return type(batch)(*(v.to(device) if isinstance(v, Tensor) else v for v in cast("Any", batch)))


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return cast("Any", tensor).to_local() if _spread(tensor) else tensor


def full(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be spread; all processes must ask together."""
    return cast("Any", tensor).full_tensor() if _spread(tensor) else tensor


def _spread(tensor: Tensor) -> bool:
    if not dist.is_initialized():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)
