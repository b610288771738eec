"""Which layer lies on which, as far as outlines tell: what another layer lies all around lies on it.

A network tells order from what it believes is hidden, and is often wrong about it: lettering comes below its banner and
shows through holes in it. A hole in the shape of a letter is less likely than a letter. Knows labels only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import numpy as np
from jaxtyping import Int, UInt8

from lamina.decompose.parts import connected

__all__ = ["ordered"]

_ENCLOSED = 0.9
"""Share of a part's border that lies on one other layer, from which it is enclosed by it."""

_RULE = 0.5
"""Share of the common border of two layers along which one is enclosed, ..."""

_CLEARLY = 2.0
"""... and this many times what is so the other way round, as the counters of letters."""


def ordered(label: UInt8[np.ndarray, "h w"], free: int, count: int) -> Int[np.ndarray, " n"]:
    """The layers 0..count-1, bottom first: the ground and those from `free` on stay in their places."""
    inside, common = _enclosed(label, count)
    order = list(range(count))
    lies_on = (inside > _RULE * common) & (inside > _CLEARLY * inside.T)
    for upper, lower in np.argwhere(lies_on):
        if not (0 < upper < free and 0 < lower < free):
            continue
        above, below = order.index(upper), order.index(lower)
        if above > below:
            continue
        between = order[above + 1 : below]
        if not common[upper, between].any():  # it moves up past what it does not touch, ...
            order.insert(below, order.pop(above))
        elif not common[lower, between].any():  # ... or the other one down
            order.insert(above, order.pop(below))
    return np.array(order)


def _enclosed(label: UInt8[np.ndarray, "h w"], count: int) -> tuple[Int[np.ndarray, "n n"], Int[np.ndarray, "n n"]]:
    """Pixels of border: of those parts of the first layer that the second encloses, and of both with each other."""
    parts, area, owner = connected(label)
    border = np.zeros((area.size, count), np.int64)
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differ = label[one] != label[other]
        for here, there in ((one, other), (other, one)):
            key = parts[here][differ] * np.int64(count) + label[there][differ]
            border += np.bincount(key, minlength=border.size).reshape(border.shape)
    whole = border > _ENCLOSED * np.maximum(border.sum(axis=1, keepdims=True), 1)
    held, inside, common = (
        np.stack([values[owner == number].sum(axis=0) for number in range(count)])
        for values in (whole * area[:, None], whole * border, border)
    )
    lesser = held < np.bincount(owner, area, count)  # an outline, less than what it encloses, lies on it
    return inside * lesser, common
