"""What a caller may ask of a decomposition: the one definition from which flags, schemas and node inputs derive.

Knows ranges, not networks: which options a checkpoint can use is the checkpoint's to say. Values that come as JSON or
as text of a form (a list for a tuple, "10,20,90,80" for a box) are taken too.
"""

import ast
import inspect
import math
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

from lamina.errors import InputError

__all__ = ["MOST_LAYERS", "DecomposeOptions", "Detail", "Point", "Region", "field_help"]

Region = tuple[int, int, int, int]
"""Half-open pixel rectangle: left, top, right, bottom."""

Point = tuple[int, int]
"""A pixel: from the left, from the top."""

Detail = Literal["coarse", "normal", "fine"]

MOST_LAYERS = 20
"""The most layers that any decomposition makes."""

_MOST_STEPS = 1000
_MOST_GUIDANCE = 100.0
_MOST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DecomposeOptions:
    """Raises InputError when a value is out of range."""

    layers: int | Literal["auto"] = "auto"
    """How many layers to make, 1-20, or auto: as many as the picture shows."""

    max_layers: int = 8
    """The most layers that auto may make, 1-20."""

    detail: Detail = "normal"
    """How finely auto cuts: coarse makes about half as many layers, fine takes small things and words apart too."""

    box: tuple[Region, ...] = ()
    """What this box shows above its ground becomes one layer, in pixels of the picture as it is seen; may be given
    several times: boxes count toward the layers, and where they overlap the later wins."""

    point: tuple[Point, ...] = ()
    """The thing under this pixel becomes one layer; may be given several times, counts like a box, wins over boxes."""

    prompt: str = ""
    """What the picture shows, in words."""

    steps: int | None = None
    """Sampling steps, 1-1000; without it, what the checkpoint was made for."""

    guidance: float | None = None
    """How strongly the prompt pulls, 1-100, 1 is off; without it, what the checkpoint was made for."""

    seed: int = 0
    """Where the random numbers start; the same seed gives the same result."""

    def __post_init__(self) -> None:
        if self.layers != "auto":
            _check_whole("layers", self.layers, 1, MOST_LAYERS, also=" or auto")
        _check_whole("max_layers", self.max_layers, 1, MOST_LAYERS)
        if self.steps is not None:
            _check_whole("steps", self.steps, 1, _MOST_STEPS)
        if self.guidance is not None and not 1 <= self.guidance <= _MOST_GUIDANCE:  # also refuses NaN
            raise InputError(f"guidance {self.guidance:g} is outside 1-{_MOST_GUIDANCE:g}")
        _check_whole("seed", self.seed, 0, _MOST_SEED)
        if self.detail not in get_args(Detail):
            raise InputError(f"detail is {self.detail!r}, expected one of {', '.join(get_args(Detail))}")
        object.__setattr__(self, "box", _places("box", self.box, 4, "left,top,right,bottom"))
        object.__setattr__(self, "point", _places("point", self.point, 2, "x,y"))
        for box in self.box:
            _check_box(box)
        self._check_room()
        if not isinstance(self.prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"prompt is {type(self.prompt).__name__}, expected text")

    @property
    def regions(self) -> int:
        """How many boxes and points there are."""
        return len(self.box) + len(self.point)

    def _check_room(self) -> None:
        """Every region needs a layer, and there is the ground."""
        name, most = ("max_layers", self.max_layers) if self.layers == "auto" else ("layers", self.layers)
        if self.regions and self.regions >= most:
            raise InputError(
                f"{name} {most} cannot hold {self.regions} boxes and points and the ground; ask for at least "
                f"{self.regions + 1}, or for fewer boxes and points"
                if self.regions < MOST_LAYERS
                else f"{self.regions} boxes and points are given, expected at most {MOST_LAYERS - 1}"
            )


def field_help(config: type) -> dict[str, str]:
    """The docstring under each field of a config dataclass, by field name: its help text wherever it is shown."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(config))).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in pairwise(definition.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
            case _:
                pass
    return found


def _check_whole(name: str, value: object, low: int, high: int, also: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} is {value!r}, expected a whole number {low}-{high}{also}")
    if not low <= value <= high:
        raise InputError(f"{name} {value} is outside {low}-{high}{also}")


def _places(name: str, value: Any, numbers: int, form: str) -> tuple[Any, ...]:
    """A tuple of tuples of whole numbers, from one or several in any of the forms that are taken."""
    if isinstance(value, str) or (isinstance(value, tuple | list) and value and _is_number(value[0])):
        value = (value,)  # one, not several
    if not isinstance(value, tuple | list):
        raise InputError(f"{name} is {value!r}, expected {form} or a list of these")
    return tuple(_place(name, entry, numbers, form) for entry in value)  # pyright: ignore[reportUnknownVariableType]


def _place(name: str, entry: Any, numbers: int, form: str) -> tuple[int, ...]:
    values: list[Any] = []
    if isinstance(entry, str):
        with suppress(ValueError):
            values = [float(word) for word in entry.split(",")]
    elif isinstance(entry, tuple | list):
        values = list(entry)  # pyright: ignore[reportUnknownArgumentType]
    whole = all(_is_number(v) and math.isfinite(v) and v == int(v) for v in values)
    if len(values) != numbers or not whole:
        raise InputError(f"{name} {entry!r} is not {form} in whole pixels")
    return tuple(int(v) for v in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_box(box: Region) -> None:
    left, top, right, bottom = box
    shown = ",".join(map(str, box))
    if right < left or bottom < top:
        raise InputError(f"box {shown} is reversed: left,top,right,bottom must rise, as in {_risen(box)}")
    if right == left or bottom == top:
        raise InputError(f"box {shown} is empty; right and bottom must lie beyond left and top")


def _risen(box: Region) -> str:
    left, top, right, bottom = box
    return f"{min(left, right)},{min(top, bottom)},{max(left, right)},{max(top, bottom)}"
