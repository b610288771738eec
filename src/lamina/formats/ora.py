"""OpenRaster (.ora): a zip of PNG layers and a stack.xml, top layer first.

Knows the layer stack and file layout of the specification (openraster.org, baseline 0.0.5), and Krita's name for the
one blend mode it lacks. Every layer is written upright: what is scaled or rotated is rasterized first. Ids, live text
and meta travel in attributes of our own (`lamina-id`, `-text`, `-meta`), which other programs pass over.
"""

import json
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NoReturn, cast
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from lamina.document.composite import flatten, flatten_nodes
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Box, Group, Layer, Node, Text
from lamina.errors import FormatError
from lamina.formats import png
from lamina.formats.archive import add_member, open_archive, read_member
from lamina.formats.files import atomic_file
from lamina.formats.limits import PixelBudget
from lamina.formats.naming import foreign_id, slug, xml_text
from lamina.formats.upright import upright
from lamina.pixels import resize_rgba

__all__ = ["read", "write"]

_MIMETYPE = b"image/openraster"
_VERSION = "0.0.5"
_THUMBNAIL = 256
_MAX_XML = 1 << 24
_MAX_DEPTH = 64

_OPERATORS = {mode: f"svg:{mode.value}" for mode in BlendMode} | {
    BlendMode.NORMAL: "svg:src-over",
    BlendMode.EXCLUSION: "krita:exclusion",  # absent from OpenRaster; this is the name that programs read
}
_MODES = {operator: mode for mode, operator in _OPERATORS.items()} | {"svg:exclusion": BlendMode.EXCLUSION}


def write(document: Document, path: str | os.PathLike[str]) -> list[str]:
    """Write `document` as OpenRaster and return, in words, what the file could not keep."""
    image = ElementTree.Element("image", {"version": _VERSION, "w": str(document.width), "h": str(document.height)})
    if document.dpi:
        image.set("xres", repr(document.dpi[0]))
        image.set("yres", repr(document.dpi[1]))
    if document.meta:
        image.set("lamina-meta", json.dumps(dict(document.meta), sort_keys=True))
    flat = flatten(document)
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        add_member(archive, "mimetype", _MIMETYPE, stored=True)
        writer = _Writer(archive, document)
        writer.stack(ElementTree.SubElement(image, "stack"), document.layers)
        ElementTree.indent(image)
        add_member(archive, "stack.xml", ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True))
        merged = png.encode(flat, document.icc, document.dpi)
        add_member(archive, "mergedimage.png", merged, stored=True)
        add_member(archive, "Thumbnails/thumbnail.png", png.encode(_thumbnail(flat), document.icc), stored=True)
    if document.source is not None:
        writer.losses.append("the source picture was left out")
    if any(isinstance(node, Layer) and node.text for node in document.walk()):
        writer.losses.append("live text was written as pixels; only Lamina reads its words back")
    return writer.losses


def read(path: str | os.PathLike[str]) -> Document:
    """Read an OpenRaster file; raises FormatError with one sentence when it is not a usable one.

    What a Document cannot say is read so that the composite stays the same: a group with a blend mode becomes one
    layer, and the layers of a group that blends with its ground leave it. An unknown operator is read as normal, as the
    specification asks. Each such step is a sentence in `meta["notes"]`.
    """
    with open_archive(path, "an OpenRaster file") as archive:
        if read_member(archive, "mimetype", limit=1024).strip() != _MIMETYPE:
            raise FormatError(f"{os.fspath(path)} is not an OpenRaster file: its mimetype is another")
        image = _parse(read_member(archive, "stack.xml", limit=_MAX_XML))
        stack = image.find("stack")
        if image.tag != "image" or stack is None:
            raise FormatError("stack.xml has no <image> with a <stack>")
        width, height = (round(_number(image, side, 0)) for side in "wh")
        PixelBudget().take(width, height, "the canvas")
        reader = _Reader(archive, Box(0, 0, width, height))
        layers = tuple(reader.nodes(stack, depth=0))
        meta = reader.meta(image)
    resolution = (_number(image, "xres", 0), _number(image, "yres", 0))
    return Document(
        width=width,
        height=height,
        layers=layers,
        meta=meta,
        icc=reader.icc,
        dpi=resolution if min(resolution) > 0 else None,
    )


