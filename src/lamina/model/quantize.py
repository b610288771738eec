"""Weights in 8 or 4 bits, and products in fp8, by the library torchao.

Knows blocks of linear layers, no kernels: those are the library's.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingImports=false
import logging
from typing import Any

import torch
from torch import nn

from lamina.errors import DeviceError, MissingExtraError
from lamina.model.plans import Precision

__all__ = ["computes_fp8", "quantized", "silence"]

_GROUP = 64
"""Numbers of a 4-bit weight that share a scale."""


def computes_fp8(device: torch.device) -> bool:
    """Whether the device multiplies 8-bit floats: CUDA of compute capability 8.9 (Ada, Hopper) and above."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


def quantized(block: nn.Module, precision: Precision, device: torch.device) -> nn.Module:
    """The block on `device`, its linear layers' weights rounded to `precision`; return the block.

    int8: one scale a row, anywhere, activations stay as they are. fp8 (e4m3): activations are rounded too, one scale a
    token, where the device computes in it. int4: one scale and zero for 64 numbers, on CUDA alone. Raises DeviceError
    where the device cannot, MissingExtraError without torchao.
    """
    block.to(device)
    if precision == "bf16":
        return block
    silence()
    try:
        from torchao import quantization
    except ImportError as error:
        raise MissingExtraError(f"{precision} weights", "large") from error
    library: Any = quantization
    if precision == "int4":
        if device.type != "cuda":
            raise DeviceError(f"4-bit weights need CUDA, not {device.type}; use --preset exact")
        config = library.Int4WeightOnlyConfig(group_size=_GROUP, int4_packing_format="tile_packed_to_4d")
    elif precision == "fp8":
        if not computes_fp8(device):
            raise DeviceError(f"fp8 needs CUDA of compute capability 8.9, not {device.type}; use --preset balanced")
        config = library.Float8DynamicActivationFloat8WeightConfig(granularity=library.PerRow())
    else:
        config = library.Int8WeightOnlyConfig(version=2)
    library.quantize_(block, config)
    return block


def silence() -> None:
    """Keep what importing torchao logs, of kernels that this computer has no use for, off the terminal.

    `transformers` imports it too, where it is installed.
    """
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
