"""Leaves: the layers of a document without its groups, bottom first, and how they become plain layers.

Plain means: placed by `over` alone they give the composite of the document over white. A layer that does so is left
as it is; one with another blend mode is baked, which is to say redrawn with the least alpha that takes the picture
below it to the picture with it. So a multiplied shadow becomes black of some alpha, whatever it falls on.
Knows documents and arrays; no files.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lamina.document.blend import blend
from lamina.document.composite import flatten_nodes, rasterize
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Box, Group, Layer, Node
from lamina.pixels import premultiply, round_u8, trim_box

__all__ = ["FOREIGN", "Leaf", "bake", "cut", "leaves_of", "paint", "plain", "touch"]

_TOUCH = 4
"""Alpha (of 255) from which on a pixel counts as the layer's: fainter haloes do not make neighbours overlap."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Leaf:
    """One raster on the canvas: stored pixels at a whole place, inside the canvas.

    `opacity` is not yet in the pixels. `kind` says what it was ("pixels", "text", "shape", "group", …); `found` tells
    of each layer that went into it, as the file has it: plain JSON. `baked` marks one that was redrawn.
    """

    name: str
    rgba: UInt8[np.ndarray, "h w 4"]
    x: int
    y: int
    opacity: float = 1.0
    blend: str = BlendMode.NORMAL
    """A BlendMode, or a key of FOREIGN."""

    kind: str = "pixels"
    baked: bool = False
    found: tuple[dict[str, Any], ...] = field(default=())

    @property
    def box(self) -> Box:
        return Box(self.x, self.y, self.x + self.rgba.shape[1], self.y + self.rgba.shape[0])

    def within(self, box: Box) -> UInt8[np.ndarray, "H W 4"]:
        """The pixels in a part of the leaf's own box."""
        return self.rgba[box.top - self.y : box.bottom - self.y, box.left - self.x : box.right - self.x]


def leaves_of(document: Document) -> list[Leaf]:
    """What is shown in a document, bottom first, groups resolved.

    A group gives its layers one by one where that composites the same (normal blend modes, and full opacity or no
    overlap); otherwise it is one leaf.
    """
    return list(_leaves(document.layers, document.box))


def touch(one: Leaf, other: Leaf) -> bool:
    """True when both show on some pixel."""
    part = one.box.intersect(other.box)
    if part.empty:
        return False
    return bool(((one.within(part)[..., 3] > _TOUCH) & (other.within(part)[..., 3] > _TOUCH)).any())


def cut(leaf: Leaf, canvas: Box) -> Leaf | None:
    """The leaf trimmed to what is not transparent and lies on the canvas; None when nothing does."""
    part = leaf.box.intersect(canvas)
    if part.empty:
        return None
    rgba = leaf.within(part)
    trim = trim_box(rgba[..., 3])
    if trim is None:
        return None
    left, top, right, bottom = trim
    return replace(leaf, rgba=rgba[top:bottom, left:right], x=part.left + left, y=part.top + top)


def plain(leaves: Sequence[Leaf], canvas: Box, *, text_power: float = 1.0) -> list[Leaf]:
    """The leaves with opacity in their pixels and blend modes baked.

    Over a white ground, or any ground that covers all, `over` of the result is the blended composite. Leaves of kind
    "text" are blended on values to the power of `text_power`: they keep their colour and get the alpha that comes
    nearest to that by `over`.
    """
    out: list[Leaf] = []
    shown = np.zeros((canvas.height, canvas.width, 4), np.float32)
    powered = [leaf.kind == "text" and text_power != 1 and leaf.blend == BlendMode.NORMAL for leaf in leaves]
    asks = [power or leaf.blend != BlendMode.NORMAL for leaf, power in zip(leaves, powered, strict=True)]
    for index, leaf in enumerate(leaves):
        if not any(asks[index:]):  # nothing from here on asks what is below
            out.append(_faded(leaf))
            continue
        target = shown[leaf.box.top : leaf.box.bottom, leaf.box.left : leaf.box.right]
        if powered[index]:
            leaf = _powered(_faded(leaf), _over_white(target), text_power)
        source = premultiply(leaf.rgba, np.float32) * np.float32(leaf.opacity)
        if leaf.blend == BlendMode.NORMAL:
            target[...] = source + target * (1 - source[..., 3:])
            out.append(_faded(leaf))
            continue
        before = _over_white(target)
        target[...] = _blended(source, target, leaf.blend)
        rgba = bake(before, _over_white(target))
        out.append(replace(leaf, rgba=rgba, opacity=1.0, blend=BlendMode.NORMAL, baked=True))
    return [kept for leaf in out if (kept := cut(leaf, canvas))]


