"""Procedural layered scenes from a bank of art: a layout drawn, its parts made layers, the picture worn; truth keeps
what is hidden.

A scene is a pure function of (bank, seed, size). How fine the layers are varies as it does among people: every part
by itself, the parts of a block together, or, as in the paper's data pipeline (arXiv 2512.15603), all that no upper
layer overlaps peeled off together.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lamina.data.art import Bank
from lamina.data.layouts import LAYOUTS, Element, Layout
from lamina.data.sample import Sample
from lamina.data.tiles import Array, Canvas, Rng, flatten
from lamina.pixels import round_u8

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["SceneMaker", "peel", "wear"]

_TOUCH = 8 / 255
_LEAST_SEEN = 0.25
"""A part that shows less than this share of itself is left out."""


@dataclass(frozen=True, slots=True)
class SceneMaker:
    """Make scenes from a bank."""

    bank: Bank
    max_layers: int = 20
    fine_share: float = 0.22
    """Share of scenes in which every part is a layer."""
    merged_share: float = 0.4
    """Share of scenes whose untouched layers are merged by peeling; in the rest some blocks are merged."""
    worn_share: float = 0.3
    """Share of pictures with JPEG or resampling wear; the truth stays clean."""

    def __call__(self, seed: int, size: Canvas) -> Sample:
        """The scene of this seed at `size` (width, height): 2 to `max_layers` layers, ground included."""
        rng = np.random.default_rng(seed)
        layouts: list[Layout] = list(LAYOUTS)
        shares = list(LAYOUTS.values())
        while True:
            stack = _visible_only(layouts[int(rng.choice(len(layouts), p=shares))](rng, self.bank, size))
            grain = rng.random()
            if grain > self.fine_share:
                stack = _merge_blocks(rng, stack)
            if grain > 1 - self.merged_share or len(stack) > self.max_layers:
                stack = _merge_peeled(stack)
            if 2 <= len(stack) <= self.max_layers:
                break
        return _sample(rng, stack, seed, worn=rng.random() < self.worn_share)


def peel(touching: np.ndarray) -> list[list[int]]:
    """Group a stack by peeling: again and again take every item that no remaining upper item touches.

    `touching[i, j]` says that i and j overlap. Returns groups of indices, bottom group first (paper 5.2, step 1).
    """
    remaining = list(range(len(touching)))
    groups: list[list[int]] = []
    while remaining:
        top = [i for i in remaining if not any(j > i and touching[i, j] for j in remaining)]
        groups.append(top)
        remaining = [i for i in remaining if i not in top]
    return groups[::-1]


def _visible_only(stack: list[Element]) -> list[Element]:
    """Drop, from the top down, what shows too little of itself or under 0.1 % of the canvas."""
    height, width = stack[0].item.shape[:2]
    through = np.ones((height, width), np.float32)
    kept: list[Element] = []
    for element in reversed(stack[1:]):
        alpha = element.item[..., 3]
        seen, whole = float((alpha * through).sum()), float(alpha.sum())
        if seen > _LEAST_SEEN * whole and seen > 0.001 * height * width:
            kept.append(element)
            through = through * (1 - alpha)
    return [stack[0], *reversed(kept)]


def _merge_blocks(rng: Rng, stack: list[Element]) -> list[Element]:
    """Merge two thirds of the blocks, each at the height of its lowest part; parts that would slip under what they
    cover stay where they are."""
    touching = _touching(stack)
    chosen = {element.block for element in stack[1:] if rng.random() < 0.67}
    first: dict[int, int] = {}
    joined: dict[int, list[int]] = {}
    for i, element in enumerate(stack):
        lowest = first.setdefault(element.block, i)
        covers = any(touching[i, j] and stack[j].block != element.block for j in range(lowest + 1, i))
        owner = lowest if element.block in chosen and not covers else i
        joined.setdefault(owner, []).append(i)
    return [_joined(stack, joined[owner]) for owner in sorted(joined)]


def _merge_peeled(stack: list[Element]) -> list[Element]:
    """Merge what no upper layer touches, group by group; the ground stays alone."""
    groups = peel(_touching(stack)[1:, 1:])
    return [stack[0], *(_joined(stack, [1 + i for i in group]) for group in groups)]


def _touching(stack: list[Element]) -> Array:
    """bool [i, j]: the alphas of i and j overlap."""
    flat = np.stack([(element.item[::2, ::2, 3] > _TOUCH).reshape(-1) for element in stack]).astype(np.float32)
    return flat @ flat.T > 0


def _joined(stack: list[Element], indices: list[int]) -> Element:
    kinds = {stack[i].kind for i in indices}
    item = flatten([stack[i].item for i in indices])
    return Element(kinds.pop() if len(kinds) == 1 else "mixed", item, stack[indices[0]].block)


def _sample(rng: Rng, stack: list[Element], seed: int, *, worn: bool) -> Sample:
    flat = np.zeros_like(stack[0][1])
    layers = np.empty((len(stack), *flat.shape), np.uint8)
    for index, element in enumerate(stack):
        item = element.item
        flat = item + flat * (1 - item[..., 3:])
        layers[index, ..., :3] = round_u8(item[..., :3] / np.maximum(item[..., 3:], 1 / 512) * 255)
        layers[index, ..., 3] = round_u8(item[..., 3] * 255)
    composite = round_u8(flat[..., :3] * 255)
    if worn:
        composite = wear(rng, composite)
    return Sample(composite=composite, layers=layers, kinds=tuple(element.kind for element in stack), seed=seed)


def wear(rng: Rng, rgb: Array) -> Array:
    """A stored picture (h w 3) resampled down and up, or after JPEG, as pictures that went around."""
    height, width = rgb.shape[:2]
    if rng.random() < 0.5:
        factor = rng.uniform(0.5, 0.9)
        small = cv2.resize(rgb, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        quality = int(rng.integers(35, 90))
        data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        rgb = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    return np.ascontiguousarray(rgb)
