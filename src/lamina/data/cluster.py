"""Work on a Ray cluster: connect to it, and one task over many jobs there through Ray Data.

The counterpart of `workers`, which does the same with processes of this computer. Knows nothing of what the task does.
Sources: the documentation of Ray 2 (`ray.init`, Ray Data's actor pools and `DataContext`).
"""

import importlib
import logging
import os
import pickle
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from lamina.data.workers import Failure, in_order
from lamina.errors import InputError, MissingExtraError

__all__ = ["any_order", "connected", "crew"]

J = TypeVar("J")
R = TypeVar("R")

_REACH_SECONDS = 10.0


@contextmanager
def connected(address: str) -> Generator[Any]:
    """Connect this process to a Ray cluster, and yield the module `ray`; at the end, let go of it.

    "local" starts one on this computer and ends it again, "auto" finds the one that this computer belongs to, HOST:PORT
    names its head. Raises InputError where there is none; MissingExtraError without Ray.
    """
    if not address or "://" in address:
        raise InputError(
            f"the Ray address '{address}' cannot be used, expected 'auto', 'local' or HOST:PORT; "
            "run this command on a machine of the cluster"
        )
    _check_reached(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours reports to nobody
    try:
        ray: Any = importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise MissingExtraError("a Ray cluster", "ray") from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"cannot reach a Ray cluster at '{address}': {reason}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reached(address: str) -> None:
    """Raise InputError when nothing listens at HOST:PORT; Ray itself would go on trying for many minutes."""
    host, _, port = address.rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"cannot reach a Ray cluster at '{address}': {error}") from error


def crew(ray: Any) -> tuple[int, dict[str, float]]:
    """How many workers the cluster has room for, and what each takes: a GPU, or where there is none, a CPU."""
    found: dict[str, float] = ray.cluster_resources()
    gpus = int(found.get("GPU", 0))
    return (gpus, {"num_gpus": 1}) if gpus else (max(int(found.get("CPU", 1)), 1), {"num_cpus": 1})


def any_order(
    task: Callable[[J], R], jobs: Sequence[J], *, address: str, limit_s: float
) -> Generator[tuple[J, "R | Failure"]]:
    """Yield (job, result or Failure) as they come, from workers on a Ray cluster.

    As `workers.in_order`, but for the order. What `task` reads and writes must be at the same paths on every machine.
    A job whose machine is lost is begun again on another. Closing the generator stops the work.
    """
    if not jobs:
        return
    with connected(address) as ray:
        data: Any = importlib.import_module("ray.data")
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # failures are told by their jobs
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        count, needs = crew(ray)
        rows = [{"number": number, "job": pickle.dumps(job)} for number, job in enumerate(jobs)]
        dataset = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Doer,
            fn_constructor_args=(pickle.dumps(task), limit_s),
            batch_size=1,
            compute=data.ActorPoolStrategy(size=min(count, len(jobs))),
            **needs,
        )
        for row in dataset.iter_rows():
            yield jobs[int(row["number"])], pickle.loads(row["result"])


class _Doer:
    """The task in a process of the cluster, which has a further process for it: a job that dies takes none of Ray's."""

    def __init__(self, task: bytes, limit_s: float) -> None:
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        # With one worker, `in_order` takes the next job only after it has told of the last.
        self._results = in_order(pickle.loads(task), iter(self._jobs.get, None), workers=1, limit_s=limit_s)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        self._jobs.put(pickle.loads(batch["job"][0]))
        _, result = next(self._results)
        return {"number": batch["number"], "result": [pickle.dumps(result)]}
