"""The only door between file, array and tensor conventions.

Three states: *stored* (uint8, straight alpha, HWC), *working* (float 0-1, premultiplied, HWC, sRGB-encoded) and
*model* (float -1..1, CHW). Knows nothing of documents, formats or networks.
"""

import functools
import hashlib
import io
import math
import os
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Float, Num, UInt8
from PIL import Image

from lamina.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL.ImageCms import ImageCmsTransform

__all__ = [
    "MAX_PIXELS",
    "Picture",
    "PictureLike",
    "bleed",
    "box_slices",
    "channel_max",
    "channel_sum",
    "freeze",
    "from_model",
    "load_image",
    "model_size",
    "over_flat",
    "pixel_sha256",
    "premultiply",
    "resize_premul",
    "resize_rgba",
    "round_u8",
    "to_image",
    "to_model",
    "trim_box",
    "unpremultiply",
]

MAX_PIXELS = 64_000_000
"""Largest picture that is taken, in pixels."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "AVIF", "JPEG2000", "PPM", "ICO", "QOI")
"""Pillow's readers that only decode pixels; others run programs (EPS) or take anything for a picture (TGA)."""

_STRIP_PIXELS = 1 << 20
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
"""What each EXIF orientation asks for (EXIF 2.32, tag 0x0112)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """A flat picture as it is seen: upright, sRGB, stored state, read-only.

    `sha256` is of the file's bytes, or of the pixels where there was no file; `dpi` is (x, y) dots per inch; `notes`
    says in words what reading had to decide (a broken colour profile, further frames left out).
    """

    rgba: UInt8[np.ndarray, "h w 4"]
    sha256: str
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return self.rgba.shape[1]

    @property
    def height(self) -> int:
        return self.rgba.shape[0]


PictureLike = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Picture
"""What callers may give for a picture: a path, a file's bytes, a Pillow image, uint8 (h, w), (h, w, 1 | 3 | 4)."""


def load_image(source: PictureLike) -> Picture:
    """Read a picture of any mode as stored sRGB RGBA, turned as its EXIF says; of an animation the first frame.

    Beside the decoder's own, memory is one RGBA copy and a strip. Raises InputError when there is no readable picture
    or when it has more than `MAX_PIXELS` (told from the header, before anything is decoded).
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, np.ndarray):
        rgba = freeze(_array_to_rgba(source))
        return Picture(rgba=rgba, sha256=pixel_sha256(rgba))
    if isinstance(source, Image.Image):
        return _decode(source, "the picture", None)
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), "the picture")
    path = Path(source)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path} is a folder, expected a picture file")
        if not stat.S_ISREG(mode):
            raise InputError(f"{path} is a device or pipe, expected a picture file")
        with path.open("rb") as file:
            return _read(file, str(path))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist, expected a picture file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def pixel_sha256(rgba_hwc_u8: UInt8[np.ndarray, "h w 4"]) -> str:
    """Name of stored pixels: hex sha256 over the ASCII text "width height\\n" and the RGBA bytes, row by row."""
    digest = hashlib.sha256(f"{rgba_hwc_u8.shape[1]} {rgba_hwc_u8.shape[0]}\n".encode("ascii"))
    digest.update(np.ascontiguousarray(rgba_hwc_u8).data)
    return digest.hexdigest()


def round_u8(values_255: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Round floats in 0-255 to the nearest integer (halves up) and clip: the one float-to-byte rule."""
    return np.clip(np.floor(values_255 + 0.5), 0, 255).astype(np.uint8)


def channel_max(values: Num[np.ndarray, "*any c"]) -> Num[np.ndarray, "*any"]:
    """The largest of a few channels: what `max(axis=-1)` gives, in a tenth of its time."""
    return functools.reduce(np.maximum, np.moveaxis(values, -1, 0))


