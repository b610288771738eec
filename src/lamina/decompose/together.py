"""Do independent work at the same time: the arrays' libraries let threads run while they compute."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["each", "together"]

A = TypeVar("A")
B = TypeVar("B")


def together(one: Callable[[], A], other: Callable[[], B]) -> tuple[A, B]:
    """Both results; `other` runs in a thread meanwhile. An exception of either is raised when both have ended."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other)
        found = one()
        return found, waiting.result()


def each(work: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """What comes of each item, in order, two worked on at a time. An exception is raised, and no more are begun."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, items))
