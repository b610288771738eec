"""Callers who do it wrong, on purpose or not: a problem that a person understands, and nothing lost."""

import errno
import json
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from server_pictures import data_uri, noise_bytes, png_bytes

from lamina.formats import png
from lamina.server import pixelfiles
from lamina.server.store import Store


def check(answer: httpx.Response, status: int, code: str, *words: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert all(word in problem["detail"] for word in words), problem["detail"]


@pytest.mark.parametrize(
    ("content", "status", "code", "word"),
    [
        (b"", 422, "bad-input", "empty"),
        (b"%PDF-1.7 no picture", 415, "unsupported-type", "PNG, JPEG or WebP"),
        (b"GIF89a" + bytes(40), 415, "unsupported-type", "PNG, JPEG or WebP"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), 415, "unsupported-type", "damaged"),
        (noise_bytes(200, 90), 413, "too-large", "at most 50000"),
        (png_bytes(1200, 1000), 413, "too-large", "1200x1000"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(
    new_service: Any, content: bytes, status: int, code: str, word: str
) -> None:
    with new_service(max_bytes=50_000, max_pixels=1_000_000) as service:
        check(service.post("/v1/decompositions", files={"image": ("a.png", content)}), status, code, word)
        if content:
            uri = {"image": data_uri(content)}
            check(service.post("/v1/decompositions", json=uri), status, code, word)
            edit = [{"edit": "insert", **uri}]
            made = service.post("/v1/decompositions?wait=1", files={"image": png_bytes()}).json()["document_id"]
            check(service.post(f"/v1/documents/{made}/edits", json=edit), status, code, word)


@pytest.mark.parametrize(
    ("request_", "status", "code", "word"),
    [
        ({"data": {"layers": "3"}, "files": {"other": b"x"}}, 422, "bad-input", "other"),
        ({"data": {"image": "text"}, "files": {"image": b""}}, 422, "bad-input", "image"),
        ({"content": b"x", "headers": {"content-type": "image/png"}}, 415, "unsupported-type", "image/png"),
        ({"content": b"x"}, 415, "unsupported-type", "multipart"),
        ({"content": b"--", "headers": {"content-type": "multipart/form-data"}}, 400, "bad-request", "boundary"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "bad-json", "not JSON"),
        ({"content": b"[" * 99999, "headers": {"content-type": "application/json"}}, 400, "bad-json", "not JSON"),
        ({"content": b"NaN", "headers": {"content-type": "application/json"}}, 400, "bad-json", "NaN"),
        ({"json": {"image": "https://example.org/a.png"}}, 422, "bad-input", "no address is fetched"),
        ({"json": {"image": "file:///etc/passwd"}}, 422, "bad-input", "no address is fetched"),
        ({"json": {"image": "data:image/png,abc"}}, 422, "bad-input", "base64"),
        ({"json": {"image": "data:image/png;base64,%%%"}}, 422, "bad-input", "base64"),
        ({"json": {"image": 3}}, 422, "bad-input", "data URI"),
        ({"json": {}}, 422, "bad-input", "lacks 'image'"),
        ({"json": []}, 422, "bad-input", "object"),
    ],
)
def test_a_request_that_is_not_understood_says_what_was_expected(
    service: Any, request_: dict[str, Any], status: int, code: str, word: str
) -> None:
    check(service.post("/v1/decompositions", **request_), status, code, word)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"layers": 0}, "0"),
        ({"layers": "many"}, "many"),
        ({"layers": 2.5}, "2.5"),
        ({"layers": True}, "True"),
        ({"layer": 3}, "no option 'layer'"),
        ({"guidance": "strong"}, "guidance"),
        ({"guidance": 1e999}, "JSON"),
        ({"prompt": 7}, "prompt"),
        ({"seed": -1}, "seed"),
        ({"steps": [1]}, "steps"),
        ({"box": [[1, 2, 3]]}, "box"),
        ({"box": "9,9,1,1"}, "reversed"),
        ({"box": {"left": 1}}, "box"),
        ({"point": [[1, 2]] * 40}, "point"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_done(
    service: Any, options: dict[str, Any], word: str
) -> None:
    answer = service.post(
        "/v1/decompositions",
        content=json.dumps({"image": data_uri(png_bytes()), **options}),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in (400, 422)
    assert word in answer.json()["detail"]


def test_a_decompression_bomb_and_a_huge_canvas_are_told_from_their_headers(service: Any) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for width in (9_000, 60_000, 2**31 - 1):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 60_000, 8, 6, 0, 0, 0))
        bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000)))
        check(service.post("/v1/decompositions", files={"image": bomb}), 413, "too-large", "pixels")


