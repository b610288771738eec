"""Perceptual hashes: whether two pictures look the same, whatever their size and compression.

The 64 signs of the lowest frequencies of the picture's grey values, against their median; near-duplicates differ in
few bits. Used to drop repeated designs and to keep evaluation pictures out of training. Knows pictures and how to
find them in a folder. Source: DCT-based perceptual hash as described by C. Zauner, "Implementation and Benchmarking
of Perceptual Image Hash Functions", 2010, section 3.2.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from lamina.errors import FormatError, InputError, LaminaError
from lamina.formats.files import atomic_file
from lamina.pixels import load_image, over_flat

__all__ = [
    "NEAR",
    "distances",
    "hash_folder",
    "phash",
    "read_hashes",
    "refuses",
    "write_hashes",
]

NEAR = 6
"""Pictures whose hashes differ in at most this many of 64 bits count as the same."""

_SIDE = 32
_KEPT = 8
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_LAYERED = (".psd", ".psb", ".ora", ".zip")
_SCHEMA = 1


def phash(rgb_hwc_u8: UInt8[np.ndarray, "h w 3"]) -> int:
    """The 64-bit hash of a picture; the same for the same bytes."""
    grey = cv2.cvtColor(np.ascontiguousarray(rgb_hwc_u8), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low = np.asarray(cv2.dct(small))[:_KEPT, :_KEPT].ravel()
    bits = low > np.median(low[1:])  # the first is the mean, which says how bright, not what
    return int(np.packbits(bits).view(">u8")[0])


def distances(hashes: np.ndarray, one: int) -> np.ndarray:
    """How many of 64 bits each of `hashes` (uint64) differs in from `one`."""
    return np.bitwise_count(hashes ^ np.uint64(one)).astype(np.int64)


def refuses(hashes: np.ndarray, picture: UInt8[np.ndarray, "h w 3"], *, near: int = NEAR) -> bool:
    """True when a picture looks like one of those whose `hashes` (uint64) are given, as it is or mirrored."""
    if not len(hashes):
        return False
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    return any(int(distances(hashes, phash(each)).min()) <= near for each in (picture, mirrored))


def hash_folder(folder: Path, on_step: Callable[[int, int], None] | None = None) -> dict[str, int]:
    """The hash of every picture, layered file and document in a folder, by its path in there; sorted.

    A document (a bundle, or a folder with `composite.png`) counts once, by its composite; a layered file by the flat
    picture of its layers. What cannot be read is left out. Raises InputError when nothing was found.
    """
    files = list(_pictures(folder))
    found: dict[str, int] = {}
    for step, path in enumerate(files):
        if on_step:
            on_step(step, len(files))
        try:
            found[path.relative_to(folder).as_posix()] = phash(_flat(path))
        except LaminaError:
            continue
    if not found:
        raise InputError(f"{folder} holds no picture that can be read")
    return found


def write_hashes(hashes: Mapping[str, int], path: Path) -> None:
    """Write a list of hashes as JSON, whole or not at all."""
    data = {"schema": _SCHEMA, "hashes": {name: f"{value:016x}" for name, value in sorted(hashes.items())}}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_hashes(path: str | os.PathLike[str]) -> np.ndarray:
    """The hashes (uint64) in a list that `write_hashes` wrote, or of what is in a folder. Raises FormatError."""
    path = Path(path)
    if path.is_dir():
        return np.array(sorted(hash_folder(path).values()), np.uint64)
    try:
        data: Any = json.loads(path.read_bytes())
        if data["schema"] != _SCHEMA:
            raise ValueError(f"schema is {data['schema']}, expected {_SCHEMA}")
        return np.array(sorted(int(text, 16) for text in data["hashes"].values()), np.uint64)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(f"{path} is no list of hashes: {error}; make one with 'lamina data hashes'") from error


def _pictures(folder: Path) -> Iterator[Path]:
    """Files that show one thing each, in order: within a document only its composite."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder, expected one of pictures or documents")
    composite = folder / "composite.png"
    if composite.is_file():
        yield composite
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _pictures(path)
        elif path.suffix.lower() in _PICTURES + _LAYERED:
            yield path


def _flat(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    if path.suffix.lower() in _LAYERED:
        from lamina.data.preview import own_preview

        return over_flat(own_preview(path))
    return over_flat(load_image(path).rgba)
