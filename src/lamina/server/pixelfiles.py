"""Pixels on disk under the name of their content, and a bounded cache of decoded ones.

The name is `pixels.pixel_sha256`: of the stored pixels, not of a file's bytes, so it is also what an edit's `image`
may say. A file is a PNG without a profile; it appears whole and synced, and never changes.
"""

import errno
import os
import re
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from lamina.errors import FormatError
from lamina.formats import png
from lamina.formats.files import hidden_beside
from lamina.pixels import freeze, pixel_sha256
from lamina.server.problems import NotFound, StorageFull

__all__ = ["PixelFiles", "SharedSync", "sync_folder", "told_when_full", "write_whole"]

_NAME = re.compile(r"[0-9a-f]{64}")
_GRACE_SECONDS = 3600.0
"""A file younger than this is not swept: a document that holds it may be just being saved."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PixelFiles:
    """The pixel store under one folder; for many threads of one process."""

    def __init__(self, folder: Path, *, cache_bytes: int) -> None:
        self._folder = folder
        self._cache = _Cache(cache_bytes)
        self._deleting = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the PNG of these pixels lies; raises NotFound when there are none of this name."""
        if _NAME.fullmatch(name):
            path = self._place(name)
            if path.is_file():
                return path
        raise NotFound(f"no pixels have the sha256 '{name[:80]}'")

    def put(self, rgba: UInt8[np.ndarray, "h w 4"]) -> str:
        """Keep stored pixels and return their name; they are on the disk when this returns. Raises StorageFull."""
        name = self._cache.name_of(rgba) or pixel_sha256(rgba)
        path = self._place(name)
        with self._deleting:
            there = path.is_file()
            if there:
                os.utime(path)  # as good as new: the sweep leaves it
        if not there:
            write_whole(path, png.encode(rgba))
        self._cache.add(name, freeze(rgba))
        return name

    def get(self, name: str) -> UInt8[np.ndarray, "h w 4"]:
        """The stored pixels of this name, read-only. Raises NotFound; FormatError where the file was damaged."""
        rgba = self._cache.get(name)
        if rgba is None:
            data = self.path(name).read_bytes()
            rgba = freeze(png.decode(data, f"the stored picture {name}").rgba)
            if pixel_sha256(rgba) != name:
                raise FormatError(f"the stored picture {name} was altered on disk")
            self._cache.add(name, rgba)
        return rgba

    def size(self, name: str) -> int:
        """Bytes of the file."""
        return self.path(name).stat().st_size

    def sweep(self, held: Collection[str]) -> int:
        """Remove the files that no document holds; returns how many."""
        removed, before = 0, time.time() - _GRACE_SECONDS
        for path in self._folder.glob("*/*"):  # those that a process was cut off at writing, too
            if path.stem in held:
                continue
            with self._deleting, suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
        return removed

    def _place(self, name: str) -> Path:
        return self._folder / name[:2] / f"{name}.png"


class _Cache:
    """Decoded pixels by name, least recently used out first; and the names of arrays that are still in use."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._names: dict[int, tuple[weakref.ref[np.ndarray], str]] = {}
        self._lock = threading.RLock()  # a garbage collection within a call may forget a name

    def get(self, name: str) -> np.ndarray | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def name_of(self, array: np.ndarray) -> str | None:
        with self._lock:
            reference, name = self._names.get(id(array), (None, ""))
            return name if reference is not None and reference() is array else None

    def add(self, name: str, array: np.ndarray) -> None:
        with self._lock:
            key = id(array)
            self._names[key] = (weakref.ref(array, lambda _: self._forget(key)), name)
            if name in self._kept or array.nbytes > self._most:
                return
            self._kept[name] = array
            self._bytes += array.nbytes
            while self._bytes > self._most:
                _, old = self._kept.popitem(last=False)
                self._bytes -= old.nbytes

    def _forget(self, key: int) -> None:
        with self._lock:
            reference, _ = self._names.get(key, (None, ""))
            if reference is not None and reference() is None:
                del self._names[key]


class SharedSync:
    """Puts on the disk what was written to one file; threads that wait for it at the same time share a sync."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counting, self._syncing = threading.Lock(), threading.Lock()
        self._asked = self._done = 0

    def wait(self) -> None:
        """Return when all that was written before this call is on the disk."""
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._syncing:
            if self._done >= mine:
                return  # by a sync that began after we asked
            with self._counting:
                begun = self._asked
            with suppress(FileNotFoundError):  # SQLite removes its log when all of it is in the database
                handle = os.open(self._path, os.O_RDWR)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
            self._done = begun


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole and stays after a loss of power. Raises StorageFull where there is no room."""
    temporary = hidden_beside(path)
    try:
        with told_when_full():
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                sync_folder(path.parent.parent)
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last; where folders cannot be opened (Windows), nothing needs to be done."""
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def told_when_full() -> Generator[None]:
    """Turn the system's "no space left" into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFull("the service has no room left on its disk; nothing was lost, try again later") from error
