"""Several processes, one picture: each prompt of guidance on its own half of them, the tokens of a half on its members.

Every process holds all blocks. Visual tokens are parted; their keys and values are gathered in every block, the text
goes along in each process. Processes are started from outside (torchrun), over PyTorch's own distributed. Knows the
denoiser, no sampler.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import atexit
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lamina.errors import DeviceError, InputError, LaminaError
from lamina.model.attention import preferred
from lamina.model.blocks import Blocks
from lamina.model.denoise import Denoiser, Stage, Table, embedded
from lamina.model.mmdit import MMDiT
from lamina.model.pace import Memo

__all__ = ["SpreadDenoiser", "join", "several", "told"]

T = TypeVar("T")


def several() -> bool:
    """Whether torchrun started this process as one of several, by what it leaves in the environment."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def join(device: torch.device) -> torch.device:
    """Join the other processes; return this one's own device, of the kind of `device`.

    Raises DeviceError where a process has no GPU of its own, or the kind is neither CUDA nor the CPU.
    """
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"several processes work on CUDA or on the CPU, not on {device.type}; start one alone")
    if device.type == "cuda":
        index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if index >= count:
            raise DeviceError(f"process {index + 1} has no GPU of its own, there are {count}; start {count} at most")
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        # Words and settings go between processes in host memory, tensors between GPUs.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return device


def told(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them; an error of ours that it meets is raised in all."""
    said: list[Any] = [None, None, None]
    if dist.get_rank() == 0:
        try:
            said[0] = make()
        except LaminaError as error:
            said[1:] = type(error), str(error)
    dist.broadcast_object_list(said, src=0)
    value, kind, words = said
    if kind is not None:
        raise kind.__new__(kind, words)  # not made anew: one kind takes other words than it says
    return value


class SpreadDenoiser(Denoiser):
    """A denoiser that is one of several; all are asked the same and give the same answer.

    `halves`: with an even number of processes, one half takes the prompt and the other what guidance measures against;
    a call with a single prompt is then done by both halves alike.
    """

    def __init__(self, network: MMDiT, blocks: Blocks, *, halves: bool = True) -> None:
        super().__init__(network, blocks)
        world, rank = dist.get_world_size(), dist.get_rank()
        self._sides = 2 if halves and world % 2 == 0 else 1
        self._size = world // self._sides
        self._side, self._rank = divmod(rank, self._size)
        every = range(world)
        rows = [[r for r in every if r // self._size == side] for side in range(self._sides)]
        columns = [[r for r in every if r % self._size == place] for place in range(self._size)]
        self._row: Any = _own_group(rows, rank)
        self._column: Any = _own_group(columns, rank)

    @torch.inference_mode()
    def velocities(
        self,
        slots: Float[Tensor, "b n s c"],
        stage: Stage,
        table: Table,
        row: int,
        memos: Sequence[Memo] | None = None,
    ) -> list[Float[Tensor, "b n s c"]]:
        """See Denoiser. Raises InputError with memos: each process would choose by its own tokens."""
        if memos is not None:
            raise InputError("steps cannot be taken over with several processes; use the preset exact")
        network, count, now = self.network, slots.shape[1], table.row(row, slots.device)
        parted = self._sides == 2 and len(stage.branches) == 2
        mine = (stage.branches[self._side],) if parted else stage.branches
        start = embedded(network, slots, stage)
        own = count * slots.shape[2]
        length = start.shape[1]
        start = self._part(start, 1)
        places = [branch.places._replace(visual_rope=self._part(branch.places.visual_rope, 0)) for branch in mine]
        streams = [(start, branch.context) for branch in mine]
        asked = own if self._size == 1 else None  # a part's members wait for one another, whatever is left out
        for number, block in enumerate(self.blocks):
            block.attn.gather = lambda x: self._gathered(x, 2, length)  # pyright: ignore
            said = now.shifts(number)
            with preferred(slots.device):
                streams = [
                    block(visual, context, p.visual_rope, p.context_rope, said, p.text_mask, p.visual_mask, asked)
                    for (visual, context), p in zip(streams, places, strict=True)
                ]
        found = [
            self._gathered(network.proj_out(network.norm_out(visual, now.time[None])), 1, length)[:, :own]
            for visual, _ in streams
        ]
        if parted:
            both = [torch.empty_like(found[0]) for _ in range(2)]
            dist.all_gather(both, found[0].contiguous(), group=self._column)
            found = both
        return [rearrange(velocity, "b (n s) c -> b n s c", n=count) for velocity in found]

    def _part(self, x: Tensor, dim: int) -> Tensor:
        """This process's tokens; the last parts are filled up with zeros."""
        length = x.shape[dim]
        each = -(-length // self._size)
        start = min(self._rank * each, length)
        part = x.narrow(dim, start, min(each, length - start))
        missing = each - part.shape[dim]
        if not missing:
            return part.contiguous()
        shape = list(part.shape)
        shape[dim] = missing
        return torch.cat([part, part.new_zeros(shape)], dim=dim)

    def _gathered(self, x: Tensor, dim: int, length: int) -> Tensor:
        """All processes' tokens, without what fills them up."""
        if self._size == 1:
            return x
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(self._size)]
        dist.all_gather(parts, x.contiguous(), group=self._row)
        return torch.cat(parts, dim=dim).narrow(dim, 0, length)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _own_group(groups: list[list[int]], rank: int) -> Any:
    """Make all groups, as every process must, and return the one that this process is in."""
    made = [(ranks, dist.new_group(ranks)) for ranks in groups]
    return next(group for ranks, group in made if rank in ranks)
