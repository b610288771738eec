"""A layer as it lies on the canvas: scale, angle and fractional place resampled once, everything else copied.

Catmull-Rom bicubic on premultiplied values, stretched to the antialiased area where the layer shrinks; beyond the
raster its rim continues, and the outline is the exact share of each pixel that the layer's rectangle covers.
Every output pixel is computed from its own place alone, so neither clip nor strips change a value.
Source: R. Keys, "Cubic convolution interpolation for digital image processing", 1981 (a = -1/2).
"""

import math
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lamina.document.layer import Box, Layer
from lamina.pixels import premultiply, unpremultiply

__all__ = ["rasterize"]

_STRIP_PIXELS = 1 << 17
_TILE_PIXELS = 1 << 14


def rasterize(layer: Layer, clip: Box | None = None) -> tuple[UInt8[np.ndarray, "h w 4"], int, int] | None:
    """The layer's placed raster (stored state) and the canvas place x, y of its top-left corner.

    `clip` is a box of the canvas: only that part is made; None where the two do not meet. Opacity, blend mode and
    visibility are not applied. An upright layer is returned as a view of its own pixels, quarter turns exactly.
    A shrunk and rotated layer is shrunk first, then rotated.
    """
    box = layer.box if clip is None else layer.box.intersect(clip)
    if box.empty:
        return None
    turns = layer.quarter_turns
    if turns is not None:
        left, top = box.left - layer.box.left, box.top - layer.box.top
        turned = np.rot90(layer.rgba, -turns)[top : top + box.height, left : left + box.width]
        return turned, box.left, box.top
    if layer.angle % 90 == 0:
        return _scaled(layer, box), box.left, box.top
    return _rotated(layer, box), box.left, box.top


def _scaled(layer: Layer, box: Box) -> UInt8[np.ndarray, "h w 4"]:
    turns = round(layer.angle / 90)
    rgba = np.rot90(layer.rgba, -turns)
    scale_x, scale_y = layer.scale if turns % 2 == 0 else layer.scale[::-1]
    width, height = rgba.shape[1] * scale_x, rgba.shape[0] * scale_y
    cx, cy = layer.centre
    columns = np.arange(box.left, box.right) + 0.5 - cx
    out = np.empty((box.height, box.width, 4), np.uint8)
    strip = max(1, int(_STRIP_PIXELS / (box.width * max(1.0, 1 / (scale_x * scale_y)))))
    for start in range(0, box.height, strip):
        rows = np.arange(box.top + start, min(box.top + start + strip, box.bottom)) + 0.5 - cy
        working = _resampled(rgba, (scale_x, scale_y), columns + width / 2, rows + height / 2)
        out[start : start + len(rows)] = _stored(working, _cover(rows, height)[:, None] * _cover(columns, width))
    return out


def _rotated(layer: Layer, box: Box) -> UInt8[np.ndarray, "h w 4"]:
    """Antialiased down to whole pixels along each axis that shrinks, then turned; tile by tile."""
    full_w, full_h = layer.width * layer.scale[0], layer.height * layer.scale[1]
    size = tuple(math.ceil(n * min(s, 1.0)) for n, s in zip((layer.width, layer.height), layer.scale, strict=True))
    shrink = size[0] / layer.width, size[1] / layer.height
    cos, sin = math.cos(math.radians(layer.angle)), math.sin(math.radians(layer.angle))
    cx, cy = layer.centre
    out = np.zeros((box.height, box.width, 4), np.uint8)
    side = math.isqrt(_TILE_PIXELS)
    for top, left in product(range(box.top, box.bottom, side), range(box.left, box.right, side)):
        dx = np.arange(left, min(left + side, box.right)) + 0.5 - cx
        dy = np.arange(top, min(top + side, box.bottom))[:, None] + 0.5 - cy
        along_x, along_y = dx * cos + dy * sin, dy * cos - dx * sin
        cover = _cover(along_x, full_w) * _cover(along_y, full_h)
        inside = cover > 0
        if not inside.any():
            continue
        columns, column_weights = _taps(size[0], 1.0, along_x[inside] * (size[0] / full_w) + size[0] / 2)
        rows, row_weights = _taps(size[1], 1.0, along_y[inside] * (size[1] / full_h) + size[1] / 2)
        first_column, first_row = int(columns.min()), int(rows.min())
        window_x = np.arange(first_column, int(columns.max()) + 1) + 0.5
        window_y = np.arange(first_row, int(rows.max()) + 1) + 0.5
        source = _resampled(layer.rgba, shrink, window_x, window_y)
        turned = _sampled(source, columns - first_column, column_weights, rows - first_row, row_weights)
        tile = out[top - box.top : top - box.top + len(dy), left - box.left : left - box.left + len(dx)]
        tile[inside] = _stored(turned[None], cover[inside][None])[0]
    return out