def channel_sum(values: Num[np.ndarray, "*any c"]) -> Num[np.ndarray, "*any"]:
    """The sum of a few channels, of their type: what `sum(axis=-1)` gives, in a tenth of its time."""
    return functools.reduce(np.add, np.moveaxis(values, -1, 0))


def freeze(array: np.ndarray) -> np.ndarray:
    """Return `array` made read-only: itself when it owns its memory and is contiguous, else a copy."""
    if not array.flags.writeable and array.flags.c_contiguous:
        return array
    if array.base is not None or not array.flags.c_contiguous:
        array = np.array(array, order="C")
    array.flags.writeable = False
    return array


def premultiply(rgba_hwc_u8: UInt8[np.ndarray, "h w 4"], dtype: type = np.float64) -> Float[np.ndarray, "h w 4"]:
    """Stored -> working: straight bytes to premultiplied floats 0-1."""
    working = rgba_hwc_u8.astype(dtype) / dtype(255)
    working[..., :3] *= working[..., 3:]
    return working


def unpremultiply(premul_hwc_01: Float[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Working -> stored. Colour where alpha is 0 becomes 0; use `bleed` where it must be defined."""
    alpha = premul_hwc_01[..., 3:]
    straight = np.divide(premul_hwc_01[..., :3], alpha, out=np.zeros_like(premul_hwc_01[..., :3]), where=alpha > 0)
    return round_u8(np.concatenate([straight, alpha], axis=-1) * 255.0)


def over_flat(
    rgba_hwc_u8: UInt8[np.ndarray, "h w 4"], colour: tuple[int, int, int] = (255, 255, 255)
) -> UInt8[np.ndarray, "h w 3"]:
    """Flatten stored RGBA over one opaque colour (0-255)."""
    if (rgba_hwc_u8[..., 3] == 255).all():
        return np.ascontiguousarray(rgba_hwc_u8[..., :3])
    alpha = rgba_hwc_u8[..., 3:].astype(np.float32) / 255.0
    ground = np.asarray(colour, dtype=np.float32)
    return round_u8(rgba_hwc_u8[..., :3] * alpha + ground * (1.0 - alpha))


def resize_premul(
    premul_hwc: Float[np.ndarray, "h w c"],
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Float[np.ndarray, "H W c"]:
    """Resize a premultiplied float array to `size` (width, height), optionally from a source box.

    Bicubic, widened to the antialiased area when shrinking; float32 inside; overshoot is kept (callers clip).
    """
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(premul_hwc[..., c], dtype=np.float32)).resize(
                size, Image.Resampling.BICUBIC, box=box
            )
        )
        for c in range(premul_hwc.shape[2])
    ]
    return np.stack(channels, axis=-1)


def resize_rgba(rgba_hwc_u8: UInt8[np.ndarray, "h w 4"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 4"]:
    """Resize stored RGBA to `size` (width, height), premultiplied inside."""
    if (rgba_hwc_u8.shape[1], rgba_hwc_u8.shape[0]) == size:
        return rgba_hwc_u8
    working = np.clip(resize_premul(premultiply(rgba_hwc_u8, np.float32), size), 0.0, 1.0)
    working[..., :3] = np.minimum(working[..., :3], working[..., 3:])
    return unpremultiply(working)


def trim_box(alpha_hw: np.ndarray) -> tuple[int, int, int, int] | None:
    """Smallest half-open box (left, top, right, bottom) that holds every non-zero value; None when there is none."""
    rows = np.flatnonzero(alpha_hw.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(alpha_hw[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_slices(mask_hw: np.ndarray, margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the box that holds every non-zero value, and `margin` more; empty when there is none."""
    left, top, right, bottom = trim_box(mask_hw) or (0, 0, -margin, -margin)
    rows = slice(max(0, top - margin), min(mask_hw.shape[0], bottom + margin))
    return rows, slice(max(0, left - margin), min(mask_hw.shape[1], right + margin))


def bleed(rgba_hwc_u8: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Give every pixel of alpha 0 the colour of its nearest visible pixel; all-transparent becomes black."""
    from scipy import ndimage

    hidden = rgba_hwc_u8[..., 3] == 0
    out = rgba_hwc_u8.copy()
    if hidden.all():
        out[..., :3] = 0
    elif hidden.any():
        nearest = cast(Any, ndimage).distance_transform_edt(hidden, return_distances=False, return_indices=True)
        rows, columns = nearest[0][hidden], nearest[1][hidden]
        out[hidden, :3] = rgba_hwc_u8[rows, columns, :3]
    return out


def to_image(rgba_hwc_u8: UInt8[np.ndarray, "h w 4"]) -> Image.Image:
    """Stored array -> Pillow image, mode RGBA, sharing no memory."""
    return Image.fromarray(np.ascontiguousarray(rgba_hwc_u8), "RGBA")


def model_size(width: int, height: int, *, area: int, multiple: int) -> tuple[int, int]:
    """Size (width, height) near `area` pixels with the picture's aspect (held within 1:4), in steps of `multiple`."""
    aspect = min(max(width / height, 0.25), 4.0)
    side = math.sqrt(area)
    w = max(multiple, round(side * math.sqrt(aspect) / multiple) * multiple)
    h = max(multiple, round(side / math.sqrt(aspect) / multiple) * multiple)
    return w, h


def to_model(pixels_hwc_u8: UInt8[np.ndarray, "h w c"]) -> "torch.Tensor":
    """Stored -> model: bytes to a float32 tensor -1..1, CHW."""
    import torch

    return torch.as_tensor(np.ascontiguousarray(pixels_hwc_u8)).permute(2, 0, 1).float() / 127.5 - 1.0


def from_model(tensor_chw_11: "torch.Tensor") -> UInt8[np.ndarray, "h w c"]:
    """Model -> stored: float -1..1, CHW to bytes; the exact inverse of `to_model`."""
    hwc = tensor_chw_11.detach().float().permute(1, 2, 0).cpu().numpy().astype(np.float64)
    return round_u8((hwc + 1.0) * 127.5)


def _array_to_rgba(array: np.ndarray) -> UInt8[np.ndarray, "h w 4"]:
    planes = array[..., None] if array.ndim == 2 else array
    if array.dtype != np.uint8 or planes.ndim != 3 or planes.shape[2] not in (1, 3, 4) or 0 in planes.shape:
        raise InputError(
            f"the picture is an array of {array.dtype} {array.shape}, expected uint8 (h, w), (h, w, 3) or (h, w, 4)"
        )
    _check_size(planes.shape[1], planes.shape[0], "the picture")
    out = np.full((*planes.shape[:2], 4), 255, np.uint8)
    out[..., : max(3, planes.shape[2])] = planes
    return out


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} is {width}x{height}, {width * height / 1e6:.2f} megapixels, "
            f"expected at most {MAX_PIXELS // 10**6}: make it smaller first"
        )


def _read(file: io.BufferedIOBase, name: str) -> Picture:
    if file.seek(0, os.SEEK_END) == 0:
        raise InputError(f"{name} is empty (0 bytes), expected a picture")
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's words on large or odd files; ours are errors and notes
            image = Image.open(cast(Any, file), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is far over {MAX_PIXELS // 10**6} megapixels: make it smaller first") from error
    except Exception as error:  # Pillow's readers raise nearly anything on broken headers
        raise InputError(
            f"{name} is not a picture that can be read (PNG, JPEG, WebP, GIF, TIFF, …), or broken"
        ) from error
    with image:
        return _decode(image, name, digest)


def _decode(image: Image.Image, name: str, digest: str | None) -> Picture:
    _check_size(*image.size, name)
    notes: list[str] = []
    frames = _frame_count(image)
    if frames > 1 and image.format != "MPO":  # the further pictures of a phone's MPO are previews of the first
        notes.append(f"holds {frames} frames; the first one is used")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
    except Exception as error:
        raise InputError(f"{name} is truncated or damaged: {error}") from error
    orientation = _orientation(image)
    rgba = freeze(_UPRIGHT[orientation](_to_rgba(image, notes)))
    dpi = _dpi(image)
    if dpi and orientation >= 5:  # rows became columns
        dpi = dpi[1], dpi[0]
    return Picture(rgba=rgba, sha256=digest or pixel_sha256(rgba), dpi=dpi, notes=tuple(notes))


def _frame_count(image: Image.Image) -> int:
    try:
        return getattr(image, "n_frames", 1)
    except Exception:  # broken further on: the first frame may still be good
        return 1


def _orientation(image: Image.Image) -> int:
    try:
        orientation = int(image.getexif().get(0x0112, 1))
    except Exception:  # broken EXIF: as it lies
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(v) for v in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (round(x, 2), round(y, 2)) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _to_rgba(image: Image.Image, notes: list[str]) -> UInt8[np.ndarray, "h w 4"]:
    """Decoded picture -> stored sRGB pixels, strip by strip; words about what had to be decided go to `notes`."""
    transform = _colour_transform(image, notes)
    white = _grey_white(image, notes)
    out = np.empty((image.height, image.width, 4), np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if white:
            values = np.nan_to_num(np.asarray(strip, np.float64), posinf=white)
            strip = Image.fromarray(round_u8(values * (255.0 / white)))
        target = out[top : top + rows]
        if transform is None:
            target[...] = np.asarray(strip.convert("RGBA"))
            continue
        if strip.has_transparency_data:
            strip = strip.convert("RGBA")
            target[..., 3] = np.asarray(strip.getchannel("A"))
        else:
            target[..., 3] = 255
        target[..., :3] = np.asarray(transform.apply(strip.convert(transform.input_mode)))
    return out


def _grey_white(image: Image.Image, notes: list[str]) -> float | None:
    """The value that is white in a grey picture of more than 8 bits; None for every other picture."""
    if image.mode.startswith("I;16"):
        return 65535.0
    if image.mode not in ("I", "F"):
        return None
    values = np.asarray(image)
    high = float(np.max(values, initial=0.0, where=np.isfinite(values)))
    usual = (65535.0,) if image.mode == "I" else (1.0, 255.0, 65535.0)
    white = next((v for v in usual if high <= v), high)
    notes.append(f"has 32-bit values; {white:g} is taken as white")
    return white


def _colour_transform(image: Image.Image, notes: list[str]) -> "ImageCmsTransform | None":
    """The way from the picture's own colours to sRGB; None where they are sRGB or nothing tells what they are."""
    icc = image.info.get("icc_profile")
    if not icc:
        if image.mode == "CMYK":
            notes.append("is CMYK without a colour profile; converted by the plain formula")
        return None
    from PIL import ImageCms

    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    try:
        profile: Any = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[profile.profile.xcolor_space.strip()]
        if (mode == "CMYK") != (image.mode == "CMYK") or (
            mode == "L" and not image.mode.startswith(("1", "L", "I", "F"))
        ):
            raise ValueError("the profile is for another kind of picture")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        target = cast(Any, ImageCms).createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, target, mode, "RGB", intent, flags)
    except (ImageCms.PyCMSError, OSError, ValueError, KeyError, TypeError):
        notes.append("has a colour profile that cannot be used; its colours are taken as sRGB")
        return None
    return None if mode != "CMYK" and _moves_nothing(transform, mode) else transform


def _moves_nothing(transform: "ImageCmsTransform", mode: str) -> bool:
    """True when no colour of a lattice moves by more than 1/255: the profile is sRGB, so the bytes stay as they are."""
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    if mode == "L":
        lattice = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        lattice = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(18, -1, 3))
    before, after = (np.asarray(i.convert("RGB"), np.int16) for i in (lattice, transform.apply(lattice)))
    return bool(np.abs(before - after).max() <= 1)
