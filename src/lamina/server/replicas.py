"""Decompositions on a Ray cluster: a Serve deployment of replicas that decompose, and their callables for the app.

The service itself stays in one process: its store is the truth, and a replica keeps nothing. Each replica takes one
picture at a time and tells of every step, which is also when it hears that it shall stop. Knows no HTTP and no store.
Source: the documentation of Ray Serve 2 (deployments, streaming handles, cancelling).
"""

import asyncio
import hashlib
import importlib
import logging
import pickle
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lamina.data.cluster import connected, crew
from lamina.document.document import Document
from lamina.errors import Cancelled, LaminaError
from lamina.options import DecomposeOptions
from lamina.pixels import Picture
from lamina.server.jobs import OnStep
from lamina.server.problems import ProblemOfJob

__all__ = ["Load", "Replicas", "replicas"]

logger = logging.getLogger(__name__)

Load = Callable[..., Any]
"""(model, device, **settings of a released model) -> a Decomposer; a new process must be able to load it."""

_BEAT_SECONDS = 1.0
"""A replica tells at least so often that it is at work."""

_TRIES = 2
"""How often a picture is begun before a replica that dies at it is its fault."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicas:
    """The deployment. For many threads; as many calls as `count` run at a time."""

    ray: Any
    handle: Any
    count: int
    splits: bool

    def __call__(self, picture: Picture, options: DecomposeOptions, on_step: OnStep) -> Document:
        """As `lamina.Decomposer`; ProblemOfJob tells what a replica refused, and that replicas died."""
        return self._done("decompose", (picture, options), on_step)

    def split(self, document: Document, layer: str, options: DecomposeOptions, on_step: OnStep) -> Document:
        """As `Decomposer.split`."""
        return self._done("split", (document, layer, options), on_step)

    def _done(self, verb: str, arguments: tuple[Any, ...], on_step: OnStep) -> Document:
        work = pickle.dumps(arguments)
        for tried in range(1, _TRIES + 1):
            try:
                return self._ask(verb, work, on_step)
            except self.ray.exceptions.RayTaskError:
                raise  # a defect, with its traceback
            except (self.ray.exceptions.RayError, ConnectionError) as error:
                reason = " ".join(str(error).split())[:200]
                logger.warning("a replica was lost, time %d of %d: %s", tried, _TRIES, reason)
        words = f"the replica at work on this picture died, {_TRIES} times; try a smaller picture or other options"
        raise ProblemOfJob({"code": "replica-lost", "message": words})

    def _ask(self, verb: str, work: bytes, on_step: OnStep) -> Document:
        answers = self.handle.options(method_name="work", stream=True).remote(verb, work)
        try:
            for kind, *values in answers:
                if kind == "step":
                    on_step(*values)
                elif kind == "refused":
                    raise ProblemOfJob({"code": values[0], "message": values[1]})
                else:
                    return pickle.loads(values[0])
        except BaseException:
            with suppress(Exception):
                answers.cancel()
            raise
        raise ConnectionError("the replica ended without a document")


@contextmanager
def replicas(
    address: str,
    *,
    load: Load,
    model: str,
    device: str,
    home: Path,
    model_settings: Mapping[str, Any] = MappingProxyType({}),
) -> Generator[Replicas]:
    """Deploy replicas on the cluster at `address` (see `cluster.connected`): one for each GPU, without any just one.

    `model_settings` go to `load`. A service that is started again with the same `home` takes its former deployment's
    place. Raises InputError where there is no cluster, MissingExtraError without Ray, and as a problem what `load`
    raised in a replica.
    """
    with connected(address) as ray:
        serve: Any = importlib.import_module("ray.serve")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        room, needs = crew(ray)
        count = room if "num_gpus" in needs else 1
        serve.start(proxy_location="Disabled")
        deployment = serve.deployment(
            _Replica,
            num_replicas=count,
            max_ongoing_requests=1,
            ray_actor_options=needs,
            graceful_shutdown_timeout_s=1,
            health_check_timeout_s=600,
        )
        place = f"{socket.gethostname()} {home.absolute()}"
        name = f"lamina-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
        bound = deployment.bind(pickle.dumps((load, dict(model_settings))), model, device)
        handle = serve.run(bound, name=name, route_prefix=None)
        try:
            splits, problem = handle.options(method_name="about").remote().result()
            if problem is not None:
                raise ProblemOfJob(problem)
            yield Replicas(ray=ray, handle=handle, count=count, splits=splits)
        finally:
            with suppress(Exception):  # the cluster may be gone
                serve.delete(name)


class _Stop(BaseException):
    """Nobody waits for the document any more."""


class _Replica:
    """One Decomposer in a process of the cluster."""

    def __init__(self, load: bytes, model: str, device: str) -> None:
        self._decomposer: Any = None
        self._problem: dict[str, str] | None = None
        self._turn = threading.Lock()
        try:
            make, settings = pickle.loads(load)
            self._decomposer = make(model, device, **settings)
        except LaminaError as error:  # told by `about`: Serve would only try again and again
            self._problem = {"code": error.code, "message": str(error)}

    async def about(self) -> tuple[bool, dict[str, str] | None]:
        """Whether it can split layers; why it could not load its model."""
        return callable(getattr(self._decomposer, "split", None)), self._problem

    async def work(self, verb: str, work: bytes) -> AsyncGenerator[tuple[Any, ...]]:
        """Yield ("step", step, total) ever again, then ("done", pickled Document) or ("refused", code, words)."""
        loop, told = asyncio.get_running_loop(), asyncio.Queue[tuple[Any, ...]]()
        stopped = threading.Event()

        def tell(*event: Any) -> None:
            loop.call_soon_threadsafe(told.put_nowait, event)

        def on_step(step: int, total: int) -> None:
            if stopped.is_set():
                raise _Stop
            tell("step", step, total)

        def run() -> None:
            with self._turn:  # a stopped one may not have come to its next step yet
                try:
                    if self._problem is not None:
                        tell("refused", self._problem["code"], self._problem["message"])
                        return
                    do = self._decomposer if verb == "decompose" else self._decomposer.split
                    tell("done", pickle.dumps(do(*pickle.loads(work), on_step)))
                except (_Stop, Cancelled):
                    tell("refused", Cancelled.code, "the job was cancelled")
                except LaminaError as error:
                    tell("refused", error.code, str(error))
                except BaseException as error:
                    tell("defect", error)

        threading.Thread(target=run, daemon=True).start()
        last: tuple[Any, ...] = ("step", 0, 1)
        try:
            while True:
                try:
                    event = await asyncio.wait_for(told.get(), _BEAT_SECONDS)
                except TimeoutError:
                    yield last
                    continue
                if event[0] == "defect":
                    raise event[1]
                yield event
                if event[0] != "step":
                    return
                last = event
        finally:
            stopped.set()
