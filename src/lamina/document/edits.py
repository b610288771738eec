"""The edits of a document as values, and their JSON form: the REST body, the command line's file, the editor's action.

One small class per edit; `Edit` is their union. In JSON the field "edit" names the kind, the others are the class's
fields; optional ones that hold None are left out. What an edit does is in `apply`; this file knows no pixels.
Angles are degrees clockwise, places and distances canvas pixels, right and down.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from lamina.document.images import image_text, is_path
from lamina.document.layer import BlendMode, check_opacity
from lamina.errors import InputError
from lamina.pixels import PictureLike

__all__ = [
    "Delete",
    "Duplicate",
    "Edit",
    "Fit",
    "Insert",
    "Merge",
    "Move",
    "Recolor",
    "Regroup",
    "Rename",
    "Reorder",
    "Replace",
    "Resize",
    "Rotate",
    "SetBlend",
    "SetLocked",
    "SetOpacity",
    "SetVisible",
    "from_json",
    "to_json",
]

Fit = Literal["contain", "cover", "stretch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """Move a layer or group."""

    kind: ClassVar[str] = "move"
    layer: str
    dx: float
    dy: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Resize:
    """Multiply the scale, about the centre; [sx, sy] along the raster's own axes."""

    kind: ClassVar[str] = "resize"
    layer: str
    scale: float | tuple[float, float]

    def __post_init__(self) -> None:
        if not all(s > 0 for s in self.factors):
            raise InputError(f"scale {self.scale} is not above 0")

    @property
    def factors(self) -> tuple[float, float]:
        return self.scale if isinstance(self.scale, tuple) else (self.scale, self.scale)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotate:
    """Add to the angle, clockwise, about the centre."""

    kind: ClassVar[str] = "rotate"
    layer: str
    degrees: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rename:
    """Give a layer or group a name."""

    kind: ClassVar[str] = "rename"
    layer: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reorder:
    """Put a layer or group at index `to`, 0 = bottom, among its siblings or in `group` ("" is the top level)."""

    kind: ClassVar[str] = "reorder"
    layer: str
    to: int
    group: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SetOpacity:
    """Set the opacity, 0-1."""

    kind: ClassVar[str] = "set-opacity"
    layer: str
    opacity: float

    def __post_init__(self) -> None:
        check_opacity(self.opacity)


@dataclass(frozen=True, kw_only=True, slots=True)
class SetBlend:
    """Set a layer's blend mode."""

    kind: ClassVar[str] = "set-blend"
    layer: str
    blend: BlendMode


