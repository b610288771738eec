"""Files that appear whole: written under a temporary name beside the target and renamed when complete.

Knows nothing of any format.
"""

import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from lamina.errors import InputError

__all__ = ["atomic_file", "check_file", "hidden_beside", "names_folder"]

_NAME_KEPT = 50  # letters of a name that its temporary name shows; file systems take 255 bytes


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield a temporary path in the folder of `path`, which becomes `path` when the block ends without an error.

    The temporary name keeps the ending, so writers that go by it work; the old file stands until the new one is whole.
    Raises InputError when the place cannot be written.
    """
    check_file(path)
    target = Path(path)
    temporary = hidden_beside(target, target.suffix)
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise InputError where `path` is no place for a file: a folder, a device, a name that no file can have."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {os.fspath(path)}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"cannot write {os.fspath(path)}: it is a folder, expected a file name")
    if not stat.S_ISREG(mode):  # a rename would put a file where a device was
        raise InputError(f"cannot write {os.fspath(path)}: it is no ordinary file")


def hidden_beside(target: Path, ending: str = "") -> Path:
    """A fresh hidden name in the folder of `target`, with this ending."""
    return target.with_name(f".{target.stem[:_NAME_KEPT]}-{secrets.token_hex(4)}{ending}")


def names_folder(path: str | os.PathLike[str]) -> bool:
    """True when `path` stands for a folder: by a closing slash, by being one, or by having no ending."""
    text = os.fspath(path)
    return text.endswith(("/", os.sep)) or not Path(text).suffix or os.path.isdir(text)
