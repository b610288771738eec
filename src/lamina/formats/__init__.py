"""Documents to and from files: a table of formats by ending, each of two functions.

A format is a module with `read(path) -> Document` and `write(document, path) -> list[str]`; the list says in words
what the format could not keep. A module is loaded when its ending is first met. Files appear whole, by rename.
"""

import os
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

from lamina.document.document import Document
from lamina.errors import FormatError, InputError
from lamina.formats.files import check_file, names_folder
from lamina.formats.limits import LARGEST_FILE

__all__ = ["FOLDER", "FORMATS", "check_target", "read", "write"]

FOLDER = "/"
"""The ending that stands for a bundle folder."""

FORMATS = {
    FOLDER: "bundle",
    ".zip": "bundle",
    ".psd": "psd",
    ".psb": "psd",
    ".ora": "ora",
    ".pptx": "pptx",
    ".png": "png",
}
"""Ending -> the module here that reads and writes it; one without `read` is write-only."""


def read(path: str | os.PathLike[str]) -> Document:
    """The document in a file or bundle folder. Raises FormatError when it is absent or broken, InputError when its
    ending is unknown. What a foreign file held and a document cannot is listed in `meta["notes"]`."""
    module = _module(path)
    _check_source(path)
    if not hasattr(module, "read"):
        raise FormatError(f"cannot read {os.fspath(path)}: this format is written, not read")
    return module.read(path)


def write(document: Document, path: str | os.PathLike[str]) -> list[str]:
    """Write a document in the format of the ending; returns, in words, what that format could not keep.

    What stands at `path` is replaced when the new one is whole. Raises InputError when the place cannot be written or
    the ending is unknown.
    """
    return _module(path).write(document, path)


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise InputError when `write` is sure to refuse this path: told in a moment, before long work is begun."""
    module = _module(path)
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise InputError(f"cannot write {os.fspath(path)}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write {os.fspath(path)}: the folder {folder} may not be written to")
    if names_folder(path):
        module.check_folder(path)
    else:
        check_file(path)


def _module(path: str | os.PathLike[str]) -> Any:
    """The format module for a path, by its ending or by standing for a folder."""
    ending = FOLDER if names_folder(path) else Path(path).suffix.lower()
    if ending not in FORMATS:
        known = ", ".join(name for name in FORMATS if name != FOLDER)
        raise InputError(f"unknown ending '{ending}' in {os.fspath(path)}, expected a folder or one of {known}")
    return import_module(f"lamina.formats.{FORMATS[ending]}")


def _check_source(path: str | os.PathLike[str]) -> None:
    """Raise FormatError where there is nothing to read, or what would not end (a device) or is too large."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FormatError(f"cannot read {os.fspath(path)}: there is no such file or folder") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot read {os.fspath(path)}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(found.st_mode):
        return
    if not stat.S_ISREG(found.st_mode):
        raise FormatError(f"cannot read {os.fspath(path)}: it is a device or pipe, expected a file")
    if found.st_size > LARGEST_FILE:
        raise FormatError(f"cannot read {os.fspath(path)}: it is over {LARGEST_FILE // 2**30} GB")
