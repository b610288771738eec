# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""PowerPoint (.pptx), written only: one slide of the picture's size, each layer a named picture at its place.

Scale and angle become the picture's own size and rotation, so no pixel is resampled; opacity is the picture's
transparency; a group is a group. Through python-pptx, and DrawingML where that has no words (ECMA-376 part 1,
20.1.2.2.8 `hidden`, 20.1.8.4 `alphaModFix`, 20.1.2.2.31 `picLocks`).
"""

import io
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lamina.document.document import Document
from lamina.document.layer import BlendMode, Group, Layer, Node, walk
from lamina.errors import MissingExtraError
from lamina.formats import png
from lamina.formats.archive import add_member
from lamina.formats.files import atomic_file
from lamina.formats.naming import xml_text
from lamina.pixels import trim_box

__all__ = ["write"]

_EMU_PER_INCH = 914_400
_DEFAULT_DPI = 96.0
_SMALLEST, _LARGEST = 1 * _EMU_PER_INCH, 56 * _EMU_PER_INCH
_BLANK_LAYOUT = 6
"""Place of the layout without any frame in python-pptx's own template."""


def write(document: Document, path: str | os.PathLike[str]) -> list[str]:
    """Write `document` as one slide and return, in words, what the file could not keep.

    A pixel is 1/dpi inch (1/96 without dpi), smaller or larger where the slide would leave PowerPoint's 1 to 56
    inches. Raises MissingExtraError without python-pptx.
    """
    try:
        from pptx import Presentation
    except ImportError as error:
        raise MissingExtraError("Writing PPTX", "pptx") from error
    presentation: Any = Presentation()
    writer = _Writer(document)
    presentation.slide_width, presentation.slide_height = writer.fit_slide()
    _describe_file(presentation.core_properties)
    slide = presentation.slides.add_slide(presentation.slide_layouts[_BLANK_LAYOUT])
    writer.add(slide.shapes, document.layers)
    if document.source is not None or set(document.meta) - {"notes"}:
        writer.losses.append("the source picture and the record of how the layers were made were left out")
    package = io.BytesIO()
    presentation.save(package)
    with atomic_file(path) as temporary:
        _repack(package, temporary)
    return writer.losses


@dataclass
class _Writer:
    document: Document
    losses: list[str] = field(default_factory=list[str])
    emu_per_pixel: float = 0.0

    def fit_slide(self) -> tuple[int, int]:
        """Choose the size of a pixel and return the slide's, both within PowerPoint's limits."""
        dpi = self.document.dpi or (_DEFAULT_DPI, _DEFAULT_DPI)
        if not math.isclose(*dpi, rel_tol=1e-3):
            self.losses.append(f"pixels are {dpi[0]:g}x{dpi[1]:g} per inch; the slide has {dpi[0]:g} both ways")
        wished = _EMU_PER_INCH / dpi[0]
        sides = self.document.width, self.document.height
        self.emu_per_pixel = min(max(wished, _SMALLEST / min(sides)), _LARGEST / max(sides))
        width, height = (max(_SMALLEST, round(side * self.emu_per_pixel)) for side in sides)
        if self.emu_per_pixel != wished:
            was, now = (
                " x ".join(f"{side:.4g}" for side in inches)
                for inches in ([side / dpi[0] for side in sides], [width / _EMU_PER_INCH, height / _EMU_PER_INCH])
            )
            self.losses.append(f"the slide is {now} inches instead of {was}: PowerPoint's limits are 1 and 56")
        return width, height

    def add(self, shapes: Any, nodes: Sequence[Node], opacity: float = 1.0) -> None:
        """Add the shapes of `nodes`, whose groups together have `opacity`."""
        for node in nodes:
            if isinstance(node, Layer):
                self.add_layer(shapes, node, opacity)
            elif node.children:
                self.add_group(shapes, node, opacity)
            else:
                self.losses.append(f"the empty group '{node.name}' is left out")

    def add_group(self, shapes: Any, group: Group, opacity: float) -> None:
        if group.opacity != 1 and len(list(walk(group.children))) > 1:
            self.losses.append(f"the opacity of group '{group.name}' is now that of each of its layers")
        shape = shapes.add_group_shape()
        self.describe(shape, group)
        self.add(shape.shapes, group.children, opacity * group.opacity)

    def add_layer(self, shapes: Any, layer: Layer, opacity: float) -> None:
        left, top, right, bottom = trim_box(layer.rgba[..., 3]) or (0, 0, 1, 1)
        picture = io.BytesIO(png.encode(layer.rgba[top:bottom, left:right], self.document.icc))
        width, height = (right - left) * layer.scale[0], (bottom - top) * layer.scale[1]
        # Trimming moves the centre, about which scale and angle act.
        dx = ((left + right) / 2 - layer.width / 2) * layer.scale[0]
        dy = ((top + bottom) / 2 - layer.height / 2) * layer.scale[1]
        cos, sin = math.cos(math.radians(layer.angle)), math.sin(math.radians(layer.angle))
        x = layer.centre[0] + dx * cos - dy * sin - width / 2
        y = layer.centre[1] + dx * sin + dy * cos - height / 2
        place = [round(value * self.emu_per_pixel) for value in (x, y)]
        size = [max(1, round(value * self.emu_per_pixel)) for value in (width, height)]
        shape = shapes.add_picture(picture, *place, *size)
        shape.rotation = layer.angle % 360
        self.describe(shape, layer)
        _set_opacity(shape, opacity * layer.opacity)
        if layer.locked:
            _lock(shape)
        if layer.blend is not BlendMode.NORMAL:
            self.losses.append(f"the blend mode {layer.blend.value} of '{layer.name}' is shown as normal")
        if layer.text:
            self.losses.append(f"the live text of '{layer.name}' is a picture")

    def describe(self, shape: Any, node: Node) -> None:
        """Name and alternative text, and hidden where the node is."""
        name = xml_text(node.name)
        if name != node.name:
            self.losses.append(f"the name '{name}' had characters that XML cannot hold")
        properties = shape._element.xpath("*/p:cNvPr")[0]
        properties.set("name", name)
        properties.set("descr", name)
        if not node.visible:
            properties.set("hidden", "1")


def _set_opacity(picture: Any, opacity: float) -> None:
    if opacity != 1:
        blip = picture._element.xpath("p:blipFill/a:blip")[0]
        blip.insert(0, blip.makeelement(_tag("a:alphaModFix"), {"amt": str(round(opacity * 100_000))}))


def _lock(picture: Any) -> None:
    locks = picture._element.xpath("p:nvPicPr/p:cNvPicPr/a:picLocks")[0]
    for action in ("noMove", "noResize", "noRot"):
        locks.set(action, "1")


def _tag(name: str) -> str:
    from pptx.oxml.ns import qn

    return qn(name)


def _describe_file(properties: Any) -> None:
    """In place of what python-pptx's template says; a fixed date, so that equal documents give equal bytes."""
    properties.author = properties.last_modified_by = "Lamina"
    properties.title = properties.comments = ""
    properties.created = properties.modified = datetime(1980, 1, 1)


def _repack(package: io.BytesIO, path: os.PathLike[str]) -> None:
    """Copy a zip without the time of its making."""
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            add_member(target, member.filename, source.read(member), stored=member.filename.endswith(".png"))
