"""Work left out on purpose: the exact pace leaves out nothing, the others do what they say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_released as tiny
import torch
from tiny_released import inputs, model

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
import torch
import tiny_released as tiny
from lamina.model.denoise import make_table, tabled_network
from lamina.model.weights import plain
cpu = torch.device("cpu")
weights = plain(tiny.networks()[0].state_dict())
tabled = tabled_network(tiny.CONFIG.mmdit, weights, torch.float32)
row = make_table(tabled, weights, torch.tensor([0.5]), device=cpu, dtype=torch.float32).row(0, cpu)
places = tabled.places(2, True, torch.randn(1, 5, tiny.TEXT_WIDTH), (2, 3))
given = (torch.randn(1, 18, 64), torch.randn(1, 5, 64), places.visual_rope, places.context_rope)
traces = []
def backend(graph, _):
    traces.append(graph)
    return graph.forward
with torch.no_grad():
    for number in (0, 1):
        block = tabled.transformer_blocks[number]
        expected = block(*given, row.shifts(number))
        block.compile(fullgraph=True, backend=backend)
        for one, other in zip(block(*given, row.shifts(number)), expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
print(len(traces), "graphs")
"""


@pytest.mark.slow
def test_a_block_compiles_in_one_piece() -> None:
    """In a process of its own, where no annotations are executed."""
    tests = Path(__file__).resolve().parents[1]
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tests, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.strip().endswith("graphs")
