"""Jobs and documents that outlive the process: SQLite in WAL mode, and pixels in files beside it.

What a call of ours returned is on the disk (the write-ahead log is synced after a commit, a file before the row that
names it), so neither `kill -9` nor a loss of power takes it back. A document's name follows from its content: the same
edit made twice gives the same document. Knows no HTTP and runs no jobs.
"""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from lamina.document.document import Document, from_json, to_json
from lamina.document.layer import Layer
from lamina.errors import InputError
from lamina.server.pixelfiles import PixelFiles, SharedSync, told_when_full, write_whole
from lamina.server.problems import NotFound, StorageFull
from lamina.server.settings import Settings

__all__ = ["Job", "Status", "Store"]

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (
  id TEXT PRIMARY KEY, body TEXT NOT NULL, icc BLOB, created REAL NOT NULL, used REAL NOT NULL);
CREATE TABLE IF NOT EXISTS held (
  document_id TEXT NOT NULL REFERENCES documents(id) ON DELETE CASCADE, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (document_id, sha256)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held_by_sha256 ON held (sha256);
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, status TEXT NOT NULL, request TEXT NOT NULL, attempts INTEGER NOT NULL,
  document_id TEXT, error TEXT, created REAL NOT NULL, ended REAL, key TEXT UNIQUE, fingerprint TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, created);
"""
_VERSION = 1
_TOUCH_SECONDS = 600.0
"""A document's time of use is noted at most this often: reading writes nothing."""

_HOUR, _DAY = 3600.0, 86400.0