def bake(
    before: Float[np.ndarray, "h w 3"], after: Float[np.ndarray, "h w 3"], floor: float = 0.75 / 255
) -> UInt8[np.ndarray, "h w 4"]:
    """The layer of least alpha that takes one opaque picture to another by `over` (both 0-1); changes of at most
    `floor` are none.

    From after = (1 - a)*before + a*c with c in 0-1, per channel: a >= (after - before)/(1 - before) where it
    brightens, a >= 1 - after/before where it darkens.
    """
    change = after - before
    change = np.where(np.abs(change).max(axis=2, keepdims=True) > floor, change, 0.0)
    room = np.where(change > 0, 1 - before, before)
    share = np.divide(np.abs(change), room, out=np.zeros_like(change), where=room > 1e-6)
    alpha = np.ceil(np.clip(share.max(axis=2, keepdims=True), 0, 1) * 255 - 1e-3) / 255
    colour = before + np.divide(change, alpha, out=np.zeros_like(change), where=alpha > 0)
    return round_u8(np.concatenate([np.clip(colour, 0, 1), alpha], axis=2) * 255)


def paint(leaves: Iterable[Leaf], canvas: Box, ground: int | None = None) -> Float[np.ndarray, "h w 4"]:
    """Premultiplied composite (float32) of plain leaves by `over` alone, on nothing or on an opaque grey 0-255."""
    shown = np.zeros((canvas.height, canvas.width, 4), np.float32)
    if ground is not None:
        shown[...] = (ground / 255, ground / 255, ground / 255, 1)
    for leaf in leaves:
        target = shown[leaf.box.top : leaf.box.bottom, leaf.box.left : leaf.box.right]
        source = premultiply(leaf.rgba, np.float32)
        target *= 1 - source[..., 3:]
        target += source
    return shown


def _powered(leaf: Leaf, below: np.ndarray, power: float) -> Leaf:
    """The leaf with the alpha that by `over` comes nearest to blending values to the power of `power`."""
    colour, alpha = (part.astype(np.float32) / 255 for part in (leaf.rgba[..., :3], leaf.rgba[..., 3:]))
    wanted = ((1 - alpha) * below**power + alpha * colour**power) ** (1 / power)
    way = colour - below
    length = (way * way).sum(axis=2, keepdims=True)
    share = np.divide(((wanted - below) * way).sum(axis=2, keepdims=True), length, out=alpha, where=length > 1e-4)
    return replace(leaf, rgba=np.concatenate([leaf.rgba[..., :3], round_u8(np.clip(share, 0, 1) * 255)], axis=2))


def _blended(src: np.ndarray, dst: np.ndarray, mode: str) -> np.ndarray:
    """Lay `src` on `dst` in any of the modes, both premultiplied; as `lamina.document.blend` does."""
    if mode not in FOREIGN:
        return blend(src, dst, BlendMode(mode))
    colours = [
        np.clip(np.divide(c[..., :3], c[..., 3:], out=np.zeros_like(c[..., :3]), where=c[..., 3:] > 0), 0, 1)
        for c in (dst, src)
    ]
    out = src + dst * (1 - src[..., 3:])
    out[..., :3] += (FOREIGN[mode](*colours) * src[..., 3:] - src[..., :3]) * dst[..., 3:]
    return out


def _leaves(nodes: Sequence[Node], canvas: Box) -> Iterator[Leaf]:
    for node in nodes:
        if not node.visible or node.opacity == 0:
            continue
        if isinstance(node, Layer):
            leaf = _of_layer(node, canvas)
            if leaf is not None:
                yield leaf
            continue
        inner = list(_leaves(node.children, canvas))
        normal = all(leaf.blend == BlendMode.NORMAL for leaf in inner)
        if normal and (node.opacity == 1 or not _overlap(inner)):
            for leaf in inner:
                found = tuple({**each, "group": _path(node, each)} for each in leaf.found)
                yield replace(leaf, opacity=leaf.opacity * node.opacity, found=found)
        elif inner:
            yield from _of_group(node, canvas, inner)


