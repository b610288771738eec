"""A layered file's own flat picture: the merged image of a PSD, `mergedimage.png` of an ORA, a bundle's composite.

It is what the program that made the file saw, so whatever our reading of the layers misses shows against it.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from psd_tools import PSDImage
from psd_tools.constants import ColorMode

from lamina.errors import FormatError, LaminaError
from lamina.formats import png
from lamina.formats.archive import open_archive, read_member
from lamina.formats.limits import PixelBudget

__all__ = ["LAYERED", "Difference", "difference", "open_psd", "own_preview"]

LAYERED = (".psd", ".psb", ".ora", ".zip")
"""Endings of the layered files that are harvested; beside them, bundle folders."""

_HEADER = 26  # bytes
_OFF = 16  # of 255

logging.getLogger("psd_tools").addHandler(logging.NullHandler())


class Difference(NamedTuple):
    """How far two flat pictures are apart: the mean absolute difference of a byte, over white, in 1/255 units; and
    the share of pixels of which some channel differs by more than 16/255."""

    mean: float
    off: float


def difference(one: UInt8[np.ndarray, "h w 3"], other: UInt8[np.ndarray, "h w 3"]) -> Difference:
    """The measure of the harvest's check. Both are flat, of one size."""
    total, off = 0.0, 0
    for top in range(0, len(one), 256):
        strip = np.abs(one[top : top + 256].astype(np.int16) - other[top : top + 256])
        total += float(strip.sum())
        off += int((strip.max(axis=2) > _OFF).sum())
    return Difference(total / one.size, off / (one.shape[0] * one.shape[1]))


def own_preview(path: Path, psd: Any = None) -> UInt8[np.ndarray, "h w 4"]:
    """Stored pixels of the flat picture in a layered file, in the file's own colours when these are RGB.

    `psd` is what `open_psd` gave, where the file is open already. Raises FormatError when there is none, as in a PSD
    saved without compatibility.
    """
    if path.is_dir():
        return _png((path / "composite.png"), path)
    match path.suffix.lower():
        case ".psd" | ".psb":
            return _psd_preview(psd or open_psd(path), path)
        case ".ora":
            with open_archive(path, "an OpenRaster file") as archive:
                return png.decode(read_member(archive, "mergedimage.png"), "mergedimage.png").rgba
        case ".zip":
            with open_archive(path, "a bundle") as archive:
                return png.decode(read_member(archive, "composite.png"), "composite.png").rgba
        case other:
            raise FormatError(f"{path} ends in '{other}', expected a layered file: {', '.join(LAYERED)}")


def open_psd(path: Path) -> Any:
    """The `PSDImage` in a file whose canvas is of a size that is read. Raises FormatError."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
            if len(head) < _HEADER or not head.startswith(b"8BPS"):
                raise FormatError(f"{path} is not a PSD or PSB file")
            PixelBudget().take(int.from_bytes(head[18:22]), int.from_bytes(head[14:18]), "the canvas")
            file.seek(0)
            return PSDImage.open(file)
    except (LaminaError, MemoryError):
        raise
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # what a parser raises on arbitrary bytes has no end
        raise FormatError(f"{path} is a broken PSD: {type(error).__name__}") from error


def _psd_preview(psd: Any, path: Path) -> UInt8[np.ndarray, "h w 4"]:
    if not psd.has_preview():
        raise FormatError(f"{path} was saved without a flat picture of its own, so its layers cannot be checked")
    try:
        image = psd.topil(apply_icc=psd.color_mode != ColorMode.RGB)
        if image is None:
            raise ValueError("no picture")
        return np.array(image.convert("RGBA"))
    except MemoryError:
        raise
    except Exception as error:
        raise FormatError(f"the flat picture in {path} is broken: {type(error).__name__}") from error


def _png(path: Path, what: Path) -> UInt8[np.ndarray, "h w 4"]:
    try:
        return png.decode(path.read_bytes(), path.name).rgba
    except OSError as error:
        raise FormatError(f"{what} lacks {path.name}: {error.strerror or error}") from error