class Status(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (Status.DONE, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One piece of work and how it went; `request` is what it was asked for, as plain JSON data."""

    id: str
    kind: str
    request: Mapping[str, Any]
    status: Status = Status.QUEUED
    progress: float = 0.0
    attempts: int = 0
    document_id: str | None = None
    error: Mapping[str, str] | None = None
    created: float = 0.0
    ended: float | None = None
    key: str | None = None
    fingerprint: str = ""


class Store:
    """Everything under `--home`. One process at a time, any number of its threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        home = settings.home.absolute()
        self.inputs, self.temporary = home / "inputs", home / "temporary"
        self._guard = threading.RLock()
        self._synced = SharedSync(home / "lamina.sqlite-wal")
        try:
            for folder in (home, self.inputs, self.temporary):
                folder.mkdir(parents=True, exist_ok=True)
            self._database = _opened(home / "lamina.sqlite")
            for left in self.temporary.iterdir():
                left.unlink()
            self.pixels = PixelFiles(home / "pixels", cache_bytes=settings.cache_bytes)
        except OSError as error:
            raise InputError(f"cannot keep jobs and documents in {home}: {error.strerror or error}") from error

    def close(self) -> None:
        """Let another process have the folder."""
        with self._guard:
            self._database.close()

    # Documents

    def save(self, document: Document) -> str:
        """Keep a document; returns its name when all of it is on the disk. Raises StorageFull."""
        body, held = self._told(document)
        name = hashlib.sha256(body.encode("ascii") + b"\n" + (document.icc or b"")).hexdigest()[:32]
        with self._transaction() as database:
            now = time.time()
            database.execute(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET used = excluded.used",
                (name, body, document.icc, now, now),
            )
            database.executemany("INSERT OR IGNORE INTO held VALUES (?, ?, ?)", [(name, *pair) for pair in held])
        return name

    def body(self, name: str) -> dict[str, Any]:
        """A document's JSON form; a layer's "sha256" names its pixels. Raises NotFound."""
        return json.loads(self._row(name)["body"])

    def load(self, name: str) -> Document:
        """A document with its pixels. Raises NotFound."""
        row = self._row(name)
        body = json.loads(row["body"])
        source = self.pixels.get(body["source"]) if body["source"] else None
        return from_json(body, lambda entry: self.pixels.get(entry["sha256"]), icc=row["icc"], source=source)

    def _told(self, document: Document) -> tuple[str, list[tuple[str, int]]]:
        """The JSON text of a document whose pixels are now kept, and these with their bytes."""
        names: dict[str, int] = {}

        def put(rgba: Any) -> str:
            name = self.pixels.put(rgba)
            names[name] = self.pixels.size(name)
            return name

        def pixels(layer: Layer) -> dict[str, str]:
            return {"sha256": put(layer.rgba)}

        body = to_json(document, pixels)
        body["source"] = put(document.source) if document.source is not None else None
        return json.dumps(body, separators=(",", ":")), list(names.items())

    def _row(self, name: str) -> sqlite3.Row:
        row = self._one("SELECT * FROM documents WHERE id = ?", name)
        if row is None:
            raise NotFound(f"there is no document '{name[:80]}'; it may have been removed after long disuse")
        if time.time() - row["used"] > _TOUCH_SECONDS:
            with suppress(StorageFull), self._transaction() as database:
                database.execute("UPDATE documents SET used = ? WHERE id = ?", (time.time(), name))
        return row

    # Jobs

    def keep_picture(self, job: Job, picture: bytes) -> None:
        """Keep the picture that a new job works on. Raises StorageFull."""
        write_whole(self.inputs / job.id, picture)

    def forget_picture(self, job: Job) -> None:
        with suppress(OSError):
            (self.inputs / job.id).unlink()

    def add(self, job: Job) -> Job:
        """Keep a new job. Raises StorageFull."""
        job = replace(job, created=time.time())
        with self._transaction() as database:
            database.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, ?, 0, NULL, NULL, ?, NULL, ?, ?)",
                (job.id, job.kind, job.status, json.dumps(job.request), job.created, job.key, job.fingerprint),
            )
        return job

    def picture(self, job: Job) -> bytes:
        """The picture of a job that has not ended."""
        try:
            return (self.inputs / job.id).read_bytes()
        except FileNotFoundError:
            raise NotFound("the picture of this job is no longer there") from None

    def begin(self, job: Job) -> Job:
        """Note that the job is begun, once more; a process that dies at it is thus counted."""
        job = replace(job, status=Status.RUNNING, attempts=job.attempts + 1)
        with self._transaction() as database:
            database.execute(
                "UPDATE jobs SET status = ?, attempts = ? WHERE id = ?", (job.status, job.attempts, job.id)
            )
        return job

    def put_back(self, job: Job) -> None:
        """Note that the job was stopped on purpose and is to be begun anew."""
        with self._transaction() as database:
            attempts = max(job.attempts - 1, 0)
            database.execute("UPDATE jobs SET status = 'queued', attempts = ? WHERE id = ?", (attempts, job.id))

    def end(
        self, job: Job, status: Status, *, document_id: str | None = None, error: Mapping[str, str] | None = None
    ) -> Job:
        """Note how a job ended; its picture is no longer needed."""
        progress = 1.0 if status is Status.DONE else job.progress
        job = replace(job, status=status, document_id=document_id, error=error, progress=progress, ended=time.time())
        with self._transaction() as database:
            database.execute(
                "UPDATE jobs SET status = ?, document_id = ?, error = ?, ended = ? WHERE id = ?",
                (job.status, job.document_id, json.dumps(error) if error else None, job.ended, job.id),
            )
        self.forget_picture(job)
        return job

    def job(self, name: str) -> Job:
        """Raises NotFound."""
        row = self._one("SELECT * FROM jobs WHERE id = ?", name)
        if row is None:
            raise NotFound(f"there is no job '{name[:80]}'; it may have been removed after long")
        return _job(row)

    def job_of_key(self, key: str) -> Job | None:
        """The job that was asked for with this idempotency key."""
        row = self._one("SELECT * FROM jobs WHERE key = ?", key)
        return None if row is None else _job(row)

    def unfinished(self) -> list[Job]:
        """Jobs that have not ended, in the order they came; those begun first were cut off."""
        return [
            _job(row) for row in self._all("SELECT * FROM jobs WHERE status IN ('queued', 'running') ORDER BY created")
        ]

    # Retention

    def sweep(self) -> None:
        """Remove what is older than the settings keep, or beyond the bytes they allow, and pixels nobody holds."""
        now, keep = time.time(), self._settings.keep_days * _DAY
        needed = {job.request.get("document") for job in self.unfinished()}
        with self._transaction() as database:
            database.execute("DELETE FROM jobs WHERE ended < ?", (now - keep,))
        for row in self._all("SELECT id, used FROM documents ORDER BY used"):
            old = row["used"] < now - keep
            if not (old or (row["used"] < now - _HOUR and self.kept_bytes() > self._settings.keep_bytes)):
                break  # those that follow were used later still
            if row["id"] not in needed:
                with self._transaction() as database:
                    # One that was used since is kept.
                    database.execute("DELETE FROM documents WHERE id = ? AND used = ?", (row["id"], row["used"]))
        self.pixels.sweep({row["sha256"] for row in self._all("SELECT DISTINCT sha256 FROM held")})
        waiting = {job.id for job in self.unfinished()}
        for path in self.inputs.iterdir():
            with suppress(FileNotFoundError):
                if path.name not in waiting and path.stat().st_mtime < now - _HOUR:
                    path.unlink()

    def kept_bytes(self) -> int:
        """Bytes of the pixels that documents hold."""
        row = self._one(
            "SELECT COALESCE(SUM(bytes), 0) AS n FROM (SELECT MAX(bytes) AS bytes FROM held GROUP BY sha256)"
        )
        return 0 if row is None else int(row["n"])

    def check(self) -> None:
        """Raise what is wrong when the store cannot be read."""
        self._one("SELECT 1")

    def _one(self, query: str, *values: Any) -> sqlite3.Row | None:
        with self._guard:
            return self._database.execute(query, values).fetchone()

    def _all(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._guard:
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """All of the block's writes or none; they are on the disk when it ends.

        SQLite itself writes its log at a commit without syncing it (`synchronous=NORMAL`), so that transactions that
        are committed side by side share one sync, which is by far the slowest part.
        """
        with self._guard, _full_is_told(), told_when_full():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        with told_when_full():
            self._synced.wait()


def _opened(path: Path) -> sqlite3.Connection:
    """The database, for this process alone until it is closed. Raises InputError."""
    database = sqlite3.connect(path, timeout=0, check_same_thread=False, isolation_level=None)
    try:
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            database.execute(f"PRAGMA {pragma}")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise InputError(f"{path} was written by another version of Lamina ({version}, expected {_VERSION})")
        database.executescript(_TABLES)
        database.execute(f"PRAGMA user_version={_VERSION}")
    except sqlite3.Error as error:
        database.close()
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise InputError(f"another service is at work in {path.parent}; stop it or name another folder") from error
        raise InputError(f"{path} is no database of ours, or damaged: {error}") from error
    except BaseException:
        database.close()
        raise
    database.row_factory = sqlite3.Row
    return database


@contextmanager
def _full_is_told() -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_FULL":
            raise
        raise StorageFull("the service has no room left for its database; nothing was lost, try again later") from error


def _job(row: sqlite3.Row) -> Job:
    status = Status(row["status"])
    return Job(
        id=row["id"],
        kind=row["kind"],
        request=json.loads(row["request"]),
        status=status,
        progress=float(status is Status.DONE),
        attempts=row["attempts"],
        document_id=row["document_id"],
        error=json.loads(row["error"]) if row["error"] else None,
        created=row["created"],
        ended=row["ended"],
        key=row["key"],
        fingerprint=row["fingerprint"],
    )
