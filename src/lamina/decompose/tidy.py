"""Tidy an exact stack: specks to their owner, drop what shows nothing or repeats another, trim, name, say what failed.

Order stays. Names and ids are deterministic. A dropped layer's few visible pixels go to the layers that stay, so
the stack stays exact. Knows layers and the picture; no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lamina.decompose.exact import make_exact
from lamina.decompose.naming import Namer, names_of
from lamina.decompose.specks import join_owners
from lamina.document.layer import Layer

__all__ = ["Tidied", "tidy"]

_SAMPLES = 512
"""Rows and columns looked at for shares."""

_EMPTY = 5e-5
_NEGLIGIBLE = 5e-4
"""Visible shares of the canvas below which a layer is dropped: in any case, and when it is doubtful too."""

_RIMS = (2e-3, 0.1)
"""Shares below which the bottom of a transparent picture is only what soft rims left there: of what is seen, and of its
own pixels that have an alpha over a half."""

_DOUBTFUL = 0.5
_EVERYTHING = 0.995

_GROUND = 0.5
"""Mean alpha from which the bottom layer is a ground."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tidied:
    """What is left, bottom first, with a confidence 0-1 for each layer."""

    layers: list[Layer]
    confidence: list[float]
    warnings: list[str]
    """What looks failed, in plain words."""
    failed: bool
    """True when one layer holds everything, or half of the layers were empty or repeated another."""


def tidy(
    picture: UInt8[np.ndarray, "h w 4"],
    layers: Sequence[Layer],
    confidence: Float[np.ndarray, " L"],
    *,
    key: str,
    namer: Namer | None = None,
    ground: str = "Background",
) -> Tidied:
    """Tidy the exact stack of `picture`; `key` stands for source and options and makes the ids.

    `ground` is what the bottom layer is called if it is seen or hidden on half of the canvas or more.
    """
    layers = join_owners(layers, (picture.shape[1], picture.shape[0]))
    views = _views(picture.shape[:2], layers)
    shares = _visible_shares(views)
    unseen, shown = not layers[0].rgba[..., 3].any(), shares[0]
    shares[0] = max(shown, _NEGLIGIBLE)
    faint = (shares < _EMPTY) | ((shares < _NEGLIGIBLE) & (np.asarray(confidence) < _DOUBTFUL))
    twins = _repeats(views, shares)
    faint[list(twins)] = False
    faint[0] = (unseen or _only_rims(layers[0], shown)) and not faint[1:].all()  # something stays, be it nothing
    kept = [i for i in range(len(layers)) if not faint[i] and i not in twins]
    warnings: list[str] = []
    count = len(layers) - int(faint[0])  # that a transparent picture has no ground is no failure
    if faint[1:].any():
        warnings.append(f"{int(faint[1:].sum())} of {count} layers showed next to nothing and were dropped")
    if twins:
        warnings.append(f"{len(twins)} of {count} layers repeated another and were dropped")
    alone = len(kept) == 1 or bool(shares[kept].max() > _EVERYTHING)
    if alone:
        warnings.append("one layer holds everything: the picture was not separated")
    stack = [layers[i] for i in kept]
    if len(kept) < len(layers):
        stack, _ = make_exact(picture, stack)
    is_ground = float(views[kept[0]][..., 3].mean()) >= _GROUND * 255
    names = names_of(stack, namer, ground=ground if is_ground else None)
    named = [
        replace(layer, id=hashlib.sha256(f"{key}:{index}".encode()).hexdigest()[:12], name=name)
        for index, (layer, name) in enumerate(zip(stack, names, strict=True))
    ]
    failed = alone or 2 * len(kept) <= count
    return Tidied(layers=named, confidence=[float(confidence[i]) for i in kept], warnings=warnings, failed=failed)


def _only_rims(layer: Layer, share: float) -> bool:
    """Whether a layer with this share of what is seen is nothing but soft rims."""
    alpha = layer.rgba[..., 3]
    return bool(alpha.any()) and share < _RIMS[0] and float((alpha[alpha > 0] > 127).mean()) < _RIMS[1]


def _views(size: tuple[int, int], layers: Sequence[Layer]) -> list[UInt8[np.ndarray, "h w 4"]]:
    """Every layer on the canvas, only some rows and columns of it."""
    step = max(1, max(size) // _SAMPLES)
    views: list[Any] = []
    for layer in layers:
        view = np.zeros((-(-size[0] // step), -(-size[1] // step), 4), np.uint8)
        top, left = -(-int(layer.y) // step), -(-int(layer.x) // step)
        part = layer.rgba[top * step - int(layer.y) :: step, left * step - int(layer.x) :: step]
        part = part[: view.shape[0] - top, : view.shape[1] - left]
        view[top : top + part.shape[0], left : left + part.shape[1]] = part
        views.append(view)
    return views


def _visible_shares(views: Sequence[UInt8[np.ndarray, "h w 4"]]) -> Float[np.ndarray, " L"]:
    """Share of what the canvas shows that is each layer's."""
    through = np.ones(views[0].shape[:2], np.float32)
    shares = np.zeros(len(views))
    for number in range(len(views) - 1, -1, -1):
        alpha = views[number][..., 3] / np.float32(255)
        shares[number] = float((through * alpha).mean())
        through *= 1 - alpha
    return shares / max(shares.sum(), 1e-9)


def _repeats(views: Sequence[Any], shares: Float[np.ndarray, " L"]) -> set[int]:
    """The less visible one of every two layers of the same outline and colours."""
    found: set[int] = set()
    for upper in range(len(views)):
        for lower in range(upper):
            if found & {upper, lower}:
                continue
            a, b = views[upper], views[lower]
            both = np.minimum(a[..., 3], b[..., 3]).sum(dtype=np.float64)
            either = np.maximum(a[..., 3], b[..., 3]).sum(dtype=np.float64)
            solid = (a[..., 3] > 127) & (b[..., 3] > 127)
            if both < 0.95 * either or not solid.any():
                continue
            if np.abs(a[solid][:, :3].astype(np.int16) - b[solid][:, :3]).mean() < 6:
                found.add(lower if shares[lower] <= shares[upper] and lower > 0 else upper)
    return found
