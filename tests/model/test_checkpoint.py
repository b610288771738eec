"""Checkpoints: one safetensors file, strict, whole or absent."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.config import MMDiTConfig, VaeConfig, from_json, preset
from lamina.model.mmdit import MMDiT
from lamina.model.vae import Vae

VAE, MMDIT = preset("tiny").vae, preset("tiny").mmdit


def test_a_network_comes_back_from_its_file(tmp_path: Path) -> None:
    for kind, network, config, rebuilt in (("vae", Vae, VAE, VaeConfig), ("mmdit", MMDiT, MMDIT, MMDiTConfig)):
        path, saved = tmp_path / f"{kind}.safetensors", network(config)
        checkpoint.save(path, saved.state_dict(), config, kind=kind, extra={"steps": "7"})
        data, state = checkpoint.load(path, kind)
        assert from_json(rebuilt, data) == config
        loaded = network(config)
        checkpoint.fill(loaded, state)
        assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), loaded.parameters(), strict=True))
        assert checkpoint.read_header(path) == (kind, data, {"steps": "7"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mmdit.safetensors", "vae.safetensors"]


def test_weights_in_another_memory_layout_are_written(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, 2, 2)
    state = {"a": weight.to(memory_format=torch.channels_last), "b": weight.mT}
    checkpoint.save(tmp_path / "x.safetensors", state, VAE, kind="vae")
    _, loaded = checkpoint.load(tmp_path / "x.safetensors", "vae")
    assert torch.equal(loaded["a"], weight)
    assert torch.equal(loaded["b"], weight.mT)


def test_weights_stored_in_bytes_come_back_within_half_a_step(tmp_path: Path) -> None:
    rows = torch.randn(80, 64) * torch.logspace(-6, 2, 80)[:, None]
    rows[3] = 0
    state = {"linear": rows, "conv": torch.randn(16, 32, 3, 3), "bias": torch.randn(64)}
    stored = checkpoint.in_bytes(state)
    assert {name for name, value in stored.items() if value.dtype == torch.int8} == {"linear", "conv"}
    checkpoint.save(tmp_path / "x.safetensors", stored, VAE, kind="vae")
    _, loaded = checkpoint.load(tmp_path / "x.safetensors", "vae")
    assert set(loaded) == {"linear", "conv", "bias"}
    for name in ("linear", "conv"):
        step = state[name].flatten(1).abs().amax(dim=1, keepdim=True) / 127
        off = (loaded[name] - state[name]).flatten(1).abs()
        assert bool((off <= 0.501 * step + 1e-12).all())
    assert torch.equal(loaded["bias"], state["bias"].half())
    assert not loaded["linear"][3].any()


@pytest.mark.parametrize("scale", [None, torch.ones(3)], ids=["none", "too short"])
def test_bytes_without_their_scales_are_refused(tmp_path: Path, scale: torch.Tensor | None) -> None:
    stored = checkpoint.in_bytes({"linear": torch.randn(80, 64)})
    del stored["linear.scale"]
    if scale is not None:
        stored["linear.scale"] = scale
    checkpoint.save(tmp_path / "x.safetensors", stored, VAE, kind="vae")
    with pytest.raises(CheckpointError, match="linear in bytes without a scale for each row"):
        checkpoint.load(tmp_path / "x.safetensors", "vae")


def test_another_kind_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.safetensors", {}, VAE, kind="vae")
    with pytest.raises(CheckpointError, match=r"kind 'vae', expected 'small'"):
        checkpoint.load(tmp_path / "x.safetensors", "small")


def test_every_fault_of_the_weights_is_named() -> None:
    network = Vae(VAE)
    state = network.state_dict()
    state["stranger"] = torch.zeros(1)
    state["quant_conv.bias"] = torch.zeros(3)
    del state["encoder.conv_in.bias"]
    with pytest.raises(CheckpointError) as caught:
        checkpoint.fill(network, state)
    message = str(caught.value)
    assert "1 missing: encoder.conv_in.bias" in message
    assert "1 unknown: stranger" in message
    assert "1 misshapen: quant_conv.bias (3,) for (8,)" in message


def test_a_long_list_of_faults_is_cut_short() -> None:
    with pytest.raises(CheckpointError, match=r"12 missing: a, b, c, d, e, \.\.\.$"):
        checkpoint.require_shapes({}, dict.fromkeys("abcdefghijkl", (1,)), "the network")


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoint.load(tmp_path / "absent.safetensors", "vae")
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        checkpoint.load(tmp_path / "pickle.safetensors", "vae")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="no 'kind' in its header"):
        checkpoint.load(tmp_path / "foreign.safetensors", "vae")
    for config in ("{", "[1]"):
        save_file({}, tmp_path / "broken.safetensors", metadata={"kind": "vae", "config": config})
        with pytest.raises(CheckpointError, match="broken config"):
            checkpoint.load(tmp_path / "broken.safetensors", "vae")


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, Vae(VAE).state_dict(), VAE, kind="vae")
    whole = path.read_bytes()
    for length in (0, 4, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="is no safetensors file"):
            checkpoint.load(path, "vae")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"a": torch.ones(2)}, VAE, kind="vae")
    before = path.read_bytes()

    @dataclass
    class Unwritable:
        value: object

    with pytest.raises(TypeError):
        checkpoint.save(path, {"a": torch.zeros(2)}, Unwritable(object()), kind="vae")
    with pytest.raises(CheckpointError, match="may not be called kind"):
        checkpoint.save(path, {"a": torch.zeros(2)}, VAE, kind="vae", extra={"kind": "small"})
    assert path.read_bytes() == before
    with pytest.raises(CheckpointError, match="cannot be written"):
        checkpoint.save(tmp_path / "absent" / "x.safetensors", {}, VAE, kind="vae")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_checkpoint_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    checkpoint.save(tmp_path / "a.safetensors", {"a": torch.zeros(2)}, preset("tiny"), kind="vae")
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
