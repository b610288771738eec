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
from jaxtyping import Bool, Float, Int

from lamina.pixels import channel_sum

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
    sides = (cv2.blur((colours * weight[..., None]).astype(np.float32), (3, 3)) / mass).reshape(-1, 3)
    places = np.flatnonzero(~known)
    hole = np.divmod(places, known.shape[1])
    least = float(max(known.shape)) ** -2  # a bridge over the whole picture says as much as `smooth`
    found: Any = cv2.connectedComponents((~known).astype(np.uint8))
    count, own = found[0], found[1].take(places)
    total = np.full(hole[0].size, least, np.float32)
    said = least * smooth.reshape(-1, 3).take(places, axis=0).astype(np.float32)
    for down, across in _DIRECTIONS:
        one, other = (_met(known, sign * down, sign * across).take(places) for sign in (1, -1))
        near, far = (_steps(hole, met, known.shape[1], down, across) for met in (one, other))
        one, other = sides.take(one, axis=0), sides.take(other, axis=0)
        between = np.maximum(near, far) < _NEVER
        agree = np.exp(-channel_sum(np.square(one - other)) / _AGREE**2) * between
        share = np.bincount(own, agree, count) / np.maximum(np.bincount(own, between, count), 1)
        rule = np.clip((share - _CHANCE) / (_LAW - _CHANCE), 0, 1)
        span = near + far
        trust = (agree * rule[own]).astype(np.float32) / (np.square(span) * np.float32(down**2 + across**2))
        said += (trust * far / span)[:, None] * one + (trust * near / span)[:, None] * other
        total += trust
    out = smooth.astype(np.float32, copy=True)
    out[hole] = said / total[:, None]
    return out


def _met(known: Bool[np.ndarray, "h w"], down: int, across: int) -> Int[np.ndarray, "h w"]:
    """Which known pixel, counted along the rows, is met first on the way back against (down, across); -1 for none."""
    width = known.shape[1]
    met = np.where(known, np.arange(known.size, dtype=np.int32).reshape(known.shape), np.int32(-1))
    if down == 0:
        lines, step, into, out_of = met.T, across, slice(None), slice(None)
    else:
        lines, step = met, down
        into, out_of = slice(max(0, across), width + min(0, across)), slice(max(0, -across), width - max(0, across))
    for line in range(step, len(lines)) if step > 0 else range(len(lines) - 1 + step, -1, -1):
        here = lines[line, into]
        np.copyto(here, lines[line - step, out_of], where=here < 0)
    return met


def _steps(hole: Any, met: Int[np.ndarray, " n"], width: int, down: int, across: int) -> Float[np.ndarray, " n"]:
    """Steps of (down, across) from the hole's pixels to those met."""
    away = np.abs(hole[0] - met // width) / down if down else np.abs(hole[1] - met % width) / across
    return np.where(met < 0, _NEVER, away).astype(np.float32)
