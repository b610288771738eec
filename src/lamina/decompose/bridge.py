"""Fill holes from side to side, along the directions in which both sides agree.

What a letter covers of a stripe's edge is no blend of stripe and ground: along the edge both sides of the letter look
the same, across it they do not. Every pixel takes what lies straight between its two sides in a direction, the more
the better they agree and the nearer they are (after edge-based line averaging, in more directions). Two sides of a
photograph agree by chance in a line here and there: a direction counts only where most of a hole's sides agree in it.
Knows arrays only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

__all__ = ["bridge"]

_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1))
"""Rows and columns of a step."""

_AGREE = 6.0
"""Colour distance (0-255) at which the two sides of a hole agree little."""

_CHANCE, _LAW = 0.5, 0.8
"""Shares of a hole whose sides agree in a direction: up to the first by chance, from the second on as a rule."""

_NEVER = 1e6
"""Steps to what is never met."""


def bridge(
    colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"], smooth: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    """`smooth` where nothing can be told, and `colours` (0-255) bridged over what is not `known` where their sides
    agree as a rule; what is known is left as `smooth` has it."""
    weight = known.astype(np.float32)
    mass = np.maximum(cv2.blur(weight, (3, 3)), 1e-6)[..., None]
    sides = cv2.blur((colours * weight[..., None]).astype(np.float32), (3, 3)) / mass
    hole = np.nonzero(~known)
    least = float(max(known.shape)) ** -2  # a bridge over the whole picture says as much as `smooth`
    found: Any = cv2.connectedComponents((~known).astype(np.uint8))
    count, own = found[0], found[1][hole]
    area = np.maximum(np.bincount(own, minlength=count), 1)
    total = np.full((hole[0].size, 1), least, np.float32)
    said = least * smooth[hole].astype(np.float32)
    for step in _DIRECTIONS:
        (one, near), (other, far) = (_reached(sides, known, sign * step[0], sign * step[1]) for sign in (1, -1))
        one, near, other, far = one[hole], near[hole], other[hole], far[hole]
        span = (near + far) * float(np.hypot(*step))
        agree = np.exp(-np.square(one - other).sum(axis=1) / _AGREE**2)
        rule = np.clip((np.bincount(own, agree, count) / area - _CHANCE) / (_LAW - _CHANCE), 0, 1)
        trust = (agree * rule[own]).astype(np.float32)[:, None] / np.square(span)
        said += trust * (far * one + near * other) / (near + far)
        total += trust
    out = smooth.astype(np.float32, copy=True)
    out[hole] = said / total
    return out


def _reached(
    sides: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"], down: int, across: int
) -> tuple[Any, Any]:
    """The colour that is met first on the way back against (down, across), and after how many steps."""
    if down == 0:
        found, steps = _reached(sides.swapaxes(0, 1), known.T, across, 0)
        return found.swapaxes(0, 1), steps.swapaxes(0, 1)
    height, width = known.shape
    found = sides.copy()
    steps = np.where(known, 0, _NEVER).astype(np.float32)[..., None]
    into, out_of = slice(max(0, across), width + min(0, across)), slice(max(0, -across), width - max(0, across))
    rows = range(down, height) if down > 0 else range(height - 1 + down, -1, -1)
    for row in rows:
        here = ~known[row, into]
        found[row, into][here] = found[row - down, out_of][here]
        steps[row, into][here] = steps[row - down, out_of][here] + 1
    return found, steps