@dataclass(frozen=True, kw_only=True, slots=True)
class SetVisible:
    """Show or hide."""

    kind: ClassVar[str] = "set-visible"
    layer: str
    visible: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SetLocked:
    """Lock or unlock; a locked layer refuses every other edit. A group: every layer in it."""

    kind: ClassVar[str] = "set-locked"
    layer: str
    locked: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Recolor:
    """Move the hue, chroma and mean lightness to those of `color` (#rrggbb), keeping the shading.

    `strength` 0-1 goes from the old picture to the new one. A group is recoloured as one picture.
    """

    kind: ClassVar[str] = "recolor"
    layer: str
    color: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        if re.fullmatch(r"#[0-9a-fA-F]{6}", self.color) is None:
            raise InputError(f"color {self.color!r} is not of the form #rrggbb")
        if not 0 <= self.strength <= 1:
            raise InputError(f"strength {self.strength:g} is outside 0-1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Replace:
    """Put a new picture in a layer's place: inside its old box, covering it (what sticks out is cut), or stretched."""

    kind: ClassVar[str] = "replace"
    layer: str
    image: PictureLike
    fit: Fit = "contain"

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", image_text(self.image))


@dataclass(frozen=True, kw_only=True, slots=True)
class Insert:
    """Add a picture as a new layer with its top-left corner at (x, y), at index `to` (default: on top) of `group`."""

    kind: ClassVar[str] = "insert"
    image: PictureLike
    x: float = 0
    y: float = 0
    name: str | None = None
    to: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", image_text(self.image))


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate:
    """Copy a layer or group to just above itself."""

    kind: ClassVar[str] = "duplicate"
    layer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delete:
    """Remove a layer, or a group with all that is in it."""

    kind: ClassVar[str] = "delete"
    layer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """Make adjacent siblings one layer that composites to the same; a group alone becomes a layer."""

    kind: ClassVar[str] = "merge"
    layers: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_several(self.layers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Regroup:
    """Group siblings (`layers`, `name`) at the place of the topmost, or dissolve a group (`layer`)."""

    kind: ClassVar[str] = "regroup"
    layers: tuple[str, ...] | None = None
    name: str | None = None
    layer: str | None = None

    def __post_init__(self) -> None:
        if (self.layers is None) == (self.layer is None):
            raise InputError("regroup takes either 'layers' (to group them) or 'layer' (a group to dissolve)")
        if self.layers is not None:
            _check_several(self.layers)
        elif self.name is not None:
            raise InputError("regroup takes 'name' only together with 'layers'")


Edit = (
    Move
    | Resize
    | Rotate
    | Rename
    | Reorder
    | SetOpacity
    | SetBlend
    | SetVisible
    | SetLocked
    | Recolor
    | Replace
    | Insert
    | Duplicate
    | Delete
    | Merge
    | Regroup
)

_LARGEST = 1e9
_KINDS: dict[str, type[Edit]] = {edit.kind: edit for edit in get_args(Edit)}


def from_json(data: Any, *, paths: bool = False) -> tuple[Edit, ...]:
    """The edits of a parsed JSON list. `paths`: whether an image may be a file path (not for callers over a network).

    Raises InputError naming the edit's place in the list and the field, when anything is unknown, missing or unfit.
    """
    if not isinstance(data, list):
        raise InputError(f"edits are a {type(data).__name__}, expected a list of objects")
    edits: list[Edit] = []
    entries: list[Any] = data  # pyright: ignore[reportUnknownVariableType]
    for number, entry in enumerate(entries, start=1):
        try:
            edits.append(_edit_from_json(entry, paths))
        except InputError as error:
            raise InputError(f"edit {number}: {error}") from error
    return tuple(edits)


def to_json(edit: Edit) -> dict[str, Any]:
    """The JSON form of one edit; `from_json` of a list of these gives equal edits."""
    out: dict[str, Any] = {"edit": edit.kind}
    for field in fields(edit):
        value = getattr(edit, field.name)
        if isinstance(value, BlendMode):
            value = value.value
        if value is not None:
            out[field.name] = list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownArgumentType]
    return out


def _edit_from_json(entry: Any, paths: bool) -> Edit:
    if not isinstance(entry, Mapping):
        raise InputError(f"got {type(entry).__name__}, expected an object")
    values: dict[str, Any] = dict(entry)  # pyright: ignore[reportUnknownArgumentType]
    kind = values.pop("edit", None)
    edit_type = _KINDS.get(kind) if isinstance(kind, str) else None
    if edit_type is None:
        got = "there is no field 'edit'" if kind is None else f"'edit' is {kind!r}"
        raise InputError(f"{got}, expected one of {', '.join(_KINDS)}")
    known = {field.name: field for field in fields(edit_type)}
    for name in values:
        if name not in known:
            raise InputError(f"{kind} has no field '{name}'; it has {', '.join(known)}")
    optional = {name for name, field in known.items() if field.default is not MISSING}
    for name in known:
        if name not in values and name not in optional:
            raise InputError(f"{kind} lacks the field '{name}'")
    # null stands for "not given" where a field may be left out
    values = {name: value for name, value in values.items() if value is not None or name not in optional}
    edit = edit_type(**{name: _READERS[name](name, value) for name, value in values.items()})
    if isinstance(edit, Replace | Insert) and not paths and is_path(str(edit.image)):
        raise InputError(
            f"image '{str(edit.image)[:80]}' is neither a data URI nor a sha256; file paths are not taken here"
        )
    return edit


def _check_several(layers: tuple[str, ...]) -> None:
    if not layers:
        raise InputError("'layers' is empty, expected at least one id")
    if len(set(layers)) != len(layers):
        raise InputError(f"'layers' names a layer twice: {', '.join(layers)}")


def _read_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"'{name}' is {value!r}, expected text")
    return value


def _read_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"'{name}' is {value!r}, expected a number")
    if not -_LARGEST <= value <= _LARGEST:  # NaN is not either
        raise InputError(f"'{name}' is {str(value)[:20]}, expected a number within {_LARGEST:.0e} of 0")
    return value


def _read_whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"'{name}' is {value!r}, expected a whole number")
    return value


def _read_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"'{name}' is {value!r}, expected true or false")
    return value


def _read_scale(name: str, value: Any) -> float | tuple[float, float]:
    if isinstance(value, list) and len(value) == 2:  # pyright: ignore[reportUnknownArgumentType]
        sx, sy = value  # pyright: ignore[reportUnknownVariableType]
        return _read_number(name, sx), _read_number(name, sy)
    return _read_number(name, value)


def _read_ids(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InputError(f"'{name}' is {value!r}, expected a list of ids")
    return tuple(_read_text(name, item) for item in value)  # pyright: ignore[reportUnknownVariableType]


def _read_choice(choices: tuple[str, ...]) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if value not in choices:
            raise InputError(f"'{name}' is {value!r}, expected one of {', '.join(choices)}")
        return value

    return read


_read_blend = _read_choice(tuple(mode.value for mode in BlendMode))

_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("layer", "name", "group", "color", "image"), _read_text),
    **dict.fromkeys(("dx", "dy", "x", "y", "degrees", "opacity", "strength"), _read_number),
    **dict.fromkeys(("visible", "locked"), _read_flag),
    "to": _read_whole,
    "scale": _read_scale,
    "layers": _read_ids,
    "blend": lambda name, value: BlendMode(_read_blend(name, value)),
    "fit": _read_choice(get_args(Fit)),
}
