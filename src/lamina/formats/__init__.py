"""Documents to and from files: a table of formats by ending, each of two functions.

A format is a module with `read(path) -> Document` and `write(document, path) -> list[str]`; the list says in words
what the format could not keep. A module is loaded when its ending is first met. Files appear whole, by rename.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from lamina.document.document import Document
from lamina.errors import FormatError, InputError

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
    if not Path(path).exists():
        raise FormatError(f"cannot read {os.fspath(path)}: there is no such file or folder")
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
    _module(path)
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise InputError(f"cannot write {os.fspath(path)}: there is no folder {folder}")


def _module(path: str | os.PathLike[str]) -> Any:
    """The format module for a path: a bundle folder by a closing slash, by being one, or by having no ending."""
    text = os.fspath(path)
    ending = Path(text).suffix.lower()
    if text.endswith((FOLDER, os.sep)) or not ending or os.path.isdir(text):
        ending = FOLDER
    if ending not in FORMATS:
        known = ", ".join(name for name in FORMATS if name != FOLDER)
        raise InputError(f"unknown ending '{ending}' in {text}, expected a folder or one of {known}")
    return import_module(f"lamina.formats.{FORMATS[ending]}")
