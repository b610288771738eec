"""The released layouts: diffusers folder, single files, strictness, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_released as tiny
import torch
from safetensors.torch import load_file, save_file

from lamina.errors import CheckpointError
from lamina.model import checkpoint, hub
from lamina.model.flow import Schedule
from lamina.model.layouts import open_released, published_report
from lamina.model.vae import Vae, collapse
from lamina.model.weights import open_file, open_folder

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("released") / "model")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def _state(weights: Any) -> dict[str, torch.Tensor]:
    return {name: lazy.read() for name, lazy in weights.items()}


def _same(a: Any, b: Any) -> None:
    assert set(a) == set(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


def _edit(path: Path, **words: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | words))


def test_the_published_shapes_have_the_published_counts() -> None:
    assert published_report() == {"transformer": (1934, 20_430_407_232), "vae": (194, 126_897_716)}


def test_what_is_saved_comes_back(folder: Path) -> None:
    mmdit, vae = tiny.networks()
    released = open_released(folder)
    assert released.config == tiny.CONFIG
    assert released.schedule == Schedule()
    _same(_state(released.transformer), mmdit.state_dict())
    _same(collapse(_state(released.vae), tiny.CONFIG.vae), vae.state_dict())


def test_shards_are_read_through_their_index(folder: Path, tmp_path: Path) -> None:
    sharded = tiny.write(tmp_path / "sharded", shard=100_000)
    files = sorted((sharded / "transformer").glob("*.safetensors"))
    assert len(files) > 3
    _same(_state(open_released(sharded).transformer), tiny.networks()[0].state_dict())
    files[1].unlink()
    with pytest.raises(CheckpointError, match=rf"lacks {files[1].name} \(1 of {len(files)} shards\)"):
        open_released(sharded)


def test_reading_maps_the_file_instead_of_copying_it(folder: Path) -> None:
    lazy = open_folder(folder / "transformer")["img_in.weight"]
    assert lazy.read().data_ptr() == lazy.read().data_ptr()


def test_another_schedule_survives(folder: Path, copy: Path) -> None:
    _edit(copy / "scheduler/scheduler_config.json", time_shift_type="exponential", shift_terminal=0.02)
    assert open_released(copy).schedule == Schedule(kind="exponential", terminal=0.02)


@pytest.mark.parametrize("end", ["scale_weight", "weight_scale"])
def test_one_file_in_scaled_fp8_beside_the_other_parts(copy: Path, end: str) -> None:
    state, stored = load_file(copy / WEIGHTS), {}
    for name, tensor in state.items():
        if tensor.ndim == 2 and ".attn." in name:
            scale = tensor.abs().max() / 448
            stored[f"model.diffusion_model.{name}"] = (tensor / scale).to(torch.float8_e4m3fn)
            stored[f"model.diffusion_model.{name.removesuffix('weight')}{end}"] = scale
            if end == "weight_scale":
                mark = torch.tensor(list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
                stored[f"model.diffusion_model.{name.removesuffix('weight')}comfy_quant"] = mark
        else:
            stored[f"model.diffusion_model.{name}"] = tensor.to(torch.bfloat16)
    if end == "scale_weight":
        stored["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    save_file(stored, copy / "repack.safetensors")
    released = open_released(copy / "repack.safetensors")
    assert released.config.mmdit == tiny.CONFIG.mmdit
    assert released.folder == copy
    for name, tensor in _state(released.transformer).items():
        assert tensor.dtype == torch.bfloat16
        assert (tensor.float() - state[name]).abs().max() <= 0.07 * state[name].abs().max()


def test_a_stored_kind_that_is_not_known_is_refused(copy: Path) -> None:
    state = {f"model.diffusion_model.{name}": tensor for name, tensor in load_file(copy / WEIGHTS).items()}
    state["model.diffusion_model.img_in.comfy_quant"] = torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)
    save_file(state, copy / "odd.safetensors")
    with pytest.raises(CheckpointError, match=r"img_in.weight is stored as nvfp4; expected bf16, scaled fp8, or GGUF"):
        open_released(copy / "odd.safetensors")


@pytest.mark.peer
def test_gguf_is_read_and_dequantized_by_its_library(copy: Path) -> None:
    gguf = pytest.importorskip("gguf")
    state = load_file(copy / WEIGHTS)
    writer = gguf.GGUFWriter(copy / "model.gguf", "qwen_image")
    for name, tensor in state.items():
        kind = gguf.GGMLQuantizationType.Q8_0 if tensor.ndim == 2 and tensor.shape[1] % 32 == 0 else None
        data = tensor.numpy() if kind is None else gguf.quants.quantize(tensor.numpy(), kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    released = open_released(copy / "model.gguf")
    assert released.config.mmdit == tiny.CONFIG.mmdit
    read = _state(released.transformer)
    assert torch.equal(read["img_in.bias"], state["img_in.bias"])
    for name, tensor in read.items():
        assert tensor.shape == state[name].shape
        assert (tensor - state[name]).abs().max() <= 0.01 * state[name].abs().max()
    (copy / "model.gguf").write_bytes((copy / "model.gguf").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="is no whole GGUF file"):
        open_released(copy / "model.gguf")


@pytest.mark.peer
def test_the_reference_library_loads_what_we_save(folder: Path) -> None:
    models = pytest.importorskip("diffusers.models")
    mmdit, vae = tiny.networks()
    theirs = models.QwenImageTransformer2DModel.from_pretrained(folder / "transformer")
    _same(theirs.state_dict(), mmdit.state_dict())
    their_vae = models.AutoencoderKLQwenImage.from_pretrained(folder / "vae")
    _same(collapse(their_vae.state_dict(), tiny.CONFIG.vae), vae.state_dict())


def test_faults_of_the_weights_are_named(copy: Path) -> None:
    state = load_file(copy / WEIGHTS)
    del state["img_in.bias"]
    state["proj_out.bias"] = torch.zeros(3)
    save_file({**state, "stranger": torch.zeros(1)}, copy / WEIGHTS)
    with pytest.raises(CheckpointError) as caught:
        open_released(copy)
    message = str(caught.value)
    assert "1 missing: img_in.bias" in message
    assert "1 unknown: stranger" in message
    assert "1 misshapen: proj_out.bias (3,) for (32,)" in message


def test_a_cut_off_shard_is_refused(copy: Path) -> None:
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes()[:-7])
    with pytest.raises(CheckpointError, match=r"is no whole safetensors file .*download it again"):
        open_released(copy)


@pytest.mark.parametrize(
    ("part", "words", "message"),
    [
        ("model_index.json", {"_class_name": "FluxPipeline"}, "of the family FluxPipeline; expected QwenImageLayered"),
        ("transformer/config.json", {"use_layer3d_rope": False}, "another member of the Qwen-Image family"),
        ("transformer/config.json", {"zero_cond_t": True}, "zero_cond_t is True; another member"),
        ("transformer/config.json", {"in_channels": 7}, "in_channels 7 and attention_head_dim 32; expected 32 and 32"),
        ("transformer/config.json", {"_class_name": "FluxTransformer2DModel"}, "describes a FluxTransformer2DModel"),
        ("vae/config.json", {"input_channels": 3}, "3 channels; expected an RGBA-VAE"),
        ("vae/config.json", {"temperal_downsample": [True, True, True]}, "not the published kind"),
        ("scheduler/scheduler_config.json", {"use_karras_sigmas": True}, "use_karras_sigmas; expected dynamic"),
    ],
)
def test_another_family_is_refused_in_one_line(copy: Path, part: str, words: dict[str, Any], message: str) -> None:
    _edit(copy / part, **words)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_released(copy)
    assert "\n" not in str(caught.value)


def test_a_folder_or_file_of_something_else_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no model_index.json; expected a folder as 'hf download"):
        open_released(tmp_path)
    save_file({"double_blocks.0.weight": torch.zeros(2)}, copy / "flux.safetensors")
    with pytest.raises(CheckpointError, match=r"no transformer of this family: .* it has double_blocks.0.weight"):
        open_released(copy / "flux.safetensors")
    state = load_file(copy / WEIGHTS)
    del state["time_text_embed.addition_t_embedding.weight"]
    save_file(state, copy / "plain.safetensors")
    with pytest.raises(CheckpointError, match="a Qwen-Image transformer, but not Layered"):
        open_released(copy / "plain.safetensors")
    shutil.copy(copy / WEIGHTS, tmp_path / "alone.safetensors")
    with pytest.raises(CheckpointError, match="holds the transformer alone; put it beside the folders vae"):
        open_released(tmp_path / "alone.safetensors")


def test_weights_that_do_not_fit_are_not_saved(tmp_path: Path) -> None:
    mmdit, vae = tiny.networks()
    state = dict(mmdit.state_dict())
    del state["img_in.bias"]
    with pytest.raises(CheckpointError, match=r"missing: img_in\.bias"):
        tiny.save_released(tmp_path / "x", tiny.CONFIG, state, vae.state_dict())
    assert not (tmp_path / "x").exists()


def test_a_network_takes_the_weights_of_the_folder(folder: Path) -> None:
    released = open_released(folder)
    network = Vae(released.config.vae)
    checkpoint.fill(network, collapse(_state(released.vae), released.config.vae))
    assert open_file(folder / WEIGHTS).keys() == released.transformer.keys()


@pytest.mark.peer
def test_a_model_is_found_by_its_name_or_says_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("huggingface_hub")
    assert hub.is_repository("Qwen/Qwen-Image-Layered")
    assert not hub.is_repository("./Qwen/Qwen-Image-Layered")
    calls: list[dict[str, Any]] = []

    def cached(name: str, **options: Any) -> str:
        calls.append(options)
        if options.get("local_files_only") and len(calls) < 3:
            raise library.errors.LocalEntryNotFoundError("not here")
        return str(folder)

    monkeypatch.setattr(library, "snapshot_download", cached)
    assert hub.find_released("Qwen/Qwen-Image-Layered") == folder
    assert [call.get("local_files_only", False) for call in calls] == [True, False]
    hub.find_released("Qwen/Qwen-Image-Layered", transformer=False)
    assert calls[2]["local_files_only"]
    assert not any(pattern.startswith(("transformer", "*")) for pattern in calls[2]["allow_patterns"])

    def offline(name: str, **options: Any) -> str:
        raise library.errors.LocalEntryNotFoundError("cannot reach the hub\nmore")

    monkeypatch.setattr(library, "snapshot_download", offline)
    with pytest.raises(
        CheckpointError,
        match=r"is no folder here, not whole in the local cache, .*\(cannot reach the hub\).*give its path$",
    ):
        hub.find_released("Qwen/Qwen-Image-Layered")
