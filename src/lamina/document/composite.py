"""The reference compositor: nodes, bottom first, become one flat picture.

Premultiplied float64, sRGB-encoded values, one rounding at the end; a group is isolated and rounded to 8 bits before
it is placed. A layer that is scaled, rotated or off the pixel grid is resampled to its stored form first, so that a
file format that can keep only upright layers composites to the same. Works in strips of rows, and within each
layer's box only, so memory beside the result is bounded. Source: W3C Compositing and Blending Level 1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from lamina.document.blend import blend, over
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Box, Group, Layer, Node
from lamina.document.raster import rasterize
from lamina.pixels import premultiply, unpremultiply

__all__ = ["blend", "flatten", "flatten_nodes", "over", "rasterize"]

_STRIP_PIXELS = 1 << 15
"""Pixels composited at once: the working arrays of a strip stay in the processor's cache."""

_Rasters = Mapping[int, tuple[np.ndarray, Box]]


def flatten(document: Document) -> UInt8[np.ndarray, "h w 4"]:
    """The composite of a document: stored state, RGB 0 where alpha is 0."""
    return flatten_nodes(document.layers, document.box)


def flatten_nodes(nodes: Sequence[Node], box: Box) -> UInt8[np.ndarray, "h w 4"]:
    """The composite of some nodes, bottom first, over nothing, within a box of the canvas; `box` is not empty."""
    rasters: dict[int, tuple[np.ndarray, Box]] = {}
    for layer in _shown_layers(nodes):
        placed = rasterize(layer, box)
        if placed is not None:
            rgba, x, y = placed
            rasters[id(layer)] = rgba, Box(x, y, x + rgba.shape[1], y + rgba.shape[0])
    out = np.empty((box.height, box.width, 4), np.uint8)
    rows = max(1, _STRIP_PIXELS // box.width)
    for top in range(box.top, box.bottom, rows):
        strip = Box(box.left, top, box.right, min(top + rows, box.bottom))
        out[top - box.top : strip.bottom - box.top] = unpremultiply(_paint(nodes, strip, rasters))
    return out


def _shown_layers(nodes: Sequence[Node]) -> list[Layer]:
    found: list[Layer] = []
    for node in nodes:
        if node.visible and node.opacity > 0:
            found.extend(_shown_layers(node.children) if isinstance(node, Group) else [node])
    return found


def _paint(nodes: Sequence[Node], strip: Box, rasters: _Rasters) -> Float[np.ndarray, "h w 4"]:
    """Premultiplied composite of `nodes` over nothing within one strip."""
    canvas = _planar(np.zeros((4, strip.height, strip.width)))
    for node in nodes:
        if not node.visible or node.opacity == 0:
            continue
        stored, part = _source(node, strip, rasters)
        if part.empty or not stored[..., 3].any():
            continue
        target = canvas[
            part.top - strip.top : part.bottom - strip.top, part.left - strip.left : part.right - strip.left
        ]
        source = premultiply(_planar(np.ascontiguousarray(np.moveaxis(stored, -1, 0))))
        if node.opacity != 1:
            source *= node.opacity
        target[...] = blend(source, target, BlendMode.NORMAL if isinstance(node, Group) else node.blend)
    return canvas


def _source(node: Node, strip: Box, rasters: _Rasters) -> tuple[UInt8[np.ndarray, "h w 4"], Box]:
    """A node's own stored pixels within the strip, and the box they fill."""
    if isinstance(node, Group):
        part = node.box.intersect(strip)
        return (_EMPTY if part.empty else unpremultiply(_paint(node.children, part, rasters))), part
    if id(node) not in rasters:
        return _EMPTY, Box(0, 0, 0, 0)
    rgba, box = rasters[id(node)]
    part = box.intersect(strip)
    if part.empty:
        return _EMPTY, part
    return rgba[part.top - box.top : part.bottom - box.top, part.left - box.left : part.right - box.left], part


def _planar(planes: np.ndarray) -> np.ndarray:
    """(4, h, w) memory seen as (h, w, 4): the arithmetic then runs along whole rows instead of over four values."""
    return np.moveaxis(planes, 0, -1)


_EMPTY = np.zeros((0, 0, 4), np.uint8)
