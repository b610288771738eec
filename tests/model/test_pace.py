"""Work left out on purpose: the exact pace leaves out nothing, the others do what they say."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_released as tiny
import torch
from tiny_released import inputs, model

from lamina.model.blocks import Resident
from lamina.model.pace import PACES, Memo, Pace


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny.write(tmp_path_factory.mktemp("released") / "model")


def counted(engine: Any) -> list[int]:
    """Grows by the number of prompts at every visit of the last block."""
    visits: list[int] = []
    last = list(engine.denoiser.blocks)[-1]
    last.register_forward_hook(lambda *_: visits.append(1))
    return visits


def test_the_exact_pace_leaves_out_nothing(folder: Any) -> None:
    engine = model(folder)
    visits = counted(engine)
    engine.layers(**inputs() | {"steps": 5})
    assert len(visits) == 10
    assert PACES["exact"] == Pace()


def test_guidance_is_computed_within_its_interval_alone(folder: Any) -> None:
    engine = model(folder)
    visits = counted(engine)
    times = engine.table(5, 6)[1]
    inside = sum(0.3 <= float(t) <= 0.9 for t in times[:-1])
    assert 0 < inside < 5
    found = engine.layers(**inputs() | {"steps": 5}, pace=Pace(guided=(0.3, 0.9)))
    assert len(visits) == 5 + inside
    assert not torch.equal(found, engine.layers(**inputs() | {"steps": 5}))
    none = engine.layers(**inputs() | {"steps": 5}, pace=Pace(guided=(2.0, 3.0)))
    assert torch.equal(none, engine.layers(**inputs() | {"steps": 5, "guidance": 1.0}))


def test_steps_that_change_little_are_taken_over_each_prompt_from_its_own(folder: Any) -> None:
    engine = model(folder)
    visits = counted(engine)
    exact = engine.layers(**inputs() | {"steps": 12})
    visits.clear()
    tight = engine.layers(**inputs() | {"steps": 12}, pace=Pace(reuse=1e-9))
    assert len(visits) == 24
    assert torch.equal(tight, exact)
    visits.clear()
    loose = engine.layers(**inputs() | {"steps": 12}, pace=Pace(reuse=100.0))
    assert len(visits) == 2 * 3  # one step in four
    assert not torch.equal(loose, exact)
    assert (loose - exact).abs().mean() < exact.abs().mean()


def test_a_single_block_is_never_left_out(folder: Any) -> None:
    engine = model(folder)
    engine.denoiser.blocks = Resident(list(engine.denoiser.blocks)[-1:], torch.device("cpu"))
    assert torch.equal(engine.layers(**inputs(), pace=Pace(reuse=100.0)), engine.layers(**inputs()))


def test_what_is_taken_over_is_what_the_further_blocks_did() -> None:
    memo, start = Memo(reuse=0.5), torch.zeros(1, 2, 3)
    assert not memo.may_skip(start, start + 1)
    memo.learn(start, start + 1, start[:, :1] + 5)
    assert memo.may_skip(start + 7, start + 8.2)
    assert not memo.may_skip(start, start + 2)
    assert torch.equal(memo.take_over(start + 8), start[:, :1] + 12)  # the last token is not read
    memo.taken = 3
    assert not memo.may_skip(start + 7, start + 8)


PROGRAM = """
import sys
from pathlib import Path
import torch
import tiny_released as tiny
from torch._dynamo.utils import counters
from lamina.model.placing import placed
from lamina.model.plans import Plan

torch.set_num_threads(1)
plan = Plan(budget=1e15, precision="bf16", resident=3, blocks=3, frames=0, peak=0.0, host=0.0, tokens=6, layers=2)
engine, compiled = tiny.model(Path(sys.argv[1])), tiny.model(Path(sys.argv[1]))
modules = list(compiled.denoiser.blocks)
compiled.denoiser.blocks = placed(modules, plan, torch.device("cpu"), fused=True, compiled=True)
for layers in (2, 3):
    given = tiny.inputs(layers=layers)
    torch.testing.assert_close(compiled.layers(**given), engine.layers(**given), atol=1e-5, rtol=0)
print(counters["stats"]["unique_graphs"], "graphs", sum(counters["graph_break"].values()), "breaks")
"""


@pytest.mark.slow
def test_compiled_blocks_give_the_same_layers(tmp_path: Path) -> None:
    """With the compiler itself, guided by prompts of two lengths, for two sizes; the last block is a region of its own.
    In a process of its own, where no annotations are executed."""
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("there is no C compiler")
    folder, tests = tiny.write(tmp_path / "model"), Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    ran = subprocess.run(command, cwd=tests, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.strip() == "2 graphs 0 breaks"