def _of_layer(layer: Layer, canvas: Box) -> Leaf | None:
    placed = rasterize(layer, canvas)
    if placed is None:
        return None
    rgba, x, y = placed
    found: dict[str, Any] = {"name": layer.name, "blend": str(layer.blend), "opacity": round(layer.opacity, 4)}
    kind = "text" if layer.text is not None else "pixels"
    leaf = Leaf(
        name=layer.name, rgba=rgba, x=x, y=y, opacity=layer.opacity, blend=layer.blend, kind=kind, found=(found,)
    )
    return cut(leaf, canvas)


def _of_group(group: Group, canvas: Box, inner: Sequence[Leaf]) -> Iterator[Leaf]:
    box = group.box.intersect(canvas)
    if box.empty:
        return
    found = tuple({**each, "group": _path(group, each)} for leaf in inner for each in leaf.found)
    leaf = Leaf(
        name=group.name,
        rgba=flatten_nodes(group.children, box),
        x=box.left,
        y=box.top,
        opacity=group.opacity,
        kind="group",
        found=found,
    )
    kept = cut(leaf, canvas)
    if kept is not None:
        yield kept


def _path(group: Group, found: dict[str, Any]) -> str:
    return f"{group.name}/{found['group']}" if "group" in found else group.name


def _overlap(leaves: Sequence[Leaf]) -> bool:
    return any(touch(one, other) for k, one in enumerate(leaves) for other in leaves[k + 1 :])


def _faded(leaf: Leaf) -> Leaf:
    if leaf.opacity == 1:
        return leaf
    alpha = round_u8(leaf.rgba[..., 3:] * np.float64(leaf.opacity))
    return replace(leaf, rgba=np.concatenate([leaf.rgba[..., :3], alpha], axis=2), opacity=1.0)


def _over_white(premul: np.ndarray) -> np.ndarray:
    return np.clip(premul[..., :3] + (1 - premul[..., 3:]), 0, 1)


def _vivid(cb: np.ndarray, cs: np.ndarray) -> np.ndarray:
    # Unlike in plain burn and dodge, a source of 0 gives 0 and one of 1 gives 1 whatever lies below.
    burnt = 1 - np.divide(1 - cb, 2 * cs, out=np.ones_like(cb), where=cs > 0)
    dodged = np.divide(cb, 2 - 2 * cs, out=np.ones_like(cb), where=cs < 1)
    return np.clip(np.where(cs <= 0.5, burnt, dodged), 0, 1)


def _divide(cb: np.ndarray, cs: np.ndarray) -> np.ndarray:
    return np.clip(np.divide(cb, cs, out=(cb > 0).astype(cb.dtype), where=cs > 0), 0, 1)


def _grey(colour: np.ndarray) -> np.ndarray:
    return (colour * np.array([0.3, 0.59, 0.11], np.float32)).sum(axis=-1, keepdims=True)


FOREIGN: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "linear-dodge": lambda cb, cs: np.minimum(cb + cs, 1),
    "linear-burn": lambda cb, cs: np.maximum(cb + cs - 1, 0),
    "linear-light": lambda cb, cs: np.clip(cb + 2 * cs - 1, 0, 1),
    "vivid-light": _vivid,
    "pin-light": lambda cb, cs: np.where(cs <= 0.5, np.minimum(cb, 2 * cs), np.maximum(cb, 2 * cs - 1)),
    "hard-mix": lambda cb, cs: ((cb + cs > 1) | ((cb + cs == 1) & (cb > 0.5))).astype(cb.dtype),
    "subtract": lambda cb, cs: np.maximum(cb - cs, 0),
    "divide": _divide,
    "darker-color": lambda cb, cs: np.where(_grey(cs) < _grey(cb), cs, cb),
    "lighter-color": lambda cb, cs: np.where(_grey(cs) > _grey(cb), cs, cb),
}
"""Blend functions B(cb, cs), backdrop and source, straight 0-1, that PSDs have and documents have not, by their names
there. Formulas as Adobe's description of the blending modes gives them in words."""
