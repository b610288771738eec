"""Bring what a caller asked for, boxes and points, into a network's answer: each becomes a pinned layer on top.

Whatever the network is, its answer stays the answer for the rest of the picture. Knows pictures and answers; how boxes
and points are read is in `above` and `pointed`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from lamina.decompose.above import Above, in_box
from lamina.decompose.coarse import Coarse, seen_labels
from lamina.decompose.pointed import under_point
from lamina.decompose.working import Working
from lamina.document.layer import Box
from lamina.errors import InputError
from lamina.options import DecomposeOptions

__all__ = ["Steered", "check_places", "steer"]

_TAKEN = 0.8
"""A layer of the network of which this share is pinned is what the caller asked for; it goes."""

_ASKED = 255
"""Stands for what an earlier point has got, so that a later one on what lies around it leaves it alone."""

_SLIVER = 3
"""Pixels (odd) that a neighbour between a pinned thing and its ground must be thick to be more than the thing's rim."""

_BESIDE = 0.25
"""Share of what is seen around a pinned thing from which a layer goes on below it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Steered:
    """The answer with the pinned layers on top, and what could not be had."""

    coarse: Coarse
    warnings: tuple[str, ...] = ()


def check_places(options: DecomposeOptions, width: int, height: int) -> None:
    """Raise InputError for a box or point that lies outside a picture of this size."""
    for box in options.box:
        if Box(*box).intersect(Box(0, 0, width, height)).empty:
            raise InputError(f"box {_shown(box)} lies outside the picture, which is {width}x{height} px")
    for x, y in options.point:
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(f"point {x},{y} lies outside the picture, which is {width}x{height} px")


def steer(
    picture: UInt8[np.ndarray, "h w 4"],
    coarse: Coarse,
    options: DecomposeOptions,
    *,
    working: Working | None = None,
) -> Steered:
    """Pin a layer for every box and point of `options`, the labels settled around them; what shows nothing above its
    ground becomes a warning.

    Boxes first, then points; later ones take pixels from earlier ones, but a point leaves what lies on its thing to
    the earlier points that hit it. A layer of the answer that shows little else goes. `working` is the picture's,
    where it is known already. Raises InputError as `check_places` does.
    """
    check_places(options, picture.shape[1], picture.shape[0])
    if not options.regions:
        return Steered(coarse=coarse)
    working = working or Working(picture)
    rgb, scale = working.rgb, working.scale
    size = (rgb.shape[1], rgb.shape[0])
    weights = np.stack([cv2.resize(w.astype(np.float32), size) for w in coarse.visible])
    found: list[Above] = []
    warnings: list[str] = []
    label = asked = seen_labels(working, coarse)
    for box in options.box:
        inside = _scaled(box, scale, size)
        above = in_box(working, inside, 1 - weights[0])
        if above is None:
            warnings.append(f"box {_shown(box)} shows nothing above its ground: it became no layer")
        else:
            found.append(_with_what_hangs_on_it(above, inside, label))
    for x, y in options.point:
        place = (min(int((x + 0.5) * scale[0]), size[0] - 1), min(int((y + 0.5) * scale[1]), size[1] - 1))
        above = under_point(working, *place, asked)
        if above is None:
            warnings.append(f"point {x},{y} hits the ground: it became no layer")
        else:
            found.append(above)
            asked = np.where(above.mask, _ASKED, asked).astype(np.uint8)
    coarse = _pinned(replace(coarse, label=label), found) if found else replace(coarse, label=label)
    lost = options.regions - len(warnings) - coarse.pinned
    if lost:
        warnings.append(f"boxes and points that later ones cover wholly: {lost}; they became no layers")
    return Steered(coarse=coarse, warnings=tuple(warnings))


def _with_what_hangs_on_it(above: Above, box: Box, label: UInt8[np.ndarray, "h w"]) -> Above:
    """With what of upper layers hangs on it within the box, but for those that its outline crosses, as a card around a
    word: a mast in the colour of the sea."""
    part = (slice(box.top, box.bottom), slice(box.left, box.right))
    here, mask = label[part], above.mask[part]
    around = np.concatenate([here[0], here[-1], here[:, 0], here[:, -1]])
    found: Any = cv2.connectedComponents((~np.isin(here, [0, *np.unique(around)]) & ~mask).astype(np.uint8))
    count, parts = found
    hangs = np.zeros(count, bool)
    hangs[parts[cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0]] = True
    hangs[0] = False
    whole = above.mask.copy()
    whole[part] |= hangs[parts]
    return replace(above, mask=whole)


def _pinned(coarse: Coarse, found: list[Above]) -> Coarse:
    """The answer, its labels settled, without the layers that were asked for, and with what was found on top."""
    assert coarse.label is not None
    label = coarse.label
    owner = np.zeros(label.shape, np.int32)
    for number, above in enumerate(found, start=1):
        owner[above.mask] = number
    seen, asked = (np.bincount(of, minlength=len(coarse.visible)) for of in (label.ravel(), label[owner > 0]))
    taken = asked > _TAKEN * seen
    taken[0] = False
    kept = np.flatnonzero(~taken)
    place = np.zeros(seen.size, np.uint8)
    place[kept] = np.arange(kept.size)
    label = place[label]
    shown = [number for number in range(1, len(found) + 1) if (owner == number).any()]
    pinned = np.zeros(len(found) + 1, np.uint8)
    pinned[shown] = kept.size + np.arange(len(shown))
    small = (coarse.visible.shape[2], coarse.visible.shape[1])
    masks = [found[number - 1].mask for number in shown]
    own = np.stack([cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA) for mask in masks])
    visible, alpha = coarse.visible[kept].copy(), coarse.alpha[kept].copy()
    visible[0] += coarse.visible[taken].sum(axis=0)  # what a dropped layer showed beside is the ground's
    alpha[1:] *= 1 - visible[1:] * own.max(axis=0)  # what they showed there is now on top, and not below it too
    for mask in masks:
        _lay_below(mask, label, alpha)
    rgb = np.concatenate([coarse.rgb[kept], np.repeat(coarse.rgb[:1], len(shown), axis=0)])
    return replace(
        coarse,
        visible=np.concatenate([visible, np.zeros_like(own)]).astype(np.float32),
        alpha=np.concatenate([alpha, own]).astype(np.float32),
        rgb=rgb,
        confidence=np.append(coarse.confidence[kept], [found[n - 1].clear for n in shown]).astype(np.float32),
        pinned=len(shown),
        label=_with_rims(label, pinned[owner]),
    )


def _with_rims(label: UInt8[np.ndarray, "h w"], pinned: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Labels with the pinned ones (0 where none is) over them, and with them what is left of others in a thin rim
    around them."""
    box = np.ones((_SLIVER, _SLIVER), np.uint8)
    label = np.where(pinned > 0, 0, label).astype(np.uint8)
    thick = np.zeros(label.shape, bool)
    for number in np.flatnonzero(np.bincount(label.ravel()))[1:]:
        thick |= cv2.morphologyEx((label == number).astype(np.uint8), cv2.MORPH_OPEN, box) > 0
    near: Any = cv2.dilate(pinned, box)
    rim = (label > 0) & ~thick & (near > 0)
    return np.where(pinned > 0, pinned, np.where(rim, near, label)).astype(np.uint8)


