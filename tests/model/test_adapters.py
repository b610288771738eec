"""LoRA files of several namings, merged as weights are read."""

import json
from pathlib import Path

import pytest
import tiny_released as tiny
import torch
from safetensors.torch import save_file

from lamina.errors import CheckpointError
from lamina.model.adapters import with_lora
from lamina.model.weights import plain

LAYERS = ("transformer_blocks.0.attn.to_q", "transformer_blocks.1.img_mod.1", "transformer_blocks.2.img_mlp.net.2",
          "transformer_blocks.2.attn.to_out.0")  # fmt: skip
NAMINGS = {
    "diffusers": ("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight"),
    "peft": ("base_model.model.{}.lora_A.weight", "base_model.model.{}.lora_B.weight"),
    "diffsynth": ("{}.lora_A.default.weight", "{}.lora_B.default.weight"),
    "diffsynth-pipe": ("pipe.dit.{}.lora_A.default.weight", "pipe.dit.{}.lora_B.default.weight"),
    "comfy": ("diffusion_model.{}.lora_down.weight", "diffusion_model.{}.lora_up.weight"),
    "kohya": ("lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight"),
}


def _additions() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    state, generator = tiny.networks()[0].state_dict(), torch.Generator().manual_seed(1)
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for layer in LAYERS:
        out, inside = state[f"{layer}.weight"].shape
        found[layer] = torch.randn(4, inside, generator=generator), torch.randn(out, 4, generator=generator)
    return found


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("alpha", [None, 2.0])
def test_additions_are_merged_whatever_they_are_called(naming: str, alpha: float | None, tmp_path: Path) -> None:
    down_name, up_name = NAMINGS[naming]
    stored: dict[str, torch.Tensor] = {}
    for layer, (down, up) in _additions().items():
        called = layer.replace(".", "_") if naming == "kohya" else layer
        stored |= {down_name.format(called): down, up_name.format(called): up}
        if alpha is not None:
            stored[down_name.format(called).split(".lora_")[0] + ".alpha"] = torch.tensor(alpha)
    save_file(stored, tmp_path / "lora.safetensors")
    state = tiny.networks()[0].state_dict()
    merged = with_lora(plain(state), tmp_path / "lora.safetensors", strength=0.5)
    assert merged.keys() == state.keys()
    scale = 0.5 if alpha is None else 0.5 * alpha / 4
    for name, tensor in state.items():
        layer = name.removesuffix(".weight")
        expected = tensor
        if layer in LAYERS and name.endswith(".weight"):
            down, up = _additions()[layer]
            expected = tensor + scale * up @ down
        torch.testing.assert_close(merged[name].read(), expected)


