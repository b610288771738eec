"""The queue and its workers: one thread per device, progress, cancelling, and jobs that were cut off.

Every job that was taken ends as done, failed or cancelled. Knows how jobs run, not what they do: a worker maps a
kind of job to the function that does it.
"""

import asyncio
import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from lamina.document.document import Document
from lamina.errors import Cancelled, InputError, LaminaError
from lamina.server.problems import Conflict, ProblemOfJob, QueueFull, StorageFull
from lamina.server.settings import Settings
from lamina.server.store import Job, Status, Store

__all__ = ["Jobs", "OnStep", "Work", "Worker"]

logger = logging.getLogger(__name__)

OnStep = Callable[[int, int], None]
Work = Callable[[Job, OnStep], Document]
"""Does a job and returns its document; an exception that `on_step` raises stops it."""

Worker = Mapping[str, Work]
"""What one device does, by the kind of job."""

_STOP_SECONDS = 10.0
_SMOOTH = 0.3
"""Weight of the newest job in the running mean of seconds per job."""


class _Stopping(BaseException):
    """The service ends; the job goes back to the queue."""


@dataclass(slots=True, eq=False)
class _Live:
    """A job that has not ended, and who looks at it."""

    job: Job
    cancelled: bool = False
    watchers: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])


class Jobs:
    """The jobs of a service; for many threads. `on_end(job, seconds)` hears of every one that a worker ended."""

    def __init__(
        self,
        store: Store,
        workers: Sequence[Worker],
        settings: Settings,
        on_end: Callable[[Job, float], None] = lambda job, seconds: None,
    ) -> None:
        self._store, self._workers, self._settings, self._on_end = store, workers, settings, on_end
        self._lock = threading.Condition(threading.RLock())
        self._live: dict[str, _Live] = {}
        self._queue: deque[str] = deque()
        self._running, self._stopping, self._mean_seconds = 0, False, 1.0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take up the jobs that have not ended, and begin to work."""
        for job in self._store.unfinished():
            if job.status is Status.RUNNING and job.attempts >= self._settings.attempts:
                reason = f"the service was cut off {job.attempts} times while it was at work on this job"
                self._store.end(job, Status.FAILED, error={"code": "interrupted", "message": reason})
                continue
            self._live[job.id] = _Live(replace(job, status=Status.QUEUED))
            self._queue.append(job.id)
        for number, worker in enumerate(self._workers):
            thread = threading.Thread(target=self._run, args=(worker,), name=f"lamina-worker-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop at the next step of each job; these are begun anew when the service starts again."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        end = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def running(self) -> int:
        return self._running

    def check_room(self) -> None:
        """Raise QueueFull when a job that came now would not be taken."""
        waiting = len(self._queue)
        if waiting < self._settings.queue:
            return
        seconds = self._mean_seconds * waiting / max(len(self._workers), 1)
        after = min(max(math.ceil(seconds / 2), 1), 600)
        raise QueueFull(f"{waiting} jobs wait already; come again in {after} s", after)

    def submit(
        self,
        kind: str,
        request: Mapping[str, Any],
        *,
        picture: bytes | None = None,
        key: str | None = None,
        fingerprint: str = "",
    ) -> Job:
        """Take a job; when this returns, it is on the disk. Raises QueueFull, StorageFull.

        With a `key` that was used before, the job of then is returned; InputError where what it asked for, by
        `fingerprint`, was another thing.
        """
        if key is None or self._store.job_of_key(key) is None:
            self.check_room()
        job = Job(id=secrets.token_hex(16), kind=kind, request=request, key=key, fingerprint=fingerprint)
        if picture is not None:
            self._store.keep_picture(job, picture)
        try:
            taken = self._add(job)
        except BaseException:
            self._store.forget_picture(job)
            raise
        if taken.id != job.id:
            self._store.forget_picture(job)
        return taken

    def _add(self, job: Job) -> Job:
        with self._lock:
            known = self._store.job_of_key(job.key) if job.key else None
            if known is not None:
                if known.fingerprint != job.fingerprint:
                    raise InputError(f"the idempotency key '{job.key}' was used for another request; use a new one")
                return self.get(known.id)
            self.check_room()
            job = self._store.add(job)
            self._live[job.id] = _Live(job)
            self._queue.append(job.id)
            self._lock.notify()
            return job

    def get(self, name: str) -> Job:
        """Raises NotFound."""
        with self._lock:
            live = self._live.get(name)
            return live.job if live else self._store.job(name)

    def cancel(self, name: str) -> Job:
        """Stop a job: at once while it waits, else at its next step. Raises NotFound; Conflict when it has ended."""
        with self._lock:
            live = self._live.get(name)
            if live is None or live.job.status.ended:
                job = self.get(name)
                if job.status is not Status.CANCELLED:
                    raise Conflict(f"the job has ended already: {job.status}")
                return job
            live.cancelled = True
            if name in self._queue:
                self._queue.remove(name)
                self._end(live, Status.CANCELLED)
            return live.job

    async def states(self, name: str, beat: float) -> AsyncGenerator[Job | None]:
        """The job now and after every change until it has ended; None where `beat` seconds brought no change.

        Changes that come faster than they are taken are seen as one. Raises NotFound.
        """
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed: nobody looks any more
                loop.call_soon_threadsafe(changed.set)

        with self._lock:
            live = self._live.get(name)
            if live is not None:
                live.watchers.append(wake)
        try:
            while True:
                job = live.job if live is not None else self.get(name)
                yield job
                if job.status.ended:
                    return
                while True:
                    try:
                        await asyncio.wait_for(changed.wait(), beat)
                        break
                    except TimeoutError:
                        yield None
                changed.clear()
        finally:
            if live is not None:
                with self._lock:
                    live.watchers.remove(wake)

    async def wait(self, name: str, seconds: float) -> Job:
        """The job when it has ended, or as it is after so long."""
        job = await asyncio.to_thread(self.get, name)
        try:
            async with asyncio.timeout(seconds):
                async with aclosing(self.states(name, seconds + 1)) as states:
                    async for state in states:
                        job = state or job
        except TimeoutError:
            pass
        return job

    def _run(self, worker: Worker) -> None:
        while True:
            with self._lock:
                while not self._queue and not self._stopping:
                    self._lock.wait()
                if self._stopping:
                    return
                live = self._live[self._queue.popleft()]
                self._running += 1
            try:
                self._do(worker, live)
            finally:
                with self._lock:
                    self._running -= 1

    def _do(self, worker: Worker, live: _Live) -> None:
        start = time.monotonic()

        def on_step(step: int, total: int) -> None:
            if self._stopping:
                raise _Stopping
            if live.cancelled:
                raise Cancelled("the job was cancelled")
            progress = min(max(step / max(total, 1), live.job.progress), 1.0)  # it never goes back
            self._show(live, replace(live.job, progress=progress))

        try:
            self._show(live, self._store.begin(live.job))
            on_step(0, 1)
            document = worker[live.job.kind](live.job, on_step)
            if live.cancelled:
                raise Cancelled("the job was cancelled")
            document_id = self._store.save(document)
            del document
            self._end(live, Status.DONE, document_id=document_id)
        except _Stopping:
            self._store.put_back(live.job)
            return
        except Cancelled:
            self._end(live, Status.CANCELLED)
        except LaminaError as error:
            code = error.job_code if isinstance(error, ProblemOfJob) else error.code
            self._end(live, Status.FAILED, error={"code": code, "message": str(error)})
        except MemoryError:
            reason = "the service ran out of memory at this picture; try a smaller one"
            self._end(live, Status.FAILED, error={"code": "out-of-memory", "message": reason})
        except Exception:
            logger.exception("job %s failed", live.job.id)
            reason = f"the service failed at this job: a defect of ours, its log tells more of {live.job.id}"
            self._end(live, Status.FAILED, error={"code": "defect", "message": reason})
        seconds = time.monotonic() - start
        self._mean_seconds += _SMOOTH * (seconds - self._mean_seconds)
        self._on_end(live.job, seconds)

    def _end(
        self,
        live: _Live,
        status: Status,
        *,
        document_id: str | None = None,
        error: Mapping[str, str] | None = None,
    ) -> None:
        """First on the disk, then told."""
        try:
            job = self._store.end(live.job, status, document_id=document_id, error=error)
        except Exception as reason:
            # It cannot be noted: told now, and after a restart the job, still unfinished on the disk, is begun anew.
            logger.error("job %s ended as %s, which could not be noted: %s", live.job.id, status, reason)
            problem = (
                reason if isinstance(reason, LaminaError) else StorageFull("the service could not keep the result")
            )
            failed = {"code": problem.code, "message": str(problem)}
            self._show(live, replace(live.job, status=Status.FAILED, error=failed, ended=time.time()))
            return
        with self._lock:
            self._show(live, job)
            del self._live[job.id]

    def _show(self, live: _Live, job: Job) -> None:
        with self._lock:
            live.job = job
            for wake in live.watchers:
                wake()
