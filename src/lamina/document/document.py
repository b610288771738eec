"""The Document: canvas size and layers, bottom first; and its JSON form, which is also the wire form.

Knows the fields of document.json, not where pixels are kept: callers hand over how to write and read them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
from jaxtyping import UInt8

from lamina.document.layer import BlendMode, Box, Group, Layer, Node, Text, walk
from lamina.errors import FormatError, InputError, LaminaError
from lamina.pixels import freeze

__all__ = ["SCHEMA", "Document", "from_json", "to_json"]

SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Document:
    """An immutable stack of layers on a canvas.

    `layers` is bottom first. `icc` describes the stored pixels (None: sRGB); `dpi` is (x, y) dots per inch.
    `source` is the flat picture it was made from, if any (stored state); `meta` is plain JSON data.
    """

    width: int
    height: int
    layers: tuple[Node, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    source: UInt8[np.ndarray, "h w 4"] | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"canvas {self.width}x{self.height} is empty; both sides must be at least 1 px")
        object.__setattr__(self, "layers", tuple(self.layers))
        if self.source is not None:
            object.__setattr__(self, "source", freeze(self.source))
        seen: set[str] = set()
        for node in walk(self.layers):
            if node.id in seen:
                raise InputError(f"two layers share the id '{node.id}'; ids must be unique")
            seen.add(node.id)

    @property
    def box(self) -> Box:
        return Box(0, 0, self.width, self.height)

    def walk(self) -> Iterator[Node]:
        """Every layer and group, bottom first, a group before its children."""
        return walk(self.layers)

    def find(self, node_id: str) -> Node:
        """The layer or group with this id; raises InputError naming the ids there are."""
        for node in self.walk():
            if node.id == node_id:
                return node
        known = ", ".join(node.id for node in self.walk()) or "none"
        raise InputError(f"no layer with id '{node_id}'; there are: {known}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Document):
            return NotImplemented
        same = (self.width, self.height, self.icc, self.dpi) == (other.width, other.height, other.icc, other.dpi)
        if not same or self.layers != other.layers or dict(self.meta) != dict(other.meta):
            return False
        if self.source is None or other.source is None:
            return self.source is other.source
        return self.source is other.source or np.array_equal(self.source, other.source)

    def __hash__(self) -> int:
        return hash((self.width, self.height, self.layers))


def to_json(document: Document, pixels: Callable[[Layer], Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON form. `pixels(layer)` gives the fields that say where its raster is (for a bundle: {"file": ...})."""
    return {
        "schema": SCHEMA,
        "width": document.width,
        "height": document.height,
        "dpi": list(document.dpi) if document.dpi else None,
        "meta": dict(document.meta),
        "layers": [_node_to_json(node, pixels) for node in document.layers],
    }


def from_json(
    data: Any,
    pixels: Callable[[Mapping[str, Any]], UInt8[np.ndarray, "h w 4"]],
    *,
    icc: bytes | None = None,
    source: UInt8[np.ndarray, "h w 4"] | None = None,
) -> Document:
    """The Document of a JSON form; `pixels(entry)` reads a layer's raster. Raises FormatError on anything malformed."""
    if not isinstance(data, dict):
        raise FormatError(f"document.json holds a {type(data).__name__}, expected an object")
    data = cast(dict[str, Any], data)
    if data.get("schema") != SCHEMA:
        raise FormatError(f"document.json has schema {data.get('schema')!r}, expected {SCHEMA}")
    try:
        return Document(
            width=int(data["width"]),
            height=int(data["height"]),
            layers=tuple(_node_from_json(entry, pixels) for entry in data["layers"]),
            meta=dict(data.get("meta") or {}),
            icc=icc,
            dpi=(float(data["dpi"][0]), float(data["dpi"][1])) if data.get("dpi") else None,
            source=source,
        )
    except FormatError:
        raise
    except LaminaError as error:
        raise FormatError(f"document.json does not describe a document: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(f"document.json is malformed: {type(error).__name__} {error}") from error


def _node_to_json(node: Node, pixels: Callable[[Layer], Mapping[str, Any]]) -> dict[str, Any]:
    if isinstance(node, Group):
        return {
            "kind": "group",
            "id": node.id,
            "name": node.name,
            "opacity": node.opacity,
            "visible": node.visible,
            "children": [_node_to_json(child, pixels) for child in node.children],
        }
    return {
        "kind": "layer",
        "id": node.id,
        "name": node.name,
        **pixels(node),
        "x": _plain(node.x),
        "y": _plain(node.y),
        "width": node.width,
        "height": node.height,
        "scale": list(node.scale),
        "angle": node.angle,
        "locked": node.locked,
        "opacity": node.opacity,
        "visible": node.visible,
        "blend": node.blend.value,
        "text": asdict(node.text) if node.text else None,
    }


def _node_from_json(entry: Mapping[str, Any], pixels: Callable[[Mapping[str, Any]], Any]) -> Node:
    if entry["kind"] == "group":
        return Group(
            id=str(entry["id"]),
            name=str(entry["name"]),
            children=tuple(_node_from_json(child, pixels) for child in entry["children"]),
            opacity=float(entry.get("opacity", 1.0)),
            visible=bool(entry.get("visible", True)),
        )
    if entry["kind"] != "layer":
        raise FormatError(f"document.json has a node of kind {entry['kind']!r}, expected layer or group")
    sx, sy = entry.get("scale", (1.0, 1.0))
    text = entry.get("text")
    return Layer(
        id=str(entry["id"]),
        name=str(entry["name"]),
        rgba=pixels(entry),
        x=_plain(float(entry.get("x", 0))),
        y=_plain(float(entry.get("y", 0))),
        scale=(float(sx), float(sy)),
        angle=float(entry.get("angle", 0.0)),
        opacity=float(entry.get("opacity", 1.0)),
        blend=BlendMode(entry.get("blend", "normal")),
        visible=bool(entry.get("visible", True)),
        locked=bool(entry.get("locked", False)),
        text=_text_from_json(text) if text else None,
    )


def _text_from_json(entry: Mapping[str, Any]) -> Text:
    fields: dict[str, Any] = {**entry, "box": Box(*entry["box"]) if entry.get("box") else None}
    return Text(**fields)


def _plain(value: float) -> float:
    """Whole numbers as int, so that JSON shows 12 and not 12.0."""
    return int(value) if value == int(value) else float(value)
