"""Sample: one training item, a flat picture with the layers it was made of. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import UInt8

__all__ = ["Sample"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A picture and its truth.

    `composite` is what a model sees (stored state, RGB); `layers` are straight RGBA, bottom first, with hidden
    content kept; layer 0 is the ground. `kinds` says what each layer is; `seed` makes the sample again, where it was
    drawn. `caption` says in words what the picture shows. `provenance` is plain JSON data on where the sample comes
    from; its "layers", when there, is one mapping per layer (names, blend mode and opacity as found).
    """

    composite: UInt8[np.ndarray, "h w 3"]
    layers: UInt8[np.ndarray, "L h w 4"]
    kinds: tuple[str, ...]
    seed: int
    caption: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
