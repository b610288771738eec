"""What the routes share: the store, the jobs, and the work on documents, which is done beside the event loop."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from lamina import formats
from lamina.document.apply import apply
from lamina.document.document import Document
from lamina.document.edits import Insert, Replace, from_json
from lamina.errors import InputError
from lamina.server.jobs import Jobs
from lamina.server.pixelfiles import told_when_full
from lamina.server.problems import Json, NotFound, ProblemOfJob
from lamina.server.settings import Settings
from lamina.server.store import Job, Status, Store
from lamina.server.uploads import picture_of_uri

__all__ = ["EXPORTS", "Service", "check_export", "done", "file_content", "job_json"]

T = TypeVar("T")

EXPORTS = tuple(sorted(ending.lstrip(".") for ending in formats.FORMATS if ending != formats.FOLDER))
"""What `export?format=` takes."""

_TYPES = {
    "ora": "image/openraster",
    "png": "image/png",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "psb": "image/vnd.adobe.photoshop",
    "psd": "image/vnd.adobe.photoshop",
    "zip": "application/zip",
}
_ANY_TYPE = "application/octet-stream"
_MOST_EDITS = 1000
_BEAT_SECONDS = 15.0


def _limiter(count: int) -> Callable[[], anyio.CapacityLimiter]:
    return lambda: anyio.CapacityLimiter(count)


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One service; `splits` says whether it can split layers."""

    settings: Settings
    store: Store
    jobs: Jobs
    splits: bool
    small: anyio.CapacityLimiter = field(default_factory=_limiter(16))
    """Threads for what takes a moment: rows, files."""

    edits: anyio.CapacityLimiter = field(default_factory=_limiter(4))
    exports: anyio.CapacityLimiter = field(default_factory=_limiter(2))
    """Threads for what holds whole documents: so many of them are in memory at most."""

    async def run(self, work: Callable[[], T], limiter: anyio.CapacityLimiter | None = None) -> T:
        """Do blocking work in a thread."""
        return await anyio.to_thread.run_sync(work, limiter=limiter or self.small)

    async def document(self, name: str, status: int = 200) -> Response:
        """A document as callers see it: its JSON form, with the address of each layer's pixels."""
        body = await self.run(lambda: self.store.body(name))
        for entry in _entries(body["layers"]):
            if entry["kind"] == "layer":
                entry["pixels"] = _address(entry["sha256"])
        source = body["source"]
        body["source"] = {"sha256": source, "pixels": _address(source)} if source else None
        headers = {"location": f"/v1/documents/{name}", "etag": f'"{name}"', "cache-control": "private, no-cache"}
        return Json({"id": name, **body}, status, headers)

    async def edited(self, name: str, data: Any) -> str:
        """The name of the document after a JSON list of edits."""
        if isinstance(data, list) and len(data) > _MOST_EDITS:  # pyright: ignore[reportUnknownArgumentType]
            raise InputError(f"there are {len(data)} edits, expected at most {_MOST_EDITS} in one call")  # pyright: ignore[reportUnknownArgumentType]
        return await self.run(lambda: self._edited(name, data), self.edits)

    def _edited(self, name: str, data: Any) -> str:
        document = self.store.load(name)
        changes = from_json(data)
        for number, change in enumerate(changes, start=1):
            if isinstance(change, Replace | Insert) and str(change.image).startswith("data:"):
                try:
                    picture_of_uri(change.image, "image", self.settings)
                except InputError as error:
                    raise InputError(f"edit {number}: {error}") from error
        return self.store.save(apply(document, *changes, stored=self._stored))

    def _stored(self, name: str) -> Any:
        try:
            return self.store.pixels.get(name)
        except NotFound:
            return None

    async def export(self, name: str, kind: str) -> Response:
        """A document as a file of one of EXPORTS; what it could not keep is in the header Lamina-Lost, a JSON list."""
        check_export(kind)
        path = self.store.temporary / f"{token_hex(8)}.{kind}"
        lost = await self.run(lambda: _written(self.store.load(name), path), self.exports)
        headers = {"lamina-lost": json.dumps(lost), "cache-control": "private, no-cache"}
        headers["content-disposition"] = f'attachment; filename="lamina-{name[:8]}.{kind}"'
        return _PassingFile(path, media_type=_TYPES.get(kind, _ANY_TYPE), headers=headers)

    async def events(self, name: str) -> Response:
        """Server-sent events of a job: progress until it ends, then done, failed or cancelled."""
        await self.run(lambda: self.jobs.get(name))

        async def lines() -> AsyncGenerator[str]:
            async with aclosing(self.jobs.states(name, _BEAT_SECONDS)) as states:
                async for job in states:
                    if job is None:
                        yield ": still here\n\n"
                        continue
                    event = job.status.value if job.status.ended else "progress"
                    yield f"event: {event}\ndata: {json.dumps(job_json(job))}\n\n"

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

    async def answered(self, job: Job, *, wait: bool, kind: str | None) -> Response:
        """The answer to a call that began a job: 202, or with `wait` the ended job, or with `kind` the file itself."""
        if not wait:
            return _accepted(job)
        job = await self.jobs.wait(job.id, self.settings.wait_seconds)
        if not job.status.ended:
            return _accepted(job)
        if kind is None:
            return Json(job_json(job))
        return await self.export(done(job), kind)


def file_content() -> dict[str, Any]:
    """What an export may be, for the OpenAPI page."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {_TYPES.get(kind, _ANY_TYPE): schema for kind in EXPORTS}


def check_export(kind: str) -> None:
    """Raise InputError unless it is one of EXPORTS."""
    if kind not in EXPORTS:
        raise InputError(f"format '{kind[:80]}' is unknown, expected one of {', '.join(EXPORTS)}")


def done(job: Job) -> str:
    """The document of a job that ended; raises what it ended with."""
    if job.status is Status.CANCELLED:
        raise ProblemOfJob({"code": "cancelled", "message": "the job was cancelled"})
    if job.document_id is None:
        raise ProblemOfJob(job.error or {"code": "defect", "message": "the job ended without a document"})
    return job.document_id


def job_json(job: Job) -> dict[str, Any]:
    """A job as callers see it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "status": job.status.value,
        "progress": round(job.progress, 4),
        "document_id": job.document_id,
        "error": dict(job.error) if job.error else None,
        "created": job.created,
        "ended": job.ended,
    }


def _accepted(job: Job) -> Response:
    return Json(job_json(job), 202, {"location": f"/v1/decompositions/{job.id}"})


def _address(sha256: str) -> str:
    return f"/v1/pixels/{sha256}.png"


def _entries(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for node in nodes for entry in (node, *_entries(node.get("children", [])))]


def _written(document: Document, path: Path) -> list[str]:
    try:
        return formats.write(document, path)
    except InputError as error:
        if isinstance(error.__cause__, OSError):  # ours: the disk, not the caller
            with told_when_full():
                raise error.__cause__ from None
        raise


class _PassingFile(FileResponse):
    """A file that is removed when it was sent, or could not be."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            Path(self.path).unlink(missing_ok=True)
