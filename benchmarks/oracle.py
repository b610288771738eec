"""The perfect small network: the truth, seen as coarsely as a network says it, sent through the real read-out.

Tells what the steps after the network cost: with these answers only they can lose. `coarse` is what the compact
network would have to say of a picture whose layers are known; `decompose` lifts it with the package's own steps.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from lamina.decompose.apart import fill_up, set_apart
from lamina.decompose.coarse import Coarse
from lamina.decompose.exact import make_exact
from lamina.decompose.lift import lift
from lamina.decompose.working import Working
from lamina.document.composite import flatten_nodes
from lamina.document.layer import Box
from lamina.pixels import model_size, round_u8

__all__ = ["AREA", "MULTIPLE", "coarse", "decompose", "enlarge"]

AREA, MULTIPLE = 128 * 128, 16
"""The compact network's working picture; it answers at half that size."""


def coarse(true: Sequence[UInt8[np.ndarray, "h w 4"]], *, area: int = AREA) -> Coarse:
    """Visible weights, alphas and hidden colours of the true layers, bottom first, as area means at half the size."""
    height, width = true[0].shape[:2]
    working = model_size(width, height, area=area, multiple=MULTIPLE)
    size = (working[0] // 2, working[1] // 2)
    through = np.ones((height, width), np.float32)
    seen: list[Float[np.ndarray, "h w"]] = []
    alphas: list[Float[np.ndarray, "h w"]] = []
    colours: list[Float[np.ndarray, "h w 3"]] = []
    for layer in reversed(true):
        alpha = layer[..., 3].astype(np.float32) / 255
        seen.append(_shrunk(through * alpha, size))
        through *= 1 - alpha
        alphas.append(_shrunk(alpha, size))
        premul = np.dstack([_shrunk(layer[..., c] / np.float32(255) * alpha, size) for c in range(3)])
        colours.append(premul / np.maximum(alphas[-1], 1e-6)[..., None])
    seen[-1] = seen[-1] + _shrunk(through, size)  # where nothing is, the ground is
    visible = np.stack(seen[::-1])
    return Coarse(
        visible=(visible / visible.sum(axis=0)).astype(np.float32),
        alpha=np.clip(np.stack(alphas[::-1]), 0, 1),
        rgb=np.clip(np.stack(colours[::-1]), 0, 1).astype(np.float32),
        confidence=np.ones(len(true), np.float32),
    )


def decompose(
    rgba: UInt8[np.ndarray, "h w 4"], true: Sequence[UInt8[np.ndarray, "h w 4"]], *, area: int = AREA
) -> list[UInt8[np.ndarray, "h w 4"]]:
    """Full-canvas layers, bottom first, that the read-out makes of perfect coarse answers."""
    working = Working(rgba)
    told = fill_up(working, set_apart(working, coarse(true, area=area), len(true), fine=True), len(true))
    layers, _ = make_exact(rgba, lift(rgba, told, working=working))
    return [flatten_nodes([layer], Box(0, 0, rgba.shape[1], rgba.shape[0])) for layer in layers]


def enlarge(
    rgba: UInt8[np.ndarray, "h w 4"], true: Sequence[UInt8[np.ndarray, "h w 4"]], *, area: int = AREA
) -> list[UInt8[np.ndarray, "h w 4"]]:
    """The perfect coarse answers without the read-out: alphas and colours enlarged, seen colours the picture's."""
    answers = coarse(true, area=area)
    size = (rgba.shape[1], rgba.shape[0])
    layers: list[UInt8[np.ndarray, "h w 4"]] = []
    for visible, alpha, colour in zip(answers.visible, answers.alpha, answers.rgb, strict=True):
        seen, whole, hidden = (cv2.resize(v, size, interpolation=cv2.INTER_LINEAR) for v in (visible, alpha, colour))
        blended = rgba[..., :3] * seen[..., None] + 255 * hidden * (1 - seen[..., None])
        layers.append(round_u8(np.dstack([blended, 255 * whole])))
    return layers


def _shrunk(values: Float[np.ndarray, "h w"], size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)
