"""Files that appear whole: written under a temporary name beside the target and renamed when complete.

Knows nothing of any format.
"""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from lamina.errors import InputError

__all__ = ["atomic_file"]


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield a temporary path in the folder of `path`, which becomes `path` when the block ends without an error.

    The temporary name keeps the ending, so writers that go by it work; the old file stands until the new one is whole.
    Raises InputError when the place cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder, expected a file name")
    if target.exists() and not target.is_file():  # a rename would put a file where a device was
        raise InputError(f"cannot write {target}: it is no ordinary file")
    temporary = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
