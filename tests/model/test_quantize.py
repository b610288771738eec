"""Rounded weights, by torchao."""

import copy

import pytest
import tiny_released as tiny
import torch

from lamina.errors import DeviceError
from lamina.model.blocks import Streamed, plain_parts
from lamina.model.quantize import quantized

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def library() -> None:
    pytest.importorskip("torchao")


def test_eight_bits_are_held_and_streamed() -> None:
    blocks = [copy.deepcopy(block) for block in list(tiny.networks()[0].transformer_blocks)[:2]]
    for block in blocks:
        block.requires_grad_(False)
    exact = [block.attn.to_q.weight.clone() for block in blocks]
    for block in blocks:
        quantized(block, "int8", CPU)
    for number, block in enumerate(Streamed(blocks, CPU, resident=0)):
        weight = block.attn.to_q.weight
        assert weight.qdata.dtype == torch.int8
        assert {type(part) for part in plain_parts(weight.data)} == {torch.Tensor}
        assert len(plain_parts(weight.data)) > 1
        assert not torch.equal(weight.dequantize(), exact[number])
        assert (weight.dequantize() - exact[number]).abs().max() <= exact[number].abs().max() / 127
        x = torch.randn(2, 3, 64)
        torch.testing.assert_close(
            block.attn.to_q(x), x @ weight.dequantize().T + block.attn.to_q.bias, atol=1e-4, rtol=0
        )


def test_bf16_is_left_alone_and_four_bits_need_cuda() -> None:
    block = copy.deepcopy(tiny.networks()[0].transformer_blocks[0]).requires_grad_(False)
    before = block.attn.to_q.weight.clone()
    assert torch.equal(quantized(block, "bf16", CPU).attn.to_q.weight, before)
    with pytest.raises(DeviceError, match="4-bit weights need CUDA, not cpu; use --preset exact"):
        quantized(block, "int4", CPU)
