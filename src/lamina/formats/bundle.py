"""The native, lossless form of a document: a folder or a `.zip` of document.json and PNG files.

document.json + layers/NN-name.png (as stored, bottom = 00) + composite.png + source.png, as in the contract in
docs/architecture.md. The ICC profile travels inside the PNGs. Same document, same bytes.
"""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lamina.document.composite import flatten
from lamina.document.document import Document, from_json, to_json
from lamina.document.layer import Layer
from lamina.errors import FormatError, InputError
from lamina.formats import png
from lamina.formats.archive import add_member, open_archive, read_member
from lamina.formats.files import atomic_file, hidden_beside, names_folder
from lamina.formats.limits import PixelBudget
from lamina.formats.naming import slug

__all__ = ["check_folder", "is_bundle", "read", "write"]

_ENTRIES = ("document.json", "layers", "composite.png", "source.png")
_LAYER_FILE = re.compile(r"layers/[^/\\:]+\.png")
_LARGEST_JSON = 64 * 2**20
_LARGEST_PNG = 320 * 2**20

_ReadEntry = Callable[[str, int], bytes | None]
"""(name, most bytes) -> content, None where there is no such entry; raises FormatError when it is larger."""


def read(path: str | Path) -> Document:
    """The document in a bundle folder or `.zip`, equal to the one written. Raises FormatError."""
    path = Path(path)
    try:
        if path.is_dir():
            return _read_entries(lambda name, most: _folder_entry(path, name, most), path)
        with open_archive(path, "a bundle") as archive:
            return _read_entries(lambda name, most: _zip_entry(archive, name, most), path)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error


def write(document: Document, path: str | Path) -> list[str]:
    """Write a bundle: a zip when `path` ends in .zip, a folder otherwise and for `x.zip/`; the list is empty.

    A bundle at `path` is replaced when the new one is whole; what else a person put into its folder stays there.
    Raises InputError when the place cannot be written, or is a folder that is no bundle.
    """
    if Path(path).suffix.lower() == ".zip" and not names_folder(path):
        with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, content in _contents(document):
                add_member(archive, name, content, stored=name.endswith(".png"))
    else:
        with _atomic_bundle(Path(path)) as folder:
            (folder / "layers").mkdir()
            for name, content in _contents(document):
                (folder / name).write_bytes(content)
    return []


def is_bundle(folder: str | Path) -> bool:
    """True when the folder holds a document.json of ours."""
    try:
        data = json.loads(_folder_entry(Path(folder), "document.json", _LARGEST_JSON) or b"")
    except (OSError, ValueError, RecursionError, FormatError):
        return False
    return isinstance(data, dict) and "schema" in data and "layers" in data


def check_folder(path: str | Path) -> None:
    """Raise InputError where there is something that is no bundle."""
    target = Path(path)
    try:
        if target.exists() and not is_bundle(target):
            what = "a folder that is no bundle" if target.is_dir() else "a file"
            raise InputError(f"cannot write {target}: it is {what}; name a new folder or an existing bundle")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from error


def _contents(document: Document) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every entry."""
    layers = [node for node in document.walk() if isinstance(node, Layer)]
    files = {layer.id: f"layers/{order:02d}-{slug(layer.name)}.png" for order, layer in enumerate(layers)}
    data = to_json(document, lambda layer: {"file": files[layer.id]})
    # A lone surrogate in a name is no UTF-8, but as its backslash escape it is JSON.
    yield "document.json", json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace")
    for layer in layers:
        yield files[layer.id], png.encode(layer.rgba, document.icc, document.dpi)
    yield "composite.png", png.encode(flatten(document), document.icc, document.dpi)
    if document.source is not None:
        yield "source.png", png.encode(document.source, document.icc, document.dpi)


def _read_entries(entry: _ReadEntry, path: Path) -> Document:
    text = entry("document.json", _LARGEST_JSON)
    if text is None:
        raise FormatError(f"{path} is no bundle: it holds no document.json")
    budget = PixelBudget()

    def pixels(fields: Mapping[str, Any]) -> Any:
        name = str(fields["file"])
        if not _LAYER_FILE.fullmatch(name):
            raise FormatError(f"document.json names the file {name!r}, expected layers/NAME.png")
        content = entry(name, _LARGEST_PNG)
        if content is None:
            raise FormatError(f"{path} lacks {name}, which document.json names")
        rgba = png.decode(content, name, budget).rgba
        declared = fields.get("width", rgba.shape[1]), fields.get("height", rgba.shape[0])
        if declared != (rgba.shape[1], rgba.shape[0]):
            raise FormatError(f"{name} is {rgba.shape[1]}x{rgba.shape[0]}, document.json says {declared}")
        return rgba

    try:
        data = json.loads(text)
        budget.take(int(data["width"]), int(data["height"]), "the canvas")
        source, composite = entry("source.png", _LARGEST_PNG), entry("composite.png", _LARGEST_PNG)
        return from_json(
            data,
            pixels,
            icc=png.embedded_profile(composite, "composite.png") if composite else None,
            source=png.decode(source, "source.png", budget).rgba if source else None,
        )
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise FormatError(f"document.json is malformed: {type(error).__name__} {error}") from error


def _folder_entry(folder: Path, name: str, most: int) -> bytes | None:
    file = folder / name
    if not file.is_file():
        return None
    if not file.resolve().is_relative_to(folder.resolve()):
        raise FormatError(f"{name} leads out of the bundle")
    if file.stat().st_size > most:
        raise FormatError(f"{name} is over {most // 2**20} MB, more than is read")
    return file.read_bytes()


def _zip_entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes | None:
    return read_member(archive, name, most) if name in archive.NameToInfo else None


@contextmanager
def _atomic_bundle(path: Path) -> Generator[Path]:
    """Yield a temporary folder beside `path`, which takes its place when the block ends without an error."""
    check_folder(path)
    target = Path(os.path.abspath(path))
    temporary, retired = hidden_beside(target), hidden_beside(target, "-old")
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            _carry_foreign(target, temporary)
            target.rename(retired)
        try:
            temporary.rename(target)
        except OSError:
            if retired.exists():
                retired.rename(target)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if target.exists():
            shutil.rmtree(retired, ignore_errors=True)


def _carry_foreign(old: Path, new: Path) -> None:
    for entry in old.iterdir():
        if entry.name not in _ENTRIES:
            if entry.is_dir():
                shutil.copytree(entry, new / entry.name, symlinks=True)
            else:
                shutil.copy2(entry, new / entry.name, follow_symlinks=False)
