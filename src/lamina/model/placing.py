"""The transformer's blocks made ready for a device, as a plan wants them: products fused, weights rounded, compiled.

Everything here is for running: the names of the weights may change, so nothing is saved from blocks that were placed.
Knows modules, plans and devices, no network.
"""

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import nn

from lamina.model.blocks import Blocks, Resident, Streamed
from lamina.model.mmdit import DualStreamBlock
from lamina.model.plans import Plan
from lamina.model.quantize import quantized

__all__ = ["compiles", "fuses", "placed"]


def fuses(device: torch.device) -> bool:
    """Whether queries, keys and values are better made in one product: on CUDA, where fewer and wider ones are less
    work to start. On a CPU they were 0.77 to 1.01 times as fast."""
    return device.type == "cuda"


def compiles(device: torch.device) -> bool:
    """Whether blocks are better compiled: on CUDA, where Triton is and a C compiler that it can start its kernels by.
    Norms, shifts and gates are then made in few passes over memory; products stay the library's."""
    if device.type != "cuda" or find_spec("triton") is None:
        return False
    return any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang"))


def placed(
    modules: Sequence[nn.Module],
    plan: Plan,
    device: torch.device,
    *,
    fused: bool | None = None,
    compiled: bool | None = None,
) -> Blocks:
    """The blocks where the plan wants them; what is done to them happens one block at a time, on the device.

    `fused` and `compiled` None let the device decide. First fused, then rounded: both give the same numbers in either
    order, but rounded weights cannot be joined. Blocks are compiled where nothing is streamed: one region for all of
    them, for prompts and pictures of any size. Raises DeviceError, MissingExtraError (see `quantized`).
    """
    joins = fuses(device) if fused is None else fused
    compiling = (compiles(device) if compiled is None else compiled) and not plan.streamed
    for number, module in enumerate(modules):
        stays = number < plan.resident
        if joins and isinstance(module, DualStreamBlock):
            if stays:
                module.to(device)
            module.fuse()
        if plan.precision != "bf16":
            quantized(module, plan.precision, device)
            if not stays:
                module.to("cpu")
        if compiling:
            module.compile(dynamic=True)  # pyright: ignore[reportUnknownMemberType]
    if plan.streamed:
        return Streamed(modules, device, resident=plan.resident)
    return Resident(modules, device)
