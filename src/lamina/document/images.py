"""The `image` of an edit: text that names pixels, and how it becomes pixels.

Three forms: a data URI (PNG, JPEG, WebP and whatever else `pixels` reads, told by content), the sha256 of stored
pixels, a file path. Where a path is not welcome (HTTP) is for the reader of the JSON to say. No address is ever
fetched.
"""

import base64
import binascii
import io
import os
import re

import numpy as np
from jaxtyping import UInt8

from lamina.errors import InputError
from lamina.pixels import PictureLike, load_image, to_image

__all__ = ["image_text", "is_path", "read_image"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


def image_text(image: PictureLike) -> str:
    """The text form of anything a caller may give for a picture: a path is its own text, pixels become a data URI."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    if isinstance(image, bytes):
        return "data:application/octet-stream;base64," + base64.b64encode(image).decode("ascii")
    stream = io.BytesIO()
    to_image(load_image(image).rgba).save(stream, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def is_path(text: str) -> bool:
    """True when the text is neither a data URI nor a sha256."""
    return not text.startswith("data:") and _SHA256.fullmatch(text) is None


def read_image(text: str) -> UInt8[np.ndarray, "h w 4"]:
    """Stored pixels of a data URI or a file: upright, sRGB, read-only. Raises InputError when unusable."""
    if text.startswith("data:"):
        return load_image(_payload(text)).rgba
    if not is_path(text):
        raise InputError(f"no stored pixels have the sha256 {text}")
    return load_image(text).rgba


def _payload(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InputError(f"data URI begins with '{head[:40]}', expected 'data:image/png;base64,' or the like")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"data URI is not base64: {error}") from error
