"""A run stopped and gone on with is the run that never stopped, in every stage; and what a run leaves behind."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_stacks import TINY, objective, some
from torch import Tensor, nn

from lamina.errors import Cancelled, CheckpointError, DeviceError, InputError
from lamina.model import checkpoint
from lamina.model.mmdit import MMDiT
from lamina.train import networks
from lamina.train.autoencode import VaeObjective
from lamina.train.config import DataConfig, LoraConfig, OptimConfig, TrainConfig
from lamina.train.flow import FewStepObjective
from lamina.train.loop import Run
from lamina.train.lora import add_lora
from lamina.train.sheets import draw

FLOW = objective()


def careless(network: Any, batch: Any) -> tuple[Tensor, dict[str, float]]:
    """An objective that draws from torch's own generator."""
    loss, parts = FLOW(network, batch)
    bias = network.img_in.bias
    return loss + (bias * torch.randn(bias.shape)).sum(), parts  # no mere factor: the clipping would undo that


def make(stage: str, out: Path, **changes: object) -> Run:
    torch.manual_seed(9)
    teacher = MMDiT(TINY.mmdit).requires_grad_(False)
    settings = LoraConfig(base_kind="mmdit", base="0" * 64, rank=2)
    goal: Any = {
        "vae": VaeObjective(),
        "few": FewStepObjective(flow=objective(), teacher=teacher, steps=2, teacher_steps=1),
        "careless": careless,
    }.get(stage, objective())
    values: dict[str, object] = {
        "stage": stage,
        "model": {"vae": TINY.vae, "lora": settings}.get(stage, TINY.mmdit),
        "data": DataConfig(batch_size=2, workers=0),
        "optim": OptimConfig(warmup=2),
        "steps": 4,
        "out": out,
        "save_every": 2,
    }
    config = TrainConfig(**{**values, **changes})  # type: ignore[arg-type]

    def lora() -> nn.Module:
        torch.manual_seed(5)
        return add_lora(MMDiT(TINY.mmdit), settings)

    data = some("picture" if stage == "vae" else "layers")
    return Run(config=config, objective=goal, data=data, network=lora if stage == "lora" else None)


def assert_same_tensors(first: Path, second: Path) -> None:
    left, right = load_file(first), load_file(second)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


class StopError(Exception):
    pass


def stop_at(number: int, error: type[BaseException]) -> Any:
    def on_step(step: int, *_: Any) -> None:
        if step == number:
            raise error

    return on_step


@pytest.mark.parametrize("stage", ["vae", "flow", "few", "lora", "careless"])
def test_stopped_run_ends_as_one_that_never_stopped(stage: str, tmp_path: Path) -> None:
    make(stage, tmp_path / "whole").train()
    with pytest.raises(StopError):  # a step after the last state: that step is done again
        make(stage, tmp_path / "cut").train(stop_at(3, StopError))
    make(stage, tmp_path / "cut").train()
    for name in ("checkpoint", "state"):
        assert_same_tensors(tmp_path / "whole" / f"{name}.safetensors", tmp_path / "cut" / f"{name}.safetensors")
    rows = [json.loads(row) for row in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]


def test_looking_at_the_network_changes_nothing(tmp_path: Path) -> None:
    make("careless", tmp_path / "blind").train()
    run = make("careless", tmp_path / "seen", validate_every=1, sheet_every=2)
    looks: list[bool] = []

    def validate(network: nn.Module) -> dict[str, float]:
        looks.append(network.training)
        return {"number": float(torch.rand(()))}

    def sheet(network: nn.Module) -> Image.Image:
        return draw([[("noise", torch.randint(0, 255, (8, 8, 3), dtype=torch.uint8).numpy())]])

    Run(config=run.config, objective=run.objective, data=run.data, validate=validate, sheet=sheet).train()
    assert looks == [False] * 4
    assert sorted(path.name for path in (tmp_path / "seen" / "sheets").iterdir()) == ["00000002.png", "00000004.png"]
    assert_same_tensors(tmp_path / "blind" / "state.safetensors", tmp_path / "seen" / "state.safetensors")


@pytest.mark.parametrize("error", [KeyboardInterrupt, Cancelled])
def test_interruption_keeps_every_step(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        make("vae", tmp_path, save_every=100).train(stop_at(3, error))
    seen: list[int] = []
    make("vae", tmp_path, save_every=100).train(lambda step, *_: seen.append(step))
    assert seen == [4]


def test_bfloat16_computes_in_half_and_learns_in_float32(tmp_path: Path) -> None:
    losses: dict[str, float] = {}

    def run(precision: str) -> None:
        made = make("flow", tmp_path / precision, precision=precision, steps=1)
        made.train(lambda *given: losses.__setitem__(precision, given[2]["loss"]))

    run("float32")
    run("bfloat16")
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=2e-2)
    assert losses["bfloat16"] != losses["float32"]
    state = load_file(tmp_path / "bfloat16" / "state.safetensors")
    assert {value.dtype for name, value in state.items() if name.startswith(("network", "ema"))} == {torch.float32}


def test_average_trails_behind_the_weights(tmp_path: Path) -> None:
    make("flow", tmp_path, steps=3).train()
    state = load_file(tmp_path / "state.safetensors")
    name = "img_in.weight"
    torch.manual_seed(0)
    first = networks.build(TINY.mmdit).state_dict()[name]
    ema, last = state[f"ema.{name}"], state[f"network.{name}"]
    assert 0 < float((ema - first).norm()) < float((last - first).norm())
    assert torch.equal(load_file(tmp_path / "checkpoint.safetensors")[name], ema)


def test_another_computer_goes_on_from_the_average_and_the_card_names_the_chain(tmp_path: Path) -> None:
    first = make("flow", tmp_path / "first", steps=2).train()
    second = make("flow", tmp_path / "second", steps=1, init_from=first, optim=OptimConfig(lr=0.0), seed=7).train()
    assert_same_tensors(first, second)
    chain = json.loads(checkpoint.read_header(second).extra["chain"])
    assert [(link["steps"], link["seed"]) for link in chain] == [(2, 0), (1, 7)]


def test_other_settings_are_another_run(tmp_path: Path) -> None:
    make("vae", tmp_path, recipe=("r:f", "text=a", "steps=4"), steps=1).train()
    make("vae", tmp_path, recipe=("other:f", "text=a", "steps=2"), steps=2).train()
    with pytest.raises(CheckpointError, match="another configuration"):
        make("vae", tmp_path, recipe=("r:f", "text=b"), steps=2).train()
    (tmp_path / "state.safetensors").rename(tmp_path / "state.0-of-2.safetensors")
    with pytest.raises(CheckpointError, match="number of processes"):
        make("vae", tmp_path, recipe=("r:f", "text=a"), steps=2).train()


def test_config_and_device_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="save_every 0"):
        make("vae", tmp_path, save_every=0)
    with pytest.raises(InputError, match="precision 'float8'"):
        make("vae", tmp_path, precision="float8")
    with pytest.raises(DeviceError, match="abacus"):
        make("vae", tmp_path, device="abacus").train()
