"""Flat PNG: a picture as a document of one layer, a document as its composite; and the PNG codec of the other formats.

The codec keeps every stored byte, colour under alpha 0 included, and writes the same bytes for the same pixels.
Source: PNG specification, third edition (W3C, 2025).
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import Layer
from lamina.errors import FormatError
from lamina.formats.files import atomic_file
from lamina.formats.limits import PixelBudget
from lamina.formats.naming import foreign_id
from lamina.formats.profile import is_rgb, to_srgb

__all__ = ["Picture", "decode", "embedded_profile", "encode", "read", "write"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_METRES_PER_INCH = 0.0254
_LEVEL = 2  # zlib: beyond it the time doubles for a file 5 % smaller
_LARGEST_PROFILE = 16 * 2**20  # bytes; real ones reach about 3 MB


class Picture(NamedTuple):
    """What a PNG holds: stored pixels, its RGB profile (None: sRGB), dots per inch."""

    rgba: UInt8[np.ndarray, "h w 4"]
    icc: bytes | None
    dpi: tuple[float, float] | None


def read(path: str | Path) -> Document:
    """A flat picture as a document of one layer that keeps alpha, profile and resolution. Raises FormatError."""
    path = Path(path)
    try:
        picture = decode(path.read_bytes(), path.name)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    layer = Layer(id=foreign_id(0, path.stem), name=path.stem, rgba=picture.rgba)
    return Document(width=layer.width, height=layer.height, layers=(layer,), icc=picture.icc, dpi=picture.dpi)


def write(document: Document, path: str | Path) -> list[str]:
    """Write the composite, whole or not at all; the list says what a flat picture cannot keep. Raises InputError."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(encode(flatten(document), document.icc, document.dpi))
    count = sum(1 for _ in document.walk())
    return [f"{count} layers and groups were flattened into one picture"] if count > 1 else []


def encode(rgba: UInt8[np.ndarray, "h w 4"], icc: bytes | None = None, dpi: tuple[float, float] | None = None) -> bytes:
    """An 8-bit RGBA PNG of stored pixels. `icc` None is marked as sRGB.

    Only the "up" row filter is used: on layers it compresses as well as choosing a filter for every row, in a third
    of the time.
    """
    height, width = rgba.shape[:2]
    rows = np.ascontiguousarray(rgba).reshape(height, 4 * width)
    filtered = np.empty((height, 4 * width + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))]
    chunks.append(_chunk(b"sRGB", b"\0") if icc is None else _chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc, _LEVEL)))
    if dpi is not None:
        per_metre = [min(max(round(d / _METRES_PER_INCH), 0), 2**31 - 1) for d in dpi]
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    chunks += [_chunk(b"IDAT", zlib.compress(filtered.data, _LEVEL)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def decode(data: bytes, what: str, budget: PixelBudget | None = None) -> Picture:
    """The picture in a PNG of any kind, as 8-bit RGBA. `what` names it in the FormatError of a broken one.

    Grey with a grey profile becomes sRGB; any other pixels keep their numbers and their profile. 16 bits are rounded.
    """
    chunks = list(_chunks(data, what))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise FormatError(f"{what} is a broken PNG: it does not begin with a header")
    width, height, depth = struct.unpack(">IIB", chunks[0][1][:9])
    (budget or PixelBudget()).take(width, height, what)
    icc = _profile(chunks)
    if any(kind == b"iCCP" for kind, _ in chunks):  # Pillow gives up on profiles over 1 MB, so it sees none
        data = _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks if kind != b"iCCP")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
            rgba = _sixteen_bits(data) if depth == 16 else _eight_bits(image, icc)
            dpi = image.info.get("dpi")
    except (OSError, SyntaxError, ValueError, LookupError, EOFError, struct.error, zlib.error) as error:
        raise FormatError(f"{what} is a broken PNG: {error}") from error
    kept = icc if icc and is_rgb(icc) else None
    # A PNG counts whole pixels per metre, so inches come back a hundredth off: 72.01 for 72.
    return Picture(rgba, kept, (round(dpi[0], 1), round(dpi[1], 1)) if dpi and min(dpi) > 0 else None)


def embedded_profile(data: bytes, what: str) -> bytes | None:
    """The ICC profile in a PNG, without decoding pixels; None when there is none. Raises FormatError."""
    return _profile(_chunks(data, what))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _chunks(data: bytes, what: str) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of every chunk up to the end mark; raises FormatError where the file is cut or altered."""
    if not data.startswith(_SIGNATURE):
        raise FormatError(f"{what} is not a PNG")
    place, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        if place + 12 > len(data):
            raise FormatError(f"{what} is a broken PNG: it ends early")
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        if data[place : place + 12 + length] != _chunk(kind, body):
            raise FormatError(f"{what} is a broken PNG: it is cut or altered")
        yield kind, body
        place += 12 + length


def _profile(chunks: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The profile among the chunks; an unreadable or unreasonably large one counts as none."""
    for kind, body in chunks:
        if kind == b"iCCP":
            inflate = zlib.decompressobj()
            try:
                icc = inflate.decompress(body.partition(b"\0")[2][1:], _LARGEST_PROFILE)
            except zlib.error:
                return None
            return icc if inflate.eof else None
    return None


def _eight_bits(image: Image.Image, icc: bytes | None) -> UInt8[np.ndarray, "h w 4"]:
    rgba = np.array(image.convert("RGBA"))
    if icc and not is_rgb(icc):
        rgba[..., :3] = np.asarray(to_srgb(image.convert("L"), icc))
    return rgba


def _sixteen_bits(data: bytes) -> UInt8[np.ndarray, "h w 4"]:
    """Pillow cuts 16 bits to 8 and has no mode for most such pictures; OpenCV keeps them."""
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("its 16-bit pixels cannot be decoded")
    pixels = np.atleast_3d(pixels)
    if pixels.shape[2] < 3:
        pixels = pixels[..., [0, 0, 0, 1][: 2 + pixels.shape[2]]]
    else:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    rgba = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    rgba[..., : pixels.shape[2]] = (pixels.astype(np.uint32) * 255 + 32767) // 65535
    return rgba
