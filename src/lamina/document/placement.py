"""Move, resize, rotate and fit: what edits do to the numbers that place a layer. Pixels are never touched here.

A group is placed through its layers, about its own centre.
"""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from lamina.document.layer import Group, Layer, Node
from lamina.document.tree import layers_in, map_layers
from lamina.errors import InputError

__all__ = ["fitted", "moved", "resized", "rotated"]


def moved(node: Node, dx: float, dy: float) -> Node:
    """The node dx, dy canvas pixels further right and down."""
    return map_layers(node, lambda layer: replace(layer, x=layer.x + dx, y=layer.y + dy))


def resized(node: Node, factors: tuple[float, float]) -> Node:
    """The scale multiplied about the centre: along a layer's own axes, for a group along the canvas's.

    Raises InputError where that would shear a rotated layer of a group.
    """
    fx, fy = factors
    if isinstance(node, Layer):
        return replace(node, scale=(node.scale[0] * fx, node.scale[1] * fy))
    px, py = _centre(node)

    def resize(layer: Layer) -> Layer:
        if fx != fy and layer.angle % 90 != 0:
            raise InputError(
                f"resizing group '{node.id}' by [{fx:g}, {fy:g}] would shear layer '{layer.id}', "
                f"which is rotated by {layer.angle:g} degrees; use one factor for both axes"
            )
        along = (fx, fy) if layer.angle % 180 == 0 else (fy, fx)
        (cx, cy), (sx, sy) = layer.centre, layer.scale
        return replace(
            layer,
            x=layer.x + (cx - px) * (fx - 1),
            y=layer.y + (cy - py) * (fy - 1),
            scale=(sx * along[0], sy * along[1]),
        )

    return map_layers(node, resize)


def rotated(node: Node, degrees: float) -> Node:
    """The angle increased, clockwise, about the centre."""
    if isinstance(node, Layer):
        return replace(node, angle=(node.angle + degrees) % 360)
    px, py = _centre(node, on_grid=True)

    def rotate(layer: Layer) -> Layer:
        cx, cy = layer.centre
        dx, dy = _turn(cx - px, cy - py, degrees)
        return replace(layer, x=layer.x + px + dx - cx, y=layer.y + py + dy - cy, angle=(layer.angle + degrees) % 360)

    return map_layers(node, rotate)


def fitted(layer: Layer, rgba: UInt8[np.ndarray, "h w 4"], fit: str) -> Layer:
    """The layer with another picture in its old rectangle: inside it, covering it (the rest cut), or stretched.

    Scale makes it fit; the new pixels are only cut, never resampled.
    """
    width, height = layer.width * layer.scale[0], layer.height * layer.scale[1]
    ratios = width / rgba.shape[1], height / rgba.shape[0]
    if fit == "cover":
        kept_w, kept_h = (max(1, round(length / max(ratios))) for length in (width, height))
        left, top = max(0, rgba.shape[1] - kept_w) // 2, max(0, rgba.shape[0] - kept_h) // 2
        rgba = rgba[top : top + kept_h, left : left + kept_w]
    scale = (min(ratios), min(ratios)) if fit == "contain" else (width / rgba.shape[1], height / rgba.shape[0])
    cx, cy = layer.centre
    x, y = cx - rgba.shape[1] / 2, cy - rgba.shape[0] / 2
    if scale == (1.0, 1.0) and layer.quarter_turns is not None:
        x, y = math.floor(x), math.floor(y)  # a picture that needs no scaling stays sharp: it keeps to the pixel grid
    return replace(layer, rgba=rgba, x=x, y=y, scale=scale, text=None)


def _centre(group: Group, *, on_grid: bool = False) -> tuple[float, float]:
    """Middle of the group's bounds, measured in axes that turn with its bottom layer.

    So it is a fixed point of the group: turning or scaling and going back again returns every number. With `on_grid`
    it is half a pixel aside where that lets quarter turns carry whole pixels to whole pixels.
    """
    layers = layers_in(group)
    if not layers:
        return 0.0, 0.0
    angle = layers[0].angle
    corners = [_turn(x, y, -angle) for layer in layers for x, y in layer.corners]
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    sides = (right - left) + (bottom - top)
    aside = 0.5 if on_grid and round(sides) % 2 == 1 and math.isclose(sides, round(sides), rel_tol=1e-9) else 0.0
    return _turn((left + right) / 2 - aside, (top + bottom) / 2, angle)


def _turn(x: float, y: float, degrees: float) -> tuple[float, float]:
    quarter = round(degrees / 90)
    if degrees == quarter * 90:  # without the rounding of cos and sin
        for _ in range(quarter % 4):
            x, y = -y, x
        return x, y
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return x * cos - y * sin, x * sin + y * cos
