"""Tidy an exact stack: drop what shows nothing or repeats another, trim, name, score, and say what looks failed.

Order stays. Names and ids are deterministic. A dropped layer's few visible pixels go to the layers that stay, so
the stack stays exact. Knows layers and the picture; no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from lamina.decompose.exact import make_exact
from lamina.document.layer import Layer

__all__ = ["Tidied", "looks_like_text", "tidy"]

_SAMPLES = 512
"""Rows and columns looked at for shares."""

_EMPTY = 5e-5
_NEGLIGIBLE = 5e-4
"""Visible shares of the canvas below which a layer is dropped: in any case, and when it is doubtful too."""

_DOUBTFUL = 0.5
_EVERYTHING = 0.995

_EVEN = 16.0
"""Standard deviation (0-255) below which a layer has one colour."""

_COLOURS = {
    "black": (15, 15, 15),
    "grey": (128, 128, 128),
    "white": (245, 245, 245),
    "red": (215, 35, 40),
    "orange": (245, 140, 30),
    "yellow": (245, 220, 50),
    "green": (50, 150, 60),
    "turquoise": (50, 190, 190),
    "blue": (45, 90, 205),
    "purple": (120, 50, 160),
    "pink": (240, 130, 175),
    "brown": (115, 70, 35),
    "beige": (225, 205, 170),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tidied:
    """What is left, bottom first, with a confidence 0-1 for each layer."""

    layers: list[Layer]
    confidence: list[float]
    warnings: list[str]
    """What looks failed, in plain words."""


def tidy(
    picture: UInt8[np.ndarray, "h w 4"], layers: Sequence[Layer], confidence: Float[np.ndarray, " L"], *, key: str
) -> Tidied:
    """Tidy the exact stack of `picture`; `key` stands for source and options and makes the ids."""
    views = _views(picture.shape[:2], layers)
    shares = _visible_shares(views)
    shares[0] = max(shares[0], _NEGLIGIBLE)
    faint = (shares < _EMPTY) | ((shares < _NEGLIGIBLE) & (np.asarray(confidence) < _DOUBTFUL))
    twins = _repeats(views, shares)
    faint[list(twins)] = False
    kept = [i for i in range(len(layers)) if not faint[i] and i not in twins]
    warnings: list[str] = []
    if faint.any():
        warnings.append(f"{int(faint.sum())} of {len(layers)} layers showed next to nothing and were dropped")
    if twins:
        warnings.append(f"{len(twins)} of {len(layers)} layers repeated another and were dropped")
    if len(kept) == 1 or shares[kept].max() > _EVERYTHING:
        warnings.append("one layer holds everything: the picture was not separated")
    stack = [layers[i] for i in kept]
    if len(kept) < len(layers):
        stack, _ = make_exact(picture, stack)
    named = [
        replace(layer, id=hashlib.sha256(f"{key}:{index}".encode()).hexdigest()[:12], name=name)
        for index, (layer, name) in enumerate(zip(stack, _names(stack), strict=True))
    ]
    return Tidied(layers=named, confidence=[float(confidence[i]) for i in kept], warnings=warnings)


def looks_like_text(alpha: UInt8[np.ndarray, "h w"]) -> bool:
    """Many small parts of like height, standing in rows."""
    scale = min(1.0, 1024 / max(alpha.shape))
    if scale < 1:
        alpha = cv2.resize(alpha, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, _, stats, centres = cv2.connectedComponentsWithStats((alpha > 96).astype(np.uint8), connectivity=8)
    parts, middles = stats[1:], centres[1:, 1]
    large = parts[:, cv2.CC_STAT_AREA] >= 6
    parts, middles = parts[large], middles[large]
    if len(parts) < 4:
        return False
    heights = parts[:, cv2.CC_STAT_HEIGHT]
    typical = float(np.median(heights))
    alike = (heights > 0.5 * typical) & (heights < 2 * typical)
    if alike.mean() < 0.6 or parts[alike, cv2.CC_STAT_WIDTH].max() > 20 * typical:
        return False
    rows = np.sort(middles[alike])
    lines = 1 + int((np.diff(rows) > 0.6 * typical).sum())
    return int(alike.sum()) >= 3 * lines


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


def _names(layers: Sequence[Layer]) -> list[str]:
    names: list[str] = []
    counts: dict[str, int] = {}
    for index, layer in enumerate(layers):
        kind = "Background" if index == 0 else _kind(layer)
        counts[kind] = counts.get(kind, 0) + 1
        numbered = counts[kind] > 1 or kind == "Object"
        names.append(f"{kind} {counts[kind]}" if numbered else kind)
    return names


def _kind(layer: Layer) -> str:
    pixels = layer.rgba.reshape(-1, 4)
    pixels = pixels[:: max(1, len(pixels) // 100_000)]
    colours = pixels[pixels[:, 3] > 160][:, :3].astype(np.float32)
    even = bool(colours.size) and float(colours.std(axis=0).max()) < _EVEN
    if (even or _one_colour_mostly(colours)) and looks_like_text(layer.rgba[..., 3]):
        return "Text"
    return f"Shape {_colour_word(np.median(colours, axis=0))}" if even else "Object"


def _one_colour_mostly(colours: Float[np.ndarray, "n 3"]) -> bool:
    """True when three quarters of the pixels are near the median: letters with a few foreign specks."""
    if not colours.size:
        return False
    off = np.abs(colours - np.median(colours, axis=0)).max(axis=1)
    return bool((off < 2 * _EVEN).mean() > 0.75)


def _colour_word(colour: Float[np.ndarray, "3"]) -> str:
    table = np.array([[*_COLOURS.values(), tuple(colour)]], np.float32) / 255
    lab = cv2.cvtColor(table, cv2.COLOR_RGB2LAB)[0]
    return list(_COLOURS)[int(np.square(lab[:-1] - lab[-1]).sum(axis=1).argmin())]
