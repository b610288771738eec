"""The only door between file, array and tensor conventions.

Three states: *stored* (uint8, straight alpha, HWC), *working* (float 0-1, premultiplied, HWC, sRGB-encoded) and
*model* (float -1..1, CHW). Knows nothing of documents, formats or networks.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

if TYPE_CHECKING:
    import torch

__all__ = [
    "bleed",
    "freeze",
    "from_model",
    "model_size",
    "over_flat",
    "premultiply",
    "resize_premul",
    "resize_rgba",
    "round_u8",
    "to_image",
    "to_model",
    "trim_box",
    "unpremultiply",
]


def round_u8(values_255: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Round floats in 0-255 to the nearest integer (halves up) and clip: the one float-to-byte rule."""
    return np.clip(np.floor(values_255 + 0.5), 0, 255).astype(np.uint8)


def freeze(array: np.ndarray) -> np.ndarray:
    """Return `array` made read-only: itself when it owns its memory and is contiguous, else a copy."""
    if not array.flags.writeable and array.flags.c_contiguous:
        return array
    if array.base is not None or not array.flags.c_contiguous:
        array = np.array(array, order="C")
    array.flags.writeable = False
    return array


def premultiply(
    rgba_hwc_u8: UInt8[np.ndarray, "h w 4"], dtype: type = np.float64
) -> Float[np.ndarray, "h w 4"]:
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


def bleed(rgba_hwc_u8: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Give every pixel of alpha 0 the colour of its nearest visible pixel; all-transparent becomes black."""
    from scipy.ndimage import distance_transform_edt

    hidden = rgba_hwc_u8[..., 3] == 0
    out = rgba_hwc_u8.copy()
    if hidden.all():
        out[..., :3] = 0
    elif hidden.any():
        nearest: Any = distance_transform_edt(hidden, return_distances=False, return_indices=True)
        rows, columns = nearest[0][hidden], nearest[1][hidden]
        out[hidden, :3] = rgba_hwc_u8[rows, columns, :3]
    return out


def to_image(rgba_hwc_u8: UInt8[np.ndarray, "h w 4"]) -> Image.Image:
    """Stored array -> Pillow image, mode RGBA, sharing no memory."""
    return Image.fromarray(np.ascontiguousarray(rgba_hwc_u8), "RGBA")


def model_size(width: int, height: int, *, area: int, multiple: int) -> tuple[int, int]:
    """Size (width, height) near `area` pixels with the picture's aspect (held within 1:4), sides divisible by `multiple`."""
    aspect = min(max(width / height, 0.25), 4.0)
    side = math.sqrt(area)
    w = max(multiple, round(side * math.sqrt(aspect) / multiple) * multiple)
    h = max(multiple, round(side / math.sqrt(aspect) / multiple) * multiple)
    return w, h


def to_model(pixels_hwc_u8: UInt8[np.ndarray, "h w c"]) -> "torch.Tensor":
    """Stored -> model: bytes to a float32 tensor -1..1, CHW."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels_hwc_u8)).permute(2, 0, 1).float() / 127.5 - 1.0


def from_model(tensor_chw_11: "torch.Tensor") -> UInt8[np.ndarray, "h w c"]:
    """Model -> stored: float -1..1, CHW to bytes; the exact inverse of `to_model`."""
    hwc = tensor_chw_11.detach().float().permute(1, 2, 0).cpu().numpy().astype(np.float64)
    return round_u8((hwc + 1.0) * 127.5)
