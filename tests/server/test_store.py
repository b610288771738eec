"""What is kept, for how long, and that what is read is what was saved."""

import os
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from sample_documents import built, noise, rich_document, sketches

from lamina.document.document import Document
from lamina.document.layer import Layer
from lamina.errors import FormatError
from lamina.pixels import pixel_sha256
from lamina.server.problems import NotFound
from lamina.server.settings import Settings
from lamina.server.store import Job, Store

DAY = 86400.0


@pytest.fixture
def store(home: Path) -> Generator[Store]:
    store = Store(Settings(home=home, keep_days=2, cache_bytes=100_000))
    yield store
    store.close()


def picture(seed: int, side: int = 8) -> Document:
    rgba = noise(side, side, seed, opaque=True)
    return Document(width=side, height=side, layers=(Layer(id="a", name="A", rgba=rgba),), source=rgba)


def test_what_was_saved_is_synced_and_threads_share_a_sync(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [picture(1), *(replace(picture(1), dpi=(90.0 + k, 90.0)) for k in range(8))]  # of the same pixels
    store.save(documents[0])
    log, real, lengths = home / "lamina.sqlite-wal", os.fsync, list[int]()
    go, first = threading.Event(), threading.Event()

    def fsync(handle: int) -> None:
        if os.path.sameopenfile(handle, opened.fileno()):
            lengths.append(log.stat().st_size)
            first.set()
            go.wait(60)
        real(handle)

    with open(log, "rb") as opened, ThreadPoolExecutor(8) as pool:
        monkeypatch.setattr(os, "fsync", fsync)
        before = log.stat().st_size
        saved = [pool.submit(store.save, documents[1])]
        assert first.wait(60)
        assert lengths[0] > before  # it was written when the sync began
        saved += [pool.submit(store.save, document) for document in documents[2:]]
        end = time.monotonic() + 60
        while store._synced._asked - store._synced._done < 8 and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(each.done() for each in saved)  # nothing is told before it is on the disk
        go.set()
        assert len({each.result(60) for each in saved}) == 8
    assert len(lengths) == 2
    assert lengths[1] == log.stat().st_size


CLOCK = time.time


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the store believe that so much time has passed."""
    now = CLOCK() + seconds
    monkeypatch.setattr(time, "time", lambda: now)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sketch=sketches())
def test_a_document_comes_back_as_it_was_saved_under_a_name_of_its_content(store: Store, sketch: Any) -> None:
    document = built(sketch)
    name = store.save(document)
    store.pixels._cache._kept.clear()  # from the disk
    assert store.load(name) == document
    assert store.save(document) == name
    assert store.save(replace(document, width=document.width + 1)) != name


def test_what_is_not_used_for_long_is_removed_with_its_pixels(store: Store, monkeypatch: Any) -> None:
    old, shared, kept = picture(1), rich_document(), picture(2)
    both = replace(shared, meta={"other": 1})
    names = [store.save(document) for document in (old, shared, both, kept)]
    at(monkeypatch, 1.5 * DAY)
    store.load(names[2])
    store.load(names[3])
    at(monkeypatch, 3 * DAY)
    for path in store.pixels._folder.glob("*/*.png"):
        os.utime(path, (0, 0))
    store.sweep()
    for name in names[:2]:
        with pytest.raises(NotFound):
            store.body(name)
    assert store.load(names[2]) == both  # it held the same pixels
    assert store.load(names[3]) == kept
    gone = pixel_sha256(old.layers[0].rgba)
    with pytest.raises(NotFound):
        store.pixels.path(gone)


def test_beyond_the_bytes_that_are_kept_the_longest_unused_go_first(home: Path, monkeypatch: Any) -> None:
    store = Store(Settings(home=home, keep_bytes=25_000))
    names: list[str] = []
    for k in range(4):
        at(monkeypatch, 10 * k)
        names.append(store.save(picture(k, 50)))  # 10 kB each
    store.sweep()
    assert all(store.body(name) for name in names)  # all of the last hour
    at(monkeypatch, 4000)
    store.sweep()
    assert [name for name in names if store._one("SELECT 1 FROM documents WHERE id = ?", name)] == names[2:]
    assert store.kept_bytes() <= 25_000
    store.close()


def test_what_a_waiting_job_needs_is_not_removed(store: Store, monkeypatch: Any) -> None:
    name = store.save(picture(1))
    job = Job(id="1" * 32, kind="split", request={"document": name, "layer": "a", "options": {}})
    store.keep_picture(job, b"x")
    store.add(job)
    (store.inputs / "stray").write_bytes(b"left by a process that was killed")
    at(monkeypatch, 9 * DAY)
    store.sweep()
    assert store.load(name) == picture(1)
    assert store.picture(job) == b"x"
    assert not (store.inputs / "stray").exists()


def test_pixels_altered_on_disk_are_not_served_as_a_document(store: Store) -> None:
    name = store.save(picture(1))
    path = store.pixels.path(store.body(name)["source"])
    other = store.pixels.path(store.body(store.save(picture(2)))["source"])
    path.write_bytes(other.read_bytes())
    store.pixels._cache._kept.clear()
    with pytest.raises(FormatError, match="altered"):
        store.load(name)


def test_the_cache_stays_within_its_bytes(store: Store) -> None:
    for seed in range(9):
        store.save(picture(seed, 90))  # 32 kB each
    assert 0 < store.pixels._cache._bytes <= 100_000
    assert store.pixels._cache._bytes == sum(array.nbytes for array in store.pixels._cache._kept.values())
    large = noise(300, 300, 1)
    assert np.array_equal(store.pixels.get(store.pixels.put(large)), large)
