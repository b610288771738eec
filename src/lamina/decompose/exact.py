"""Make a stack of layers composite back to the picture it came from, byte for byte.

Works strip by strip, two at a time, on the pixels that differ and changes as little as can be seen: first the colour
of the layer that covers most there, then of the next below or above it, until the picture is met; alphas only where the
picture's own alpha demands it. Layers that do not show at a pixel stay as they are there. Knows upright, opaque-mode
layers only (what a decomposition makes), and no networks. The arithmetic that decides is the reference compositor's own
(`premultiply`, `over`, `unpremultiply`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lamina.decompose.together import each
from lamina.document.composite import over
from lamina.document.layer import BlendMode, Layer, trimmed
from lamina.pixels import premultiply, round_u8, unpremultiply

__all__ = ["Fidelity", "make_exact"]

_STRIP_PIXELS = 1 << 17
"""Pixels of a strip, so that memory beside the layers is bounded."""

_SURE = 0.499
"""A float32 composite within this of the wanted byte rounds to it in float64 too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fidelity:
    """How close the composite of a stack is to its picture, and what it took."""

    exact_share: float
    """Share of pixels whose 8-bit composite equals the picture (colour under alpha 0 is not compared)."""
    max_error: int
    """Largest difference of a byte, 0-255."""
    psnr_db: float | None
    """Over the colour channels; None when every pixel is exact."""
    psnr_before_db: float | None
    """The same before any repair."""
    recoloured: int
    """Pixels where colours of layers were changed, alphas kept."""
    reassigned: int
    """Pixels whose alphas were changed too."""


