"""Weights in 8 or 4 bits, by the library torchao; activations stay in bfloat16.

Knows blocks of linear layers, no kernels: those are the library's.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingImports=false
import logging
from typing import Any

import torch
from torch import nn

from lamina.errors import DeviceError, MissingExtraError
from lamina.model.plans import Precision

__all__ = ["quantized", "silence"]

_GROUP = 64
"""Numbers of a 4-bit weight that share a scale."""


def quantized(block: nn.Module, precision: Precision, device: torch.device) -> nn.Module:
    """The block on `device`, its linear layers' weights rounded to `precision`; return the block.

    8 bits with one scale a row, anywhere; 4 bits with one scale and zero for 64 numbers, on CUDA alone. Raises
    DeviceError for 4 bits elsewhere, MissingExtraError without torchao.
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
