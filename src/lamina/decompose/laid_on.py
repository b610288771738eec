"""What lies on a layer comes off it: lettering on an even card always, other parts where more layers are asked for.

A network gives a button and its word, a disc and the ring in it, one layer. Lettering on one even colour was laid on
it; whatever else stands out of a layer all around may have been, and whoever asks for more layers than there are wants
it. Knows the picture and labels; no layers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import sparse

from lamina.decompose.agree import common_borders
from lamina.decompose.working import Working

__all__ = ["LaidOn", "lettering_on", "parts_on"]

_MOSTLY, _AROUND = 0.8, 0.7
"""Shares of a line of letters, and of what is close around it, that one layer has, from which the line lies on it."""

_PRINTED = 0.5
"""Share of a line on an even ground, from which it is letters."""

_EVEN = 0.7
"""Share of one region in what a layer is beside its letters, from which it is a card."""

_LEAST_INK, _LEAST_SHARE = 1e-4, 2e-3
"""Shares of the canvas and of the layer that lettering takes, to come off."""

_NEAR, _FAR = 3, 9
"""What is close around a line begins and ends half so many pixels from it."""

_SOFT, _HARD = 14.0, 30.0
"""Steps of colour (0-255) below which regions are one part, and above which parts stand out of each other."""

_STANDS_OUT, _INSIDE = 0.8, 0.6
"""Shares of a part's border within its layer that are hard, and of its whole border that are within its layer."""

_OTHER, _LIKE = 25.0, 20.0
"""Difference (0-255) of a part from the largest one of its layer, at least, and from parts that come off with it."""

_LEAST, _LEAST_PART, _MOST = 1e-3, 1e-4, 0.85
"""Share of the canvas that what comes off takes together, and each part of it; share of its layer that it takes."""

_LETTERS = 0.3
"""Share of a part that is lettering, from which it is a letter, and stays with the others."""

_PARTS = 40
"""The largest parts of a layer are looked at."""


class LaidOn(NamedTuple):
    """Pixels of a layer that were laid on it."""

    layer: int
    mask: Bool[np.ndarray, "h w"]


def lettering_on(working: Working, label: UInt8[np.ndarray, "h w"], free: int, *, cards: bool = True) -> list[LaidOn]:
    """The lettering on each upper layer below `free`, the most of it first; with `cards` only on even ones."""
    lines = working.lines
    count, kinds = int(lines.max()) + 1, int(label.max()) + 1
    if count == 1:
        return []
    ink = lines > 0
    line, ring, around = lines[ink], *_beside(lines)
    area = np.maximum(np.bincount(line, minlength=count), 1)
    has = np.bincount(line * np.int64(kinds) + label[ink], minlength=count * kinds).reshape(count, kinds)
    owner = has.argmax(axis=1)
    own = np.bincount(around, label[ring] == owner[around], count) / np.maximum(np.bincount(around, minlength=count), 1)
    lies = (owner > 0) & (owner < free) & (has.max(axis=1) > _MOSTLY * area) & (own > _AROUND)
    lies &= np.bincount(line, working.printed[ink], count) > _PRINTED * area
    lies[0] = False
    shown = np.bincount(label.ravel(), minlength=kinds)
    found: list[tuple[int, LaidOn]] = []
    for layer in np.unique(owner[lies]):
        mask = (lies & (owner == layer))[lines] & (label == layer)
        taken = int(np.count_nonzero(mask))
        if taken < max(_LEAST_INK * label.size, _LEAST_SHARE * shown[layer]):
            continue
        rest = working.regions[(label == layer) & ~ink]
        if not cards or np.bincount(rest).max(initial=0) > _EVEN * rest.size:
            found.append((taken, LaidOn(int(layer), mask)))
    return [part for _, part in sorted(found, key=lambda pair: -pair[0])]


def parts_on(working: Working, label: UInt8[np.ndarray, "h w"], free: int, count: int, room: int) -> list[LaidOn]:
    """Up to `room` times the largest that stands out of an upper layer below `free`, or of what has come off before,
    which are layers from `count` on: parts of one colour with all that lies in them."""
    if room <= 0:
        return []
    graph = _Graph.of(working, label)
    offers = {layer: graph.offers(layer) for layer in range(1, free)}
    found: list[LaidOn] = []
    while len(found) < room and any(offers.values()):
        best = max(offers, key=lambda layer: offers[layer][0][0] if offers[layer] else 0.0)
        nodes = offers[best][0][1]
        new = count + len(found)
        found.append(LaidOn(best, nodes[graph.node]))
        graph.layer[nodes] = new
        offers[best], offers[new] = graph.offers(best), graph.offers(new)
    return found


