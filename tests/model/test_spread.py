"""Several processes on the CPU, over gloo, say what one says."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_released as tiny

TESTS = Path(__file__).resolve().parents[1]

PROGRAM = """
import os
import sys
from pathlib import Path
import torch
import torch.distributed as dist
import tiny_released as tiny
from lamina.errors import InputError, MissingExtraError
from lamina.model.pace import Pace
from lamina.model.spread import SpreadDenoiser, join, several, told

torch.set_num_threads(1)
assert several()
assert join(torch.device("cpu")) == torch.device("cpu")
first = dist.get_rank() == 0
assert told(lambda: dist.get_rank() + 7) == 7
def lacking():
    assert first
    raise MissingExtraError("a text encoder", "large")
try:
    told(lacking)
except MissingExtraError as error:
    assert str(error).startswith("a text encoder needs the extra 'large'")
else:
    raise AssertionError
engine = tiny.model(Path(sys.argv[1]))
alone, given = engine.denoiser, tiny.inputs(layers=2)
odd = tiny.inputs(layers=1)  # 9 tokens, which no number of processes here divides; of 4 the last has none
odd |= {"pictures": odd["pictures"][:, :, :16], "noise": tiny.draw_noise(range(1), (2, 8, 2, 6))}
for given, halves in ((given, True), (given, False), (odd, True), (odd, False)):
    for guidance in (4.0, 1.0):
        engine.denoiser = alone
        for block in alone.blocks:
            block.attn.gather = None
        expected = engine.layers(**given, guidance=guidance)
        engine.denoiser = SpreadDenoiser(alone.network, alone.blocks, halves=halves)
        found = engine.layers(**given, guidance=guidance)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        if halves and dist.get_world_size() == 2:
            assert torch.equal(found, expected)  # whole prompts, the same order of sums
for block in alone.blocks:
    block.fuse()
engine.denoiser = SpreadDenoiser(alone.network, alone.blocks)
torch.testing.assert_close(engine.layers(**given, guidance=1.0), expected, atol=1e-5, rtol=0)
try:
    engine.layers(**given, pace=Pace(reuse=0.1))
except InputError as error:
    print(error)
sys.stdout.flush()
dist.barrier()
os._exit(0)  # gloo's threads now and then abort an interpreter that takes itself down
"""


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_say_what_one_says(processes: int, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes),
                   "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            env={**environment, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    for process in running:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]
        assert "steps cannot be taken over with several processes" in out
