"""Judge a stack without knowing the truth: what looks failed in it, and a score to tell which of two is better.

Everything is looked at in a small view of the picture. The score is the sum of four terms, each 0-1, the last one half:

- `ground`: overlap (intersection over union) of what is seen of the bottom layer with the ground that colour tells
  (`border_ground`); 0.5 where colour tells nothing.
- `parted`: 1 - sum of squared visible shares, at most 0.75, over 0.75. Near 0 where one layer holds everything.
- `sure`: mean confidence that the network gave the layers.
- `edges`: share of the length of all borders between what is seen of two layers where the picture has an edge.

Two layers are one thing cut in two where a long part of their border runs through even colours. The ghost of a layer is
how far the colours B below it, in a band about its outline, lean from the ground G towards the layer's own O:
(B - G)·(O - G) / |O - G|², the larger of the means inside and outside the outline, where the layer is on top of B that
is so around it: a plate below it of its own colour is no ghost. How often the score is right, and
the warnings: `benchmarks/judging.py`, docs/log.md. Ghosts, repairs, numbers of parts and fitted weights made the score
no better. Knows pictures and layers; no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from lamina.document.layer import Layer
from lamina.model.cues import border_ground
from lamina.pixels import box_slices, channel_max, channel_sum

__all__ = ["TERMS", "Cut", "Verdict", "judge"]

TERMS = ("ground", "parted", "sure", "edges")

_WEIGHTS = {"ground": 1.0, "parted": 1.0, "sure": 1.0, "edges": 0.5}

_SIDE = 448
"""Longer side of the view at most."""

_EVEN, _EVEN_GROUND = 10, 5
"""Difference of bytes within two pixels of a border below which the picture has no edge there; for a cut from the
bottom layer, which soft edges border more than others."""

_CUT_SHARE, _CUT_LENGTH = 0.2, 0.04
"""Two layers are one thing cut in two when this share of their border has no edge, and that is as long as this share of
the view's longer side."""

_CONTRAST = 30.0
"""Colour distance (0-255) of a layer from its ground below which its ghost cannot be told."""

_GHOST = 0.35
"""Lean of the colours below from which a ghost is said to be left behind."""

_BAND = 9
"""Pixels (odd) within which colours of a layer and of its ground are averaged."""

_LEAST_BAND = 24

_OPAQUE = 250
"""Alpha of the picture (0-255) from which colours below can be told."""

_TELLING = (0.03, 0.97)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Two layers that look like one thing, by their places in the stack."""

    lower: int
    upper: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was seen of a stack."""

    score: float
    """Larger is better; meaningful only between stacks of one picture."""
    terms: dict[str, float]
    ghosts: tuple[int, ...]
    """Places in the stack of layers that left a ghost below."""
    cuts: tuple[Cut, ...]


def judge(picture: UInt8[np.ndarray, "h w 4"], layers: Sequence[Layer], confidence: Sequence[float]) -> Verdict:
    """Judge the upright layers, bottom first, of a stack that composites to `picture`; `confidence` 0-1 for each."""
    size = _view_size(picture.shape[1], picture.shape[0])
    view = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    stack = [_reduced(layer, picture.shape, size) for layer in layers]
    weights = _visible(stack)
    label = weights.argmax(axis=0)
    rgb = np.ascontiguousarray(view[..., :3])
    edges, cuts = _borders(label, view, len(layers))
    shares = weights.mean(axis=(1, 2)) / max(float(weights.mean(axis=(1, 2)).sum()), 1e-9)
    terms = {
        "ground": _ground_overlap(label == 0, rgb) if (view[..., 3] == 255).all() else 0.5,
        "parted": min(1 - float(np.square(shares).sum()), 0.75) / 0.75,
        "sure": float(np.mean(confidence)),
        "edges": edges,
    }
    return Verdict(
        score=sum(_WEIGHTS[name] * value for name, value in terms.items()),
        terms=terms,
        ghosts=tuple(int(k) for k in np.flatnonzero(_ghosts(stack, label, view[..., 3]) > _GHOST)),
        cuts=tuple(Cut(lower=a, upper=b) for a, b in cuts),
    )


def _view_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, _SIDE / max(width, height))
    return max(2, round(width * scale)), max(2, round(height * scale))


