"""Two processes on the CPU train as one does on the same batches: FSDP2 over gloo."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_stacks import TINY, objective, some

from lamina.errors import InputError
from lamina.train.autoencode import VaeObjective
from lamina.train.config import DataConfig, OptimConfig, TrainConfig
from lamina.train.loop import Run
from lamina.train.parallel import Group, part_of
from lamina.train.stacks import View

TESTS = Path(__file__).resolve().parents[1]

PROGRAM = """
import os
import sys
from pathlib import Path
from test_parallel import make
make(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])).train()
sys.stderr.flush()
os._exit(0)  # gloo's threads now and then abort an interpreter that takes itself down
"""


STAGES = {"flow": "transformer_blocks.0.attn.to_q.weight", "vae": "encoder.down_blocks.0.conv1.weight"}
"""Stages, and a weight of each."""


def make(stage: str, folder: Path, steps: int) -> Run:
    goal = objective() if stage == "flow" else VaeObjective()
    view: View = "layers" if stage == "flow" else "picture"
    config = TrainConfig(
        stage=stage,
        model=TINY.mmdit if stage == "flow" else TINY.vae,
        data=DataConfig(batch_size=4, workers=0),
        optim=OptimConfig(warmup=1, decay_share=1e-9),
        steps=steps,
        out=folder / stage,
        device="cpu",
    )

    def validate(network: torch.nn.Module) -> dict[str, float]:
        return {"loss": goal(network, some(view)[5])[1]["loss"]}

    return Run(config=config, objective=goal, data=some(view, batch_size=4), validate=validate)


def train_together(stage: str, folder: Path, steps: int, processes: int = 2) -> None:
    """A run in processes of their own, started as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = os.pathsep.join([str(TESTS), str(Path(__file__).parent)])
    started: list[subprocess.Popen[str]] = []
    for rank in range(processes):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
        env = {**os.environ, "MASTER_ADDR": "127.0.0.1", "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        env |= {name: str(value) for name, value in place.items()}
        words = [sys.executable, "-W", "error::UserWarning", "-c", PROGRAM, stage, str(folder), str(steps)]
        started.append(subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True))
    try:
        for process in started:
            _, said = process.communicate(timeout=240)
            assert process.returncode == 0, said
    finally:
        for process in started:
            process.kill()


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(row) for row in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "runs"), [("flow", (2, 3)), ("vae", (2,))])
def test_two_processes_learn_what_one_does(stage: str, runs: tuple[int, ...], tmp_path: Path) -> None:
    for steps in runs:  # the second goes on with the first
        train_together(stage, tmp_path / "both", steps)
    make(stage, tmp_path / "alone", runs[-1]).train()
    alone, both = rows(tmp_path / "alone" / stage), rows(tmp_path / "both" / stage)
    assert [row["step"] for row in both] == list(range(1, runs[-1] + 1))
    for one, two in zip(alone, both, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert two["norm"] == pytest.approx(one["norm"], rel=1e-4)
    assert both[-1]["val_loss"] == pytest.approx(alone[-1]["val_loss"], rel=1e-4)
    left, right = (load_file(tmp_path / way / stage / "checkpoint.safetensors") for way in ("alone", "both"))
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-3, atol=1e-4)
    shares = [load_file(tmp_path / "both" / stage / f"state.{rank}-of-2.safetensors") for rank in range(2)]
    name = STAGES[stage]
    assert [len(share[f"network.{name}"]) for share in shares] == [len(left[name]) // 2] * 2


def test_processes_draw_and_cut_their_own_rows() -> None:
    whole = some(batch_size=4)[2]
    for rank in range(2):
        ranks = Group(rank=rank, size=2)
        drawn, cut = some(batch_size=4).part(ranks)[2], part_of(whole, ranks)
        assert torch.equal(drawn.seeds, cut.seeds)
        assert drawn.captions == cut.captions
        own = drawn.frames.shape[1]
        assert torch.equal(drawn.frames, cut.frames[:, :own])
        assert not cut.present[:, own:].any()
    with pytest.raises(InputError, match="does not divide over 3"):
        part_of(whole, Group(rank=0, size=3))
    with pytest.raises(InputError, match="does not divide over 3"):
        some(batch_size=4).part(Group(rank=0, size=3))[0]
