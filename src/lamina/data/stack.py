"""From many plain leaves to a training stack: what changes nothing goes, neighbours merge, an opaque ground lies below.

The steps of the paper's PSD pipeline (arXiv 2512.15603, section 3.3: layers that do not change the composite are
removed, layers that do not overlap are merged, at most 20 stay), with peeling as the way to merge. The composite
over white stays the same, but for what is too small to keep. Knows leaves only.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from lamina.data.leaves import Leaf, cut, paint, touch
from lamina.document.layer import Box
from lamina.pixels import premultiply, resize_premul, trim_box, unpremultiply

__all__ = ["Dropped", "Stack", "cap", "grounded", "shown_only", "shrunk"]

_SEEN = 2 / 255
"""A pixel that changes by more than this when a layer is taken away shows that layer."""

_COVERS = 250
_CLOSED = 0.98
"""A lowest layer that covers this share of the canvas (alpha of at least 250) is the ground, its gaps closed."""


class Dropped(NamedTuple):
    """A layer that was left out, and why."""

    name: str
    why: str


class Stack(NamedTuple):
    """Leaves over an opaque ground, and what the ground is: "own", "closed" (gaps filled white) or "added" (white)."""

    leaves: list[Leaf]
    ground: Literal["own", "closed", "added"]


def shown_only(
    leaves: Sequence[Leaf], canvas: Box, least: float, ground: Leaf | None = None
) -> tuple[list[Leaf], list[Dropped]]:
    """Leave out what changes the composite, over white or an opaque ground, on under a share `least` of the canvas.

    One after the other, each against the stack without the ones that went before it, so that of two equal layers
    one stays.
    """
    # What of each leaf comes through the ones above it, whether they stay or not: those that go hide nothing.
    through = np.ones((canvas.height, canvas.width), np.float32)
    seen: list[np.ndarray] = []
    for leaf in reversed(leaves):
        part = through[leaf.box.top : leaf.box.bottom, leaf.box.left : leaf.box.right]
        seen.append(part.astype(np.float16))
        part *= 1 - leaf.rgba[..., 3].astype(np.float32) / 255
    seen.reverse()
    shown = paint([ground] if ground else [], canvas, 255)[..., :3]
    kept: list[Leaf] = []
    dropped: list[Dropped] = []
    for leaf, visible in zip(leaves, seen, strict=True):
        below = shown[leaf.box.top : leaf.box.bottom, leaf.box.left : leaf.box.right]
        source = premultiply(leaf.rgba, np.float32)
        after = source[..., :3] + below * (1 - source[..., 3:])
        change = np.abs(after - below).max(axis=2) * visible
        count = int((change > _SEEN).sum())
        if count and count >= least * canvas.width * canvas.height:
            below[...] = after
            kept.append(leaf)
        else:
            dropped.append(Dropped(leaf.name, "too small" if count else "changes nothing"))
    return kept, dropped


def cap(leaves: Sequence[Leaf], canvas: Box, most: int, *, always: bool) -> list[Leaf]:
    """At most `most` leaves. Those that peel off together merge, all of them (`always`) or the nearest first until
    there are few enough; where that does not do, neighbours in the stack merge, the smallest first."""
    if not always and len(leaves) <= most:
        return list(leaves)
    groups = [[[i] for i in group] for group in _peeled(leaves)]  # parts of one group may go in any order
    if always:
        groups = [[[i for part in group for i in part]] for group in groups]
    boxes = {i: leaf.box for i, leaf in enumerate(leaves)}
    while sum(map(len, groups)) > most:
        pairs = [(cost, g, a, b) for g, group in enumerate(groups) for cost, a, b in _nearest(group, boxes)]
        if not pairs:
            break
        _, g, a, b = min(pairs)
        groups[g][a] = sorted(groups[g][a] + groups[g].pop(b))
        boxes[groups[g][a][0]] = _union(boxes[i] for i in groups[g][a])
    merged = [_joined([leaves[i] for i in part]) for group in groups for part in group]
    while len(merged) > most:
        sizes = [int((leaf.rgba[..., 3] > 0).sum()) for leaf in merged]
        place = min(range(len(merged) - 1), key=lambda i: sizes[i] + sizes[i + 1])
        merged[place : place + 2] = [_joined(merged[place : place + 2])]
    return merged


def grounded(leaves: Sequence[Leaf], canvas: Box) -> Stack:
    """The leaves over a ground that is opaque everywhere; white comes in where theirs is not."""
    lowest = leaves[0] if leaves else None
    if lowest is not None and lowest.box == canvas:
        alpha = lowest.rgba[..., 3]
        if (alpha == 255).all():
            return Stack(list(leaves), "own")
        if (alpha >= _COVERS).mean() >= _CLOSED:
            flat = unpremultiply(paint([lowest], canvas, 255))
            return Stack([replace(lowest, rgba=flat), *leaves[1:]], "closed")
    white = np.full((canvas.height, canvas.width, 4), 255, np.uint8)
    return Stack([Leaf(name="ground", rgba=white, x=0, y=0, kind="ground"), *leaves], "added")


def shrunk(leaves: Sequence[Leaf], canvas: Box, side: int) -> tuple[list[Leaf], Box]:
    """The leaves on a canvas whose longer side is at most `side`; as they are where it is already."""
    scale = side / max(canvas.width, canvas.height)
    if scale >= 1:
        return list(leaves), canvas
    small = Box(0, 0, max(1, round(canvas.width * scale)), max(1, round(canvas.height * scale)))
    out: list[Leaf] = []
    for leaf in leaves:
        made = _resized(leaf, canvas, small)
        if made is not None:
            out.append(made)
    return out, small


def _resized(leaf: Leaf, canvas: Box, small: Box) -> Leaf | None:
    """One leaf, sampled just as if the whole canvas had been resized."""
    sx, sy = canvas.width / small.width, canvas.height / small.height
    target = Box(
        max(0, math.floor(leaf.box.left / sx) - 2),
        max(0, math.floor(leaf.box.top / sy) - 2),
        min(small.right, math.ceil(leaf.box.right / sx) + 2),
        min(small.bottom, math.ceil(leaf.box.bottom / sy) + 2),
    )
    reach = math.ceil(2 * max(sx, sy)) + 1  # of the bicubic filter
    around = Box(
        math.floor(target.left * sx) - reach,
        math.floor(target.top * sy) - reach,
        math.ceil(target.right * sx) + reach,
        math.ceil(target.bottom * sy) + reach,
    ).intersect(canvas)
    field = np.zeros((around.height, around.width, 4), np.float32)
    top, left = leaf.box.top - around.top, leaf.box.left - around.left
    field[top : top + leaf.box.height, left : left + leaf.box.width] = premultiply(leaf.rgba, np.float32)
    part = (
        target.left * sx - around.left,
        target.top * sy - around.top,
        target.right * sx - around.left,
        target.bottom * sy - around.top,
    )
    working = np.clip(resize_premul(field, (target.width, target.height), part), 0.0, 1.0)
    working[..., :3] = np.minimum(working[..., :3], working[..., 3:])
    return cut(replace(leaf, rgba=unpremultiply(working), x=target.left, y=target.top), small)


def _peeled(leaves: Sequence[Leaf]) -> list[list[int]]:
    """Groups of indices, bottom group first: again and again, what no remaining upper leaf touches goes together."""
    from lamina.data.scenes import peel

    touching = np.zeros((len(leaves), len(leaves)), bool)
    for i, one in enumerate(leaves):
        for j in range(i + 1, len(leaves)):
            touching[i, j] = touching[j, i] = touch(one, leaves[j])
    return peel(touching)


def _nearest(parts: Sequence[Sequence[int]], boxes: Mapping[int, Box]) -> list[tuple[float, int, int]]:
    """(cost, a, b) of the two parts of a group, a before b, whose common box adds least to their own; none or one."""
    if len(parts) < 2:
        return []
    corners = np.array([boxes[part[0]] for part in parts], np.float64)
    low = np.minimum(corners[:, None, :2], corners[None, :, :2])
    high = np.maximum(corners[:, None, 2:], corners[None, :, 2:])
    area = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    cost = (high - low).prod(axis=2) - area[:, None] - area[None]
    cost[np.tril_indices(len(parts))] = np.inf
    a, b = divmod(int(cost.argmin()), len(parts))
    return [(float(cost[a, b]), a, b)]


def _union(boxes: Iterable[Box]) -> Box:
    return functools.reduce(Box.union, boxes)


def _joined(leaves: Sequence[Leaf]) -> Leaf:
    """Neighbours as one leaf that composites the same."""
    if len(leaves) == 1:
        return leaves[0]
    box = _union(leaf.box for leaf in leaves)
    moved = [replace(leaf, x=leaf.x - box.left, y=leaf.y - box.top) for leaf in leaves]
    rgba = unpremultiply(paint(moved, Box(0, 0, box.width, box.height)))
    left, top, right, bottom = trim_box(rgba[..., 3]) or (0, 0, 1, 1)
    kinds = {leaf.kind for leaf in leaves}
    found: tuple[dict[str, Any], ...] = tuple(each for leaf in leaves for each in leaf.found)
    return Leaf(
        name=" + ".join(leaf.name for leaf in leaves)[:120],
        rgba=rgba[top:bottom, left:right],
        x=box.left + left,
        y=box.top + top,
        kind=kinds.pop() if len(kinds) == 1 else "mixed",
        baked=any(leaf.baked for leaf in leaves),
        found=found,
    )
