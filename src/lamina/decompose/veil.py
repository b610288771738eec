"""Wide soft shadows and glows on an even ground: what they add, how much of it, and in which colour.

Where the ground is one colour or a gradient far from everything, it is known beside things too. What differs from it
there, hangs on a thing, is smooth and fades before long, is that thing's shadow or glow; between things it belongs to
the one that it grows towards, so that two veils part where they are faintest. Of all alphas that explain a
difference the least is taken: over a ground g, a pixel p needs max over c of (g - p)/g where it is darker and of
(p - g)/(255 - g) where it is lighter, which is exact for a black shadow and for a glow with one full channel. Knows
labels and colours; only the ground carries veils.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from lamina.decompose.edges import Borders
from lamina.decompose.fill import gradient_of, membrane
from lamina.pixels import channel_max

__all__ = ["Veil", "find_veil"]

_REACH = 9
"""Veils end nearer to their thing than the longer side over this."""

_LEAST_FAR = 0.04
"""Share of the canvas that must be ground beyond that reach, to tell its colour."""

_FAINT = 2.5
"""Differences (0-255, smoothed) up to this are noise."""

_STEEP = 18.0
"""Steps (0-255) between pixels at half working size that no soft shadow has."""

_MOSTLY_SMOOTH = 0.15
"""Share of steep pixels from which a difference is a thing rather than a veil."""

_FADED = 0.15
"""Share of a veil's largest difference that may be left at the end of its reach."""

_RIM = 1.5
"""Working pixels beside a thing that show its own soft rim."""


_OWN = 9.0
"""Working pixels beside a thing in which a veil is the nearest thing's: as far as soft edges reach."""

_LEVELS = 16
"""Steps from the strongest to the faintest veil, in which owners flood it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Veil:
    """What things cast on the ground, at half the working size."""

    premul: Float[np.ndarray, "h w 4"]
    """Colour 0-255 times alpha, and alpha 0-1; continued a little below the things."""
    owner: UInt8[np.ndarray, "H W"]
    """Label of the thing that casts it, at working size; beside things the nearest one."""

    def seen(self, shape: tuple[int, ...]) -> Bool[np.ndarray, "H W"]:
        """Where there is any, at working size."""
        mask = (self.premul[..., 3] > 0).astype(np.uint8)
        return cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST) > 0


def find_veil(picture: UInt8[np.ndarray, "h w 3"], borders: Borders) -> Veil | None:
    """The veil on the ground, or None where there is none or the ground is too restless to tell."""
    size = ((picture.shape[1] + 1) // 2, (picture.shape[0] + 1) // 2)
    here: Any = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    ground = cv2.resize((borders.label == 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    away = cv2.resize(np.abs(borders.depth), size, interpolation=cv2.INTER_NEAREST)
    reach = max(picture.shape) / _REACH
    far = ground & (away > reach)
    if far.mean() < _LEAST_FAR:
        return None
    plate = gradient_of(here, far)
    if plate is None:
        return None
    zone = ground & (away <= reach) & (away > _RIM)
    difference = _smoothed(here - plate, zone | far)
    found = _veiled(difference, here, zone, away, reach)
    if not found.any():
        return None
    room = np.where(difference < 0, plate, 255 - plate)
    alpha = np.where(found, channel_max(np.abs(difference) / np.maximum(room, 1)), 0)
    alpha *= np.clip(channel_max(np.abs(difference)) / _FAINT - 1, 0, 1)
    owner = _owners(np.where(found, channel_max(np.abs(difference)), 0), borders, away, size)
    alpha = np.clip(alpha, 0, 0.95)
    premul = np.dstack([difference + alpha[..., None] * plate, alpha])
    premul[..., :3] = np.clip(premul[..., :3], 0, 255 * alpha[..., None])
    # The veil goes on below the soft rims of things.
    near = (away <= 2 * _RIM + 4) & ~zone
    premul = np.where(near[..., None], membrane(premul, ~near & ground), premul * zone[..., None])
    whole = cv2.resize(owner, borders.label.shape[::-1], interpolation=cv2.INTER_NEAREST)
    cast = (borders.label == 0) & (borders.depth < -_OWN)
    return Veil(premul=premul.astype(np.float32), owner=np.where(cast, whole, borders.upper).astype(np.uint8))


def _owners(strength: Any, borders: Borders, away: Any, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """Who casts the veil at each pixel: things flood it from where it is strong to where it is faint."""
    nearest = cv2.resize(borders.upper, size, interpolation=cv2.INTER_NEAREST)
    owner = np.where(
        (away <= _OWN) | (cv2.resize(borders.label, size, interpolation=cv2.INTER_NEAREST) > 0), nearest, 0
    )
    things = np.unique(owner[owner > 0])
    if len(things) < 2:
        return nearest
    levels = float(strength.max()) * np.linspace(1, 0, _LEVELS + 1)[1:-1] ** 2
    for level in (*levels, _FAINT):
        strong = strength >= level
        todo = strong & (owner == 0)
        if not todo.any():
            continue
        _, parts = cv2.connectedComponents((strong | (owner > 0)).astype(np.uint8), connectivity=4)
        reached = np.zeros(int(parts.max()) + 1, bool)
        reached[parts[owner > 0]] = True
        _, index = cv2.distanceTransformWithLabels(
            (owner == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        lookup = np.zeros(int(index.max()) + 1, np.uint8)
        lookup[index[owner > 0]] = owner[owner > 0]
        owner = np.where(todo & reached[parts], lookup[index], owner)
    return np.where(owner > 0, owner, nearest).astype(np.uint8)


def _smoothed(values: Any, known: Any) -> Any:
    """Means over small windows of what is known; 0 where nothing is."""
    weight = known.astype(np.float32)
    share = cv2.blur(weight, (3, 3))[..., None]
    return np.where(known[..., None], cv2.blur(values * weight[..., None], (3, 3)) / np.maximum(share, 1e-6), 0)


def _veiled(difference: Any, here: Any, zone: Any, away: Any, reach: float) -> Bool[np.ndarray, "h w"]:
    """Pixels of the parts that differ, hang on a thing, are smooth and fade."""
    size = channel_max(np.abs(difference))
    differs = (size > _FAINT) & zone
    count, parts = cv2.connectedComponents(differs.astype(np.uint8), connectivity=8)
    area = np.bincount(parts.ravel(), minlength=count)

    def share(mask: Any) -> Any:
        return np.bincount(parts.ravel(), mask.ravel(), count) / np.maximum(area, 1)

    step = channel_max(cv2.morphologyEx(here, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)))
    peak, end = np.zeros((2, count), np.float32)
    np.maximum.at(peak, parts, size)
    np.maximum.at(end, parts, np.where(away > 0.9 * reach, size, 0))
    keep = (share((step > _STEEP) & (away > 2 * _RIM)) < _MOSTLY_SMOOTH) & (
        end <= np.maximum(2 * _FAINT, _FADED * peak)
    )
    keep &= share(away < _RIM + 3) > 0
    keep[0] = False
    return keep[parts]
