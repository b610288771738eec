"""Zip archives for the formats that are zips: written byte for byte the same each time, read within limits.

A member's name is only ever looked up inside the archive and never used as a path on disk, so `../` reaches nothing.
"""

import os
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager

from lamina.errors import FormatError

__all__ = ["add_member", "open_archive", "read_member"]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: equal documents give equal bytes
_MAX_MEMBERS = 20_000
_MAX_MEMBER_BYTES = 1 << 29


def add_member(archive: zipfile.ZipFile, name: str, data: bytes, *, stored: bool = False) -> None:
    """Add one file with a fixed date and mode; `stored` for what is compressed already."""
    member = zipfile.ZipInfo(name, date_time=_EPOCH)
    member.create_system = 3  # Unix, on every system, for equal bytes
    member.external_attr = 0o644 << 16
    member.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    archive.writestr(member, data)


@contextmanager
def open_archive(path: str | os.PathLike[str], kind: str) -> Generator[zipfile.ZipFile]:
    """Open a zip for reading; `kind` ("an OpenRaster file") words the FormatError of anything that is not one."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise FormatError(f"{os.fspath(path)} is not {kind}: not a whole zip archive ({error})") from error
    except OSError as error:
        raise FormatError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    with archive:
        count = len(archive.infolist())
        if count > _MAX_MEMBERS:
            raise FormatError(f"{os.fspath(path)} holds {count} files, expected at most {_MAX_MEMBERS}")
        yield archive


def read_member(archive: zipfile.ZipFile, name: str, limit: int = _MAX_MEMBER_BYTES) -> bytes:
    """The bytes of one member, at most `limit`; raises FormatError when it is missing, damaged or too large.

    A zip cannot yield more than the size it declares, so the declared size is what is checked.
    """
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise FormatError(f"{archive.filename} lacks the file '{name}'") from None
    if member.file_size > limit:
        raise FormatError(f"'{name}' in {archive.filename} unpacks to {member.file_size} bytes, more than {limit}")
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise FormatError(f"'{name}' in {archive.filename} is damaged: {error}") from error
