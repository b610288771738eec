"""`lamina train`, end to end, with a recipe of its own file."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from lamina.cli import main

TESTS = Path(__file__).resolve().parents[1]

RECIPE = """
import time
from pathlib import Path

from tiny_stacks import TINY, draw, some

from lamina.train.autoencode import VaeObjective
from lamina.train.config import DataConfig, OptimConfig, TrainConfig
from lamina.train.loop import Run


def tiny(out: Path, *, steps: int = 2, workers: int = 0, lr: float = 1e-3, slow: bool = False) -> Run:
    config = TrainConfig(
        stage="vae", model=TINY.vae, data=DataConfig(batch_size=2, workers=workers), optim=OptimConfig(lr=lr),
        steps=steps, out=out, save_every=1000,
    )
    return Run(config=config, objective=VaeObjective(), data=some("picture", source=wait if slow else draw))


def wait(seed: int, size: tuple[int, int]) -> object:
    time.sleep(0.3)
    return draw(seed, size)


def broken(out: Path) -> int:
    return 3


def folderless(steps: int = 1) -> None: ...
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(RECIPE)
    return f"{tmp_path / 'mine.py'}:tiny"


def step_of(run: Path) -> int:
    with safe_open(run / "state.safetensors", "pt") as file:
        return int(file.metadata()["step"])


def test_trains_says_where_the_checkpoint_is_and_goes_on(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", recipe, "steps=3", "lr=0.002", "--every", "2", "--threads", "1", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{Path('runs/tiny/checkpoint.safetensors')}\n"
    assert [line.split()[0] for line in said.err.splitlines()] == ["2/3", "3/3"]
    assert "loss " in said.err
    saved = json.loads(Path("runs/tiny/config.json").read_text())
    assert saved["optim"]["lr"] == 0.002
    assert saved["recipe"] == [recipe, "steps=3", "lr=0.002"]

    assert main(["train", "runs/tiny/config.json", "--every", "1"]) == 0  # whole already
    assert capsys.readouterr().err == ""
    assert main(["train", "runs/tiny/config.json", "steps=4", "--every", "1"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["4/4"]
    assert main(["train", "runs/tiny/config.json", "-o", "again"]) == 0
    assert step_of(Path("again")) == 4


@pytest.mark.slow
def test_interruption_keeps_the_state_and_the_same_command_goes_on(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "import sys; from lamina.cli import main; sys.exit(main(sys.argv[1:]))"
    words, run = ["train", recipe, "workers=1", "slow=true"], ["-o", str(tmp_path / "run"), "--every", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words, "steps=100000", *run],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("2/100000 "):
                break
        # as a terminal does: the loader's process gets it too, while the training process waits for a batch
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "stopping after step" in err
    assert err.rstrip().endswith("lamina: interrupted")
    assert out == ""
    reached = step_of(tmp_path / "run")
    assert reached >= 2
    assert not list((tmp_path / "run").glob("*.tmp"))

    further = f"steps={reached + 1}"
    assert main(["train", recipe, "slow=true", "lr=0.5", further, *run]) == 2
    assert "another configuration" in capsys.readouterr().err
    assert main([*words, further, *run]) == 0
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == [f"{reached + 1}/{reached + 1}"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{}:tiny", "stepz=3"], "has no argument stepz; it has steps, workers, lr, slow"),
        (["{}:tiny", "steps=many"], "steps=many: expected int"),
        (["{}:tiny", "steps"], "'steps' is not key=value"),
        (["{}:tiny", "out=x"], "by -o"),
        (["{}:tiny", "steps=0"], "steps 0 is below 1"),
        (["{}:tiny", "--every", "0"], "--every is 0"),
        (["{}:nothing"], "no function 'nothing'"),
        (["{}:broken"], "returns a int"),
        (["{}:folderless"], "no argument 'out'"),
        (["{}"], "names no function"),
        (["{}x:tiny"], "no module"),
        (["nowhere.py:tiny"], "no file nowhere.py"),
        (["nowhere/config.json"], "cannot read"),
    ],
)
def test_mistake_is_one_line(
    words: list[str], reason: str, recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recipe.rpartition(":")[0]
    assert main(["train", *[word.format(file) for word in words], "-o", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert reason in said.err
    assert said.out == ""
    assert not (tmp_path / "run").exists()


def test_config_that_no_command_made_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, reason in (("{}", "no config of a run"), ('{"recipe": []}', "did not start")):
        (tmp_path / "config.json").write_text(text)
        assert main(["train", str(tmp_path / "config.json")]) == 2
        assert reason in capsys.readouterr().err
