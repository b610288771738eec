"""What every command says and how: words and progress on stderr, JSON on stdout, times, and clean interruptions."""

import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["Clock", "about", "importing", "leads", "print_json", "progress", "say"]


def say(words: object) -> None:
    """One line on stderr."""
    print("lamina:", " ".join(str(words).split()), file=sys.stderr, flush=True)


def leads() -> bool:
    """Whether this process writes: of several that torchrun started to work together, the first."""
    return os.environ.get("RANK", "0") == "0"


def about(error: Exception, *names: str) -> str:
    """The error in words that tell which file it is about: one of these names."""
    return str(error) if any(name in str(error) for name in names) else f"{names[0]}: {error}"


def print_json(**values: Any) -> None:
    print(json.dumps(values, ensure_ascii=False), flush=True)


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Count the time since the last lap to `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self.last, 3)
        self.seconds["total"] = round(now - self.start, 3)
        self.last = now


@contextmanager
def importing() -> Generator[None]:
    """An interruption while modules load ends the process at once, and no garbage is looked for in what they hold.

    numpy and torch would make an ImportError or an abort of KeyboardInterrupt, and nothing is being written yet. What
    modules make stays, so that looking through it is time lost, then and later (docs/log.md, 2026-11-23).
    """

    def leave(*_: object) -> None:
        say("interrupted")
        os._exit(130)

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    collects = gc.isenabled()
    signal.signal(signal.SIGINT, leave)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def progress(label: str) -> Generator[Callable[[str], None]]:
    """Yield a way to show what is being done. On a terminal that is one line, wiped at the end; elsewhere nothing."""

    def show(words: str) -> None:
        if sys.stderr.isatty() and leads():
            print(f"\r\x1b[K{label}: {words}", end="", file=sys.stderr, flush=True)

    show("loading")
    try:
        yield show
    finally:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