def make_exact(picture: UInt8[np.ndarray, "h w 4"], layers: Sequence[Layer]) -> tuple[list[Layer], Fidelity]:
    """Repair upright layers (bottom first) until their composite equals `picture` at every pixel.

    Layers come back trimmed, in the same order and with the same ids; raises ValueError for a stack that is empty
    or holds a layer that is not a plain copy (blend mode, opacity, scale, angle).
    """
    if not layers or not all(_plain(layer) for layer in layers):
        raise ValueError("exactness needs at least one layer, all upright, visible, normal and of full opacity")
    rasters = [_Raster(layer) for layer in layers]
    _cover_canvas(rasters[0], picture.shape[1], picture.shape[0])
    rows = max(1, _STRIP_PIXELS // picture.shape[1])

    def repair(top: int) -> _Tally:
        strip = picture[top : top + rows]
        present = [r for i, r in enumerate(rasters) if i == 0 or r.meets(top, top + strip.shape[0])]
        ys, xs = _differing(strip, top, present)
        return _repair(strip[ys, xs], top + ys, xs, present)

    tally = _Tally.of_all(each(repair, range(0, picture.shape[0], rows)))
    done = [trimmed(replace(r.layer, rgba=r.rgba, x=r.x, y=r.y)) for r in rasters]
    return done, tally.fidelity(picture.shape[0] * picture.shape[1])


class _Raster:
    """A layer's pixels while strips of them are being repaired, by two threads; copied at the first change."""

    def __init__(self, layer: Layer) -> None:
        self.layer, self.rgba, self.x, self.y = layer, layer.rgba, int(layer.x), int(layer.y)
        self._copying = Lock()

    def meets(self, top: int, bottom: int) -> bool:
        return self.y < bottom and self.y + self.rgba.shape[0] > top

    def gather(self, ys: np.ndarray, xs: np.ndarray) -> UInt8[np.ndarray, "n 4"]:
        """The pixels at these places of the canvas; transparent outside the raster."""
        inside = self._inside(ys, xs)
        if inside.all():
            return self.rgba[ys - self.y, xs - self.x]
        found = np.zeros((ys.size, 4), np.uint8)
        found[inside] = self.rgba[ys[inside] - self.y, xs[inside] - self.x]
        return found

    def scatter(self, ys: np.ndarray, xs: np.ndarray, values: UInt8[np.ndarray, "n 4"]) -> None:
        """Write pixels; those outside the raster are transparent and stay so."""
        inside = self._inside(ys, xs)
        with self._copying:
            if not self.rgba.flags.writeable:
                self.rgba = self.rgba.copy()
        self.rgba[ys[inside] - self.y, xs[inside] - self.x] = values[inside]

    def _inside(self, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        height, width = self.rgba.shape[:2]
        return (ys >= self.y) & (ys < self.y + height) & (xs >= self.x) & (xs < self.x + width)


@dataclass(frozen=True, slots=True)
class _Tally:
    """What a repair found and did: pixels changed, squared errors before and after, pixels left wrong."""

    recoloured: int = 0
    reassigned: int = 0
    before: float = 0.0
    wrong: int = 0
    after: float = 0.0
    max_error: int = 0

    @classmethod
    def of_all(cls, parts: Sequence["_Tally"]) -> "_Tally":
        return cls(
            recoloured=sum(part.recoloured for part in parts),
            reassigned=sum(part.reassigned for part in parts),
            before=sum(part.before for part in parts),
            wrong=sum(part.wrong for part in parts),
            after=sum(part.after for part in parts),
            max_error=max((part.max_error for part in parts), default=0),
        )

    def fidelity(self, pixels: int) -> Fidelity:
        def psnr(squares: float) -> float | None:
            return 10 * math.log10(255.0**2 * 3 * pixels / squares) if squares > 0 else None

        return Fidelity(
            exact_share=1 - self.wrong / pixels,
            max_error=self.max_error,
            psnr_db=psnr(self.after),
            psnr_before_db=psnr(self.before),
            recoloured=self.recoloured,
            reassigned=self.reassigned,
        )


def _plain(layer: Layer) -> bool:
    return layer.upright and layer.visible and layer.opacity == 1 and layer.blend is BlendMode.NORMAL


def _cover_canvas(ground: _Raster, width: int, height: int) -> None:
    """Widen the bottom raster to the canvas, so that every pixel has a layer that can take it."""
    rgba = ground.rgba
    if ground.x <= 0 and ground.y <= 0 and ground.x + rgba.shape[1] >= width and ground.y + rgba.shape[0] >= height:
        return
    left, top = min(0, ground.x), min(0, ground.y)
    right, bottom = max(width, ground.x + rgba.shape[1]), max(height, ground.y + rgba.shape[0])
    wide = np.zeros((bottom - top, right - left, 4), np.uint8)
    y, x = ground.y - top, ground.x - left
    wide[y : y + rgba.shape[0], x : x + rgba.shape[1]] = rgba
    ground.rgba, ground.x, ground.y = wide, left, top


def _differing(strip: UInt8[np.ndarray, "h w 4"], top: int, rasters: Sequence[_Raster]) -> tuple[Any, Any]:
    """Rows and columns (within the strip) whose composite surely or possibly rounds to something else."""
    height, width = strip.shape[:2]
    flat = np.zeros((4, height, width), np.float32)
    for raster in rasters:
        upper, lower = max(0, raster.y - top), min(height, raster.y + raster.rgba.shape[0] - top)
        left, right = max(0, raster.x), min(width, raster.x + raster.rgba.shape[1])
        if upper >= lower or left >= right:
            continue
        source = raster.rgba[top + upper - raster.y : top + lower - raster.y, left - raster.x : right - raster.x]
        target = flat[:, upper:lower, left:right]
        alpha = source[..., 3] * np.float32(1 / 255)
        for channel in range(3):
            target[channel] += alpha * (source[..., channel] - target[channel])
        target[3] += alpha * (255 - target[3])
    wanted = strip[..., 3].astype(np.float32)
    differs = np.abs(flat[3] - wanted) > _SURE
    scale: Any = 1.0
    if not (wanted == 255).all():
        scale = 255 / np.maximum(flat[3], 1e-3)
    seen = wanted > 0
    for channel in range(3):
        differs |= (np.abs(flat[channel] * scale - strip[..., channel]) > _SURE) & seen
    ys, xs = np.nonzero(differs)
    return ys, xs


def _repair(wanted: UInt8[np.ndarray, "n 4"], ys: np.ndarray, xs: np.ndarray, rasters: Sequence[_Raster]) -> _Tally:
    """Make these places of the canvas show what is wanted."""
    stack = np.stack([raster.gather(ys, xs) for raster in rasters])
    old = stack.copy()
    error = _error(stack, wanted)
    before = float(np.square(error[:, :3]).sum())
    todo = np.flatnonzero(error.any(axis=1))
    if todo.size == 0:
        return _Tally(before=before)
    part, goal = stack[:, todo], wanted[todo]
    _fit_alpha(part, goal)
    _fit_colours(part, goal)
    stubborn = _error(part, goal).any(axis=1)
    # Weights sum to one, so the wanted colour in every layer that shows is exact whatever the alphas are.
    shows = (_weights(part[..., 3].astype(np.float64)) > 0) & stubborn
    part[shows, :3] = np.broadcast_to(goal[:, :3], (*shows.shape, 3))[shows]
    stack[:, todo] = part
    alphas_changed = (stack[..., 3] != old[..., 3]).any(axis=0)
    for raster, new, was in zip(rasters, stack, old, strict=True):
        changed = (new != was).any(axis=1)
        if changed.any():
            raster.scatter(ys[changed], xs[changed], new[changed])
    rest = np.abs(_error(part, goal))
    reassigned = int(alphas_changed.sum())
    return _Tally(
        recoloured=todo.size - reassigned,
        reassigned=reassigned,
        before=before,
        wrong=int(rest.any(axis=1).sum()),
        after=float(np.square(rest[:, :3]).sum()),
        max_error=int(rest.max(initial=0)),
    )


def _error(stack: UInt8[np.ndarray, "L n 4"], wanted: UInt8[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """Reference composite minus the picture, in bytes; colour counts only where the picture shows any."""
    flat = np.zeros((wanted.shape[0], 1, 4))
    for layer in stack:
        flat = over(premultiply(layer[:, None]), flat)
    error = unpremultiply(flat)[:, 0].astype(np.float64) - wanted
    error[wanted[:, 3] == 0, :3] = 0
    return error


def _weights(alpha_255: Float[np.ndarray, "L n"]) -> Float[np.ndarray, "L n"]:
    """How much of each layer is seen; what is left to 1 shows nothing."""
    alpha = alpha_255 / 255
    through = np.ones_like(alpha)
    through[:-1] = np.cumprod(1 - alpha[:0:-1], axis=0)[::-1]
    return alpha * through


def _fit_alpha(stack: UInt8[np.ndarray, "L n 4"], wanted: UInt8[np.ndarray, "n 4"]) -> None:
    """Change alphas in place where their union does not round to the picture's alpha."""
    alpha = stack[..., 3].astype(np.float64)
    weights = _weights(alpha)
    goal = wanted[:, 3].astype(np.float64)
    off = np.flatnonzero(round_u8(weights.sum(axis=0) * 255) != wanted[:, 3])
    if off.size == 0:
        return
    alpha, goal, weights = alpha[:, off], goal[off], weights[:, off]
    columns = np.arange(off.size)
    lowest = np.where((alpha > 0).any(axis=0), (alpha > 0).argmax(axis=0), 0)
    chosen: Any = np.where(goal == 255, lowest, weights.argmax(axis=0))
    others = alpha.copy()
    others[chosen, columns] = 0
    left = np.prod(1 - others / 255, axis=0)
    share = 255 - (255 - goal) / np.maximum(left, 1e-9)
    fits: Any = (share > -0.5) & (goal > 0)
    alone = np.zeros_like(alpha)
    alone[chosen, columns] = goal
    others[chosen, columns] = share
    stack[:, off, 3] = round_u8(np.where(fits, others, alone))


def _fit_colours(stack: UInt8[np.ndarray, "L n 4"], wanted: UInt8[np.ndarray, "n 4"]) -> None:
    """Change colours in place, the layer that covers most first (of equals the upper one).

    A colour c of weight w becomes c + e/w for the error e, rounded and clipped; what is left goes to the next layer.
    """
    weights = _weights(stack[..., 3].astype(np.float64))
    weights /= np.maximum(weights.sum(axis=0), 1e-9)
    error = wanted[:, :3] - np.einsum("ln,lnc->nc", weights, stack[..., :3].astype(np.float64))
    order = len(weights) - 1 - np.argsort(-weights[::-1], axis=0, kind="stable")
    open_ = np.flatnonzero((wanted[:, 3] > 0) & (np.abs(error) >= 0.5).any(axis=1))
    for rank in order:
        if open_.size == 0:
            return
        layer = rank[open_]
        weight = np.maximum(weights[layer, open_], 1e-9)[:, None]
        old = stack[layer, open_, :3].astype(np.float64)
        new = round_u8(np.where(np.abs(error[open_]) < 0.5, old, old + error[open_] / weight))
        stack[layer, open_, :3] = new
        error[open_] -= (new - old) * weight
        open_ = open_[(np.abs(error[open_]) >= 0.5).any(axis=1)]
