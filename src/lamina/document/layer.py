"""What a layer is: one RGBA raster with place, opacity and blend mode; a group of layers; text; the box.

Pure values, numpy only: no files, no compositing. Placement and field rules: the contract in docs/architecture.md.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from lamina.errors import InputError
from lamina.pixels import freeze, trim_box

__all__ = ["BlendMode", "Box", "Group", "Layer", "Node", "Text", "check_opacity", "trimmed", "walk"]


class BlendMode(StrEnum):
    """Blend modes of W3C Compositing and Blending Level 1, with the names PSD writers and CSS use."""

    NORMAL = "normal"
    MULTIPLY = "multiply"
    SCREEN = "screen"
    OVERLAY = "overlay"
    DARKEN = "darken"
    LIGHTEN = "lighten"
    COLOR_DODGE = "color-dodge"
    COLOR_BURN = "color-burn"
    HARD_LIGHT = "hard-light"
    SOFT_LIGHT = "soft-light"
    DIFFERENCE = "difference"
    EXCLUSION = "exclusion"
    HUE = "hue"
    SATURATION = "saturation"
    COLOR = "color"
    LUMINOSITY = "luminosity"


class Box(NamedTuple):
    """Half-open pixel rectangle."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def empty(self) -> bool:
        return self.right <= self.left or self.bottom <= self.top

    def intersect(self, other: "Box") -> "Box":
        """The common rectangle; may be `empty`."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def union(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What live-text formats write for a layer; the raster stays the truth."""

    content: str
    font_family: str = ""
    size_px: float = 16.0
    color: str = "#000000"
    align: str = "left"
    angle: float = 0.0
    box: Box | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layer:
    """One RGBA raster with its place.

    `rgba` is stored state (uint8, straight alpha, sRGB), read-only. `x, y` is where its top-left corner lies while
    scale is 1 and angle 0; scale and angle (degrees, clockwise) act about the raster's centre, which stays at
    (x + width/2, y + height/2). Raises InputError when a value is out of range.
    """

    id: str
    name: str
    rgba: UInt8[np.ndarray, "h w 4"]
    x: float = 0
    y: float = 0
    scale: tuple[float, float] = (1.0, 1.0)
    angle: float = 0.0
    opacity: float = 1.0
    blend: BlendMode = BlendMode.NORMAL
    visible: bool = True
    locked: bool = False
    text: Text | None = None

    def __post_init__(self) -> None:
        rgba = self.rgba
        if rgba.dtype != np.uint8 or rgba.ndim != 3 or rgba.shape[2] != 4 or 0 in rgba.shape:
            raise InputError(f"layer pixels are {rgba.dtype} {rgba.shape}, expected uint8 (height, width, 4)")
        check_opacity(self.opacity)
        if not all(math.isfinite(v) for v in (self.x, self.y, self.angle)):
            raise InputError(f"place ({self.x}, {self.y}) angle {self.angle} of layer '{self.id}' is not finite")
        if not all(1e-6 <= s <= 1e6 for s in self.scale):
            raise InputError(f"scale {self.scale} of layer '{self.id}' is outside 0.000001-1000000")
        object.__setattr__(self, "rgba", freeze(rgba))
        object.__setattr__(self, "blend", BlendMode(self.blend))

    @property
    def width(self) -> int:
        """Raster width in pixels, before scale."""
        return self.rgba.shape[1]

    @property
    def height(self) -> int:
        """Raster height in pixels, before scale."""
        return self.rgba.shape[0]

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def upright(self) -> bool:
        """True when placement is a plain copy: scale 1, angle 0, integer place."""
        return self.quarter_turns == 0

    @property
    def quarter_turns(self) -> int | None:
        """Clockwise quarter turns (0-3) when these are all that placement does to the pixels, else None.

        Numbers within a billionth of whole count as whole: scaling by 1/3 and then by 3 is a plain copy again.
        A raster of odd width + height swings by half a pixel when it lies on its side, so there its place may be
        whole or half.
        """
        turns = round(self.angle / 90)
        halves = 2 if turns % 2 == 1 and (self.width + self.height) % 2 == 1 else 1
        whole = (self.angle / 90, *self.scale, self.x * halves, self.y * halves)
        plain = round(self.scale[0]) == round(self.scale[1]) == 1
        near = plain and all(math.isclose(v, round(v), rel_tol=_NEAR, abs_tol=_NEAR) for v in whole)
        return turns % 4 if near else None

    @property
    def box(self) -> Box:
        """Bounds on the canvas after scale and angle; may lie outside the canvas.

        Quarter turns stay on the pixel grid: where the centre would put the edges on half a pixel, they go up and left.
        """
        turns = self.quarter_turns
        if turns is not None:
            width, height = (self.width, self.height) if turns % 2 == 0 else (self.height, self.width)
            left = math.floor(self.x + (self.width - width) / 2 + _EDGE)
            top = math.floor(self.y + (self.height - height) / 2 + _EDGE)
            return Box(left, top, left + width, top + height)
        corners = self.corners
        return Box(
            math.floor(min(x for x, _ in corners) + _EDGE),
            math.floor(min(y for _, y in corners) + _EDGE),
            math.ceil(max(x for x, _ in corners) - _EDGE),
            math.ceil(max(y for _, y in corners) - _EDGE),
        )

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """The raster's corners on the canvas after scale and angle: clockwise, from its top left."""
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        half_w, half_h = self.width * self.scale[0] / 2, self.height * self.scale[1] / 2
        cx, cy = self.centre
        reaches = ((-half_w, -half_h), (half_w, -half_h), (half_w, half_h), (-half_w, half_h))
        return tuple((cx + dx * cos - dy * sin, cy + dx * sin + dy * cos) for dx, dy in reaches)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layer):
            return NotImplemented
        return all(getattr(self, f) == getattr(other, f) for f in _LAYER_VALUES) and (
            self.rgba is other.rgba or np.array_equal(self.rgba, other.rgba)
        )

    def __hash__(self) -> int:
        return hash((self.id, self.name, self.rgba.shape))


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Layers that belong together, bottom first: isolated, normal blend, rounded to 8 bits before it is placed."""

    id: str
    name: str
    children: "tuple[Layer | Group, ...]" = ()
    opacity: float = 1.0
    visible: bool = True

    def __post_init__(self) -> None:
        check_opacity(self.opacity)
        object.__setattr__(self, "children", tuple(self.children))

    @property
    def box(self) -> Box:
        """Union of the children's boxes; empty at the origin when there is no child."""
        boxes = [child.box for child in self.children]
        if not boxes:
            return Box(0, 0, 0, 0)
        out = boxes[0]
        for box in boxes[1:]:
            out = out.union(box)
        return out


Node = Layer | Group

_NEAR = 1e-9
_EDGE = 1e-6
_LAYER_VALUES = ("id", "name", "x", "y", "scale", "angle", "opacity", "blend", "visible", "locked", "text")


def check_opacity(opacity: float) -> None:
    """Raise InputError unless 0 <= opacity <= 1."""
    if not 0.0 <= opacity <= 1.0:
        raise InputError(f"opacity {opacity:g} is outside 0-1")


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every node below `nodes`, bottom first, a group before its children."""
    for node in nodes:
        yield node
        if isinstance(node, Group):
            yield from walk(node.children)


def trimmed(layer: Layer) -> Layer:
    """The same picture with the fully transparent rim of an upright layer cut off; an empty layer becomes 1x1."""
    if not layer.upright:
        return layer
    box = trim_box(layer.rgba[..., 3]) or (0, 0, 1, 1)
    left, top, right, bottom = box
    if (right - left, bottom - top) == (layer.width, layer.height):
        return layer
    return replace(layer, rgba=layer.rgba[top:bottom, left:right].copy(), x=layer.x + left, y=layer.y + top)
