"""`lamina serve --ray` and `lamina batch --ray` on a Ray cluster of this computer, in processes of their own."""

import contextlib
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from server_pictures import png_bytes

import lamina
from lamina.cli import main
from lamina.data.cluster import connected
from lamina.errors import InputError

RUN = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
RUN += "from lamina.cli import main; from fake_decomposer import load_fake; "
RUN += "sys.exit(main(sys.argv[1:], load_decomposer=load_fake))"
PATIENCE = 300  # seconds, for a busy computer


@pytest.fixture
def environment() -> Generator[dict[str, str]]:
    """Of a process that starts a Ray cluster; it is skipped where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (the extra 'ray')")
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    # A short place of its own: Ray puts sockets there, whose paths may not be long.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        yield {**os.environ, "PYTHONPATH": paths, "RAY_TMPDIR": folder}


def first_line(process: subprocess.Popen[str]) -> str:
    """What it prints first, within PATIENCE."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()  # type: ignore[union-attr]
    return lines.get(timeout=PATIENCE).strip()


@pytest.mark.peer
@pytest.mark.slow
def test_replicas_decompose_tell_their_progress_are_stopped_and_replaced_when_they_die(
    environment: dict[str, str], tmp_path: Path
) -> None:
    words = ["serve", "--port", "0", "--home", str(tmp_path / "home"), "--ray", "local"]
    process = subprocess.Popen([sys.executable, "-c", RUN, *words], env=environment, stdout=subprocess.PIPE, text=True)
    with contextlib.ExitStack() as stack:
        stack.callback(process.communicate)
        stack.callback(process.kill)
        client = stack.enter_context(httpx.Client(base_url=first_line(process), timeout=PATIENCE))

        def send(prompt: str) -> str:
            data = {"prompt": prompt}
            return client.post("/v1/decompositions", files={"image": png_bytes()}, data=data).json()["id"]

        def seen(name: str, *, until: Any) -> dict[str, Any]:
            end = time.monotonic() + PATIENCE
            while not until(job := client.get(f"/v1/decompositions/{name}").json()):
                assert time.monotonic() < end, job
                time.sleep(0.05)
            return job

        def ended(name: str) -> dict[str, Any]:
            return seen(name, until=lambda job: job["status"] not in ("queued", "running"))

        done = ended(send(""))
        assert done["status"] == "done", done
        document = client.get(f"/v1/documents/{done['document_id']}").json()
        assert [layer["name"] for layer in document["layers"]] == ["Ground", "Square"]
        assert ended(send("refuse"))["error"] == {"code": "bad-input", "message": "not this one"}

        endless = send("wait")
        seen(endless, until=lambda job: job["progress"] == 0.5)
        assert client.delete(f"/v1/decompositions/{endless}").status_code == 200
        assert ended(endless)["status"] == "cancelled"
        split = client.post(f"/v1/documents/{document['id']}/split", json={"layer": "square"}).json()["id"]
        assert ended(split)["status"] == "done"  # the replica is free again, and splits

        assert ended(send("crash"))["error"]["code"] == "replica-lost"
        assert ended(send(""))["status"] == "done"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


@pytest.mark.peer
@pytest.mark.slow
def test_a_batch_on_a_cluster_writes_what_one_in_this_process_does(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(png_bytes(seed=ord(name)))
    (tmp_path / "list.csv").write_text("image,prompt\na.png,\nb.png,crash\n")
    words = ["batch", "list.csv", "-o", "out", "--format", "zip"]

    def run(*more: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-c", RUN, *words, *more], env=environment, cwd=tmp_path, timeout=PATIENCE, check=False
        )
        return done.returncode, json.loads((tmp_path / "out" / "report.json").read_text())

    code, report = run("--ray", "local")
    assert (code, report["done"], report["failed"]) == (2, 1, 1)
    assert report["pictures"][1]["error"] == "crashed: its process ended with code 3"
    layers = lamina.read(tmp_path / "out" / "a.zip").layers
    (tmp_path / "list.csv").write_text("image,prompt\na.png,\n")
    code, report = run()  # in its own process: what the cluster did counts
    assert (code, report["skipped"]) == (0, 1)
    (tmp_path / "out" / "a.zip").unlink()
    code, report = run()
    assert (code, report["done"]) == (0, 1)
    assert lamina.read(tmp_path / "out" / "a.zip").layers == layers


@pytest.mark.parametrize("address", ["", "ray://127.0.0.1:10001", "127.0.0.1:1", "nowhere:port"])
def test_an_address_at_which_no_cluster_can_be_is_refused_at_once(address: str) -> None:
    with pytest.raises(InputError, match=r"Ray (address|cluster)"), connected(address):
        pass


def test_without_its_extra_the_command_says_what_to_install(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "a.png").write_bytes(png_bytes())
    assert main(["batch", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), "--ray", "local"]) == 2
    assert main(["serve", "--port", "0", "--home", str(tmp_path / "home"), "--ray", "local"]) == 2
    assert capsys.readouterr().err.count("pip install 'lamina[ray]'") == 2
