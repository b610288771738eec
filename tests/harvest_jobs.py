"""A task that another process can load, some of whose jobs go wrong."""

import os
import time

from lamina.errors import InputError

__all__ = ["work"]


def work(word: str, job: str) -> str | None:
    match job:
        case "slow":
            time.sleep(0.5)
        case "raise":
            raise ZeroDivisionError("by nothing")
        case "crash":
            os._exit(3)
        case "hang":
            time.sleep(60)
        case "refuse":
            raise InputError("not this one")
        case "none":
            return None
        case _:
            pass
    return f"{word} {job}"
