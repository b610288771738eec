"""Give specks of a finished stack to their owner: the layer that lies next to them.

A speck is a tiny part of a layer that lies far from the rest of it. It moves only where the composite stays the same to
the byte. Knows layers; no picture and no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from lamina.decompose.naming import looks_like_text
from lamina.document.composite import flatten_nodes, over
from lamina.document.layer import Box, Layer, trimmed
from lamina.pixels import premultiply, unpremultiply

__all__ = ["join_owners"]

_VIEW_SIDE = 1024
"""Longer side of the views that parts are looked for in."""

_SPECK = 80
"""A speck is smaller than the square of the view's longer side over this."""

_OF_LAYER = 0.02
"""And it has less than this share of its layer."""

_FAR = 25
_BESIDE = 3
"""It lies farther from the rest than the longer side over this; its owner within so many pixels of the view."""

_MEETS = 0.25
"""Share of its rim along which it meets its owner."""

_FAINT = 30.0
"""Mean difference of bytes up to which a speck that lies alone is the ground's."""

_MOST = 24
"""Specks that are moved, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Speck:
    layer: int
    top: int
    left: int
    mask: Bool[np.ndarray, "h w"]
    """Its pixels of the view, in its own box and `_BESIDE` pixels around, from row `top` and column `left` on."""
    area: int


def join_owners(layers: Sequence[Layer], size: tuple[int, int]) -> list[Layer]:
    """The upright stack (bottom first) of a canvas of `size` (width, height) with its specks at their owners."""
    layers = list(layers)
    if len(layers) < 3:
        return layers
    scale = min(1.0, _VIEW_SIDE / max(size))
    views = [_alpha_view(layer, size, scale) for layer in layers]
    found = [speck for number in range(1, len(layers)) for speck in _specks(views[number], number, layers[number])]
    found.sort(key=lambda speck: -speck.area)
    touched = set[int]()
    for speck in found[:_MOST]:
        owner = _owner(speck, views, layers, scale)
        if owner is not None and _move(layers, speck, owner, scale, size):
            touched |= {speck.layer, owner}
    return [trimmed(layer) if number in touched else layer for number, layer in enumerate(layers)]


def _alpha_view(layer: Layer, size: tuple[int, int], scale: float) -> UInt8[np.ndarray, "h w"]:
    """The layer's alpha on a canvas reduced by `scale`; not 0 wherever it is not 0 in the layer."""
    width, height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    view = np.zeros((height, width), np.uint8)
    alpha, left, top = layer.rgba[..., 3], int(layer.x), int(layer.y)
    if scale == 1:
        view[top : top + alpha.shape[0], left : left + alpha.shape[1]] = alpha
        return view
    x0, y0 = int(left * scale), int(top * scale)
    x1, y1 = min(width, int((left + alpha.shape[1]) * scale) + 1), min(height, int((top + alpha.shape[0]) * scale) + 1)
    view[y0:y1, x0:x1] = cv2.resize(alpha, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return view


def _specks(view: UInt8[np.ndarray, "h w"], number: int, layer: Layer) -> list[_Speck]:
    parts_found: Any = cv2.connectedComponentsWithStats((view > 0).astype(np.uint8), connectivity=8)
    parts, stats = parts_found[1:3]
    area = stats[:, cv2.CC_STAT_AREA]
    tiny = area < (max(view.shape) / _SPECK) ** 2
    small = tiny & (area < _OF_LAYER * area[1:].sum())
    small[0] = False
    if not small.any() or looks_like_text(layer.rgba[..., 3]):
        return []
    rest = ~small
    rest[0] = False
    away = cv2.distanceTransform((~rest[parts]).astype(np.uint8), cv2.DIST_L2, 3)
    found: list[_Speck] = []
    for part in np.flatnonzero(small):
        left, top, width, height = stats[part, :4]
        window = (slice(top, top + height), slice(left, left + width))
        own = parts[window] == part
        if away[window][own].min() > max(view.shape) / _FAR:
            mask = np.pad(own, _BESIDE)
            speck = _Speck(
                layer=number, top=int(top) - _BESIDE, left=int(left) - _BESIDE, mask=mask, area=int(area[part])
            )
            found.append(speck)
    return found


def _owner(speck: _Speck, views: Sequence[Any], layers: Sequence[Layer], scale: float) -> int | None:
    """The object that lies next to the speck along most of its rim; the ground where that looks the same; else None."""
    box = np.ones((2 * _BESIDE + 1, 2 * _BESIDE + 1), np.uint8)
    rim = (cv2.dilate(speck.mask.astype(np.uint8), box) > 0) & ~speck.mask
    rim = np.nonzero(rim)
    places = rim[0] + speck.top, rim[1] + speck.left
    height, width = views[0].shape
    inside = (places[0] >= 0) & (places[0] < height) & (places[1] >= 0) & (places[1] < width)
    places = places[0][inside], places[1][inside]
    beside = [float((view[places] > 127).mean()) if k != speck.layer else 0.0 for k, view in enumerate(views)]
    objects = beside[1:]
    if max(objects) > _MEETS:
        return 1 + int(np.argmax(objects))
    rows, columns = np.nonzero(speck.mask)
    own = _colour(layers, speck.layer, (rows + speck.top, columns + speck.left), scale)
    return 0 if np.abs(own - _colour(layers, 0, places, scale)).max() < _FAINT else None


def _colour(layers: Sequence[Layer], number: int, places: Any, scale: float) -> Any:
    layer = layers[number]
    rows = np.clip((places[0] + 0.5) / scale - layer.y, 0, layer.height - 1).astype(int)
    columns = np.clip((places[1] + 0.5) / scale - layer.x, 0, layer.width - 1).astype(int)
    pixels = layer.rgba[rows, columns].astype(np.float64)
    weight = pixels[:, 3:] + 1e-6
    return (pixels[:, :3] * weight).sum(axis=0) / weight.sum()


def _move(layers: list[Layer], speck: _Speck, owner: int, scale: float, size: tuple[int, int]) -> bool:
    """Put the speck into its owner, in place; not where that would show. Returns whether it was done."""
    inner = speck.mask[_BESIDE:-_BESIDE, _BESIDE:-_BESIDE]
    top, left = speck.top + _BESIDE, speck.left + _BESIDE
    place = Box(
        int(left / scale),
        int(top / scale),
        min(size[0], int((left + inner.shape[1]) / scale) + 1),
        min(size[1], int((top + inner.shape[0]) / scale) + 1),
    )
    mask = cv2.resize(inner.astype(np.uint8), (place.width, place.height), interpolation=cv2.INTER_NEAREST)
    taken = _cut(layers[speck.layer], place) * (mask[..., None] > 0)
    there = _cut(layers[owner], place)
    first, second = (taken, there) if speck.layer > owner else (there, taken)
    joined = np.where(taken[..., 3:] > 0, unpremultiply(over(premultiply(first), premultiply(second))), there)
    without = _cut(layers[speck.layer], place) * (mask[..., None] == 0)
    changed = list(layers)
    changed[owner] = _pasted(layers[owner], joined.astype(np.uint8), place)
    changed[speck.layer] = _pasted(layers[speck.layer], without.astype(np.uint8), place)
    if not np.array_equal(flatten_nodes(changed, place), flatten_nodes(layers, place)):
        return False
    layers[:] = changed
    return True


def _cut(layer: Layer, box: Box) -> UInt8[np.ndarray, "h w 4"]:
    """The layer's pixels in a box of the canvas, transparent beyond its raster."""
    out = np.zeros((box.height, box.width, 4), np.uint8)
    part = layer.box.intersect(box)
    if not part.empty:
        x, y = int(layer.x), int(layer.y)
        source = layer.rgba[part.top - y : part.bottom - y, part.left - x : part.right - x]
        out[part.top - box.top : part.bottom - box.top, part.left - box.left : part.right - box.left] = source
    return out


def _pasted(layer: Layer, pixels: UInt8[np.ndarray, "h w 4"], box: Box) -> Layer:
    """The layer with these pixels in a box of the canvas, widened as far as they show."""
    wide = layer.box.union(box) if pixels[..., 3].any() else layer.box
    rgba = layer.rgba.copy() if wide == layer.box else _cut(layer, wide)
    part = wide.intersect(box)
    if not part.empty:
        rgba[part.top - wide.top : part.bottom - wide.top, part.left - wide.left : part.right - wide.left] = pixels[
            part.top - box.top : part.bottom - box.top, part.left - box.left : part.right - box.left
        ]
    return replace(layer, rgba=rgba, x=wide.left, y=wide.top)
