"""`lamina serve` as a process."""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fake_decomposer import load_fake
from server_pictures import png_bytes

from lamina.cli import main
from lamina.errors import CheckpointError
from lamina.server.replicas import _Replica

RUN = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
RUN += "from lamina.cli import main; from fake_decomposer import load_fake; "
RUN += "sys.exit(main(sys.argv[1:], load_decomposer=load_fake))"


def test_serve_says_where_it_listens_asks_for_the_token_and_ends_when_interrupted(tmp_path: Path) -> None:
    words = ["serve", "--port", "0", "--home", str(tmp_path / "home"), "--max-megapixels", "0.5"]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "LAMINA_TOKEN": "s3cret", "PYTHONPATH": paths}
    process = subprocess.Popen([sys.executable, "-c", RUN, *words], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, httpx.Client(base_url=process.stdout.readline().strip(), timeout=120) as client:
        try:
            assert client.base_url.host == "127.0.0.1"
            assert client.get("/health").json()["status"] == "ok"
            assert client.get("/metrics").status_code == 401
            client.headers["authorization"] = "Bearer s3cret"
            answer = client.post("/v1/decompositions?wait=1&format=ora", files={"image": png_bytes()})
            assert (answer.status_code, answer.content[:2]) == (200, b"PK")
            assert client.post("/v1/decompositions", files={"image": png_bytes(900, 900)}).status_code == 413
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_serve_refuses_what_cannot_be(tmp_path: Path, capsys: Any) -> None:
    def refused(*words: object) -> str:
        assert main(["serve", *map(str, words)], load_decomposer=load_fake) == 2
        return capsys.readouterr().err

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot listen" in refused("--port", taken.getsockname()[1], "--home", tmp_path)
    assert "0-65535" in refused("--port", 70000)
    (tmp_path / "file").write_text("")
    assert "cannot keep" in refused("--port", 0, "--home", tmp_path / "file")
    assert "queue" in refused("--port", 0, "--home", tmp_path, "--queue", 0)


def test_how_a_released_model_is_run_reaches_what_loads_it(tmp_path: Path, capsys: Any) -> None:
    asked: list[tuple[Any, ...]] = []

    def load(*place: str, **settings: Any) -> Any:
        asked.append((place, settings))
        raise CheckpointError("not here")

    words = ["serve", "--port", "0", "--home", str(tmp_path), "--model", "dir", "--device", "cpu"]
    assert main(words, load_decomposer=load) == 2
    few = ["--preset", "few-step", "--memory", "16", "--language", "zh", "--resolution", "1024"]
    assert main([*words, *few, "--lora", str(tmp_path / "a"), "--lora", str(tmp_path / "b")], load_decomposer=load) == 2
    lora = (tmp_path / "a", tmp_path / "b")
    given = {"preset": "few-step", "memory": "16", "language": "zh", "resolution": 1024, "lora": lora}
    assert asked == [(("dir", "cpu"), {}), (("dir", "cpu"), given)]
    assert main([*words, *few], load_decomposer=load) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("lamina: preset 'few-step' needs a LoRA made for few st")
    assert len(asked) == 2


def test_a_replica_loads_its_model_with_the_settings() -> None:
    settings = {"preset": "fast", "lora": (Path("/there/a.safetensors"),)}
    replica = _Replica(pickle.dumps((load_fake, settings)), "dir", "cpu")
    assert asyncio.run(replica.about()) == (True, None)
    assert replica._decomposer.settings == settings


def test_without_its_extra_serve_says_what_to_install(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--home", str(tmp_path)], load_decomposer=load_fake) == 2
    assert "pip install 'lamina[serve]'" in capsys.readouterr().err