def test_the_same_is_refused_in_a_form(service: Any) -> None:
    for data, word in (
        ({"layers": "many"}, "many"),
        ({"layers": ["2", "3"]}, "given 2 times"),
        ({"guidance": "strong"}, "guidance"),
        ({"box": "1,2"}, "box"),
        ({"layer": "3"}, "no option 'layer'"),
    ):
        check(service.post("/v1/decompositions", files={"image": png_bytes()}, data=data), 422, "bad-input", word)
    check(service.post("/v1/decompositions?format=psd", files={"image": png_bytes()}), 422, "bad-input", "wait=1")
    check(service.post("/v1/decompositions?wait=1&format=x", files={"image": png_bytes()}), 422, "bad-input", "'x'")
    check(service.post("/v1/decompositions?wait=x", files={"image": png_bytes()}), 422, "bad-input", "wait")


@pytest.mark.parametrize(
    ("edits", "word"),
    [
        ({}, "list"),
        ([1], "object"),
        ([{"edit": "explode"}], "explode"),
        ([{"edit": "move", "layer": "nobody", "dx": 1, "dy": 1}], "nobody"),
        ([{"edit": "move", "layer": "square", "dx": "1", "dy": 1}], "dx"),
        ([{"edit": "rename", "layer": "square", "name": "\ud800"}, {"edit": "delete", "layer": "\ud800"}], "edit 2"),
        ([{"edit": "insert", "image": "/etc/passwd"}], "file paths are not taken"),
        ([{"edit": "insert", "image": "http://localhost/a.png"}], "neither a data URI nor a sha256"),
        ([{"edit": "insert", "image": "0" * 64}], "no stored pixels"),
        ([{"edit": "delete", "layer": "square"}] * 1001, "at most 1000"),
    ],
)
def test_malformed_edits_change_nothing(service: Any, document: Any, edits: Any, word: str) -> None:
    answer = service.post(
        f"/v1/documents/{document['id']}/edits",
        content=json.dumps(edits),
        headers={"content-type": "application/json"},
    )
    check(answer, 422, "bad-input", word)
    assert service.get(f"/v1/documents/{document['id']}").json() == document


@pytest.mark.parametrize(
    "path",
    [
        "/v1/decompositions/nobody",
        "/v1/decompositions/nobody/events",
        "/v1/documents/nobody",
        "/v1/documents/nobody/export?format=psd",
        "/v1/documents/nobody/layers/0.png",
        f"/v1/pixels/{'0' * 64}.png",
        "/v1/pixels/..%2F..%2Flamina.sqlite.png",
        "/static/..%2Fapp.py",
        "/nowhere",
    ],
)
def test_what_is_not_there_is_not_found(service: Any, path: str) -> None:
    check(service.get(path), 404, "not-found")


def test_unknown_jobs_and_documents_are_not_found_by_other_verbs_either(service: Any) -> None:
    check(service.delete("/v1/decompositions/nobody"), 404, "not-found")
    check(service.post("/v1/documents/nobody/edits", json=[]), 404, "not-found")
    check(service.post("/v1/documents/nobody/split", json={"layer": "a"}), 404, "not-found")
    check(service.put("/v1/documents/nobody"), 405, "method-not-allowed")


