"""Pictures as files in memory."""

import base64
import io

import numpy as np
from PIL import Image

__all__ = ["data_uri", "noise_bytes", "png_bytes"]


def png_bytes(width: int = 32, height: int = 24, seed: int = 0, kind: str = "PNG") -> bytes:
    """A picture of large random squares."""
    small = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST).save(stream, kind)
    return stream.getvalue()


def noise_bytes(width: int, height: int) -> bytes:
    """A picture that does not compress."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")
