"""The released model end to end, on a tiny random checkpoint in its layout: picture in, Document out."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_released as tiny
import torch
from PIL import Image

from lamina.decompose import released
from lamina.decompose.decomposer import Decomposer, embedded
from lamina.decompose.released import (
    ReleasedDecomposer,
    ReleasedLooker,
    Settings,
    is_released,
    layer_count,
    text_place,
    to_coarse,
)
from lamina.document.composite import flatten
from lamina.errors import CheckpointError, DeviceError, InputError
from lamina.formats import read
from lamina.model.denoise import Text
from lamina.model.layouts import open_released
from lamina.model.plans import choose_plan
from lamina.options import DecomposeOptions

pytestmark = pytest.mark.filterwarnings("ignore")
QUICK = {"steps": 2, "layers": 3}
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return tiny.write(tmp_path_factory.mktemp("released") / "model", text=True)


@pytest.fixture(scope="module")
def decomposer(folder: Path) -> ReleasedDecomposer:
    looker = ReleasedLooker(open_released(folder), cache=folder / "cache")
    looker.side = 96  # pictures of some pixels instead of 640x640
    return ReleasedDecomposer(looker)


def picture(width: int = 60, height: int = 40) -> Image.Image:
    array = np.full((height, width, 3), (200, 220, 240), np.uint8)
    array[10:30, 10:30] = (200, 30, 40)
    array[5:20, 35:55] = (20, 140, 60)
    return Image.fromarray(array)


@pytest.mark.peer
def test_a_picture_becomes_a_document_that_composites_to_it(decomposer: ReleasedDecomposer) -> None:
    heard: list[tuple[int, int]] = []
    options = DecomposeOptions(prompt="two boxes", **QUICK)
    document = decomposer(picture(), options, on_step=lambda step, total: heard.append((step, total)))
    assert np.array_equal(flatten(document)[..., :3], np.asarray(picture()))
    assert document.meta["model"] == "model"
    total = len(decomposer.stages)
    assert [count for count, _ in heard] == sorted(count for count, _ in heard)
    assert {length for _, length in heard} == {total}
    assert heard[-1] == (total, total)
    model = [step for step, _ in heard if decomposer.stages[step - 1] == "model"]
    assert len(set(model)) == 2  # one for each of the two steps
    assert decomposer(picture(), options) == document


@pytest.mark.peer
@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"guidance": 1.0}, {"prompt": "something else"}, {"steps": 3}, {"layers": 4}]
)
def test_every_option_changes_what_is_sampled(decomposer: ReleasedDecomposer, change: dict[str, Any]) -> None:
    rgba = np.dstack([np.asarray(picture()), np.full((40, 60), 255, np.uint8)])
    given = {"prompt": "two boxes", **QUICK}
    one = decomposer.looker.look(rgba, DecomposeOptions(**given))
    other = decomposer.looker.look(rgba, DecomposeOptions(**given | change))
    again = decomposer.looker.look(rgba, DecomposeOptions(**given))
    assert np.array_equal(one.alpha, again.alpha)
    assert one.alpha.shape != other.alpha.shape or not np.allclose(one.rgb, other.rgb, atol=1e-3)


@pytest.mark.peer
def test_the_work_stops_at_the_step_where_it_is_told_to(decomposer: ReleasedDecomposer) -> None:
    heard: list[int] = []

    def stop(step: int, total: int) -> None:
        heard.append(step)
        if step > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decomposer(picture(), DecomposeOptions(prompt="x", steps=50, layers=1), on_step=stop)
    assert heard == [1, 2, 3]


@pytest.mark.peer
def test_the_text_encoder_is_freed_and_loaded_only_for_what_is_new(
    decomposer: ReleasedDecomposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looker = decomposer.looker
    assert isinstance(looker, ReleasedLooker)
    rgba, captions = np.full((40, 60, 4), 255, np.uint8), []
    monkeypatch.setattr(looker.prompts, "caption", lambda image, language: captions.append(image.size) or "a caption")
    looker.look(rgba, DecomposeOptions(steps=1, layers=1))
    assert captions == [looker.size_of(rgba)] == [(128, 64)]
    assert looker.caption == "a caption"
    assert decomposer(picture(), DecomposeOptions(steps=1, layers=1)).meta["caption"] == "a caption"
    assert not looker.prompts.loaded
    monkeypatch.setattr(looker.prompts, "_load", lambda: pytest.fail("loaded for a prompt that was met before"))
    looker.look(rgba, DecomposeOptions(steps=1, layers=1, prompt="a caption"))
    assert len(captions) == 2


@pytest.mark.peer
def test_layers_come_from_words_alone(decomposer: ReleasedDecomposer) -> None:
    looker = decomposer.looker
    assert isinstance(looker, ReleasedLooker)
    found = looker.imagine("two boxes", DecomposeOptions(**QUICK), (64, 48))
    assert found.shape == (3, 4, 48, 64)
    with pytest.raises(InputError, match="need a prompt"):
        looker.imagine(" ", DecomposeOptions(**QUICK), (64, 48))
    with pytest.raises(InputError, match="60x48 does not divide by 16"):
        looker.imagine("x", DecomposeOptions(**QUICK), (60, 48))


@pytest.mark.peer
def test_running_out_of_memory_names_the_next_smaller_plan(
    decomposer: ReleasedDecomposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looker = decomposer.looker
    assert isinstance(looker, ReleasedLooker)
    monkeypatch.setattr(looker, "_free", lambda: 20e9)
    monkeypatch.setattr(looker, "_model", None)
    rgba, options = np.full((40, 60, 4), 255, np.uint8), DecomposeOptions(steps=1, layers=1, prompt="two boxes")

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("lamina.model.released.ReleasedModel.layers", full)
    with pytest.raises(DeviceError, match=r"plan for 20 GB: .* ran out of device memory; run again with --memory 16"):
        looker.look(rgba, options)


@pytest.mark.peer
def test_without_a_text_encoder_a_prompt_says_what_is_missing(tmp_path: Path) -> None:
    bare = ReleasedLooker(open_released(tiny.write(tmp_path / "bare")))
    with pytest.raises(CheckpointError, match="has no text_encoder, which a prompt or a caption needs"):
        bare.look(np.full((40, 60, 4), 255, np.uint8), DecomposeOptions(prompt="x", steps=1, layers=1))


@pytest.mark.peer
def test_without_a_processor_a_prompt_serves_and_a_caption_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("processor", "cache")))
    looker, rgba = ReleasedLooker(open_released(bare)), np.full((40, 60, 4), 255, np.uint8)
    looker.side = 96
    looker.look(rgba, DecomposeOptions(prompt="x", steps=1, layers=1))
    with pytest.raises(CheckpointError, match=r"bare has no processor, which a prompt or a caption needs"):
        looker.look(rgba, DecomposeOptions(steps=1, layers=1))


def test_layers_as_an_answer_are_seen_through_those_above() -> None:
    layers = np.full((3, 4, 2, 2), -1.0, np.float32)
    layers[0, :3], layers[1, 3], layers[2, 3] = 1.0, 0.0, 1.0
    layers[2, 3, 0] = -1.0
    coarse = to_coarse(layers)
    assert np.allclose(coarse.visible.sum(axis=0), 1)
    assert np.allclose(coarse.visible[:, 0, 0], (0.5, 0.5, 0))
    assert np.allclose(coarse.visible[:, 1, 0], (0, 0, 1))
    assert np.allclose(coarse.alpha[:, 0, 0], (1, 0.5, 0))
    assert np.allclose(coarse.rgb[0], 1)
    assert coarse.rgb.shape == (3, 2, 2, 3)


@pytest.mark.parametrize(
    ("options", "count"),
    [({}, 4), ({"detail": "coarse"}, 2), ({"detail": "fine"}, 8), ({"max_layers": 3}, 3), ({"layers": 7}, 7)],
)
def test_how_many_layers_are_made(options: dict[str, Any], count: int) -> None:
    assert layer_count(DecomposeOptions(**options)) == count


def test_what_names_a_released_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_released(tmp_path)
    assert is_released("Qwen/Qwen-Image-Layered")
    assert not is_released(embedded())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert not is_released("small")  # whatever is called so here
    assert not is_released(tmp_path / "absent.safetensors")


def test_a_network_too_heavy_for_a_cpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from lamina.model.config import preset

    monkeypatch.setattr(released, "device_named", lambda _: torch.device("cpu"))
    with pytest.raises(
        DeviceError, match=r"14 billion parameters needs a GPU, and there is none here; use --model small"
    ):
        released._device("auto", preset("published").mmdit)
    assert released._device("cpu", preset("published").mmdit).type == "cpu"


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="resolution 800: expected 640 or 1024"):
        Settings(resolution=800)
    with pytest.raises(InputError, match="preset 'quick' is not known; expected exact or balanced or fast or few"):
        Settings(preset="quick")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="preset 'few-step' needs a LoRA made for few steps; name its file with --lo"):
        Settings(preset="few-step")
    with pytest.raises(InputError, match="memory 'lots' is not known; expected auto or gigabytes such as 40, 24"):
        Settings(memory="lots")
    with pytest.raises(InputError, match="language 'de' is not known; expected en or zh"):
        Settings(language="de")  # type: ignore[arg-type]


def test_the_text_encoder_runs_where_there_is_room() -> None:
    device = torch.device("cuda")
    assert text_place(device, 24e9, 16.6e9) == device
    assert text_place(device, 16e9, 16.6e9).type == "cpu"


@pytest.mark.peer
def test_loading_by_name_gives_the_decomposer_for_it(folder: Path) -> None:
    loaded = Decomposer.load(folder, device="cpu")
    assert isinstance(loaded, ReleasedDecomposer)
    assert loaded.ignores == ()
    assert not isinstance(Decomposer.load("small", device="cpu"), ReleasedDecomposer)


def lora(path: Path) -> Path:
    """A random LoRA of this network."""
    from safetensors.torch import save_file

    layer = "transformer_blocks.0.img_mod.1"
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 64, generator=generator), torch.randn(384, 2, generator=generator)
    save_file({f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}, path)
    return path


@pytest.mark.peer
def test_few_steps_are_eight_without_guidance_unless_told_otherwise(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgba = np.dstack([np.asarray(picture()), np.full((40, 60), 255, np.uint8)])
    settings = Settings(preset="few-step", lora=(lora(tmp_path / "lora.safetensors"),))
    encoded: list[list[str]] = []

    def run(given: Settings, **options: Any) -> tuple[np.ndarray, int]:
        looker, heard = ReleasedLooker(open_released(folder), given, cache=folder / "cache"), []
        looker.side, looker.on_sample = 96, lambda step, steps: heard.append((step, steps))
        encode = looker.prompts.__class__.__call__
        monkeypatch.setattr(looker.prompts.__class__, "__call__", lambda self, p: encoded.append(p) or encode(self, p))
        found = looker.look(rgba, DecomposeOptions(prompt="two boxes", layers=2, **options)).rgb
        monkeypatch.setattr(looker.prompts.__class__, "__call__", encode)
        assert {steps for _, steps in heard} == {len(heard)}
        return found, len(heard)

    few, steps = run(settings)
    assert steps == 8
    assert encoded == [["two boxes"]]  # nothing to measure against
    exact = Settings(lora=settings.lora)
    again, _ = run(exact, steps=8, guidance=1.0)
    assert np.array_equal(few, again)
    told, steps = run(settings, steps=3, guidance=4.0)
    assert steps == 3
    assert np.array_equal(told, run(exact, steps=3)[0])


@pytest.mark.peer
def test_one_product_for_queries_keys_and_values_gives_the_same_layers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgba = np.dstack([np.asarray(picture()), np.full((40, 60), 255, np.uint8)])
    settings = Settings(lora=(lora(tmp_path / "lora.safetensors"),))

    def looked(fused: bool | None) -> np.ndarray:
        looker = ReleasedLooker(open_released(folder), settings, cache=folder / "cache", fused=fused)
        looker.side = 96
        found = looker.look(rgba, DecomposeOptions(prompt="two boxes", **QUICK)).rgb
        assert looker._model is not None
        joined = [block.attn.to_qkv is not None for block in looker._model[1].denoiser.blocks]
        assert joined == ([True, True, False] if fused else [False] * 3)
        return found

    apart = looked(None)  # the CPU
    np.testing.assert_allclose(looked(True), apart, atol=1e-5)
    monkeypatch.setattr(released, "choose_plan", lambda *a, **k: replace(choose_plan(*a, **k), resident=1))
    np.testing.assert_allclose(looked(True), apart, atol=1e-5)


@pytest.mark.peer
def test_settings_reach_the_work(folder: Path, tmp_path: Path) -> None:
    """A LoRA, less memory and a faster preset are what is sampled with."""
    lora(tmp_path / "lora.safetensors")
    rgba = np.dstack([np.asarray(picture()), np.full((40, 60), 255, np.uint8)])
    options = DecomposeOptions(prompt="two boxes", **QUICK)

    def looked(**settings: Any) -> np.ndarray:
        looker = ReleasedLooker(open_released(folder), Settings(**settings), cache=folder / "cache")
        looker.side = 96
        return looker.look(rgba, options).rgb

    plain = looked()
    said: list[str] = []
    assert np.array_equal(looked(memory="0.65", on_plan=said.append), plain)
    assert [words.startswith("plan for 1 GB: bf16 blocks") for words in said] == [True]
    assert not np.allclose(looked(lora=(tmp_path / "lora.safetensors",)), plain, atol=1e-3)
    assert not np.allclose(looked(preset="fast"), plain, atol=1e-6)
    with pytest.raises(DeviceError, match=r"0\.1 GB of device memory are free"):
        looked(memory="0.1")


@pytest.mark.peer
def test_the_command_line_takes_a_folder_for_a_model(folder: Path, tmp_path: Path) -> None:
    """In a process of its own: what libraries log while they load is no line of ours."""
    picture(60, 45).save(tmp_path / "photo.png")
    command = [sys.executable, "-c", "import sys; from lamina.cli import main; sys.exit(main())"]
    given = ["decompose", "photo.png", "--model", str(folder), "--steps", "1", "--layers", "2", "--prompt", "boxes"]
    environment = {**os.environ, "LAMINA_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    ran = subprocess.run(
        [*command, *given, "--json", "--memory", "0.65"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["document"] == "photo"
    lines = ran.stderr.splitlines()
    plans = [line for line in lines if line.startswith("lamina: plan for 1 GB: bf16 blocks, all on the device; peak ")]
    assert len(plans) == 1
    assert all(line.startswith("lamina: warning: ") for line in lines if line not in plans)
    document = read(tmp_path / "photo")
    assert np.array_equal(flatten(document)[..., :3], np.asarray(picture(60, 45)))
    assert document.meta["model"] == "model"
    assert len(list((tmp_path / "cache").iterdir())) == 2  # the prompt, and what guidance measures against


@pytest.mark.slow
@pytest.mark.peer
def test_several_processes_write_one_document_the_same_as_ones(folder: Path, tmp_path: Path) -> None:
    """Started as users start them; the first process alone writes and speaks."""
    picture(60, 45).save(tmp_path / "photo.png")
    command = [sys.executable, "-c", "import sys; from lamina.cli import main; sys.exit(main())", "decompose"]
    given = ["photo.png", "--model", str(folder), "--steps", "2", "--layers", "2", "--prompt", "two boxes", "--json"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    environment = {**os.environ, "LAMINA_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    alone = ran(*command, *given, "-o", "alone")
    together = ran(*launch, *command, *given, "-o", "together")
    assert alone.returncode == together.returncode == 0, together.stderr[-3000:]
    assert [json.loads(line)["document"] for line in together.stdout.splitlines()] == ["together"]
    assert read(tmp_path / "together") == read(tmp_path / "alone")


@pytest.mark.peer
def test_several_processes_do_not_take_steps_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match="preset 'fast' takes steps over, which several processes cannot; use --pre"):
        ReleasedLooker(open_released(folder), Settings(preset="fast"))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _family(path: Path) -> None:
    path.write_text(path.read_text("utf-8").replace("QwenImageLayeredPipeline", "FluxPipeline"), "utf-8")


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _changed(model: Path, name: str, **words: Any) -> None:
    data = json.loads((model / name).read_text("utf-8"))
    (model / name).write_text(json.dumps(data | words), "utf-8")


def _narrowed(path: Path) -> None:
    """Another width of the words than that of the weights beside it."""
    data = json.loads(path.read_text("utf-8"))
    data["text_config"]["hidden_size"] = 32
    path.write_text(json.dumps(data), "utf-8")


def _headless(path: Path) -> None:
    """A text encoder without one of its tensors."""
    from safetensors.torch import load_file, save_file

    state = load_file(path)
    state.pop(next(name for name in state if name.endswith("layers.1.mlp.up_proj.weight")))
    save_file(state, path, metadata={"format": "pt"})


@pytest.mark.peer
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda model: shutil.rmtree(model / "transformer"), "transformer/config.json"),
        (lambda model: (model / "model_index.json").unlink(), "has no model_index.json; expected a folder as 'hf down"),
        (lambda model: _cut(model / WEIGHTS), "is no whole safetensors file"),
        (lambda model: _family(model / "model_index.json"), "of the family FluxPipeline; expected QwenImageLayered"),
        (lambda model: shutil.rmtree(model / "text_encoder"), "has no text_encoder, which a prompt or a caption needs"),
        (lambda model: _cut(model / "text_encoder/model.safetensors"), "text_encoder cannot be loaded ("),
        (lambda model: _headless(model / "text_encoder/model.safetensors"), "lacks model.language_model.layers.1.mlp"),
        (lambda model: shutil.rmtree(model / "tokenizer"), "has no tokenizer, which a prompt or a caption needs"),
        (lambda model: _emptied(model / "tokenizer"), "tokenizer does not know the word <|image_pad|>"),
        (
            lambda model: _emptied(model / "text_encoder"),
            "text_encoder/config.json cannot be read: No such",
        ),
        (
            lambda model: _narrowed(model / "text_encoder/config.json"),
            "text_encoder: weights and config.json do not",
        ),
        (
            lambda model: _changed(model, "transformer/config.json", axes_dims_rope=None),
            "values of a wrong kind (",
        ),
        (
            lambda model: _changed(model, "vae/config.json", base_dim="x"),
            "vae/config.json has values of a wrong kind",
        ),
        (
            lambda model: _changed(model, "scheduler/scheduler_config.json", shift_terminal="x"),
            "shift_terminal is no",
        ),
    ],
)
def test_a_broken_model_is_one_line_and_no_output(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    spoil(Path(shutil.copytree(folder, tmp_path / "model", ignore=shutil.ignore_patterns("cache"))))
    _refused(tmp_path, capsys, [str(tmp_path / "model")], message)


@pytest.mark.peer
def test_a_text_encoder_of_another_width_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looker = ReleasedLooker(open_released(folder))
    monkeypatch.setattr(looker.prompts.__class__, "__call__", lambda *_: Text(torch.zeros(1, 3, 32)))
    with pytest.raises(CheckpointError, match="makes embeddings of width 32, the transformer takes 64; bring"):
        looker.look(np.full((40, 60, 4), 255, np.uint8), DecomposeOptions(prompt="x", steps=1, layers=1))


@pytest.mark.peer
def test_no_device_and_no_memory_are_one_line_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lamina.decompose.released._free_bytes", lambda _: 0.2e9)
    _refused(tmp_path, capsys, [str(folder)], "0.2 GB of device memory are free, at least")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("lamina.decompose.released._HEAVY", 1.0)
    _refused(tmp_path, capsys, [str(folder)], "needs a GPU, and there is none here; use --model small")
    _refused(tmp_path, capsys, [str(folder), "--device", "cuda"], "device 'cuda' is not available on this computer")

    def absent(name: str, **_: Any) -> str:
        raise OSError("no route")

    library = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(library, "snapshot_download", absent)
    _refused(tmp_path, capsys, ["models/mine"], "'models/mine' is no folder here, not whole in the local cache, and ")


@pytest.mark.parametrize("name", ["models/my--model", "a/b..c", "a/" + "b" * 120, "a/" + "b" * 300, "a/b."])
def test_what_can_be_no_name_on_the_hub_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    (tmp_path / "a").mkdir()  # in which a name of 300 letters cannot be looked for
    monkeypatch.chdir(tmp_path)
    _refused(tmp_path, capsys, [name], "here, and it cannot be a name on the hub; expected one such as Qwen/")


def _refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], model: list[str], message: str) -> None:
    from lamina.cli import main

    capsys.readouterr()
    picture().save(tmp_path / "photo.png")
    given = ["decompose", str(tmp_path / "photo.png"), "--prompt", "boxes", "--layers", "2", "--steps", "1"]
    assert main([*given, "--model", *model, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lamina: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.peer
def test_a_lora_for_something_else_is_refused_at_once(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"single_blocks.0.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "flux.safetensors")
    with pytest.raises(CheckpointError, match=r"1 names that are no LoRA of this network: single_blocks\.0"):
        ReleasedLooker.load(folder, Settings(lora=(tmp_path / "flux.safetensors",)))


@pytest.mark.peer
def test_a_file_alone_takes_its_other_parts_from_the_hub(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def find(name: str, *, transformer: bool = True) -> Path:
        asked.append((name, transformer))
        return folder

    monkeypatch.setattr("lamina.model.hub.find_released", find)
    (tmp_path / "sub").mkdir()
    shutil.copy(folder / WEIGHTS, tmp_path / "sub" / "alone.safetensors")
    looker = ReleasedLooker.load(tmp_path / "sub" / "alone.safetensors")
    assert asked == [("Qwen/Qwen-Image-Layered", False)]
    assert (looker.name, looker.released.folder) == ("alone", folder)
    assert ReleasedLooker.load(folder / WEIGHTS).released.folder == folder
    assert len(asked) == 1
    _cut(tmp_path / "sub" / "alone.safetensors")
    with pytest.raises(CheckpointError, match=r"alone\.safetensors is no whole safetensors file"):
        ReleasedLooker.load(tmp_path / "sub" / "alone.safetensors")
    assert len(asked) == 1  # nothing is fetched for a file that is of no use
