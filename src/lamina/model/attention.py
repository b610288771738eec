"""Which of PyTorch's attention kernels is asked first; all say the same, not equally fast.

On CUDA of compute capability 9 (Hopper) and above cuDNN's is written for the device, while PyTorch's own order asks it
last. Knows devices, no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["KERNELS", "preferred"]

KERNELS = (
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
)
"""In this order, each where it can."""


def preferred(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which attention on this device is done by the first of KERNELS that can; elsewhere nothing."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0):
        return sdpa_kernel(list(KERNELS), set_priority=True)
    return nullcontext()