def test_a_full_disk_is_told_and_loses_nothing(new_service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def no_room(*_: object) -> Any:
        raise full

    with new_service() as service:
        job = service.post("/v1/decompositions?wait=1", files={"image": png_bytes()}).json()
        document = f"/v1/documents/{job['document_id']}"
        before = service.get(document).json()
        slow = service.post("/v1/decompositions", files={"image": png_bytes(seed=2)}, data={"prompt": "slow"}).json()
        with monkeypatch.context() as patch:
            patch.setattr(pixelfiles.os, "fsync", no_room)
            check(service.post("/v1/decompositions", files={"image": png_bytes(seed=3)}), 507, "storage-full", "room")
            edit = [{"edit": "recolor", "layer": "square", "color": "#e11d48"}]
            check(service.post(f"{document}/edits", json=edit), 507, "storage-full", "room")
            told = service.get(f"/v1/decompositions/{slow['id']}/events").text
            assert "event: failed" in told
            assert "storage-full" in told
        with monkeypatch.context() as patch:
            patch.setattr(png, "encode", no_room)
            check(service.get(f"{document}/export?format=png"), 507, "storage-full", "room")
        assert service.get(document).json() == before
        again = service.post("/v1/decompositions?wait=1", files={"image": png_bytes(seed=3)}).json()
        assert again["status"] == "done"


def test_a_full_database_is_told_and_the_job_is_done_after_a_restart(new_service: Any, home: Path) -> None:
    with new_service() as service:
        name = service.post("/v1/decompositions", files={"image": png_bytes()}, data={"prompt": "slow"}).json()["id"]
        store: Store = service.app.state.store
        pages = store._one("PRAGMA page_count")
        assert pages is not None
        while service.get(f"/v1/decompositions/{name}").json()["progress"] < 0.1:
            time.sleep(0.01)
        store._one(f"PRAGMA max_page_count={pages[0]}")
        for seed in range(40):  # until the free room in its pages is used up
            answer = service.post(
                "/v1/decompositions", files={"image": png_bytes(seed=seed)}, data={"prompt": "a" * 9999}
            )
            if answer.status_code != 202:
                break
        check(answer, 507, "storage-full", "room")
        told = service.get(f"/v1/decompositions/{name}/events").text
        assert "event: failed" in told or "event: done" in told
    with new_service() as service:
        assert "event: done" in service.get(f"/v1/decompositions/{name}/events").text


def test_uploads_that_stand_still_break_off_or_never_end(live: Any) -> None:
    client = live(idle_seconds=1, max_bytes=30_000)
    head = (
        "POST /v1/decompositions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        '{length}\r\n\r\n--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    )

    def connect(length: str) -> socket.socket:
        sock = socket.create_connection((client.base_url.host, client.base_url.port), timeout=120)
        sock.sendall(head.format(length=length).encode() + png_bytes()[:50])
        return sock

    def answer(sock: socket.socket) -> str:
        text = b""
        while piece := sock.recv(65536):
            text += piece
        sock.close()
        return text.decode()

    still = answer(connect("Content-Length: 90000"))
    assert "408" in still.splitlines()[0]
    assert "too-slow" in still
    connect("Content-Length: 20000").close()
    endless = connect("Transfer-Encoding: chunked")
    sent = 0
    try:
        while sent < 10_000_000:
            sent += endless.send(b"\r\n4000\r\n" + bytes(0x4000))
    except OSError:
        pass  # the service has broken off
    assert sent < 10_000_000
    endless.close()
    big = client.post("/v1/decompositions", files={"image": noise_bytes(150, 100)})
    check(big, 413, "too-large", "at most 30000")
    done = client.post("/v1/decompositions?wait=1", files={"image": png_bytes()}).json()
    assert done["status"] == "done"
    assert 'lamina_jobs_ended_total{kind="decompose",status="done"} 1.0' in client.get("/metrics").text


def test_progress_comes_while_the_work_goes_on(live: Any) -> None:
    client = live()
    job = client.post("/v1/decompositions", files={"image": png_bytes()}, data={"prompt": "wait"}).json()
    told: list[str] = []
    with client.stream("GET", f"/v1/decompositions/{job['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event"):
                told.append(line)
            elif '"progress": 0.5' in line and told[-1] == "event: progress":  # this work ends only when it is told to
                client.delete(f"/v1/decompositions/{job['id']}")
    assert told[-1] == "event: cancelled"
    assert set(told[:-1]) == {"event: progress"}
