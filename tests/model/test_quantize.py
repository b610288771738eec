"""Rounded weights, by torchao."""

import copy

import pytest
import tiny_released as tiny
import torch

from lamina.errors import DeviceError
from lamina.model import quantize
from lamina.model.blocks import Streamed, _host_state, plain_parts
from lamina.model.plans import Precision
from lamina.model.quantize import computes_fp8, quantized

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


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_all_that_streamed_blocks_are_made_of_is_pinned_and_held_once(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinning itself needs CUDA: here it is a copy that is written down."""
    block = copy.deepcopy(tiny.networks()[0].transformer_blocks[0]).requires_grad_(False)
    block.fuse()
    quantized(block, precision, CPU)
    given = torch.randn(2, 3, 64)
    before, said = block.state_dict(), block.img_mlp(given)
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    left = [part.data_ptr() for part in _parts(_host_state(block, pin=False))]
    assert left == [part.data_ptr() for part in _parts(before)]
    assert not pinned  # other devices than CUDA leave blocks where they are
    state = _host_state(block, pin=True)
    held = {part.data_ptr() for part in _parts(state)}
    assert len(held) == len(_parts(before))
    assert held == {part.data_ptr() for part in _parts(block.state_dict())}
    assert len(pinned) == 1  # every piece takes a power of two
    start, size = pinned[0].data_ptr(), len(pinned[0])
    assert all(start <= part.data_ptr() <= start + size - part.nbytes for part in _parts(state))
    assert size <= sum(part.nbytes for part in _parts(before)) + 256 * len(held)
    for name, tensor in state.items():
        assert type(tensor) is type(before[name].detach())
        for ours, theirs in zip(plain_parts(tensor), plain_parts(before[name]), strict=True):
            assert torch.equal(ours, theirs)
            assert ours.data_ptr() != theirs.data_ptr()
    assert torch.equal(block.img_mlp(given), said)


def test_too_little_host_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: out of memory\nand more words")

    monkeypatch.setattr(torch.Tensor, "pin_memory", full)
    with pytest.raises(DeviceError, match=r"streamed blocks cannot be had \(CUDA error: out of memory\); close other"):
        _host_state(torch.nn.Linear(2, 2), pin=True)


def _parts(state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [part for tensor in state.values() for part in plain_parts(tensor)]


def test_bf16_is_left_alone_and_four_bits_need_cuda() -> None:
    block = copy.deepcopy(tiny.networks()[0].transformer_blocks[0]).requires_grad_(False)
    before = block.attn.to_q.weight.clone()
    assert torch.equal(quantized(block, "bf16", CPU).attn.to_q.weight, before)
    with pytest.raises(DeviceError, match="4-bit weights need CUDA, not cpu; use --preset exact"):
        quantized(block, "int4", CPU)


def test_fp8_multiplies_rounded_activations_with_rounded_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    inference = pytest.importorskip("torchao.float8.inference")
    block = copy.deepcopy(tiny.networks()[0].transformer_blocks[0]).requires_grad_(False).to(torch.bfloat16)
    linear = block.attn.to_q
    x = torch.randn(2, 32, 64, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    exact = x.float().flatten(0, 1) @ linear.weight.float().T
    with pytest.raises(DeviceError, match=r"fp8 needs CUDA .* 8\.9, not cpu; use --preset balanced"):
        quantized(block, "fp8", CPU)
    # PyTorch's CPU multiplies fp8 too; only the library's and our own doors are shut to it.
    monkeypatch.setattr(inference, "is_MI300", lambda: True)
    monkeypatch.setattr(quantize, "computes_fp8", lambda _: True)
    quantized(block, "fp8", CPU)
    assert linear.weight.qdata.dtype == torch.float8_e4m3fn
    got = linear(x).float().flatten(0, 1) - linear.bias.float()
    scale = x.float().flatten(0, 1).abs().amax(dim=1, keepdim=True) / 448
    rounded = (x.float().flatten(0, 1) / scale).to(torch.float8_e4m3fn).float() * scale
    lost = (got - exact).abs().mean() / exact.abs().mean()
    assert 0.001 < lost < 0.05
    # What is lost is the rounding of both sides: rounded by hand they give the same, but for bfloat16's last bits.
    by_hand = rounded @ linear.weight.dequantize().float().T
    assert (got - by_hand).abs().mean() / exact.abs().mean() < lost / 3


def test_which_devices_compute_in_fp8(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    for capability, able in (((8, 0), False), ((8, 9), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        assert computes_fp8(cuda) is able
    assert not computes_fp8(CPU)
