"""One task over many jobs in several processes, results in the order of the jobs; no job can stop the others.

A job may raise, take too long, or kill its process: then its result says so, and a new process takes the next job.
Knows nothing of what the task does.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, TypeVar

from lamina.errors import LaminaError

__all__ = ["Failure", "in_order"]

J = TypeVar("J")
R = TypeVar("R")

_AHEAD = 4
"""Jobs begun ahead of the oldest unfinished one, per worker: what bounds the results that wait for their turn."""


class Failure(NamedTuple):
    """A job without a result. `why`: "refused" (a LaminaError), "broken" (any other exception), "timed out" or
    "crashed" (its process died)."""

    why: str
    words: str


def in_order(
    task: Callable[[J], R], jobs: Iterable[J], *, workers: int, limit_s: float
) -> Generator[tuple[J, "R | Failure"]]:
    """Yield (job, result or Failure) in the order of `jobs`, which are taken as they are needed.

    `task` and the jobs must be such that a new process can load them. A job that runs for over `limit_s` seconds is
    ended. Closing the generator ends all processes at once.
    """
    crew = [_Worker[J, R](task) for _ in range(max(1, workers))]
    numbered: Iterator[tuple[int, J]] = iter(enumerate(jobs))
    waiting: dict[int, tuple[J, R | Failure]] = {}
    turn, begun, more = 0, 0, True
    try:
        while True:
            for worker in crew:
                if worker.job is None and more and begun - turn < _AHEAD * len(crew):
                    following = next(numbered, None)
                    if following is None:
                        more = False
                    else:
                        worker.begin(*following, limit_s)
                        begun += 1
            busy = [worker for worker in crew if worker.job is not None]
            if busy:
                first_end = min(worker.ends for worker in busy)
                wait([worker.ears for worker in busy], max(0.0, first_end - time.monotonic()))
            for worker in busy:
                outcome = worker.outcome()
                if outcome is not None:
                    waiting[outcome[0]] = outcome[1:]
            while turn in waiting:
                yield waiting.pop(turn)
                turn += 1
            if not more and turn == begun:
                return
    finally:
        for worker in crew:
            worker.stop()


@dataclass
class _Running(Generic[J]):
    number: int
    job: J


class _Worker(Generic[J, R]):
    def __init__(self, task: Callable[[J], R]) -> None:
        self.task = task
        self.job: _Running[J] | None = None
        self.ends = 0.0
        self._process: Any = None
        self.ears: Connection[Any, Any]

    def begin(self, number: int, job: J, limit_s: float) -> None:
        if self._process is None:
            self._start()
        self.job = _Running(number, job)
        self.ends = time.monotonic() + limit_s
        with suppress(BrokenPipeError, ConnectionResetError):  # it died idle: `outcome` will find that
            self.ears.send(job)

    def outcome(self) -> "tuple[int, J, R | Failure] | None":
        """What became of the job at hand; None while it runs."""
        assert self.job is not None
        running = self.job
        result: R | Failure
        if self.ears.poll():
            try:
                done, value = self.ears.recv()
                result = value if done else Failure(*value)
            except (EOFError, ConnectionResetError):
                self._process.join()
                result = Failure("crashed", f"its process ended with code {self._process.exitcode}")
                self.stop()
        elif time.monotonic() >= self.ends:
            result = Failure("timed out", "it took longer than the time limit")
            self.stop()
        else:
            return None
        self.job = None
        return running.number, running.job, result

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.ears.close()
            self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.ears, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self.task, theirs), daemon=True)
        self._process.start()
        theirs.close()  # so that the death of the process is heard as the end of the pipe


def _serve(task: Callable[[Any], Any], ears: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who waits for us decides
    while True:
        try:
            job = ears.recv()
        except EOFError:
            return
        try:
            answer = (True, task(job))
        except LaminaError as error:
            answer = (False, ("refused", str(error)))
        except Exception as error:
            answer = (False, ("broken", f"{type(error).__name__}: {error}"))
        ears.send(answer)
