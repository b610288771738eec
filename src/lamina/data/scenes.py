"""Procedural layered scenes: posters, illustrations, photos with cut-outs, screens; truth keeps what is hidden.

A scene is a pure function of (bank, seed, size). Layers that touch nothing are merged as in the paper
(arXiv 2512.15603, data pipeline) in most scenes: what no upper layer overlaps peels off together.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lamina.data import elements
from lamina.data.art import Bank
from lamina.data.elements import Canvas
from lamina.data.sample import Sample
from lamina.pixels import round_u8

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Array", "Element", "Rng", "SceneMaker", "peel"]

_KINDS = ("design", "illustration", "photo", "screen")
_KIND_SHARES = (0.4, 0.28, 0.22, 0.1)
_TOUCH = 8 / 255

Rng = np.random.Generator
Array = np.ndarray
Element = tuple[str, Array]


@dataclass(frozen=True, slots=True)
class SceneMaker:
    """Make scenes from a bank."""

    bank: Bank
    max_layers: int = 20
    merged_share: float = 0.6
    """Share of scenes whose untouched layers are merged."""
    worn_share: float = 0.3
    """Share of pictures with JPEG or resampling wear; the truth stays clean."""

    def __call__(self, seed: int, size: Canvas) -> Sample:
        """The scene of this seed at `size` (width, height): 2 to `max_layers` layers, ground included."""
        rng = np.random.default_rng(seed)
        while True:
            kind = str(rng.choice(_KINDS, p=_KIND_SHARES))
            stack = _visible_only(_LAYOUTS[kind](rng, self.bank, size), self.max_layers)
            if rng.random() < self.merged_share:
                stack = _merge(stack)
            if len(stack) >= 2:
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


def _design(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    stack = [_ground(rng, bank, size, {"flat": 0.4, "gradient": 0.28, "texture": 0.12, "photo": 0.1, "paint": 0.1})]
    under = stack[0][1][..., :3].mean(axis=(0, 1))
    stack += _shapes(rng, size, under, int(rng.choice([0, 0, 1, 2, 3])))
    if rng.random() < 0.1:
        stack.append(("veil", elements.veil(rng, size)))
    boxes = _free_boxes(rng, int(rng.choice([0, 0, 1, 1, 2])))
    for box in boxes:
        item, base = elements.panel(rng, size, box, under)
        stack.append(("panel", item))
        if rng.random() < 0.75:
            inner = _inset(box, rng.uniform(0.06, 0.25))
            stack.append(("text", elements.text(rng, bank, size, box=inner, under=base)))
    stack += _cutouts(rng, bank, size, int(rng.choice([0, 1, 1, 2, 3])), largest=0.9)
    if rng.random() < 0.15:
        stack.append(("repeated", elements.repeated(rng, bank, size, under)))
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        stack.append(_text(rng, bank, size, under))
    return stack


def _illustration(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    stack = [_ground(rng, bank, size, {"paint": 0.3, "gradient": 0.25, "flat": 0.2, "texture": 0.15, "photo": 0.1})]
    under = stack[0][1][..., :3].mean(axis=(0, 1))
    if rng.random() < 0.3:
        stack += _shapes(rng, size, under, 1)
    stack += _cutouts(rng, bank, size, int(rng.choice([1, 2, 3, 4, 6], p=[0.25, 0.3, 0.25, 0.15, 0.05])), largest=1.05)
    if rng.random() < 0.3:
        stack += _compound(rng, size, under)
    if rng.random() < 0.12:
        stack.append(("veil", elements.veil(rng, size)))
    if rng.random() < 0.4:
        stack.append(_text(rng, bank, size, under))
    return stack


def _photo(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    stack = [_ground(rng, bank, size, {"photo": 0.85, "paint": 0.15})]
    under = stack[0][1][..., :3].mean(axis=(0, 1))
    if rng.random() < 0.2:
        stack.append(("veil", elements.veil(rng, size)))
    if rng.random() < 0.35:
        box = _free_boxes(rng, 1)[0]
        item, base = elements.panel(rng, size, box, under)
        stack += [("panel", item), ("text", elements.text(rng, bank, size, box=_inset(box, 0.12), under=base))]
    stack += _cutouts(rng, bank, size, int(rng.choice([0, 1, 2, 3], p=[0.15, 0.45, 0.25, 0.15])), largest=0.95)
    if rng.random() < 0.2:
        stack.append(("photo", elements.photo_shape(rng, bank, size, extent=rng.uniform(0.2, 0.6))))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.35, 0.45, 0.2]))):
        stack.append(_text(rng, bank, size, under))
    return stack


def _screen(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    stack = [_ground(rng, bank, size, {"flat": 0.75, "gradient": 0.15, "photo": 0.1})]
    under = stack[0][1][..., :3].mean(axis=(0, 1))
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    top = rng.uniform(0.02, 0.2)
    if rng.random() < 0.6:
        item, base = elements.panel(rng, size, (0.0, 0.0, 1.0, top), under)
        stack += [
            ("panel", item),
            ("text", elements.text(rng, bank, size, box=(0.04, 0.01, 0.5, top - 0.01), under=base)),
        ]
    gap = rng.uniform(0.02, 0.06)
    state = rng.integers(2**31)
    for row in range(rows):
        for column in range(columns):
            width, height = (1 - gap) / columns - gap, (1 - top - gap) / rows - gap
            left, upper = gap + column * (width + gap), top + gap + row * (height + gap)
            box = (left, upper, left + width, upper + height)
            twin = np.random.default_rng(state)
            item, base = elements.panel(twin, size, box, under)
            stack.append(("panel", item))
            draw = rng.random()
            if draw < 0.5:
                stack.append(("text", elements.text(rng, bank, size, box=_inset(box, 0.15), under=base)))
            elif draw < 0.85:
                centre = ((left + width / 2) * size[0], (upper + height / 2) * size[1])
                stack.append(
                    ("cutout", elements.cutout(rng, bank, size, extent=min(width, height) * 0.7, centre=centre))
                )
    return stack


_LAYOUTS = {"design": _design, "illustration": _illustration, "photo": _photo, "screen": _screen}


def _ground(rng: Rng, bank: Bank, size: Canvas, shares: dict[str, float]) -> Element:
    kind = str(rng.choice(list(shares), p=list(shares.values())))
    return f"ground-{kind}", elements.ground(rng, bank, size, kind)


def _cutouts(rng: Rng, bank: Bank, size: Canvas, count: int, *, largest: float) -> list[Element]:
    extents = sorted((float(rng.uniform(0.15, largest) ** 1.2) for _ in range(count)), reverse=True)
    return [("cutout", elements.cutout(rng, bank, size, extent=max(0.12, extent))) for extent in extents]


def _shapes(rng: Rng, size: Canvas, under: Array, count: int) -> list[Element]:
    return [("shape", elements.shape(rng, size, extent=rng.uniform(0.2, 1.1), under=under)) for _ in range(count)]


def _compound(rng: Rng, size: Canvas, under: Array) -> list[Element]:
    """Five to twelve shapes heaped on one spot: one many-coloured figure in one layer."""
    centre = np.array([rng.uniform(0.25, 0.75) * size[0], rng.uniform(0.3, 0.7) * size[1]])
    spread = rng.uniform(0.06, 0.16) * min(size)
    canvas = np.zeros((size[1], size[0], 4), np.float32)
    for _ in range(int(rng.integers(5, 13))):
        x, y = centre + rng.normal(0, spread, 2)
        item = elements.shape(rng, size, extent=rng.uniform(0.1, 0.4), centre=(float(x), float(y)), under=under)
        canvas = item + canvas * (1 - item[..., 3:])
    return [("compound", canvas)]


def _text(rng: Rng, bank: Bank, size: Canvas, under: Array) -> Element:
    width = rng.uniform(0.5, 0.95) if rng.random() < 0.45 else rng.uniform(0.2, 0.55)
    height = rng.uniform(0.06, 0.3)
    left, top = rng.uniform(0.02, 0.98 - width), rng.choice([rng.uniform(0.02, 0.2), rng.uniform(0.02, 0.96 - height)])
    return "text", elements.text(rng, bank, size, box=(left, top, left + width, top + height), under=under)


def _free_boxes(rng: Rng, count: int) -> list[tuple[float, float, float, float]]:
    boxes: list[tuple[float, float, float, float]] = []
    for _ in range(count):
        width, height = rng.uniform(0.2, 0.95), rng.uniform(0.1, 0.6)
        left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        boxes.append((left, top, left + width, top + height))
    return boxes


def _inset(box: tuple[float, float, float, float], share: float) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    dx, dy = (right - left) * share, (bottom - top) * share
    return left + dx, top + dy, right - dx, bottom - dy


def _visible_only(stack: list[Element], most: int) -> list[Element]:
    """Drop, from the top down, what shows under a third of itself or 0.2 % of the canvas; keep the lowest `most`."""
    height, width = stack[0][1].shape[:2]
    through = np.ones((height, width), np.float32)
    kept: list[Element] = []
    for kind, item in reversed(stack[1:]):
        alpha = item[..., 3]
        seen, whole = float((alpha * through).sum()), float(alpha.sum())
        if whole > 0 and seen > 0.34 * whole and seen > 0.002 * height * width:
            kept.append((kind, item))
            through = through * (1 - alpha)
    kept.append(stack[0])
    return kept[::-1][:most]


def _merge(stack: list[Element]) -> list[Element]:
    """Merge what no upper layer touches, group by group; the ground stays alone."""
    upper = [item[..., 3] > _TOUCH for _, item in stack[1:]]
    touching = np.array([[bool((a & b).any()) for b in upper] for a in upper], dtype=bool).reshape(
        len(upper), len(upper)
    )
    merged = [stack[0]]
    for group in peel(touching):
        kinds = {stack[1 + i][0] for i in group}
        canvas = np.zeros_like(stack[0][1])
        for i in group:
            canvas = stack[1 + i][1] + canvas * (1 - stack[1 + i][1][..., 3:])
        merged.append((kinds.pop() if len(kinds) == 1 else "mixed", canvas))
    return merged


def _sample(rng: Rng, stack: list[Element], seed: int, *, worn: bool) -> Sample:
    flat = np.zeros_like(stack[0][1])
    layers = np.empty((len(stack), *flat.shape), np.uint8)
    for index, (_, item) in enumerate(stack):
        flat = item + flat * (1 - item[..., 3:])
        layers[index, ..., :3] = round_u8(item[..., :3] / np.maximum(item[..., 3:], 1 / 512) * 255)
        layers[index, ..., 3] = round_u8(item[..., 3] * 255)
    composite = round_u8(flat[..., :3] * 255)
    if worn:
        composite = _wear(rng, composite)
    return Sample(composite=composite, layers=layers, kinds=tuple(kind for kind, _ in stack), seed=seed)


def _wear(rng: Rng, rgb: Array) -> Array:
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
