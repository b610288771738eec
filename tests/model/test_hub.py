"""Downloads from a hub of our own on this computer: broken off, gone on with, and told when they are not whole."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lamina.model.hub import is_whole

SHA = "5" * 40
NAME = "someone/layers"
SHARD = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors"
FILES = {
    "model_index.json": b"{}",
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.safetensors": b"vae",
    "scheduler/scheduler_config.json": b"{}",
    "text_encoder/config.json": b"{}",
    "text_encoder/model.safetensors": b"words",
    "tokenizer/vocab.json": b"{}",
    "processor/preprocessor_config.json": b"{}",
    "transformer/config.json": b"{}",
    "transformer/diffusion_pytorch_model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "diffusion_pytorch_model-00001-of-00002.safetensors", "b": SHARD.split("/")[1]}}
    ).encode(),
    "transformer/diffusion_pytorch_model-00001-of-00002.safetensors": b"one" * 1000,
    SHARD: bytes(range(256)) * 40,
}
PROGRAM = """
import sys
from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 1024  # not 10 MB, so that small files are made of several
from lamina.errors import CheckpointError
from lamina.model.hub import find_released
try:
    print(find_released(sys.argv[1], transformer=sys.argv[2] == "all"))
except CheckpointError as error:
    print("refused:", error)
"""


class Hub(ThreadingHTTPServer):
    """As much of a hub as a download asks for; breaks off the last shard after half of it, `breaks` times."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.breaks, self.down = 0, False
        self.got: list[tuple[str, str | None]] = []
        """Files asked for, and from which byte on."""


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith(f"/api/models/{NAME}/tree/"):
            tree = [{"type": "file", "path": p, "size": len(data), "oid": f"{n:040x}"} for n, (p, data) in self.files()]
            self.say(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        elif path.startswith(f"/api/models/{NAME}"):
            words = {"id": NAME, "modelId": NAME, "sha": SHA, "siblings": [{"rfilename": p} for p in FILES]}
            self.say(200, json.dumps(words).encode(), {"Content-Type": "application/json"})
        else:
            self.file(path.removeprefix(f"/{NAME}/resolve/{SHA}/"))

    do_HEAD = do_GET  # noqa: N815

    def files(self) -> list[tuple[int, tuple[str, bytes]]]:
        return list(enumerate(FILES.items()))

    def file(self, name: str) -> None:
        data, wanted = FILES[name], self.headers["Range"]
        head = {"ETag": f'"{list(FILES).index(name):040x}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            return self.say(200, data, head)
        self.server.got.append((name, wanted))
        if name == SHARD and self.server.down:
            return self.say(500, b"", {})
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        if start:
            head["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        broken = name == SHARD and self.server.breaks > 0
        self.server.breaks -= broken
        return self.say(206 if start else 200, data[start:], head, half=broken)

    def say(self, status: int, data: bytes, head: dict[str, str], half: bool = False) -> None:
        self.send_response(status)
        for name, value in {**head, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[: len(data) // 2] if half else data)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def asked(hub: Hub, home: Path, *, what: str = "all") -> tuple[str, str, list[str]]:
    """What it says on stdout and stderr, and the files that were fetched for it."""
    hub.got.clear()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHONPATH"))}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home), "NO_PROXY": "*"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, NAME, what], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout.strip(), ran.stderr, [name for name, _ in hub.got]


@pytest.mark.peer
def test_a_connection_that_breaks_off_once_is_gone_on_with_from_the_byte_and_shown(hub: Hub, tmp_path: Path) -> None:
    hub.breaks = 1
    folder, said, _ = asked(hub, tmp_path)
    assert [place for name, place in hub.got if name == SHARD] == [None, f"bytes={len(FILES[SHARD]) // 2}-"]
    assert {name: (Path(folder) / name).read_bytes() for name in FILES} == FILES
    assert re.search(r"Fetching 12 files.*100%", said.replace("\n", " "))
    assert asked(hub, tmp_path) == (folder, "", [])


@pytest.mark.peer
def test_a_download_that_failed_fetches_only_what_is_missing(hub: Hub, tmp_path: Path) -> None:
    hub.down = True
    said, _, _ = asked(hub, tmp_path)
    assert said.startswith(f"refused: '{NAME}' is no folder here, not whole in the local cache, and cannot be downl")
    assert said.count("\n") == 0
    hub.down = False
    folder, _, fetched = asked(hub, tmp_path)
    assert SHARD in fetched
    whole = {name for name in FILES if name != SHARD}
    assert len(whole & set(fetched)) < len(whole)
    assert is_whole(Path(folder))


@pytest.mark.peer
def test_a_cache_that_is_not_whole_is_completed(hub: Hub, tmp_path: Path) -> None:
    """Caches of older versions have no list of what belongs to them, so nobody but we can tell."""
    rest, _, fetched = asked(hub, tmp_path, what="rest")
    assert not any(name.startswith("transformer/") for name in fetched)
    for folder in tmp_path.rglob("trees"):
        shutil.rmtree(folder)
    assert asked(hub, tmp_path, what="rest")[2] == []
    folder, _, fetched = asked(hub, tmp_path)
    assert folder == rest
    assert SHARD in fetched
    assert is_whole(Path(folder))


@pytest.mark.parametrize("lost", FILES)
def test_every_file_that_parts_and_indexes_name_is_missed(lost: str, tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert is_whole(tmp_path)
    (tmp_path / lost).unlink()
    assert not is_whole(tmp_path)
    assert is_whole(tmp_path, transformer=False) == lost.startswith("transformer/")
