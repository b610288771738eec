"""Give pixels another colour and keep their shading, in OKLab.

Hue and chroma move to the target's; lightness keeps its differences about the alpha-weighted mean, which moves to the
target's. Alpha is untouched. Source: B. Ottosson, "A perceptual color space for image processing", 2020.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from lamina.pixels import freeze, round_u8

__all__ = ["recolor"]

_STRIP_PIXELS = 1 << 16

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Ottosson prints both inverses with ten digits; taking them from the forward matrices makes the way back exact.
_FROM_LAB, _FROM_CONES = np.linalg.inv(_TO_LAB), np.linalg.inv(_TO_CONES)


def recolor(
    pictures: Sequence[UInt8[np.ndarray, "..."]], color: tuple[int, int, int], strength: float
) -> list[UInt8[np.ndarray, "..."]]:
    """The pictures (stored state) in another colour (bytes); their mean lightness is taken over all of them together.

    `strength` 0-1 mixes in OKLab between old and new. Colours outside sRGB are clipped.
    """
    weight = sum(int(rgba[..., 3].sum(dtype=np.int64)) for rgba in pictures)
    if weight == 0 or strength == 0:
        return list(pictures)
    total = 0.0
    for rgba in pictures:
        for strip in _strips(rgba):
            total += float((_to_oklab(strip[..., :3])[..., 0] * strip[..., 3]).sum())
    target = _to_oklab(np.array(color, np.uint8))
    shift = target[0] - total / weight
    return [_moved(rgba, target, shift, strength) for rgba in pictures]


def _moved(rgba: np.ndarray, target: np.ndarray, shift: float, strength: float) -> UInt8[np.ndarray, "..."]:
    out = rgba.copy()
    for strip in _strips(out):
        lab = _to_oklab(strip[..., :3])
        lab[..., 0] += strength * shift
        lab[..., 1:] += strength * (target[1:] - lab[..., 1:])
        strip[..., :3] = _from_oklab(lab)
    return freeze(out)


def _strips(rgba: np.ndarray) -> list[np.ndarray]:
    rows = max(1, _STRIP_PIXELS // rgba.shape[1])
    return [rgba[top : top + rows] for top in range(0, rgba.shape[0], rows)]


def _to_oklab(rgb_u8: UInt8[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    return np.cbrt(_LINEAR[rgb_u8] @ _TO_CONES.T) @ _TO_LAB.T


def _from_oklab(lab: Float[np.ndarray, "... 3"]) -> UInt8[np.ndarray, "... 3"]:
    linear = np.clip((lab @ _FROM_LAB.T) ** 3 @ _FROM_CONES.T, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return round_u8(encoded * 255.0)


def _linear_table() -> np.ndarray:
    encoded = np.arange(256) / 255.0
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


_LINEAR = _linear_table()
"""Linear light of every sRGB byte: IEC 61966-2-1."""