@dataclass
class _Writer:
    archive: zipfile.ZipFile
    document: Document
    losses: list[str] = field(default_factory=list[str])
    count: int = 0

    def stack(self, parent: ElementTree.Element, nodes: Sequence[Node]) -> None:
        for node in reversed(nodes):
            if isinstance(node, Group):
                element = ElementTree.SubElement(parent, "stack", {"isolation": "isolate"})
                self.describe(element, node, BlendMode.NORMAL)
                self.stack(element, node.children)
            else:
                self.layer(ElementTree.SubElement(parent, "layer"), node)

    def layer(self, element: ElementTree.Element, layer: Layer) -> None:
        layer = upright(layer, self.document.box, self.losses)
        if layer.blend is BlendMode.EXCLUSION:
            self.losses.append(f"exclusion, the blend mode of '{layer.name}', is unknown to many OpenRaster programs")
        name = f"data/{self.count:02d}-{slug(layer.name)}.png"
        self.count += 1
        add_member(self.archive, name, png.encode(layer.rgba, self.document.icc), stored=True)
        self.describe(element, layer, layer.blend)
        element.set("src", name)
        element.set("x", str(layer.box.left))
        element.set("y", str(layer.box.top))
        if layer.locked:
            element.set("edit-locked", "true")
        if layer.text:
            element.set("lamina-text", json.dumps(asdict(layer.text)))

    def describe(self, element: ElementTree.Element, node: Node, blend: BlendMode) -> None:
        name = xml_text(node.name)
        if name != node.name:
            self.losses.append(f"the name '{name}' had characters that XML cannot hold")
        element.set("name", name)
        element.set("opacity", repr(float(node.opacity)))
        element.set("visibility", "visible" if node.visible else "hidden")
        element.set("composite-op", _OPERATORS[blend])
        element.set("lamina-id", xml_text(node.id))