def _resampled(
    rgba: UInt8[np.ndarray, "h w 4"], scale: tuple[float, float], columns: np.ndarray, rows: np.ndarray
) -> Float[np.ndarray, "rows columns 4"]:
    """Premultiplied float32 values of the scaled picture at rising `columns` and `rows`, in px from its top left."""
    height, width = rgba.shape[:2]
    if scale == (1.0, 1.0) and columns[0] % 1 == 0.5 and rows[0] % 1 == 0.5:
        left, top = int(columns[0]), int(rows[0])
        return premultiply(rgba[top : top + len(rows), left : left + len(columns)], np.float32)
    across, across_weights = _taps(width, scale[0], columns)
    down, down_weights = _taps(height, scale[1], rows)
    left, top = across.min(), down.min()
    source = premultiply(rgba[top : down.max() + 1, left : across.max() + 1], np.float32)
    working = _gathered(source, down - top, down_weights)
    return _gathered(working.swapaxes(0, 1), across - left, across_weights).swapaxes(0, 1)


def _taps(count: int, scale: float, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, taps) source indices and weights for places on a scaled axis, in px from the first pixel's edge."""
    stretch = min(max(1.0, 1.0 / scale), float(count))
    centres = places / scale
    reach = math.ceil(2 * stretch)
    index = np.floor(centres - 0.5).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    weights = _cubic((index + 0.5 - centres[:, None]) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(index, 0, count - 1), weights.astype(np.float32)


def _cubic(distance: np.ndarray) -> np.ndarray:
    d = np.abs(distance)
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def _gathered(source: np.ndarray, index: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums of source rows: out[i] = sum over k of weights[i, k] * source[index[i, k]]."""
    out = source[index[:, 0]] * weights[:, 0, None, None]
    for k in range(1, index.shape[1]):
        out += source[index[:, k]] * weights[:, k, None, None]
    return out


def _sampled(
    source: Float[np.ndarray, "h w 4"],
    columns: np.ndarray,
    column_weights: np.ndarray,
    rows: np.ndarray,
    row_weights: np.ndarray,
) -> Float[np.ndarray, "n 4"]:
    """Weighted sums over the taps of both axes, for n scattered points."""
    # One 16-byte item per pixel: numpy takes whole items several times faster than rows of four floats.
    pixels: Any = np.ascontiguousarray(source).reshape(-1).view(np.complex128)
    out = np.zeros((len(rows), 4), np.float32)
    for j, i in product(range(rows.shape[1]), range(columns.shape[1])):
        taken = pixels.take(rows[:, j] * source.shape[1] + columns[:, i]).view(np.float32).reshape(-1, 4)
        out += taken * (row_weights[:, j] * column_weights[:, i])[:, None]
    return out


def _cover(offset: np.ndarray, length: float) -> np.ndarray:
    """Share of a unit pixel, centred `offset` from the middle of an interval, that lies inside the interval."""
    half = length / 2
    return np.clip(np.minimum(offset + 0.5, half) - np.maximum(offset - 0.5, -half), 0.0, 1.0)


def _stored(working: np.ndarray, cover: np.ndarray) -> UInt8[np.ndarray, "h w 4"]:
    working[..., 3] = np.clip(working[..., 3], 0.0, 1.0)
    working[..., :3] = np.clip(working[..., :3], 0.0, working[..., 3:])
    return unpremultiply(working * cover[..., None])
