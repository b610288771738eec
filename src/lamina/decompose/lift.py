"""Bring a network's small layers to the picture's own size.

From who is seen where (`coarse`) on: borders become soft where the picture is (`edges`), alphas follow from what is
seen plus what must lie underneath, shadows and glows go with what casts them (`veil`), and hidden colours are
continued from the layer's own surroundings (`fill`, the ground's `exemplar`). Visible colours are the picture's.
Everything costly happens at a bounded working size; the last step runs in strips at full size (`paint`). Knows arrays
and layers; no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from lamina.decompose.coarse import Coarse, resized, seen_labels, visible_weights
from lamina.decompose.edges import Borders, clean_parts, far_parts, find_borders, reach_strands
from lamina.decompose.exemplar import continue_ground
from lamina.decompose.fill import continue_colours, membrane
from lamina.decompose.paint import Sheet, paint
from lamina.decompose.veil import Veil, find_veil
from lamina.decompose.working import Working
from lamina.document.layer import Layer
from lamina.pixels import box_slices, channel_sum

__all__ = ["lift"]

_MARGIN = 9
"""Working pixels kept around what a layer shows."""

_ENCLOSED = 0.6
"""A part covers a layer rather than ends it when this share of its border lies on the layer."""

_GOES_ON, _SMALL = 0.5, 0.1
"""Mean alpha of the network from which a layer is said to go on below such a part; below parts of less than this share
of what is seen of the layer, as letters, it always does."""

_REACHES = 0.75
"""Alpha of the network from which a layer is said to reach below whatever covers it, from what is seen of it on."""

_STAGES = 4


def lift(
    picture: UInt8[np.ndarray, "h w 4"],
    coarse: Coarse,
    on_step: Callable[[int, int], None] | None = None,
    *,
    working: Working | None = None,
) -> list[Layer]:
    """Layers (bottom first, as many as `coarse` has, trimmed) at the size of `picture`.

    The bottom layer covers the canvas; for a picture with alpha the stack's alpha is the picture's, nearly: rounding
    is `make_exact`'s. A layer that is seen nowhere comes back as one transparent pixel. `working` is the picture's,
    where it is known already.
    """
    working = working or Working(picture)
    small, opaque = working.rgb, working.opaque
    _tell(on_step, 1)
    label = seen_labels(working, coarse)
    borders = reach_strands(find_borders(label), small, visible_weights(working, coarse))
    _tell(on_step, 2)
    veil = find_veil(small, borders) if opaque else None
    sheets = _sheets(small, borders, coarse, veil, None if opaque else picture[..., 3])
    _tell(on_step, 3)
    layers = paint(picture, working.source, borders, sheets, veil)
    _tell(on_step, 4)
    return layers


def _tell(on_step: Callable[[int, int], None] | None, step: int) -> None:
    if on_step is not None:
        on_step(step, _STAGES)


def _sheets(
    small: UInt8[np.ndarray, "h w 3"],
    borders: Borders,
    coarse: Coarse,
    veil: Veil | None,
    opacity: UInt8[np.ndarray, "H W"] | None,
) -> list[Sheet]:
    """Every layer's sheet, bottom first: the colours of lower ones help to tell the purest pixels of upper ones.

    `opacity` is the picture's alpha, where it has one: the ground goes on below things as opaque as beside them.
    """
    picture = small.astype(np.float32)
    around = np.zeros_like(picture)
    sheets: list[Sheet] = []
    veiled = np.zeros(borders.label.shape, bool) if veil is None else veil.seen(borders.label.shape)
    for number in range(len(coarse.visible)):
        clean = clean_parts(borders, number, picture, around if number else None)
        whole = _whole_alpha(number, borders.label, coarse.alpha[number])
        far = None
        if number == 0:
            clean &= ~veiled
            far = far_parts(borders, clean)
            if opacity is not None:
                whole = _continued_opacity(opacity, far)
        own = borders.upper if veil is None else veil.owner
        box = _box((whole > 0) | (veiled & (own == number)), whole=number == 0)
        guess = 255 * coarse.rgb[number].astype(np.float32)
        sheet = _sheet(picture, clean, far, whole, guess, box)
        sheets.append(sheet)
        below = (borders.lower == number)[sheet.rows, sheet.columns]
        colour = _enlarged(sheet.colour[..., :3], below.shape)
        cv2.copyTo(colour, below.astype(np.uint8), around[sheet.rows, sheet.columns])
    return sheets


def _sheet(
    picture: Any,
    clean: Any,
    far: Any | None,
    whole: Any,
    guess: Any,
    part: tuple[slice, slice],
) -> Sheet:
    """A layer's sheet from where it is `clean`; of the ground's only what is `far` from things is surely its own."""
    known = clean[part].astype(np.uint8)
    size = ((known.shape[1] + 1) // 2, (known.shape[0] + 1) // 2)
    share = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    shown: Any = cv2.copyTo(picture[part], known)
    mean, mean_square = (
        cv2.resize(v, size, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-6)[..., None]
        for v in (shown, cv2.multiply(shown, shown))
    )
    seen = share > 0
    if not seen.any():
        colour = cv2.resize(resized(guess, (picture.shape[1], picture.shape[0]))[part], size)
    elif far is None:
        colour = continue_colours(mean, seen)
    else:
        sure = cv2.resize(far[part].astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
        colour = continue_ground(mean, sure, seen)
    colour = np.clip(colour, 0, 255)
    variance = _variance(mean, mean_square, seen)
    return Sheet(rows=part[0], columns=part[1], colour=np.dstack([colour, variance]), whole=whole[part])


def _variance(mean: Any, mean_square: Any, seen: Any) -> Any:
    """Colour variance in a small window of the pixels seen, continued where none is."""
    weight = seen.astype(np.float32)
    total = cv2.blur(weight, (5, 5))
    mass = np.maximum(total, 1e-6)[..., None]
    local, local_square = (cv2.blur(v * weight[..., None], (5, 5)) / mass for v in (mean, mean_square))
    variance = channel_sum(np.maximum(local_square - np.square(local), 0))
    return membrane(variance[..., None], total > 0.01)


def _whole_alpha(
    number: int, label: UInt8[np.ndarray, "h w"], alpha: Float[np.ndarray, "H W"]
) -> Float[np.ndarray, "h w"]:
    """Alpha of a layer: 1 where it is seen, below what lies mostly inside its outline, if that is small or the network
    too says that it goes on there, and as far as the network is sure that it reaches; else none. `alpha` is what it
    says, at its own size."""
    if number == 0:
        return np.ones(label.shape, np.float32)
    seen = label == number
    if not seen.any():
        return np.zeros(label.shape, np.float32)
    covered = label > number
    if not covered.any():
        return seen.astype(np.float32)
    count, parts = _parts(covered.astype(np.uint8))
    box = np.ones((3, 3), np.uint8)
    ys, xs = np.nonzero((cv2.dilate(covered.astype(np.uint8), box) > 0) & ~covered)
    around: Any = cv2.dilate(parts.astype(np.float32), box)[ys, xs].astype(np.int32)
    border = np.bincount(around, minlength=count)
    own = np.bincount(around, seen[ys, xs], minlength=count)
    guess = resized(alpha.astype(np.float32), (label.shape[1], label.shape[0]))
    inner = parts[covered]
    area = np.maximum(np.bincount(inner, minlength=count), 1)
    goes_on = np.bincount(inner, guess[covered], count) > _GOES_ON * area
    inside = (own > _ENCLOSED * border) & (goes_on | (area < _SMALL * np.count_nonzero(seen)))
    inside[0] = False
    return (seen | inside[parts] | _reached(seen, (guess > _REACHES) & covered)).astype(np.float32)


def _reached(seen: Bool[np.ndarray, "h w"], below: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """What of `below` hangs together with what is seen of a layer."""
    count, parts = _parts((seen | below).astype(np.uint8), connectivity=4)
    own = np.zeros(count, bool)
    own[parts[seen]] = True
    return below & own[parts]


def _continued_opacity(opacity: UInt8[np.ndarray, "H W"], clean: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """The picture's alpha (0-255) where the ground is clean, as 0-1, and continued elsewhere; 0 where it never is."""
    alpha = resized(opacity, (clean.shape[1], clean.shape[0])).astype(np.float32) / 255
    return np.clip(membrane(alpha[..., None], clean)[..., 0], 0, 1)


def _parts(mask: Any, *, connectivity: int = 8) -> tuple[int, Any]:
    """Number the connected parts of a mask from 1 on."""
    return cv2.connectedComponents(mask, connectivity=connectivity)


def _box(mask: Bool[np.ndarray, "h w"], *, whole: bool) -> tuple[slice, slice]:
    """Rows and columns of a mask and some margin, from even numbers on; one cell when it is empty."""
    if whole:
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    rows, columns = box_slices(mask, _MARGIN)
    if rows.stop == 0:
        return slice(0, 1), slice(0, 1)
    return slice(rows.start // 2 * 2, rows.stop), slice(columns.start // 2 * 2, columns.stop)


def _enlarged(half: Any, shape: tuple[int, ...]) -> Any:
    """Twice the size, less a row or column where the size is odd."""
    height, width = half.shape[:2]
    return cv2.resize(half, (width * 2, height * 2), interpolation=cv2.INTER_LINEAR)[: shape[0], : shape[1]]
