"""Wide soft shadows and glows on the ground: what they add, how much of it, and in which colour.

Where the bare ground can be told beside things (`plate`), what differs from it there, hangs on a thing, is lighter or
darker throughout, without hard edges, and fades away from the thing, is that thing's shadow or glow; between things it
belongs to the one that it grows towards, so that two veils part where they are faintest. Of all alphas that explain a
difference the least is taken: over a ground g, a pixel p needs max over c of (g - p)/g where it is darker and of
(p - g)/(255 - g) where it is lighter, which is exact for a black shadow and for a glow with one full channel. Knows
labels and colours; only the ground carries veils.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from lamina.decompose.edges import Borders
from lamina.decompose.fill import membrane
from lamina.decompose.plate import Plate, find_plate
from lamina.pixels import channel_max, channel_sum

__all__ = ["Veil", "find_veil"]

_FAINT = 2.5
"""Differences (0-255, smoothed) up to this are noise."""

_STEEP = 18.0
"""Steps (0-255) between pixels at half working size that no soft shadow has."""

_HARD = 0.25
"""Share of a difference beside hard edges from which it is a thing rather than a veil."""

_STRONG = (8.0, 3.5)
"""A veil is somewhere as strong as so many levels, and as this many times what the ground may be wrong by."""

_THIN = 0.6
"""Mean alpha from which a difference hides the ground rather than veils it."""

_ONE_SIGNED, _OWN_SHARE = 0.9, 0.12
"""What differs in one piece is by this share darker than the ground, or lighter; or what goes one way in it takes the
second of it at least: a lamp's glow beside its tower's shadow."""

_SOON = (0.2, 0.65)
"""A glow in a piece that goes both ways has beyond the first share of the reach at most the second of its mean strength
before: a ground that is brighter than could be told does not fade so soon."""

_NEAR = 0.4
"""Share of its reach up to which a veil is near its thing."""

_FADED = ((0.4, 0.7), (0.9, 0.5))
"""Beyond so much of its reach a veil is at most so strong in the mean, against near its thing."""

_BROKEN_OFF = (0.05, 0.5)
"""Share of a veil's outline where the ground ends that can be told, and its strength there against near its thing, from
which it is no veil: one fades before that."""

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
    step = channel_max(cv2.morphologyEx(here, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)))
    hard = (step > _STEEP) & (away > 2 * _RIM)
    plate = find_plate(here, ground & ~hard, away, max(picture.shape))
    zone = ground & (plate.reach > 0) & (away > _RIM)
    difference = _smoothed(here - plate.colour, zone)
    strength = channel_max(np.abs(difference))
    least = np.maximum(plate.doubt, _FAINT)
    room = np.where(difference < 0, plate.colour, 255 - plate.colour)
    alpha = channel_max(np.abs(difference) / np.maximum(room, 1))
    untold = ground & ~hard & (plate.reach == 0) & (away > _RIM) & (away <= plate.widest)
    found = _veiled(difference, alpha, zone & (strength > least), plate, hard, away, untold)
    if not found.any():
        return None
    alpha *= found * np.clip(strength / least - 1, 0, 1)
    owner = _owners(np.where(found, strength, 0), borders, away, size)
    alpha = np.clip(alpha, 0, 0.95)
    premul = np.dstack([difference + alpha[..., None] * plate.colour, alpha])
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


def _veiled(
    difference: Any, alpha: Any, differs: Any, plate: Plate, hard: Any, away: Any, untold: Any
) -> Bool[np.ndarray, "h w"]:
    """Pixels of the parts that are darker, or lighter, hang on a thing, are strong but thin, smooth and fading."""
    box = np.ones((3, 3), np.uint8)
    strength = channel_max(np.abs(difference))
    parts, keep, glow = _one_way(differs, channel_sum(difference) > 0)
    count = keep.size
    peak, sure = np.zeros((2, count), np.float32)
    np.maximum.at(peak, parts, strength)
    np.maximum.at(sure, parts, strength / np.maximum(plate.doubt, 1))

    def total(values: Any) -> Any:
        return np.bincount(parts.ravel(), values.ravel(), count)

    def mean(values: Any, where: Any) -> Any:
        return total(values * where) / np.maximum(total(where), 1)

    keep &= (peak > _STRONG[0]) & (sure > _STRONG[1])
    keep &= mean(alpha, differs) < _THIN
    for part, most in _FADED:
        keep &= mean(strength, away > part * plate.reach) < most * mean(strength, away < _NEAR * plate.reach)
    soon = mean(strength, away > _SOON[0] * plate.reach) < _SOON[1] * mean(strength, away < _SOON[0] * plate.reach)
    keep &= ~glow | soon
    outline = differs & (cv2.erode(differs.astype(np.uint8), box) == 0)
    end = outline & (cv2.dilate(untold.astype(np.uint8), box) > 0)
    strong_end = mean(strength, end) > _BROKEN_OFF[1] * mean(strength, away < _NEAR * plate.reach)
    keep &= ~(strong_end & (total(end) > _BROKEN_OFF[0] * total(outline)))
    keep &= mean(cv2.dilate(hard.astype(np.uint8), box), differs) < _HARD
    keep &= total(away < _RIM + 3) > 0
    keep[0] = False
    return keep[parts]


def _one_way(
    differs: Bool[np.ndarray, "h w"], lighter: Bool[np.ndarray, "h w"]
) -> tuple[Int[np.ndarray, "h w"], Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Number the darker parts and then the lighter ones of what differs, and say which may be veils: those of pieces
    that go one way, and large ones in others; and which are the lighter ones of others. Texture goes both ways."""
    shadows, dark = cv2.connectedComponents((differs & ~lighter).astype(np.uint8), connectivity=8)
    glows, light = cv2.connectedComponents((differs & lighter).astype(np.uint8), connectivity=8)
    count, parts = shadows + glows - 1, np.where(light > 0, light + (shadows - 1), dark)
    pieces: Any = cv2.connectedComponents(differs.astype(np.uint8), connectivity=8)[1]
    piece = np.zeros(count, np.int64)
    piece[parts] = pieces
    area, whole = np.bincount(parts.ravel(), minlength=count), np.bincount(pieces.ravel())
    share = np.bincount(pieces[light > 0], minlength=whole.size) / np.maximum(whole, 1)
    one_way = np.maximum(share, 1 - share) > _ONE_SIGNED
    large = area > _OWN_SHARE * whole[piece]
    return parts, one_way[piece] | large, ~one_way[piece] & (np.arange(count) >= shadows)