def _reduced(layer: Layer, shape: tuple[int, ...], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 4"]:
    """A layer on the view: its own box reduced, at the nearest place."""
    out = np.zeros((size[1], size[0], 4), np.uint8)
    sx, sy = size[0] / shape[1], size[1] / shape[0]
    left, top = int(layer.x), int(layer.y)
    x0, x1 = round(left * sx), round((left + layer.width) * sx)
    y0, y1 = round(top * sy), round((top + layer.height) * sy)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    small = cv2.resize(layer.rgba, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    cx0, cy0, cx1, cy1 = max(x0, 0), max(y0, 0), min(x1, size[0]), min(y1, size[1])
    if cx0 < cx1 and cy0 < cy1:
        out[cy0:cy1, cx0:cx1] = small[cy0 - y0 : cy1 - y0, cx0 - x0 : cx1 - x0]
    return out


def _visible(stack: Sequence[Any]) -> Float[np.ndarray, "L h w"]:
    weights = np.zeros((len(stack), *stack[0].shape[:2]), np.float32)
    through = np.ones(stack[0].shape[:2], np.float32)
    for number in range(len(stack) - 1, -1, -1):
        alpha = stack[number][..., 3] * np.float32(1 / 255)
        weights[number] = through * alpha
        through *= 1 - alpha
    return weights


def _borders(label: Any, view: Any, count: int) -> tuple[float, list[tuple[int, int]]]:
    """Share of all border length with an edge, of colour or alpha, and the pairs whose border has none."""
    box = np.ones((5, 5), np.uint8)
    spread = channel_max(cv2.morphologyEx(view, cv2.MORPH_GRADIENT, box))
    total, bare, cut_bare = np.zeros((3, count * count))
    for one, other in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        a, b = label[one], label[other]
        ys, xs = np.nonzero(a != b)
        key = np.minimum(a, b)[ys, xs] * count + np.maximum(a, b)[ys, xs]
        step = spread[one][ys, xs]
        total += np.bincount(key, minlength=count * count)
        bare += np.bincount(key, step < _EVEN, count * count)
        cut_bare += np.bincount(key, step < np.where(key < count, _EVEN_GROUND, _EVEN), count * count)
    if total.sum() == 0:
        return 0.0, []
    cut = (cut_bare > _CUT_SHARE * total) & (cut_bare > _CUT_LENGTH * max(label.shape))
    return 1 - float(bare.sum() / total.sum()), [(int(k) // count, int(k) % count) for k in np.flatnonzero(cut)]


def _ghosts(
    stack: Sequence[Any], label: Int[np.ndarray, "h w"], opacity: UInt8[np.ndarray, "h w"]
) -> Float[np.ndarray, " L"]:
    """For every layer: how far what is below leans towards its colours near its outline, where the picture is opaque.

    Beside what is transparent there is no ground to lean from.
    """
    lean = np.zeros(len(stack))
    shape = label.shape
    label = np.where(opacity >= _OPAQUE, label, len(stack))
    below = np.zeros((*shape, 3), np.float32)
    top = np.zeros(shape, np.int32)
    for number, layer in enumerate(stack):
        alpha = layer[..., 3:].astype(np.float32) / 255
        colour = layer[..., :3].astype(np.float32)
        if number:
            near = box_slices(layer[..., 3], 3 * _BAND)
            lean[number] = _ghost(below[near], top[near], colour[near], alpha[near][..., 0], label[near], number)
        below = below + alpha * (colour - below)
        top[alpha[..., 0] > 0.5] = number
    return lean


def _ghost(below: Any, top: Any, colour: Any, alpha: Any, label: Any, number: int) -> float:
    """`below` is what is seen without the layer and those above it, and `top` which layer that is."""
    own = ((label == number) & (alpha > 0.9)).astype(np.uint8)
    if own.sum() < _LEAST_BAND:
        return 0.0
    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    outer = cv2.dilate((alpha > 0.02).astype(np.uint8), cross)
    far = (cv2.dilate(outer, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_BAND, _BAND))) > outer) & (label < number)
    rim_out = (outer > 0) & (alpha <= 0.02) & (label < number)
    rim_in = (own > 0) & (cv2.erode(own, cross) == 0)
    beneath = top == np.bincount(top[far], minlength=1).argmax()
    far &= beneath
    ground, near_ground = _average(below, far)
    thing, near_thing = _average(colour, own > 0)
    axis = thing - ground
    contrast = channel_sum(np.square(axis))
    usable = near_ground & near_thing & (contrast > _CONTRAST**2)
    along = channel_sum((below - ground) * axis) / np.maximum(contrast, 1)
    leans = [0.0]
    for band in (rim_out & beneath & usable, rim_in & beneath & usable):
        if band.sum() >= _LEAST_BAND:
            leans.append(float(np.clip(along[band], -0.25, 1).mean()))
    return max(leans)


def _average(values: Any, mask: Any) -> tuple[Any, Any]:
    """Mean of the masked values nearby, and where there are any."""
    weight = mask.astype(np.float32)
    size = (2 * _BAND + 1, 2 * _BAND + 1)
    mass = cv2.blur(weight, size)
    return cv2.blur(values * weight[..., None], size) / np.maximum(mass, 1e-6)[..., None], mass > 1e-3


def _ground_overlap(ground: Any, rgb: Any) -> float:
    reached, _ = border_ground(rgb)
    if not _TELLING[0] < reached.mean() < _TELLING[1]:
        return 0.5
    return float((ground & reached).sum() / max((ground | reached).sum(), 1))
