"""Words of the command line as the values that a recipe's signature asks for."""

import sys
import types
from pathlib import Path
from typing import Any, Literal

import pytest
from tiny_stacks import TINY, some

from lamina.errors import InputError
from lamina.train.autoencode import VaeObjective
from lamina.train.config import DataConfig, TrainConfig
from lamina.train.loop import Run
from lamina.train.recipe import named, resolve

TAKEN: dict[str, Any] = {}


def recipe(
    out: Path,
    *,
    bank: Path,
    kind: Literal["a", "b"] = "a",
    fast: bool = False,
    rate: float = 1.0,
    base: Path | None = Path("x"),
    extra: tuple[int, ...] = (),
) -> Run:
    TAKEN.update(locals())
    config = TrainConfig(stage="vae", model=TINY.vae, data=DataConfig(bank=bank), steps=1, out=out)
    return Run(config=config, objective=VaeObjective(), data=some("picture"))


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    module = types.ModuleType("some_recipes")
    module.recipe = recipe  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_recipes", module)
    return "some_recipes:recipe"


def test_values_are_read_by_their_types(name: str) -> None:
    run = resolve([name, "bank=b", "kind=b", "fast=True", "rate=1e-3", "base=none"], Path("run"))
    assert {
        "out": Path("run"), "bank": Path("b"), "kind": "b", "fast": True, "rate": 1e-3, "base": None, "extra": (),
    } == {**TAKEN}  # fmt: skip
    assert run.config.recipe[0] == name
    assert resolve([name, "bank=b"]).config.out == Path("runs/recipe")
    assert run.changed(threads=3, device=None).config.threads == 3


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("kind=c", "one of a, b"),
        ("fast=perhaps", "true or false"),
        ("rate=quick", "expected float"),
        ("extra=1,2", "cannot be given as a word"),
    ],
)
def test_values_that_cannot_be_read_are_refused(name: str, word: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        resolve([name, "bank=b", word])


def test_missing_argument_and_broken_module(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"needs bank=\.\.\."):
        resolve([name])
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lame_recipes.py").write_text("import surely_not_installed")
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):  # its own trouble, not a wrong name
        named("lame_recipes:recipe")
