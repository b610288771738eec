"""The chain of the paper's stages with the tiniest model, each on the checkpoint of the one before; then LoRAs."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_stacks import write_rgb_vae, write_shards

from lamina.errors import CheckpointError, InputError
from lamina.model import checkpoint
from lamina.model.small import SmallConfig, SmallNet
from lamina.train.recipe import resolve

ROOT = Path(__file__).resolve().parents[2]
TINY = ("model=tiny", "side=16", "batch_size=2", "steps=2", "workers=0", "precision=float32")


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stored scenes, where the recipes can be imported."""
    monkeypatch.syspath_prepend(str(ROOT))
    return write_shards(tmp_path / "shards")


def width_of_sheet(run: Path) -> int:
    with Image.open(run / "sheets" / "00000002.png") as sheet:
        return sheet.width


def test_every_stage_starts_from_the_checkpoint_of_the_one_before(shards: Path, tmp_path: Path) -> None:
    def run(name: str, *words: str) -> Path:
        return resolve([f"recipes.paper:{name}", f"shards={shards}", *TINY, *words], tmp_path / name).train()

    vae = run("vae", f"init_from={write_rgb_vae(tmp_path / 'rgb.safetensors')}")
    seen = json.loads((tmp_path / "vae" / "metrics.jsonl").read_text().splitlines()[-1])
    assert all(seen[f"val_psnr_{ground}"] > 3 for ground in ("black", "grey", "white"))
    sampling = ("sample_steps=2", f"vae={vae}")
    picture = run("text_to_picture", *sampling)
    text = run("text_to_layers", *sampling, f"init_from={picture}")
    image = run("image_to_layers", *sampling, f"init_from={text}")
    taught = ("few_steps", f"vae={vae}", f"teacher={image}", "student_steps=2", "teacher_steps=2")
    few = run(*taught)
    with pytest.raises(CheckpointError, match="another configuration"):
        run(*taught, "distil=false")

    chain = json.loads(checkpoint.read_header(few).extra["chain"])
    stages = [link["stage"] for link in chain]
    assert stages == ["text-to-picture", "text-to-layers", "image-to-layers", "few-steps-2"]
    assert [link["steps"] for link in chain] == [2, 2, 2, 2]
    rows = [json.loads(row) for row in (tmp_path / "image_to_layers" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert {"val_loss", "val_layer_f"} <= set(rows[-1])
    for name in ("vae", "text_to_picture", "text_to_layers", "image_to_layers", "few_steps"):
        assert width_of_sheet(tmp_path / name) > 50
    before, after = load_file(text), load_file(image)
    assert any(not torch.equal(before[name], after[name]) for name in before)

    lora = resolve(
        ["recipes.lora:lora", f"base={image}", f"shards={shards}", f"vae={vae}", *TINY[1:], "rank=2", "sample_steps=2"],
        tmp_path / "lora",
    ).train()
    assert checkpoint.read_header(lora).config["base_kind"] == "mmdit"


def test_oversampling_of_noise_is_another_way_to_few_steps(shards: Path, tmp_path: Path) -> None:
    from lamina.model.config import preset
    from lamina.model.mmdit import MMDiT
    from lamina.train.autoencode import TrainedVae
    from lamina.train.flow import FlowObjective

    tiny = preset("tiny")
    checkpoint.save(tmp_path / "vae.safetensors", TrainedVae(tiny.vae).state_dict(), tiny.vae, kind="vae")
    checkpoint.save(tmp_path / "teacher.safetensors", MMDiT(tiny.mmdit).state_dict(), tiny.mmdit, kind="mmdit")
    words = [f"shards={shards}", *TINY, "distil=false", "student_steps=1"]
    files = [f"{name}={tmp_path / name}.safetensors" for name in ("vae", "teacher")]
    run = resolve(["recipes.paper:few_steps", *words, *files], tmp_path / "few")
    assert isinstance(run.objective, FlowObjective)
    assert run.objective.noise_share == 0.5
    assert run.train().is_file()


def test_vae_learns_with_lpips_from_local_weights(shards: Path, tmp_path: Path) -> None:
    state: dict[str, torch.Tensor] = {}
    before = 3
    for number in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28):  # the convolutions of VGG-16
        state[f"features.{number}.weight"] = torch.randn(4, before, 3, 3) / 6
        state[f"features.{number}.bias"] = torch.zeros(4)
        before = 4
    save_file(state, tmp_path / "net.safetensors")
    save_file({f"lin{k}.model.1.weight": torch.rand(1, 4, 1, 1) for k in range(5)}, tmp_path / "linear.safetensors")
    words = ["recipes.paper:vae", f"shards={shards}", *TINY, "side=32", f"lpips_net={tmp_path / 'net.safetensors'}"]
    with pytest.raises(InputError, match="needs both"):
        resolve(words, tmp_path / "run")
    run = resolve([*words, f"lpips_linear={tmp_path / 'linear.safetensors'}"], tmp_path / "run")
    rows: list[dict[str, float]] = []
    run.train(lambda *given: rows.append(given[2]))
    assert all(row["perceptual"] > 0 and row["norm"] < 1e6 for row in rows)
    assert all(value.isfinite().all() for value in load_file(tmp_path / "run" / "checkpoint.safetensors").values())


def test_small_network_is_fine_tuned_on_shards(shards: Path, tmp_path: Path) -> None:
    shape = SmallConfig(channels=(8, 8, 16), width=32, heads=2, depth=1, features=8, max_layers=8)
    base = tmp_path / "base.safetensors"
    checkpoint.save(base, SmallNet(shape).state_dict(), shape, kind="small")
    words = ["recipes.lora:lora", f"base={base}", f"shards={shards}", *TINY[2:], "rank=2"]
    saved = resolve(words, tmp_path / "lora").train()
    names = set(load_file(saved))
    assert names
    assert all(name.endswith((".down", ".up")) for name in names)
    assert width_of_sheet(tmp_path / "lora") > 50


def test_recipe_says_what_does_not_fit(shards: Path, tmp_path: Path) -> None:
    rgb = write_rgb_vae(tmp_path / "rgb.safetensors")
    with pytest.raises(InputError, match="is an RGB VAE"):
        resolve(["recipes.paper:image_to_layers", f"vae={rgb}", f"shards={shards}", *TINY], tmp_path / "run")
    with pytest.raises(InputError, match="bank=FOLDER or shards=FOLDER"):
        resolve(["recipes.paper:vae", *TINY], tmp_path / "run")
    with pytest.raises(InputError, match="needs linear layers"):
        resolve(["recipes.lora:lora", f"base={rgb}", f"shards={shards}"], tmp_path / "run")


def test_shipped_weights_are_the_mean_of_what_they_are_published_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from recipes.publish import publish

    small = SmallConfig(area=64 * 64, channels=(8, 8, 16), width=32, heads=2, depth=1, features=8, max_layers=6)
    paths = [tmp_path / f"{k}.safetensors" for k in range(3)]
    states = []
    for path, config in zip(paths, (small, small, SmallConfig(area=small.area)), strict=True):
        states.append(SmallNet(config).state_dict())
        checkpoint.save(path, states[-1], config, kind="small", extra={"steps": path.stem})
    assert publish(paths[:2], tmp_path / "out.safetensors") < 5e-3
    for name, value in checkpoint.load(tmp_path / "out.safetensors", "small")[1].items():
        torch.testing.assert_close(value.float(), (states[0][name] + states[1][name]) / 2, rtol=1e-3, atol=5e-3)
    assert checkpoint.read_header(tmp_path / "out.safetensors").extra["steps"] == "1"
    with pytest.raises(InputError, match="another config"):
        publish(paths[1:], tmp_path / "none.safetensors")