@dataclass
class _Reader:
    archive: zipfile.ZipFile
    canvas: Box
    budget: PixelBudget = field(default_factory=PixelBudget)
    notes: list[str] = field(default_factory=list[str])
    ids: set[str] = field(default_factory=set[str])
    count: int = 0
    icc: bytes | None = None

    def meta(self, image: ElementTree.Element) -> dict[str, Any]:
        """The meta that travelled along, and the notes of this reading, if any, in place of earlier ones."""
        meta: Any = {}
        with suppress(ValueError, RecursionError):
            meta = json.loads(image.get("lamina-meta", "{}"))
        kept = cast(dict[str, Any], meta) if isinstance(meta, dict) else {}
        return kept | ({"notes": self.notes} if self.notes else {})

    def nodes(self, stack: ElementTree.Element, depth: int) -> Iterator[Node]:
        """The children of a <stack>, bottom first."""
        if depth > _MAX_DEPTH:
            raise FormatError(f"stack.xml nests groups more than {_MAX_DEPTH} deep")
        for element in reversed(stack):
            if element.tag == "layer":
                yield self.layer(element)
            elif element.tag == "stack":
                yield from self.group(element, depth + 1)
            else:
                self.notes.append(f"<{element.tag}> in stack.xml is not read")

    def layer(self, element: ElementTree.Element) -> Layer:
        source = element.get("src", "")
        picture = png.decode(read_member(self.archive, source), f"'{source}'", self.budget)
        self.icc = self.icc or picture.icc
        name = element.get("name", "")
        return Layer(
            id=self.identify(element, name),
            name=name,
            rgba=picture.rgba,
            x=round(_number(element, "x", 0)),
            y=round(_number(element, "y", 0)),
            opacity=_opacity(element),
            blend=self.blend(element, name),
            visible=element.get("visibility") != "hidden",
            locked=element.get("edit-locked") == "true",
            text=self.text(element, name),
        )

    def group(self, element: ElementTree.Element, depth: int) -> Iterator[Node]:
        """One Group, or what stands for it where a Group would composite to something else."""
        name = element.get("name", "")
        group_id, blend = self.identify(element, name), self.blend(element, name)
        opacity, visible = _opacity(element), element.get("visibility") != "hidden"
        children = tuple(self.nodes(element, depth))
        if blend is not BlendMode.NORMAL:
            self.notes.append(f"group '{name}' has the blend mode {blend.value} and was read as one layer")
            box = Group(id=group_id, name=name, children=children).box.intersect(self.canvas)
            box = Box(0, 0, 1, 1) if box.empty else box
            rgba = flatten_nodes(children, box)
            yield Layer(
                id=group_id, name=name, rgba=rgba, x=box.left, y=box.top, opacity=opacity, blend=blend, visible=visible
            )
        elif element.get("isolation") != "isolate" and opacity == 1 and any(_blends(child) for child in children):
            self.notes.append(f"group '{name}' lets its layers blend with what is below, so they were moved out of it")
            yield from (replace(child, visible=child.visible and visible) for child in children)
        else:
            yield Group(id=group_id, name=name, children=children, opacity=opacity, visible=visible)

    def identify(self, element: ElementTree.Element, name: str) -> str:
        """Our own id, or one from order and name where there is none or it was copied along with the layer."""
        found = element.get("lamina-id") or foreign_id(self.count, name)
        if found in self.ids:
            found = foreign_id(self.count, name)
        while found in self.ids:
            found += "-copy"
        self.count += 1
        self.ids.add(found)
        return found

    def blend(self, element: ElementTree.Element, name: str) -> BlendMode:
        operator = element.get("composite-op", "svg:src-over")
        if operator not in _MODES:
            self.notes.append(f"'{name}' has the unknown composite operator {operator!r} and was read as normal")
        return _MODES.get(operator, BlendMode.NORMAL)

    def text(self, element: ElementTree.Element, name: str) -> Text | None:
        stored = element.get("lamina-text")
        if stored is None:
            return None
        try:
            fields: dict[str, Any] = json.loads(stored)
            if fields.get("box"):
                fields["box"] = Box(*fields["box"])
            return Text(**fields)
        except (ValueError, TypeError, AttributeError, RecursionError):
            self.notes.append(f"the live text of '{name}' is malformed and was left out")
            return None


def _parse(xml: bytes) -> ElementTree.Element:
    """The tree of stack.xml. A document type is refused: that is where entities that grow without end are declared."""

    def refuse(*_: object) -> NoReturn:
        raise FormatError("stack.xml declares a document type, which OpenRaster does not use")

    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise FormatError(f"stack.xml is not well-formed XML: {error}") from error
    return builder.close()


def _number(element: ElementTree.Element, name: str, default: float) -> float:
    try:
        value = float(element.get(name, default))
    except ValueError:
        value = math.nan
    if not abs(value) < 1e9:
        raise FormatError(f"stack.xml says {name}={element.get(name)!r} in <{element.tag}>, expected a number")
    return value


def _opacity(element: ElementTree.Element) -> float:
    return min(max(_number(element, "opacity", 1), 0.0), 1.0)


def _blends(node: Node) -> bool:
    return isinstance(node, Layer) and node.blend is not BlendMode.NORMAL


def _thumbnail(flat: np.ndarray) -> np.ndarray:
    height, width = flat.shape[:2]
    shrink = min(1.0, _THUMBNAIL / max(width, height))
    return resize_rgba(flat, (max(1, round(width * shrink)), max(1, round(height * shrink))))
