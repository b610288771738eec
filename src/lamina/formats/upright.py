"""Layers for formats that know no scale, angle or fractional place: plain rasters at whole pixels.

Knows documents, no format.
"""

from dataclasses import replace

import numpy as np

from lamina.document.composite import rasterize
from lamina.document.layer import Box, Layer
from lamina.formats.limits import MAX_PIXELS

__all__ = ["upright"]


def upright(layer: Layer, canvas: Box, losses: list[str]) -> Layer:
    """The layer as a plain copy at an integer place; what that took is a sentence in `losses`.

    What lies outside the canvas is kept unless the raster would be unreasonably large.
    """
    if layer.upright:
        return layer
    applied = [
        word
        for word, differs in (
            ("scale", layer.scale != (1.0, 1.0)),
            ("angle", layer.angle % 360 != 0),
            ("fractional place", layer.x != int(layer.x) or layer.y != int(layer.y)),
        )
        if differs
    ]
    verb = "were" if len(applied) > 1 else "was"
    losses.append(f"layer '{layer.name}': {' and '.join(applied)} {verb} applied to its pixels")
    huge = layer.box.width * layer.box.height > MAX_PIXELS
    rgba, x, y = rasterize(layer, canvas if huge else None) or (np.zeros((1, 1, 4), np.uint8), 0, 0)
    return replace(layer, rgba=rgba, x=x, y=y, scale=(1.0, 1.0), angle=0.0)
