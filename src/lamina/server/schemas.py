"""What goes over the wire, for the OpenAPI page: answers as models, requests from the package's own definitions.

Options come from DecomposeOptions and edits from `document.edits`, so nothing is defined twice.
"""

from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, TypeAdapter

from lamina.document import edits
from lamina.document.layer import BlendMode
from lamina.options import DecomposeOptions, field_help
from lamina.server.store import Status

__all__ = [
    "DocumentModel",
    "GroupModel",
    "HealthModel",
    "JobError",
    "JobModel",
    "LayerModel",
    "ProblemModel",
    "SourceModel",
    "TextModel",
    "edits_schema",
    "options_schema",
    "problems",
]


class ProblemModel(BaseModel):
    """An error (RFC 9457); `code` is stable, `detail` says what was got, what was expected and what to do."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str


class JobModel(BaseModel):
    """A job and how far it is."""

    id: str
    kind: Literal["decompose", "split"]
    status: Status
    progress: float = Field(ge=0, le=1)
    document_id: str | None
    error: JobError | None
    created: float = Field(description="Unix time")
    ended: float | None = Field(description="Unix time")


class TextModel(BaseModel):
    """What a live-text format writes for a layer."""

    content: str
    font_family: str
    size_px: float
    color: str
    align: str
    angle: float
    box: list[int] | None


class LayerModel(BaseModel):
    """A layer; `x, y` is the top-left corner of its raster while scale is 1 and angle 0."""

    kind: Literal["layer"]
    id: str
    name: str
    sha256: str = Field(description="Name of the stored pixels; an edit's `image` may be this")
    pixels: str = Field(description="Where the raster is, as a PNG")
    x: float
    y: float
    width: int
    height: int
    scale: list[float] = Field(min_length=2, max_length=2)
    angle: float
    locked: bool
    opacity: float
    visible: bool
    blend: BlendMode
    text: TextModel | None


class GroupModel(BaseModel):
    """A group, isolated, its children bottom first."""

    kind: Literal["group"]
    id: str
    name: str
    opacity: float
    visible: bool
    children: "list[LayerModel | GroupModel]"


class SourceModel(BaseModel):
    """The flat picture that a document was made from."""

    sha256: str
    pixels: str


class DocumentModel(BaseModel):
    """A document, its layers bottom first."""

    schema_: Literal[1] = Field(alias="schema")
    id: str
    width: int
    height: int
    dpi: list[float] | None
    meta: dict[str, Any]
    source: SourceModel | None
    layers: list[LayerModel | GroupModel]


class HealthModel(BaseModel):
    """The service answers, and its store can be read."""

    status: Literal["ok"]
    version: str
    waiting: int
    running: int


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: these problems, and those that any call may end as."""
    schema = {"$ref": "#/components/schemas/ProblemModel"}
    titles = {
        400: "Not JSON, or broken off",
        401: "The token is missing or wrong",
        403: "From a page of another site",
        404: "Unknown, or removed after long disuse",
        408: "The upload stood still or took too long",
        409: "Not in this state",
        413: "Too many bytes or pixels",
        415: "Not a type that is taken",
        421: "Not a name of this service",
        422: "Understood, but cannot be done",
        429: "Too many jobs wait; Retry-After says when to come again",
        500: "A defect of ours",
        501: "An extra is not installed",
        503: "The device or checkpoint is not there",
        504: "The job goes on, but the answer took too long",
        507: "No room on the disk",
    }
    content = {"application/problem+json": {"schema": schema}}
    return {status: {"description": titles[status], "content": content} for status in (401, 421, 500, *statuses)}


def options_schema() -> dict[str, Any]:
    """JSON Schema of the options: the properties beside `image`."""
    schema = TypeAdapter(DecomposeOptions).json_schema()
    helps = field_help(DecomposeOptions)
    return {
        name: {**{k: v for k, v in entry.items() if k != "title"}, "description": helps[name]}
        for name, entry in schema["properties"].items()
    }


def edits_schema() -> dict[str, Any]:
    """JSON Schema of a list of edits."""
    kinds = [_edit_schema(kind) for kind in get_args(edits.Edit)]
    return {"type": "array", "items": {"oneOf": kinds, "discriminator": {"propertyName": "edit"}}}


def _edit_schema(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties: dict[str, Any] = {"edit": {"type": "string", "enum": [kind.kind]}}
    for field in fields(kind):
        properties[field.name] = _IMAGE if field.name == "image" else _schema(hints[field.name])
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    return {
        "type": "object",
        "title": kind.kind,
        "description": " ".join(str(kind.__doc__).split()),
        "properties": properties,
        "required": ["edit", *needed],
        "additionalProperties": False,
    }


_IMAGE = {"type": "string", "description": "A data URI, or the sha256 of stored pixels"}
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    float: {"type": "number", "minimum": -1e9, "maximum": 1e9},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    BlendMode: {"type": "string", "enum": [mode.value for mode in BlendMode]},
    type(None): {"type": "null"},
}


def _schema(hint: Any) -> dict[str, Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"type": "string", "enum": list(inner)}
    if origin is tuple and inner[-1] is Ellipsis:
        return {"type": "array", "items": _schema(inner[0]), "minItems": 1}
    if origin is tuple:
        return {"type": "array", "items": _schema(inner[0]), "minItems": len(inner), "maxItems": len(inner)}
    if origin in (UnionType, cast(Any, Union)):
        return {"anyOf": [_schema(member) for member in inner]}
    return _PLAIN[hint]
