"""Score a predicted stack of layers against the true one: Layer-F, ground error, the published protocol.

Stacks are full-canvas stored RGBA, bottom first; this knows no files, documents or networks. Both sides are first
reduced (long side 512, faint alpha cleared, empty layers dropped) and grouped (layers that nothing overlaps lie on one
plane). Sources: the LayerD metric (CyberAgentAILab/LayerD), which arXiv 2512.15603 section 4 also reports; Layer-F and
ground error are ours, because the published protocol can be fooled by veils over the whole picture.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from lamina.errors import InputError
from lamina.evaluate.matching import Pair, best_total, merge_ladder
from lamina.pixels import premultiply, to_image

__all__ = ["MERGES", "Scores", "group_layers", "means", "reduce_stack", "score", "score_reduced"]

MERGES = 5
"""The published protocol is reported after 0..5 merges."""

_LONG_SIDE = 512
_FAINTEST = 8  # alpha below 8/255 is noise: it would chain every layer to every other when grouping
_LEAST_HIDDEN = 50  # px of hidden ground below which the ground error says nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Figures of one picture."""

    layer_f: float
    """0-1, 1 = every layer above the ground found; the figure to judge by."""
    ground: float | None
    """Mean RGB difference 0-1 of the ground where true layers hide it; None where next to nothing is hidden."""
    rgb_l1: tuple[float, ...]
    """Published protocol, after 0..5 merges: lower is better."""
    alpha_iou: tuple[float, ...]
    """Published protocol, after 0..5 merges: higher is better."""
    groups_pred: int
    groups_true: int


def score(predicted: Sequence[UInt8[np.ndarray, "ph pw 4"]], true: Sequence[UInt8[np.ndarray, "h w 4"]]) -> Scores:
    """Score full-canvas layers, bottom first, at their own size; fewer than two predicted get the worst score.

    Raises InputError where the two sides differ in size or the truth has fewer than two layers.
    """
    return score_reduced(reduce_stack(predicted), reduce_stack(true))


def score_reduced(
    predicted: Sequence[UInt8[np.ndarray, "ph pw 4"]], true: Sequence[UInt8[np.ndarray, "h w 4"]]
) -> Scores:
    """`score` for stacks that went through `reduce_stack`: keep a truth reduced when it is scored against often."""
    if len(true) < 2:
        raise InputError(f"the truth has {len(true)} visible layers; scoring needs two or more")
    if sizes := {layer.shape[:2] for layer in [*predicted, *true]} - {true[0].shape[:2]}:
        raise InputError(f"predicted layers of {sizes} (height, width) against a truth of {true[0].shape[:2]}")
    groups_true = group_layers(true)
    if len(predicted) < 2:
        worst, nothing = (1.0,) * (MERGES + 1), (0.0,) * (MERGES + 1)
        return Scores(
            layer_f=0.0,
            ground=1.0,
            rgb_l1=worst,
            alpha_iou=nothing,
            groups_pred=len(predicted),
            groups_true=len(groups_true),
        )
    groups_pred = group_layers(predicted)
    ladder = merge_ladder(
        [_Raster(group) for group in groups_pred],
        [_Raster(group) for group in groups_true],
        functools.cache(_compare),
        functools.cache(_merge),
        MERGES,
    )
    return Scores(
        layer_f=_layer_f(groups_pred[1:], groups_true[1:]),
        ground=_ground_error(groups_pred[0], groups_true),
        rgb_l1=tuple(step.l1 for step in ladder),
        alpha_iou=tuple(step.iou for step in ladder),
        groups_pred=len(groups_pred),
        groups_true=len(groups_true),
    )


def means(scores: Sequence[Scores]) -> dict[str, Any]:
    """Plain means over pictures, JSON-ready; `group_error` is the mean absolute difference of the group counts."""
    grounds = [s.ground for s in scores if s.ground is not None]
    return {
        "layer_f": float(np.mean([s.layer_f for s in scores])),
        "ground": float(np.mean(grounds)) if grounds else None,
        "rgb_l1": np.mean([s.rgb_l1 for s in scores], axis=0).tolist(),
        "alpha_iou": np.mean([s.alpha_iou for s in scores], axis=0).tolist(),
        "group_error": float(np.mean([abs(s.groups_pred - s.groups_true) for s in scores])),
    }


def reduce_stack(layers: Sequence[UInt8[np.ndarray, "h w 4"]]) -> list[UInt8[np.ndarray, "H W 4"]]:
    """Bring layers to the scored form: long side at most 512, alpha below 8/255 and its colour 0, empty layers gone."""
    reduced = [_reduce(layer) for layer in layers]
    return [layer for layer in reduced if layer[..., 3].any()]


