"""What a caller may ask of a decomposition: the one definition from which flags, schemas and node inputs derive.

Knows ranges, not networks: which options a checkpoint can use is the checkpoint's to say.
"""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from lamina.errors import InputError

__all__ = ["MOST_LAYERS", "DecomposeOptions", "field_help"]

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
        if not isinstance(self.prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"prompt is {type(self.prompt).__name__}, expected text")


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
