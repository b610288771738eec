"""Splitting one layer of a document: which can be, what is decomposed, and how the group takes the layer's place.

The group shows on the canvas exactly what the layer showed. A layer that is scaled, rotated or off the pixel grid is
split as it lies, at the size it is shown; so its layers are upright. Knows documents; the decomposing is the caller's.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lamina.document.document import Document
from lamina.document.layer import BlendMode, Box, Group, Layer, trimmed
from lamina.document.raster import rasterize
from lamina.document.tree import children_of, fresh_id, locate, with_children
from lamina.errors import InputError
from lamina.options import DecomposeOptions
from lamina.pixels import pixel_sha256

__all__ = ["SplitPlan", "plan_split"]

_LEAST_SIDE = 16
"""What is decomposed is at least so large, with transparent pixels around smaller layers."""

_LARGEST = 64_000_000
"""Pixels of a placed layer above which only the part on the canvas is kept."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SplitPlan:
    """What is to be decomposed, and where the result goes."""

    document: Document
    layer: Layer
    rgba: UInt8[np.ndarray, "h w 4"]
    """The layer as it lies on the canvas."""
    x: int
    y: int
    """Where the top-left corner of `rgba` lies on the canvas."""
    options: DecomposeOptions
    """With boxes and points in pixels of `rgba`."""
    notes: tuple[str, ...]
    key: str
    """Stands for pixels and options; makes the ids."""

    def carried_out(self, layers: Sequence[Layer], confidence: Sequence[float], record: Mapping[str, Any]) -> Document:
        """The document with a group of these layers (bottom first, placed within `rgba`) in the layer's place."""
        document = self.document
        taken = {node.id for node in document.walk()}
        children: list[Layer] = []
        for layer in layers:
            made = fresh_id(layer.id, taken)
            taken.add(made)
            children.append(trimmed(replace(layer, id=made, x=layer.x + self.x, y=layer.y + self.y)))
        group = Group(
            id=self.layer.id,
            name=self.layer.name,
            children=tuple(children),
            opacity=self.layer.opacity,
            visible=self.layer.visible,
        )
        parent, index = locate(document, self.layer.id)
        siblings = children_of(document, parent)
        changed = with_children(document, parent, (*siblings[:index], group, *siblings[index + 1 :]))
        scores = {child.id: round(sure, 3) for child, sure in zip(children, confidence, strict=True)}
        entry = {
            **record,
            "fidelity": {**record["fidelity"], "confidence": scores},
            "warnings": [*self.notes, *record["warnings"]],
        }
        splits = {**document.meta.get("splits", {}), self.layer.id: entry}
        return replace(changed, meta={**document.meta, "splits": splits})


def plan_split(document: Document, layer_id: str, options: DecomposeOptions) -> SplitPlan:
    """Find the layer and how it lies. Raises InputError for what cannot be split, saying what can be done about it."""
    layer = document.find(layer_id)
    if isinstance(layer, Group):
        inside = ", ".join(child.id for child in layer.children) or "none"
        raise InputError(f"'{layer_id}' is a group already; split one of the layers in it: {inside}")
    if layer.locked:
        raise InputError(f"layer '{layer_id}' is locked; unlock it first (set-locked)")
    if layer.blend is not BlendMode.NORMAL:
        raise InputError(
            f"layer '{layer_id}' blends as {layer.blend.value} and a group blends as normal, so it would look "
            "different; set its blend to normal first (set-blend)"
        )
    clip = None if layer.box.width * layer.box.height <= _LARGEST else document.box
    placed = rasterize(layer, clip)
    if placed is None or not placed[0][..., 3].any():
        raise InputError(f"layer '{layer_id}' shows nothing; there is nothing to split")
    rgba, x, y = placed
    notes: list[str] = []
    if not layer.upright:
        notes.append(f"'{layer.name}' was placed with scale, angle or fractions; it was split at the size it is shown")
    if clip is not None:
        notes.append(f"'{layer.name}' is larger than is split at once; what lies off the canvas was left out")
    if layer.text is not None:
        notes.append(f"'{layer.name}' was live text; its letters are pixels now")
    height, width = (max(_LEAST_SIDE, side) for side in rgba.shape[:2])
    if (height, width) != rgba.shape[:2]:
        padded = np.zeros((height, width, 4), np.uint8)
        padded[: rgba.shape[0], : rgba.shape[1]] = rgba
        rgba = padded
    rgba = np.ascontiguousarray(rgba)
    return SplitPlan(
        document=document,
        layer=layer,
        rgba=rgba,
        x=x,
        y=y,
        options=_within(options, x, y, Box(0, 0, width, height), layer_id),
        notes=tuple(notes),
        key=hashlib.sha256(f"{layer_id}:{pixel_sha256(rgba)}:{options}".encode()).hexdigest(),
    )


def _within(options: DecomposeOptions, x: int, y: int, extent: Box, layer_id: str) -> DecomposeOptions:
    """The options with boxes and points moved from the canvas to the layer; InputError where they miss it."""
    boxes: list[tuple[int, int, int, int]] = []
    for left, top, right, bottom in options.box:
        moved = Box(left - x, top - y, right - x, bottom - y)
        if moved.intersect(extent).empty:
            raise InputError(f"box {left},{top},{right},{bottom} lies outside the layer '{layer_id}'")
        boxes.append((moved.left, moved.top, moved.right, moved.bottom))
    points: list[tuple[int, int]] = []
    for px, py in options.point:
        if not (0 <= px - x < extent.width and 0 <= py - y < extent.height):
            raise InputError(f"point {px},{py} lies outside the layer '{layer_id}'")
        points.append((px - x, py - y))
    return replace(options, box=tuple(boxes), point=tuple(points))
