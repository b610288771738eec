"""What a harvest keeps: the one definition from which its flags are made. Knows ranges only; loads nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from lamina.errors import InputError
from lamina.options import MOST_LAYERS

__all__ = ["HarvestOptions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HarvestOptions:
    """What is kept of a file. Raises InputError when a value is out of range."""

    max_error: float = 1.5
    """Mean absolute difference of a byte, in 1/255, by which the layers' composite over white may miss the file's
    own preview."""

    max_off: float = 0.05
    """Share of pixels, 0-1, that may miss the preview by more than 16/255 in some channel."""

    max_layers: int = 20
    """The most layers of a sample, 2-20, ground included."""

    merge: Literal["always", "needed"] = "needed"
    """Merge layers that do not overlap: always, as the paper does, or only where there are too many."""

    min_area: float = 0.0002
    """Share of the canvas, 0-1, on which a layer must show."""

    max_side: int = 1536
    """Longer side, in pixels, to which larger documents are shrunk once they are checked."""

    near: int = 6
    """Composites whose hashes differ in at most this many of 64 bits count as the same; -1 keeps them all."""

    def __post_init__(self) -> None:
        ranges = {"max_error": (0, 255), "max_off": (0, 1), "min_area": (0, 1), "near": (-1, 64)}
        ranges |= {"max_layers": (2, MOST_LAYERS), "max_side": (128, 16_384)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} {value:g} is outside {low}-{high}")
        if self.merge not in ("always", "needed"):
            raise InputError(f"merge is '{self.merge}', expected always or needed")