def group_layers(layers: Sequence[UInt8[np.ndarray, "h w 4"]]) -> list[UInt8[np.ndarray, "h w 4"]]:
    """Flatten layers that lie side by side: peel off, from the top, all that no remaining layer above overlaps."""
    visible = np.stack([layer[..., 3].ravel() > 0 for layer in layers]).astype(np.float32)
    overlaps = visible @ visible.T > 0
    remaining, groups = list(range(len(layers))), list[list[int]]()
    while remaining:
        top = [i for i in remaining if not any(overlaps[i, j] for j in remaining if j > i)]
        groups.append(top)
        remaining = [i for i in remaining if i not in top]
    return [functools.reduce(_over, [layers[i] for i in group]) for group in reversed(groups)]


def _reduce(rgba_hwc_u8: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "H W 4"]:
    height, width = rgba_hwc_u8.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    out = rgba_hwc_u8.copy()
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        working = premultiply(rgba_hwc_u8, np.float32)
        boxed = [
            np.asarray(Image.fromarray(np.ascontiguousarray(working[..., c])).resize(size, Image.Resampling.BOX))
            for c in range(4)
        ]
        alpha, premul = boxed[3][..., None], np.stack(boxed[:3], axis=-1)
        colour = np.divide(premul, alpha, out=np.zeros_like(premul), where=alpha > 0)
        # Halves go to even here, not up as everywhere else: the published reference figures were made so.
        out = np.clip(np.rint(np.concatenate([colour, alpha], axis=-1) * 255), 0, 255).astype(np.uint8)
    out[out[..., 3] < _FAINTEST] = 0
    return out


def _over(lower: UInt8[np.ndarray, "h w 4"], upper: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    return np.asarray(Image.alpha_composite(to_image(lower), to_image(upper)))


class _Raster:
    """A group with what every comparison asks of it, found once."""

    def __init__(self, rgba_hwc_u8: UInt8[np.ndarray, "h w 4"]) -> None:
        self.rgba = rgba_hwc_u8
        self.pixels = rgba_hwc_u8.reshape(-1, 4)
        self.inside = np.flatnonzero(self.pixels[:, 3])
        self.seen = self.pixels[self.inside].astype(np.int16)
        self.alpha_sum = int(self.seen[:, 3].sum(dtype=np.int64))


def _compare(layer: _Raster, reference: _Raster) -> Pair:
    """Colour difference where the reference has alpha, straight colours; soft IoU of the alphas over the canvas."""
    beneath = layer.pixels[reference.inside].astype(np.int16)
    differences = np.abs(beneath[:, :3] - reference.seen[:, :3]).sum(dtype=np.int64)
    # Outside the reference the smaller alpha is 0, so its pixels are all that the intersection needs.
    shared = int(np.minimum(beneath[:, 3], reference.seen[:, 3]).sum(dtype=np.int64))
    union = layer.alpha_sum + reference.alpha_sum - shared
    return Pair(float(differences) / (765.0 * len(reference.inside)), shared / union)


def _merge(lower: _Raster, upper: _Raster) -> _Raster:
    return _Raster(_over(lower.rgba, upper.rgba))


def _layer_f(predicted: list[UInt8[np.ndarray, "h w 4"]], true: list[UInt8[np.ndarray, "h w 4"]]) -> float:
    """Twice the best matching's soft IoU over the number of layers on both sides; grounds are not among them."""
    if not predicted or not true:
        return float(not predicted and not true)
    ours, theirs = [_Raster(layer) for layer in predicted], [_Raster(layer) for layer in true]
    overlaps = np.array([[_compare(p, t).iou for t in theirs] for p in ours])
    return 2.0 * best_total(overlaps) / (len(predicted) + len(true))


def _ground_error(predicted: UInt8[np.ndarray, "h w 4"], true: list[UInt8[np.ndarray, "h w 4"]]) -> float | None:
    clear = np.ones(predicted.shape[:2])
    for layer in true[1:]:
        clear *= 1.0 - layer[..., 3] / 255.0
    hidden = (clear < 0.5) & (true[0][..., 3] == 255)
    if int(hidden.sum()) < _LEAST_HIDDEN:
        return None
    return float(np.abs(_over_white(predicted[hidden]) - _over_white(true[0][hidden])).mean())


def _over_white(pixels: UInt8[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 3"]:
    alpha = pixels[:, 3:] / 255.0
    return pixels[:, :3] / 255.0 * alpha + 1.0 - alpha
