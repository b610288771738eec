"""The gradient that colours lie on: a constant, a plane, a paraboloid or cubic surface, or steps in one direction.

Steps in one direction are any colours at all that change along it and not across, as a sky's or a designer's gradient
of many stops do. Fits are robust: what stands off the gradient, a thing's rim or shadow, does not bend it. Knows arrays
only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from lamina.pixels import channel_max

__all__ = ["gradient_of", "trend_of"]

_CLEAN = 3.0
"""A gradient describes a pixel that lies this near to it (0-255)."""

_NEARLY_ALL = 0.9
"""Share of the known pixels that lie on a gradient for it to be theirs."""

_SAMPLES = 6000

_DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (0.5**0.5, 0.5**0.5), (0.5**0.5, -(0.5**0.5)))
"""Down and across, in heights and widths: the directions of designers' gradients, straight or to a corner."""

_STEPS = 128
"""Steps along a direction."""

_IN_A_STEP = 12
"""Pixels that tell a step's colour; between such steps colours go straight."""

_BEYOND = 4096.0
"""More than colours, or what is left of them, differ by."""

_RANK = 1e-10
"""Least singular value of a fit's normal equations, in shares of the largest, that tells something."""

_SQUARE, _CUBIC = 2, 3

_Surface = Callable[[Any, Any], Any]
"""Colours from rows and columns, 0 at the middle and 0.5 at the far edges."""


def gradient_of(
    colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"] | None:
    """The constant, plane or paraboloid that nearly all known pixels lie on, everywhere; None if there is none. Only
    these go on beyond what is known as they are there."""
    samples = _Samples.of(colours, known)
    for degree in range(_SQUARE + 1):
        surface = samples.polynomial(degree)
        if surface is not None and samples.share(surface) > _NEARLY_ALL:
            return _everywhere(surface, known.shape)
    return None


def trend_of(colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """The gradient that most of the known pixels lie on, everywhere; 0 when nothing is known."""
    samples = _Samples.of(colours, known)
    surfaces = [samples.polynomial(degree) for degree in range(_CUBIC + 1)]
    surfaces += [samples.steps(*direction) for direction in _DIRECTIONS]
    found = [surface for surface in surfaces if surface is not None]
    return _everywhere(max(found, key=samples.share), known.shape) if found else np.zeros_like(colours, np.float32)


@dataclass(frozen=True, slots=True)
class _Samples:
    """Some of the known pixels: where they are, from -0.5 to 0.5, and their colours."""

    y: Float[np.ndarray, " n"]
    x: Float[np.ndarray, " n"]
    wanted: Float[np.ndarray, "n 3"]

    @classmethod
    def of(cls, colours: Any, known: Any) -> "_Samples":
        ys, xs = np.nonzero(known)
        step = max(1, ys.size // _SAMPLES)
        ys, xs = ys[::step], xs[::step]
        return cls(ys / known.shape[0] - 0.5, xs / known.shape[1] - 0.5, colours[ys, xs].astype(np.float64))

    def share(self, surface: _Surface) -> float:
        """How much of them lies on a surface."""
        return float((channel_max(np.abs(self.wanted - surface(self.y, self.x))) < _CLEAN).mean())

    def polynomial(self, degree: int) -> _Surface | None:
        """Least squares without the worst fifth, or a median for a constant; None where there are too few."""
        terms = _terms(self.y, self.x, degree)
        if len(terms) < (8 * terms.shape[1] if degree else 1):
            return None
        factors: Any = np.zeros((terms.shape[1], self.wanted.shape[1]))
        factors[0] = np.median(self.wanted, axis=0)
        for _ in range(4 if degree else 0):
            off = channel_max(np.abs(self.wanted - terms @ factors))
            inside = off <= max(_CLEAN, float(np.quantile(off, 0.8)))
            kept = terms[inside].T
            factors = np.linalg.lstsq(kept @ kept.T, kept @ self.wanted[inside], rcond=_RANK)[0]
        return lambda y, x: _terms(y, x, degree) @ factors

    def steps(self, down: float, across: float) -> _Surface | None:
        """The median of every step along a direction; None where fewer than two can be told."""

        def along(y: Any, x: Any) -> Any:
            return (down * y + across * x) * _STEPS

        step = np.floor(along(self.y, self.x))
        order = np.argsort(step, kind="stable")
        first, starts, often = np.unique(step[order], return_index=True, return_counts=True)
        told = often >= _IN_A_STEP
        if told.sum() < 2:
            return None
        places, start, last = first[told] + 0.5, starts[told], (starts + often)[told] - 1
        # Colours sorted within their steps: half way lies the median.
        base = step[order] * _BEYOND
        ranked = [np.sort(base + one) - base for one in self.wanted[order].T]
        low, high = (start + last) // 2, (start + last + 1) // 2
        medians = [(one[low] + one[high]) / 2 for one in ranked]
        return lambda y, x: np.stack([np.interp(along(y, x), places, one) for one in medians], axis=1)


def _terms(y: Any, x: Any, degree: int) -> Any:
    return np.stack([y**i * x**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=1)


def _everywhere(surface: _Surface, shape: tuple[int, ...]) -> Float[np.ndarray, "h w 3"]:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    found = surface(rows.ravel() / shape[0] - 0.5, columns.ravel() / shape[1] - 0.5)
    return found.astype(np.float32).reshape(*shape, -1)
