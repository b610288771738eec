"""What is measured of the published architecture: how many steps, of which kinds, and against which floor."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def bench() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "released_model.py"
    spec = importlib.util.spec_from_file_location("released_model_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_whole_images_have_the_steps_of_their_preset(bench: Any) -> None:
    assert [bench.steps_of(kind, None, True) for kind in ("exact", "balanced", "fast", "few-step")] == [50, 50, 20, 8]
    assert [bench.steps_of(kind, None, False) for kind in ("exact", "fast")] == [2, 2]
    assert bench.steps_of("fast", 5, True) == 5


def test_the_floor_counts_a_second_prompt_only_where_a_step_is_guided(bench: Any) -> None:
    case = bench.Case(who="ours", layers=4, steps=50, width=3072, depth=60)
    exact = bench.floor(case, 790, 650)
    assert 50 * exact == pytest.approx(27.4, rel=0.02)
    assert bench.floor(replace(case, who="theirs"), 790, 650) == exact
    assert bench.floor(replace(case, preset="few-step", steps=8), 790, 650) == pytest.approx(exact / 2, rel=0.03)
    fast = replace(case, preset="fast", steps=20)
    guided = sum(count == 2 for count in bench.prompts(fast)[1:])
    assert 0 < guided < 19
    assert bench.floor(fast, 790, 650) == pytest.approx(exact * (19 + guided) / 38, rel=0.03)


def test_a_warm_up_has_every_kind_of_step(bench: Any) -> None:
    case = bench.Case(who="ours", steps=20)
    assert bench.warm_steps(case) == 1
    fast = replace(case, preset="fast")
    assert set(bench.prompts(fast)) == set(bench.prompts(fast, bench.warm_steps(fast))) == {1, 2}
