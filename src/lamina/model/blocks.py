"""The transformer's blocks one after the other on a device that need not hold them all.

`Resident` keeps them all; `Streamed` keeps the first few and brings the others in turn, one ahead of the one at work:
on a copy stream from pinned memory where there is CUDA, by a thread elsewhere. Both give the same blocks. Knows modules
and devices, no network.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from itertools import accumulate
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lamina.errors import DeviceError

__all__ = ["Blocks", "Resident", "Streamed", "plain_parts"]

_ALIGNED = 256
"""Bytes at whose multiples tensors begin in a piece of pinned memory."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false


@runtime_checkable
class Blocks(Protocol):
    """Blocks in order, each on the device while it is given out."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[nn.Module]: ...

    def rest(self) -> None:
        """Give up what is on its way: nobody will ask for a while."""
        ...


class Resident:
    """All blocks on the device."""

    def __init__(self, blocks: Sequence[nn.Module], device: torch.device) -> None:
        self._blocks = [block.to(device) for block in blocks]

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self._blocks)

    def rest(self) -> None:
        """Nothing is on its way."""


class Streamed:
    """The first `resident` blocks on the device, the others in host memory; one of these is always on its way.

    Two of the streamed blocks are on the device at a time: a block is empty once the next one is asked for, and none is
    brought before the work of the last but one is done, however far ahead it was put in line. The order is always the
    same, so behind the last block the first streamed one is on its way already. For CUDA the streamed blocks are moved
    to pinned host memory, rounded ones too, from where it fetches them while it computes; for other devices they stay
    where they are, in mapped files for example.
    """

    def __init__(self, blocks: Sequence[nn.Module], device: torch.device, *, resident: int = 0) -> None:
        """Raises DeviceError where there is no host memory to pin."""
        self.device, self.resident = device, min(resident, len(blocks))
        self._fixed = [block.to(device) for block in blocks[: self.resident]]
        self._hosts = [_host_state(block, pin=device.type == "cuda") for block in blocks[self.resident :]]
        self._shells = [_shell(block) for block in blocks[self.resident :]]
        self._cuda: Any = torch.cuda if device.type == "cuda" else None
        self._stream = self._cuda.Stream(device) if self._cuda else None
        self._mover = ThreadPoolExecutor(1, thread_name_prefix="blocks")
        self._coming: dict[int, Future[tuple[nn.Module, Any]]] = {}
        self._over: Any = None
        """Comes to pass when the work with the last block that was given back is done."""

    def __len__(self) -> int:
        return len(self._fixed) + len(self._hosts)

    def __iter__(self) -> Iterator[nn.Module]:
        count = len(self._hosts)
        if count:
            self._send(0)
        yield from self._fixed
        for number in range(count):
            coming = self._coming.pop(number)
            self._send((number + 1) % count)
            block = self._arrived(coming)
            try:
                yield block
            finally:
                self._give_back(number, block)

    def rest(self) -> None:
        """Give up what is on its way."""
        for future in self._coming.values():
            future.cancel()
        self._coming.clear()

    def _send(self, number: int) -> None:
        if number not in self._coming:
            self._coming[number] = self._mover.submit(self._bring, number, self._over)

    def _bring(self, number: int, over: Any) -> tuple[nn.Module, Any]:
        if over is not None:
            over.synchronize()  # else a block for every one in line would be held
        with self._cuda.stream(self._stream) if self._cuda else nullcontext():
            there = {name: tensor.to(self.device, non_blocking=True) for name, tensor in self._hosts[number].items()}
            event = self._cuda.Event() if self._cuda else None
            if event is not None:
                event.record(self._stream)
        block = deepcopy(self._shells[number])
        block.load_state_dict(there, assign=True)
        block.requires_grad_(False)
        return block, event

    def _arrived(self, coming: Future[tuple[nn.Module, Any]]) -> nn.Module:
        block, event = coming.result()
        if event is not None:
            now = self._cuda.current_stream(self.device)
            now.wait_event(event)
            for tensor in block.state_dict().values():
                for part in plain_parts(tensor):
                    part.record_stream(now)  # its memory is not reused before the work in line here is done
        return block

    def _give_back(self, number: int, block: nn.Module) -> None:
        """Empty the block, whoever still holds it; its memory is free when `_over` has come to pass, not before."""
        block.load_state_dict(self._shells[number].state_dict(), assign=True)
        if self._cuda:
            self._over = self._cuda.Event(blocking=True)
            self._over.record(self._cuda.current_stream(self.device))


def plain_parts(tensor: Any) -> list[Tensor]:
    """The tensors that a quantized one is made of; of a plain one itself."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    return [part for name in tensor.__tensor_flatten__()[0] for part in plain_parts(getattr(tensor, name))]


def _shell(block: nn.Module) -> nn.Module:
    """The same module without numbers; those of the module itself are not copied on the way."""
    meta = torch.device("meta")
    empty = {
        id(p): nn.Parameter(torch.empty(p.shape, dtype=p.dtype, device=meta), requires_grad=False)
        for p in block.parameters()
    }
    return deepcopy(block, dict(empty)).eval()


def _host_state(block: nn.Module, *, pin: bool) -> dict[str, Tensor]:
    """The block's numbers in host memory; pinned ones become the block's own, so that they are not held twice."""
    state = {name: tensor.detach() for name, tensor in block.state_dict().items()}
    if pin:
        state = _pinned(state)
        block.load_state_dict(state, assign=True)
        block.requires_grad_(False)
    return state


def _pinned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in one piece of pinned host memory, as PyTorch makes every piece as large as a power of two; of
    quantized ones, which cannot be pinned whole, all that they are made of."""
    parts = [part for tensor in state.values() for part in plain_parts(tensor)]
    ends = list(accumulate(-(-_extent(part) * part.itemsize // _ALIGNED) * _ALIGNED for part in parts))
    try:
        flat = torch.empty(ends[-1] if ends else 0, dtype=torch.uint8).pin_memory()
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or ["no words"])[0]
        raise DeviceError(
            f"host memory for the streamed blocks cannot be had ({reason}); close other programs, give more device "
            "memory with --memory, or use --preset balanced, whose blocks are smaller"
        ) from error
    copies: list[Tensor] = []
    for part, start in zip(parts, [0, *ends], strict=False):
        own = flat[start : start + _extent(part) * part.itemsize].view(part.dtype)
        copies.append(own.as_strided(part.shape, part.stride(), own.storage_offset()).copy_(part))
    taken = iter(copies)
    return {name: _made_of(tensor, taken) for name, tensor in state.items()}


def _extent(part: Tensor) -> int:
    """Numbers from the first to the last of a tensor, as they lie in memory."""
    if not part.numel():
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(part.shape, part.stride(), strict=True))


def _made_of(tensor: Any, parts: Iterator[Tensor]) -> Tensor:
    """A tensor like this one, made of the next of these parts."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return next(parts)
    names, words = tensor.__tensor_flatten__()
    own = {name: _made_of(getattr(tensor, name), parts) for name in names}
    return type(tensor).__tensor_unflatten__(own, words, tensor.shape, tensor.stride())
