"""Blocks made ready for a device: one product for queries, keys and values says what three say."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_released as tiny
import torch
from safetensors.torch import save_file
from tiny_released import inputs, model

from lamina.errors import CheckpointError
from lamina.model import checkpoint, placing
from lamina.model.adapters import with_lora
from lamina.model.blocks import Blocks, Streamed
from lamina.model.denoise import Text, tabled_network
from lamina.model.mmdit import DualStreamBlock
from lamina.model.parity import unfuse
from lamina.model.placing import fuses, placed
from lamina.model.plans import Plan, Precision
from lamina.model.released import ReleasedModel
from lamina.model.weights import plain

CPU = torch.device("cpu")
CLOSE = {"atol": 1e-5, "rtol": 0.0}
THREE = {"to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"}
ONE = {"to_qkv", "add_qkv_proj"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("released") / "model")


def plan(resident: int = 3, precision: Precision = "bf16") -> Plan:
    return Plan(
        budget=1e15, precision=precision, resident=resident, blocks=3, frames=0, peak=0.0, host=0.0, tokens=6, layers=2
    )


def engine(folder: Path, wanted: Plan, *, fused: bool | None, lora: Path | None = None) -> ReleasedModel:
    """The model of a folder with its blocks placed."""
    made = model(folder)
    weights = made.released.transformer if lora is None else with_lora(made.released.transformer, lora)
    made.released = replace(made.released, transformer=weights)
    network = tabled_network(tiny.CONFIG.mmdit, weights, torch.float32)
    made.denoiser.network = network
    made.denoiser.blocks = placed(list(network.transformer_blocks), wanted, CPU, fused=fused)
    return made


def products(blocks: Blocks) -> list[set[str]]:
    """Of every block, what its attention is made with."""
    return [{name for name, _ in block.attn.named_children()} & (ONE | THREE) for block in blocks]


@pytest.mark.parametrize("resident", [3, 2, 1, 0])
def test_one_product_says_what_three_say(folder: Path, resident: int) -> None:
    """Guided, with prompts of different lengths in a batch; the last block, which asks little, keeps its three."""
    one, three = (engine(folder, plan(resident), fused=fused) for fused in (True, False))
    assert products(one.denoiser.blocks) == [ONE, ONE, THREE]
    assert products(three.denoiser.blocks) == [THREE] * 3
    given = inputs(batch=2)
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    given["texts"] = Text(given["texts"].embedding, mask)
    torch.testing.assert_close(one.layers(**given), three.layers(**given), **CLOSE)
    last = list(one.denoiser.blocks)[-1]
    assert isinstance(last, DualStreamBlock)
    assert not last.context_out


def test_the_parts_of_one_product_are_in_their_places() -> None:
    """Queries, keys and values that are told apart by size, so that none can stand for another."""
    block = copy.deepcopy(tiny.networks()[0].transformer_blocks[0])
    attention, x = block.attn, torch.randn(2, 5, 64)
    with torch.no_grad():
        for size, name in enumerate(("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj")):
            getattr(attention, name).bias.add_(10.0 * size)
        apart = attention._visual(x, 3), attention._context(x, True), attention._context(x, False)
        block.fuse()
        block.fuse()  # a second time is no time
        joined = attention._visual(x, 3), attention._context(x, True), attention._context(x, False)
    assert joined[0][0].shape == (2, 3, 64)
    assert joined[2][0] is None
    for ours, theirs in zip(joined, apart, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def test_an_addition_is_merged_before_products_are_joined(folder: Path, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 64, generator=generator), torch.randn(64, 2, generator=generator)
    layer = "transformer_blocks.1.attn.to_k"
    save_file({f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}, tmp_path / "lora.safetensors")
    one, three = (engine(folder, plan(), fused=f, lora=tmp_path / "lora.safetensors") for f in (True, False))
    found = one.layers(**inputs())
    torch.testing.assert_close(found, three.layers(**inputs()), **CLOSE)
    assert not torch.allclose(found, engine(folder, plan(), fused=True).layers(**inputs()), atol=1e-3)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("resident", [3, 1])
def test_joined_products_are_rounded_to_the_same_numbers(folder: Path, resident: int) -> None:
    pytest.importorskip("torchao")
    one, three = (engine(folder, plan(resident, "int8"), fused=fused) for fused in (True, False))
    for ours, theirs in zip(_attentions(one), _attentions(three), strict=True):
        if ours.to_qkv is not None:
            parts = [getattr(theirs, name).weight.dequantize() for name in ("to_q", "to_k", "to_v")]
            assert torch.equal(ours.to_qkv.weight.dequantize(), torch.cat(parts))
    found = one.layers(**inputs())
    torch.testing.assert_close(found, three.layers(**inputs()), **CLOSE)
    assert not torch.equal(found, engine(folder, plan(), fused=True).layers(**inputs()))  # rounded at all


def _attentions(of: ReleasedModel) -> Iterator[Any]:
    for block in of.denoiser.blocks:
        yield block.attn


def test_the_device_decides_unless_it_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuses(torch.device("cuda", 1))
    assert not fuses(CPU)
    assert not fuses(torch.device("mps"))
    assert products(engine(folder, plan(), fused=None).denoiser.blocks) == [THREE] * 3
    monkeypatch.setattr(placing, "fuses", lambda device: True)
    assert products(engine(folder, plan(), fused=None).denoiser.blocks) == [ONE, ONE, THREE]
    assert products(engine(folder, plan(), fused=False).denoiser.blocks) == [THREE] * 3


def test_blocks_are_compiled_where_the_device_and_its_tools_are(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    monkeypatch.setattr(placing, "find_spec", lambda name: name)
    monkeypatch.setattr(placing.shutil, "which", lambda name: name == "gcc")
    assert placing.compiles(cuda)
    assert not placing.compiles(CPU)
    monkeypatch.setattr(placing.shutil, "which", lambda name: None)
    assert not placing.compiles(cuda)
    monkeypatch.setattr(placing.shutil, "which", lambda name: name)
    monkeypatch.setattr(placing, "find_spec", lambda name: None)
    assert not placing.compiles(cuda)


def test_streamed_blocks_are_not_compiled_and_others_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **words: seen.append(words))
    for resident, compiled, count in ((3, True, 3), (1, True, 0), (3, None, 0), (3, False, 0)):
        seen.clear()
        modules = [copy.deepcopy(block) for block in tiny.networks()[0].transformer_blocks]
        placed(modules, plan(resident), CPU, compiled=compiled)
        assert seen == [{"dynamic": True}] * count
    monkeypatch.setattr(placing, "compiles", lambda device: True)
    placed([copy.deepcopy(tiny.networks()[0].transformer_blocks[0])], plan(3), CPU)
    assert seen == [{"dynamic": True}]


def test_only_what_was_placed_is_joined_so_names_on_disk_and_parity_stay(folder: Path) -> None:
    network = unfuse(tabled_network(tiny.CONFIG.mmdit, plain(tiny.networks()[0].state_dict()), torch.float32))
    assert all(set(dict(block.attn.named_children())) >= THREE for block in network.transformer_blocks)
    block = copy.deepcopy(tiny.networks()[0].transformer_blocks[0])
    expected = {name: tuple(tensor.shape) for name, tensor in block.state_dict().items()}
    block.fuse()
    with pytest.raises(CheckpointError, match=r"12 missing: attn\.add_k_proj\.bias.* 4 unknown: attn\.add_qkv_proj"):
        checkpoint.require_shapes(block.state_dict(), expected, "a block")


def test_blocks_with_a_place_stay_and_the_others_are_streamed(folder: Path) -> None:
    blocks = engine(folder, plan(1), fused=True).denoiser.blocks
    assert isinstance(blocks, Streamed)
    assert blocks.resident == 1
    assert len(blocks) == 3
