"""ICC profiles: the one we write for sRGB, and the way from other colour spaces to it.

Knows nothing of files; a profile is bytes. Colour management is Little CMS, through Pillow.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import functools
import io
from typing import Any

from PIL import Image, ImageCms

__all__ = ["is_rgb", "is_srgb", "srgb_profile", "to_srgb"]

_HEADER = 128  # bytes; ICC.1:2022, 7.2
_DATE = slice(24, 36)


@functools.cache
def srgb_profile() -> bytes:
    """An sRGB profile, the same bytes every time (Little CMS would stamp it with the hour of its making)."""
    made: Any = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    profile = bytearray(made.tobytes())
    profile[_DATE] = bytes((0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    return bytes(profile)


def is_srgb(icc: bytes) -> bool:
    """True when `icc` is the profile that `srgb_profile` makes, whatever its header says of date and maker."""
    return icc[_HEADER:] == srgb_profile()[_HEADER:]


def is_rgb(icc: bytes) -> bool:
    """True when the profile describes RGB pixels (ICC.1:2022, 7.2.8)."""
    return icc[16:20] == b"RGB "


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert a grey or CMYK picture to sRGB by its profile; by the plain formula where that is absent or unusable."""
    if icc and not is_rgb(icc):
        try:
            source: Any = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            target: Any = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB")
