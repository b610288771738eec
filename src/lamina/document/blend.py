"""How two premultiplied pictures become one: Porter-Duff `over`, and the sixteen blend modes.

Works on the working state (float 0-1, premultiplied, sRGB-encoded values) in any memory layout; knows no layers.
Source: W3C Compositing and Blending Level 1, sections 5.1 (over), 9.1 (separable) and 9.2 (non-separable modes).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from lamina.document.layer import BlendMode

__all__ = ["blend", "mix", "over"]

_LUMA = (0.3, 0.59, 0.11)


def over(src: Float[np.ndarray, "h w 4"], dst: Float[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 4"]:
    """Lay `src` on `dst`, both premultiplied: out = src + dst * (1 - a_src)."""
    return src + dst * (1.0 - src[..., 3:])


def blend(
    src: Float[np.ndarray, "h w 4"], dst: Float[np.ndarray, "h w 4"], mode: BlendMode
) -> Float[np.ndarray, "h w 4"]:
    """Lay `src` on `dst` in a blend mode, both premultiplied.

    co = cs*as*(1 - ab) + cb*ab*(1 - as) + as*ab*B(cb, cs); alpha as in `over`.
    """
    if mode is BlendMode.NORMAL:
        return over(src, dst)
    alpha_src, alpha_dst = src[..., 3:], dst[..., 3:]
    mixed = mix(_straight(dst), _straight(src), mode)
    out = src + dst - dst * alpha_src
    out[..., :3] += (mixed * alpha_src - src[..., :3]) * alpha_dst
    return out


def mix(
    backdrop: Float[np.ndarray, "h w 3"], source: Float[np.ndarray, "h w 3"], mode: BlendMode
) -> Float[np.ndarray, "h w 3"]:
    """The blend function B(cb, cs) of straight colours 0-1, as if both were opaque."""
    return _FORMULAS[mode](backdrop, source)


def _straight(premul: np.ndarray) -> np.ndarray:
    colour, alpha = premul[..., :3], premul[..., 3:]
    return np.clip(np.divide(colour, alpha, out=np.zeros_like(colour), where=alpha > 0), 0.0, 1.0)


def _screen(cb: np.ndarray, cs: np.ndarray) -> np.ndarray:
    return cb + cs - cb * cs


def _hard_light(cb: np.ndarray, cs: np.ndarray) -> np.ndarray:
    return np.where(cs <= 0.5, cb * (2 * cs), _screen(cb, 2 * cs - 1))


def _color_dodge(cb: np.ndarray, cs: np.ndarray) -> np.ndarray:
    raised = np.minimum(1.0, np.divide(cb, 1 - cs, out=np.ones_like(cb), where=cs < 1))
    return np.where(cb == 0, 0.0, raised)


def _color_burn(cb: np.ndarray, cs: np.ndarray) -> np.ndarray:
    lowered = 1 - np.minimum(1.0, np.divide(1 - cb, cs, out=np.ones_like(cb), where=cs > 0))
    return np.where(cb == 1, 1.0, lowered)


def _soft_light(cb: np.ndarray, cs: np.ndarray) -> np.ndarray:
    curve = np.where(cb <= 0.25, ((16 * cb - 12) * cb + 4) * cb, np.sqrt(cb))
    return np.where(cs <= 0.5, cb - (1 - 2 * cs) * cb * (1 - cb), cb + (2 * cs - 1) * (curve - cb))


def _lum(colour: np.ndarray) -> np.ndarray:
    red, green, blue = _LUMA
    return (red * colour[..., 0] + green * colour[..., 1] + blue * colour[..., 2])[..., None]


def _sat(colour: np.ndarray) -> np.ndarray:
    return colour.max(axis=-1, keepdims=True) - colour.min(axis=-1, keepdims=True)


def _set_lum(colour: np.ndarray, lum: np.ndarray) -> np.ndarray:
    colour = colour + (lum - _lum(colour))
    # The shift leaves the luminosity at `lum`; colours out of 0-1 are drawn towards that grey until they fit.
    low, high = colour.min(axis=-1, keepdims=True), colour.max(axis=-1, keepdims=True)
    pull = np.divide(lum, lum - low, out=np.ones_like(lum), where=low < 0)
    colour = lum + (colour - lum) * pull
    high = lum + (high - lum) * pull
    return lum + (colour - lum) * np.divide(1 - lum, high - lum, out=np.ones_like(lum), where=high > 1)


def _set_sat(colour: np.ndarray, sat: np.ndarray) -> np.ndarray:
    low, spread = colour.min(axis=-1, keepdims=True), _sat(colour)
    return (colour - low) * np.divide(sat, spread, out=np.zeros_like(spread), where=spread > 0)


_FORMULAS: dict[BlendMode, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    BlendMode.NORMAL: lambda cb, cs: cs,
    BlendMode.MULTIPLY: lambda cb, cs: cb * cs,
    BlendMode.SCREEN: _screen,
    BlendMode.OVERLAY: lambda cb, cs: _hard_light(cs, cb),
    BlendMode.DARKEN: np.minimum,
    BlendMode.LIGHTEN: np.maximum,
    BlendMode.COLOR_DODGE: _color_dodge,
    BlendMode.COLOR_BURN: _color_burn,
    BlendMode.HARD_LIGHT: _hard_light,
    BlendMode.SOFT_LIGHT: _soft_light,
    BlendMode.DIFFERENCE: lambda cb, cs: np.abs(cb - cs),
    BlendMode.EXCLUSION: lambda cb, cs: cb + cs - 2 * cb * cs,
    BlendMode.HUE: lambda cb, cs: _set_lum(_set_sat(cs, _sat(cb)), _lum(cb)),
    BlendMode.SATURATION: lambda cb, cs: _set_lum(_set_sat(cb, _sat(cs)), _lum(cb)),
    BlendMode.COLOR: lambda cb, cs: _set_lum(cs, _lum(cb)),
    BlendMode.LUMINOSITY: lambda cb, cs: _set_lum(cb, _lum(cs)),
}