CONFIGS = {
    "header": ({"lora_alpha": 8, "r": 4}, {}, 2.0),
    "beside": ({}, {"lora_alpha": 8, "r": 4}, 2.0),
    "rslora": ({"lora_alpha": 8, "r": 4, "use_rslora": True}, {}, 4.0),
    "pattern": ({"lora_alpha": 8, "r": 4, "alpha_pattern": {"attn.to_q": 2}}, {}, 0.5),
    "pattern of others": ({"lora_alpha": 8, "r": 4, "alpha_pattern": {"to_k": 2, "o_q": 2}}, {}, 2.0),
    "none": ({}, {}, 1.0),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_alpha_is_read_from_the_adapters_config(case: str, tmp_path: Path) -> None:
    header, beside, scale = CONFIGS[case]
    down, up = _additions()[LAYERS[0]]
    words = {f"transformer.{name}": value for name, value in header.items()}
    metadata = {"lora_adapter_metadata": json.dumps(words)} if header else None
    stored = {f"transformer.{LAYERS[0]}.lora_A.weight": down, f"transformer.{LAYERS[0]}.lora_B.weight": up}
    save_file(stored, tmp_path / "adapter_model.safetensors", metadata=metadata)
    if beside:
        (tmp_path / "adapter_config.json").write_text(json.dumps(beside))
    state = tiny.networks()[0].state_dict()
    merged = with_lora(plain(state), tmp_path / "adapter_model.safetensors")
    torch.testing.assert_close(
        merged[f"{LAYERS[0]}.weight"].read(), state[f"{LAYERS[0]}.weight"] + scale * up @ down, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("words", ["{", "[]", '{"transformer.lora_alpha": "x"}', '{"transformer.alpha_pattern": 3}'])
def test_a_config_that_cannot_be_read_is_refused(words: str, tmp_path: Path) -> None:
    down, up = _additions()[LAYERS[0]]
    stored = {f"{LAYERS[0]}.lora_A.weight": down, f"{LAYERS[0]}.lora_B.weight": up}
    save_file(stored, tmp_path / "lora.safetensors", metadata={"lora_adapter_metadata": words})
    with pytest.raises(CheckpointError, match=r"lora\.safetensors: .*(is no JSON object|says no alpha)"):
        with_lora(plain(tiny.networks()[0].state_dict()), tmp_path / "lora.safetensors")


def test_an_addition_to_a_bias_is_merged_too(tmp_path: Path) -> None:
    down, up = _additions()[LAYERS[0]]
    stored = {f"{LAYERS[0]}.lora_A.weight": down, f"{LAYERS[0]}.lora_B.weight": up}
    stored |= {f"{LAYERS[0]}.lora_B.bias": torch.arange(64.0), f"{LAYERS[0]}.alpha": torch.tensor(2.0)}
    save_file(stored, tmp_path / "lora.safetensors")
    state = tiny.networks()[0].state_dict()
    merged = with_lora(plain(state), tmp_path / "lora.safetensors")
    expected = state[f"{LAYERS[0]}.bias"] + 0.5 * torch.arange(64.0)
    torch.testing.assert_close(merged[f"{LAYERS[0]}.bias"].read(), expected)
    stored[f"{LAYERS[0]}.lora_B.bias"] = torch.zeros(3)
    save_file(stored, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=r"the addition to .*to_q's bias is \(3,\), the bias \(64,\)"):
        with_lora(plain(state), tmp_path / "lora.safetensors")


def test_an_addition_to_weights_of_eight_bits_is_not_rounded_away(tmp_path: Path) -> None:
    down, up = (0.05 * part for part in _additions()[LAYERS[0]])
    save_file({f"{LAYERS[0]}.lora_A.weight": down, f"{LAYERS[0]}.lora_B.weight": up}, tmp_path / "lora.safetensors")
    state = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tiny.networks()[0].state_dict().items()}
    merged = with_lora(plain(state), tmp_path / "lora.safetensors")[f"{LAYERS[0]}.weight"].read()
    base = state[f"{LAYERS[0]}.weight"].float()
    assert merged.dtype == torch.bfloat16
    lost = (merged.float() - base - up @ down).norm() / (up @ down).norm()
    rounded = ((base + up @ down).to(torch.float8_e4m3fn).float() - base - up @ down).norm() / (up @ down).norm()
    assert lost < rounded / 8


@pytest.mark.parametrize(
    "second",
    [
        f"{LAYERS[0]}.lora_A.other.weight",
        f"transformer.{LAYERS[0]}.lora_A.weight",
        f"{LAYERS[0]}.lora_down.weight",
    ],
)
def test_two_adapters_in_a_file_are_refused(second: str, tmp_path: Path) -> None:
    down, up = _additions()[LAYERS[0]]
    stored = {f"{LAYERS[0]}.lora_A.default.weight": down, f"{LAYERS[0]}.lora_B.default.weight": up, second: down + 1}
    save_file(stored, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=r"more than one addition to transformer_blocks.0.attn.to_q .* one adap"):
        with_lora(plain(tiny.networks()[0].state_dict()), tmp_path / "lora.safetensors")


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
@pytest.mark.parametrize("told", ["tensor", "header"])
def test_alpha_that_is_no_number_is_refused(told: str, alpha: float, tmp_path: Path) -> None:
    down, up = _additions()[LAYERS[0]]
    stored = {f"{LAYERS[0]}.lora_A.weight": down, f"{LAYERS[0]}.lora_B.weight": up}
    if told == "tensor":
        stored[f"{LAYERS[0]}.alpha"] = torch.tensor(alpha)
    words = {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": alpha})} if told == "header" else None
    save_file(stored, tmp_path / "lora.safetensors", metadata=words)
    with pytest.raises(CheckpointError, match=r"alpha (of|for) transformer_blocks.0.attn.to_q"):
        with_lora(plain(tiny.networks()[0].state_dict()), tmp_path / "lora.safetensors")


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    save_file({f"{LAYERS[0]}.lora_A.weight": torch.zeros(2, 64), f"{LAYERS[0]}.lora_B.weight": torch.zeros(64, 2)},
              tmp_path / "lora.safetensors")  # fmt: skip
    reads: list[str] = []
    weights = {
        name: lazy._replace(read=lambda name=name: reads.append(name) or torch.zeros(1))
        for name, lazy in plain(tiny.networks()[0].state_dict()).items()
    }
    with_lora(weights, tmp_path / "lora.safetensors")
    assert reads == []


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (
            {"single_blocks.0.lora_A.weight": (2, 64)},
            "1 names that are no LoRA of this network: single_blocks.0.lora_A",
        ),
        ({f"{LAYERS[0]}.lora_A.weight": (2, 64)}, "only half of the additions to transformer_blocks.0.attn.to_q"),
        (
            {f"{LAYERS[0]}.lora_A.weight": (2, 32), f"{LAYERS[0]}.lora_B.weight": (64, 2)},
            r"the addition to transformer_blocks.0.attn.to_q is \(64, 2\) by \(2, 32\), the layer \(64, 64\)",
        ),
        (
            {f"{LAYERS[0]}.lora_A.weight": (2,), f"{LAYERS[0]}.lora_B.weight": (64, 2)},
            r"the addition to transformer_blocks.0.attn.to_q is \(64, 2\) by \(2,\), the layer \(64, 64\)",
        ),
        (
            {
                f"{LAYERS[0]}.lora_A.weight": (2, 64),
                f"{LAYERS[0]}.lora_B.weight": (64, 2),
                f"{LAYERS[0]}.alpha": (3,),
            },
            r"alpha of transformer_blocks.0.attn.to_q has the shape \(3,\), expected one number",
        ),
        ({}, "holds no LoRA"),
    ],
)
def test_a_lora_for_something_else_is_refused(stored: dict[str, tuple[int, int]], message: str, tmp_path: Path) -> None:
    save_file({name: torch.zeros(shape) for name, shape in stored.items()}, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=message):
        with_lora(plain(tiny.networks()[0].state_dict()), tmp_path / "lora.safetensors")
