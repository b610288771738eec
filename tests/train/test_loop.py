import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lamina.data.art import Bank
from lamina.data.loader import SceneBatches
from lamina.data.scenes import SceneMaker
from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.small import SmallConfig, SmallNet
from lamina.train.config import DataConfig, OptimConfig, TrainConfig
from lamina.train.loop import train
from lamina.train.objectives import small_objective, small_validation
from lamina.train.optim import rate

TINY = SmallConfig(channels=(8, 8, 16), width=32, heads=2, depth=1, features=8, max_layers=8)


def config(out: Path, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "stage": "small",
        "model": TINY,
        "data": DataConfig(bank=Path("bank"), batch_size=2, sizes=((32, 32),), workers=0),
        "optim": OptimConfig(warmup=2),
        "steps": 6,
        "out": out,
        "save_every": 3,
    }
    return TrainConfig(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def data(bank: Bank) -> SceneBatches:
    return SceneBatches(SceneMaker(bank, max_layers=5), 2, ((32, 32),), 0)


class StopEarlyError(Exception):
    pass


def test_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path, data: SceneBatches) -> None:
    whole = train(config(tmp_path / "whole"), small_objective, data)

    def stop_after_four(step: int, _total: int, _metrics: dict[str, float]) -> None:
        if step == 4:
            raise StopEarlyError

    with pytest.raises(StopEarlyError):
        train(config(tmp_path / "cut"), small_objective, data, on_step=stop_after_four)
    resumed = train(config(tmp_path / "cut"), small_objective, data)
    assert_same_tensors(whole, resumed)
    assert_same_tensors(tmp_path / "whole" / "state.safetensors", tmp_path / "cut" / "state.safetensors")


def assert_same_tensors(first: Path, second: Path) -> None:
    # not the bytes: safetensors writes the words of its header in no fixed order
    left, right = load_file(first), load_file(second)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_training_lowers_the_loss_and_validates_with_the_average(tmp_path: Path, data: SceneBatches) -> None:
    fixed = [data[0]]
    path = train(
        config(tmp_path, steps=30, optim=OptimConfig(lr=3e-3, warmup=2), validate_every=15),
        small_objective,
        data,
        validate=lambda network: small_validation(network, fixed),
    )
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert [row["step"] for row in rows if "val_iou" in row] == [15, 30]
    torch.manual_seed(0)
    untrained = small_validation(SmallNet(TINY), fixed)["loss"]
    assert rows[-1]["val_loss"] < 0.9 * untrained
    settings, state = checkpoint.load(path, kind="small")
    assert settings["width"] == 32
    network = SmallNet(TINY)
    checkpoint.fill(network, state)
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 30


def test_denormals_are_flushed_while_training_and_not_after(tmp_path: Path, data: SceneBatches) -> None:
    def tiny() -> float:
        return torch.tensor(1e-40).item()

    seen: list[float] = []
    train(config(tmp_path), small_objective, data, on_step=lambda *_: seen.append(tiny()))
    assert set(seen) == {0.0}
    assert tiny() > 0


def test_folder_of_another_run_is_refused(tmp_path: Path, data: SceneBatches) -> None:
    train(config(tmp_path, steps=1), small_objective, data)
    with pytest.raises(CheckpointError, match="another configuration"):
        train(config(tmp_path, seed=1), small_objective, data)


def test_run_can_start_from_the_weights_of_another(tmp_path: Path, data: SceneBatches) -> None:
    first = train(config(tmp_path / "a", steps=2), small_objective, data)
    second = train(config(tmp_path / "b", steps=1, init_from=first, optim=OptimConfig(lr=0.0)), small_objective, data)
    old, new = checkpoint.load(first, kind="small")[1], checkpoint.load(second, kind="small")[1]
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_run_can_start_with_closer_looks_from_one_without(tmp_path: Path, data: SceneBatches) -> None:
    first = train(config(tmp_path / "a", steps=1), small_objective, data)
    closer = config(tmp_path / "b", steps=1, init_from=first, model=replace(TINY, rounds=1), optim=OptimConfig(lr=0.0))
    second = train(closer, small_objective, data)
    old, new = checkpoint.load(first, kind="small")[1], checkpoint.load(second, kind="small")[1]
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert any(name.startswith("closer.") for name in new)


def test_rate_warms_up_stays_and_falls_to_zero() -> None:
    optim = OptimConfig(warmup=10, decay_share=0.5)
    assert rate(0, 100, optim) == pytest.approx(0.1)
    assert rate(30, 100, optim) == 1.0
    assert rate(75, 100, optim) == pytest.approx(0.5)
    assert rate(99, 100, optim) < 0.01