@dataclass(kw_only=True, slots=True)
class _Graph:
    """Regions, each the pixels of one layer, and their borders."""

    node: Int[np.ndarray, "h w"]
    layer: Int[np.ndarray, " n"]
    area: Float[np.ndarray, " n"]
    colour: Float[np.ndarray, "n 3"]
    letters: Float[np.ndarray, " n"]
    """Share of lettering."""
    first: Any
    second: Any
    length: Any
    step: Any

    @classmethod
    def of(cls, working: Working, label: UInt8[np.ndarray, "h w"]) -> "_Graph":
        kinds = int(label.max()) + 1
        keys, node = np.unique(working.regions * np.int64(kinds) + label, return_inverse=True)
        node, count = node.reshape(label.shape), len(keys)
        area = np.bincount(node.ravel(), minlength=count).astype(np.float64)
        first, second, length, step = common_borders(node, working.rgb)
        return cls(
            node=node,
            layer=keys % kinds,
            area=area,
            colour=_colours(node.ravel(), working.rgb.reshape(-1, 3), count),
            letters=np.bincount(node.ravel(), working.lines.ravel() > 0, count) / area,
            first=first,
            second=second,
            length=length,
            step=step,
        )

    def offers(self, layer: int) -> list[tuple[float, Bool[np.ndarray, " n"]]]:
        """What may come off a layer: area and regions, the largest first."""
        inside = self.layer == layer
        part = self._joined(inside, self.step < _SOFT)
        area = np.bincount(part, self.area * inside)
        order = np.argsort(-area, kind="stable")
        if np.count_nonzero(area) < 2:
            return []
        base, canvas = inside & (part == order[0]), self.area.sum()
        ground = self._colour_of(base)
        single: list[tuple[float, Any, Any]] = []
        for number in order[1 : 1 + _PARTS]:
            if area[number] < _LEAST_PART * canvas:
                break
            own = inside & (part == number)
            whole, colour = own | self._held(inside & ~own, base), self._colour_of(own)
            if np.abs(colour - ground).max() > _OTHER and self._stands_out(whole, inside):
                single.append((self.area[whole].sum(), colour, whole))
        found: list[tuple[float, Any]] = []
        while single:
            like = [np.abs(colour - single[0][1]).max() < _LIKE for _, colour, _ in single]
            nodes = np.any([nodes for (_, _, nodes), same in zip(single, like, strict=True) if same], axis=0)
            single = [one for one, same in zip(single, like, strict=True) if not same]
            size = float(self.area[nodes].sum())
            if _LEAST * canvas < size < _MOST * self.area[inside].sum():
                found.append((size, nodes))
        return sorted(found, key=lambda pair: -pair[0])

    def _colour_of(self, nodes: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " 3"]:
        return np.average(self.colour[nodes], axis=0, weights=self.area[nodes])

    def _joined(self, inside: Bool[np.ndarray, " n"], along: Bool[np.ndarray, " m"]) -> Int[np.ndarray, " n"]:
        """Number what hangs together within `inside` over borders `along`."""
        keep = along & inside[self.first] & inside[self.second]
        meets = sparse.coo_matrix((keep[keep], (self.first[keep], self.second[keep])), shape=(inside.size, inside.size))
        return sparse.csgraph.connected_components(meets, directed=False)[1]

    def _held(self, rest: Bool[np.ndarray, " n"], base: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """What of the rest of a layer hangs together neither with its base nor with another layer's regions."""
        part = self._joined(rest, np.ones(self.first.size, bool))
        out = np.zeros(part.max() + 1, bool)
        out[part[base & rest]] = True
        for one, other in ((self.first, self.second), (self.second, self.first)):
            leaves = rest[one] & (self.layer[one] != self.layer[other])
            out[part[one[leaves]]] = True
        return rest & ~out[part]

    def _stands_out(self, whole: Bool[np.ndarray, " n"], inside: Bool[np.ndarray, " n"]) -> bool:
        rim = whole[self.first] != whole[self.second]
        within = rim & inside[self.first] & inside[self.second]
        border, own = self.length[rim].sum(), self.length[within].sum()
        hard = self.length[within & (self.step > _HARD)].sum()
        lettering = np.average(self.letters[whole], weights=self.area[whole])
        return own > _INSIDE * border and hard > _STANDS_OUT * own and lettering < _LETTERS


def _beside(lines: Int[np.ndarray, "h w"]) -> tuple[Bool[np.ndarray, "h w"], Int[np.ndarray, " k"]]:
    """What is close around lines of letters, and which line each pixel of it is close to."""
    near, far = (cv2.dilate(lines.astype(np.float32), np.ones((side, side), np.uint8)) for side in (_NEAR, _FAR))
    ring = (far > 0) & (near == 0)
    return ring, far[ring].astype(np.int64)


def _colours(number: Any, rgb: Any, count: int) -> Float[np.ndarray, "n 3"]:
    """Mean colour (0-255) of what has each number."""
    total = np.maximum(np.bincount(number, minlength=count), 1)
    return np.stack([np.bincount(number, rgb[:, channel], count) for channel in range(3)], axis=1) / total[:, None]
