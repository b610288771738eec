"""A service that is killed at any moment: what it answered stays true, what it had begun is ended after a restart."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from fake_decomposer import squares
from PIL import Image
from server_pictures import noise_bytes, png_bytes

import lamina
from lamina.errors import InputError
from lamina.options import DecomposeOptions
from lamina.pixels import load_image
from lamina.server.settings import Settings
from lamina.server.store import Job, Store

SERVER = Path(__file__).parents[1] / "fake_decomposer.py"


class Process:
    """A service in a process of its own."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        self.process = subprocess.Popen([sys.executable, str(SERVER), str(home), str(port)])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
        while True:
            assert self.process.poll() is None, "the service did not start"
            try:
                self.client.get("/health")
                return
            except httpx.TransportError:
                time.sleep(0.02)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.client.close()

    def send(self, picture: bytes, prompt: str = "") -> str:
        answer = self.client.post("/v1/decompositions", files={"image": picture}, data={"prompt": prompt})
        assert answer.status_code == 202
        return answer.json()["id"]

    def job(self, name: str) -> dict[str, Any]:
        return self.client.get(f"/v1/decompositions/{name}").json()

    def ended(self, name: str) -> dict[str, Any]:
        end = time.monotonic() + 300
        while self.job(name)["status"] in ("queued", "running"):
            assert time.monotonic() < end, f"the job never ended: {self.job(name)}"
            time.sleep(0.02)
        return self.job(name)

    def check(self, name: str, picture: bytes) -> None:
        """Every pixel of the job's document is there and right."""
        job = self.ended(name)
        assert job["status"] == "done", job
        document = lamina.document.document.from_json(
            self.client.get(f"/v1/documents/{job['document_id']}").json(), self.pixels
        )
        expected = squares(load_image(picture), DecomposeOptions(), lambda step, total: None)
        assert document.layers == expected.layers
        export = self.client.get(f"/v1/documents/{job['document_id']}/export?format=png")
        with Image.open(io.BytesIO(export.content)) as image:
            assert np.array_equal(np.asarray(image), lamina.document.composite.flatten(expected))

    def pixels(self, entry: Any) -> np.ndarray:
        with Image.open(io.BytesIO(self.client.get(entry["pixels"]).content)) as image:
            return np.array(image)


@pytest.fixture
def start(home: Path) -> Generator[Callable[[], Process]]:
    begun: list[Process] = []

    def start() -> Process:
        begun.append(Process(home))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()


def test_what_was_told_as_done_is_there_after_a_kill_and_what_was_begun_is_ended(start: Any) -> None:
    pictures = [noise_bytes(300, 200 + k) for k in range(3)]
    service = start()
    first = service.send(pictures[0])
    edited = service.client.post(
        f"/v1/documents/{service.ended(first)['document_id']}/edits",
        json=[{"edit": "recolor", "layer": "square", "color": "#e11d48"}],
    ).json()
    running, waiting = service.send(pictures[1], "slow"), service.send(pictures[2])
    while service.job(running)["progress"] < 0.2:
        time.sleep(0.02)
    service.kill()

    service = start()
    assert service.job(first)["status"] == "done"
    assert service.client.get(f"/v1/documents/{edited['id']}").json() == edited
    for name, picture in zip((first, running, waiting), pictures, strict=True):
        service.check(name, picture)


def test_killed_at_any_moment_nothing_that_was_taken_is_lost(start: Any) -> None:
    random = np.random.default_rng(int(os.environ.get("LAMINA_KILL_SEED", "5")))
    taken: dict[str, bytes] = {}
    done: set[str] = set()
    for round_ in range(2):
        service = start()
        assert all(service.job(name)["status"] == "done" for name in done)
        for k in range(4):
            picture = noise_bytes(400, 300 + 10 * round_ + k)
            taken[service.send(picture)] = picture
        time.sleep(float(random.uniform(0, 0.3)))
        done |= {name for name in taken if service.job(name)["status"] == "done"}
        service.kill()
    service = start()
    for name, picture in taken.items():
        service.check(name, picture)


def test_a_job_at_which_the_service_was_cut_off_too_often_fails_with_a_reason(home: Path, new_service: Any) -> None:
    settings = Settings(home=home)
    store = Store(settings)
    job = Job(id="0" * 32, kind="decompose", request={"options": {}})
    store.keep_picture(job, png_bytes())
    store.add(job)
    for _ in range(settings.attempts):  # what a process notes before it dies at the work
        job = store.begin(job)
    store.close()
    with new_service() as service:
        found = service.get(f"/v1/decompositions/{job.id}").json()
        assert (found["status"], found["error"]["code"]) == ("failed", "interrupted")
        assert "3 times" in found["error"]["message"]


def test_a_service_that_is_stopped_takes_its_jobs_up_again(new_service: Any) -> None:
    with new_service() as service:
        name = service.post("/v1/decompositions", files={"image": png_bytes()}, data={"prompt": "slow"}).json()["id"]
        while service.get(f"/v1/decompositions/{name}").json()["progress"] < 0.1:
            time.sleep(0.01)
    with new_service() as service:
        answer = service.get(f"/v1/decompositions/{name}/events")
        assert "event: done" in answer.text


def test_two_services_do_not_share_a_home(new_service: Any, home: Path) -> None:
    with new_service(), pytest.raises(InputError, match="another service is at work"):
        Store(Settings(home=home))
