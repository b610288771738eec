"""The order in which attention kernels are asked: on the devices that it is for, and around every block."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny_released as tiny
import torch
from tiny_released import inputs, model

from lamina.model import denoise
from lamina.model.attention import KERNELS, preferred


def test_kernels_are_asked_in_order_on_new_cuda_devices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def order() -> list[int]:
        return torch._C._get_sdp_priority_order()

    usual, cuda = order(), torch.device("cuda")
    for capability, ours in (((8, 9), False), ((9, 0), True), ((12, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        with preferred(cuda):
            assert (order()[: len(KERNELS)] == [int(kernel.value) for kernel in KERNELS]) is ours
            q = torch.randn(1, 2, 3, 4)
            assert torch.nn.functional.scaled_dot_product_attention(q, q, q).shape == q.shape
        assert order() == usual
    with preferred(torch.device("cpu")):
        assert order() == usual


def test_every_block_runs_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inside, seen = model(tiny.write(tmp_path / "model")), [], []

    @contextmanager
    def watched(device: torch.device) -> Any:
        inside.append(device)
        yield
        inside.pop()

    monkeypatch.setattr(denoise, "preferred", watched)
    for block in engine.denoiser.blocks:
        block.register_forward_hook(lambda *_: seen.append(len(inside)))
    engine.layers(**inputs())
    assert seen == [1] * (3 * 2 * 2)