def _lay_below(
    mask: Bool[np.ndarray, "h w"], label: UInt8[np.ndarray, "h w"], alpha: Float[np.ndarray, "L H W"]
) -> None:
    """Let layers around a pinned thing go on below it, in place: each where it is the nearest one. What the thing goes
    round, as the words on it, does not count."""
    outline: Any = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    whole = cv2.drawContours(np.zeros(mask.shape, np.uint8), outline, -1, 1, -1)
    reach = max(3, max(mask.shape) // 64) | 1
    ring = (cv2.dilate(whole, np.ones((reach, reach), np.uint8)) > 0) & (whole == 0)
    around = np.bincount(label[ring], minlength=len(alpha)) > _BESIDE * ring.sum()
    if not around[1:].any():
        return
    from_there: Any = ndimage.distance_transform_edt(
        ~(ring & around[label]), return_distances=False, return_indices=True
    )
    nearest = label[tuple(from_there)]
    size = (alpha.shape[2], alpha.shape[1])
    for layer in 1 + np.flatnonzero(around[1:]):
        below = cv2.resize((mask & (nearest == layer)).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        alpha[layer] = np.maximum(alpha[layer], below)


def _scaled(box: tuple[int, int, int, int], scale: tuple[float, float], size: tuple[int, int]) -> Box:
    """The box in working pixels, within the picture and not empty."""
    left, top = (int(np.clip(np.floor(box[i] * scale[i] + 0.01), 0, size[i] - 1)) for i in (0, 1))
    right, bottom = (int(np.clip(np.ceil(box[i + 2] * scale[i] - 0.01), 1, size[i])) for i in (0, 1))
    return Box(left, top, max(right, left + 1), max(bottom, top + 1))


def _shown(box: tuple[int, int, int, int]) -> str:
    return ",".join(map(str, box))
