"""What a layer is, by plain rules: its kind, its name, and the edits that suit it.

Knows a layer's own pixels, not what it shows: a captioner or a reader of text may know better, and is asked first.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from enum import StrEnum

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from lamina.document.layer import Box, Layer

__all__ = ["Kind", "Namer", "kind_of", "looks_like_text", "names_of", "suggestions"]

Namer = Callable[[Layer], str | None]
"""Gives a layer a name from what it shows, as `Text "SALE"`; None where it does not know."""


class Kind(StrEnum):
    """What a layer is."""

    BACKGROUND = "Background"
    TEXT = "Text"
    SHAPE = "Shape"
    LINE = "Line"
    SHADOW = "Shadow"
    PHOTO = "Photo"
    OBJECT = "Object"


_EVEN = 16.0
"""Standard deviation (0-255) below which a layer has one colour."""

_THIN = 12.0
"""Length over width from which a shape of one colour is a line."""

_DARK = 90.0
_SOFT = (12, 215)
_MOSTLY_SOFT, _WHOLLY_SOFT = 0.7, 0.99
"""A shadow is darker than this (0-255), and this share of it has an alpha between these; one that has the shape of
letters higher than small print, the second share."""

_SMALL_PRINT = 16
"""Letters so high or less (pixels) may be soft all through."""

_FULL = 0.93
_RICH = 24.0
_PHOTO_SIDE = 48
"""A photo fills this share of its box, its brightness varies by this (0-255), and its sides are at least this long."""

_FEW, _FLAT = 8, 0.6
"""So many of its colours take less than this share of a photo."""

_INKS, _INKED, _CELLS = 2, 0.75, 8
"""Lettering has so many colours, and this share of its pixels is near one; cells along red, green and blue by which
they are found."""

_LETTERED, _PARTS = 0.5, 500
"""Share of a text's area that letters in rows take; the largest parts are looked at, so many of them."""

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
    "dark grey": (64, 64, 64),
    "gold": (250, 210, 120),
    "olive": (120, 115, 30),
    "dark red": (125, 22, 28),
    "dark green": (22, 74, 44),
    "dark blue": (16, 44, 84),
    "dark purple": (62, 44, 88),
    "light blue": (150, 200, 240),
    "light green": (165, 220, 150),
}


_SUGGESTED: dict[Kind, tuple[tuple[str, str], ...]] = {
    Kind.BACKGROUND: (
        ("replace", "another ground"),
        ("recolor", "a ground of another colour"),
        ("set-visible", "the rest without a ground"),
    ),
    Kind.TEXT: (
        ("replace", "other words, or a translation"),
        ("recolor", "lettering of another colour"),
        ("move", "lettering elsewhere"),
    ),
    Kind.SHAPE: (
        ("recolor", "a shape of another colour"),
        ("resize", "a larger or smaller shape"),
        ("move", "the shape elsewhere"),
    ),
    Kind.LINE: (
        ("recolor", "a line of another colour"),
        ("move", "the line elsewhere"),
        ("delete", "no line"),
    ),
    Kind.SHADOW: (
        ("set-opacity", "a stronger or fainter shadow"),
        ("set-blend", "multiply, so that it darkens any ground"),
        ("move", "light from elsewhere"),
    ),
    Kind.PHOTO: (
        ("replace", "another picture in its place"),
        ("resize", "a larger or smaller picture"),
        ("move", "the picture elsewhere"),
    ),
    Kind.OBJECT: (
        ("move", "the object elsewhere"),
        ("recolor", "the object in another colour"),
        ("replace", "another object in its place"),
        ("delete", "the scene without it"),
    ),
}


def kind_of(layer: Layer, *, bottom: bool = False) -> Kind:
    """The kind of a layer by its pixels; `bottom` says that it is the ground of its document."""
    if bottom:
        return Kind.BACKGROUND
    if layer.text is not None:
        return Kind.TEXT
    alpha = layer.rgba[..., 3]
    pixels = layer.rgba.reshape(-1, 4)
    pixels = pixels[:: max(1, len(pixels) // 100_000)]
    colours = pixels[pixels[:, 3] > 160][:, :3].astype(np.float32)
    even = bool(colours.size) and float(colours.std(axis=0).max()) < _EVEN
    letters = _letter_height(alpha) if even or _of_few_colours(colours) else 0
    if letters > _SMALL_PRINT and _is_shadow(pixels, _WHOLLY_SOFT):  # of a word
        return Kind.SHADOW
    if letters:
        return Kind.TEXT
    if _is_shadow(pixels, _MOSTLY_SOFT):
        return Kind.SHADOW
    if even:
        return Kind.LINE if _is_line(alpha) else Kind.SHAPE
    full = float((pixels[:, 3] > 250).mean()) > _FULL and min(layer.width, layer.height) >= _PHOTO_SIDE
    return Kind.PHOTO if full and _is_photo(colours) else Kind.OBJECT


def names_of(layers: Sequence[Layer], namer: Namer | None = None, *, ground: str | None = "Background") -> list[str]:
    """A name for each layer of a stack, bottom first: `namer`'s where it knows one, else by kind.

    The bottom one is called `ground`, and by its kind too where that is None; objects are numbered, and so is
    everything whose name has been given before.
    """
    names: list[str] = []
    counts: dict[str, int] = {}
    for index, layer in enumerate(layers):
        known = (namer(layer) or "").strip() if namer else ""
        kind = kind_of(layer, bottom=index == 0 and ground is not None)
        base = known or _plain_name(layer, kind, ground or "")
        counts[base] = counts.get(base, 0) + 1
        numbered = counts[base] > 1 or (base == Kind.OBJECT.value)
        names.append(f"{base} {counts[base]}" if numbered else base)
    return names


def _plain_name(layer: Layer, kind: Kind, ground: str) -> str:
    if kind is Kind.SHAPE:
        return f"{kind.value} {_colour_of(layer)}"
    return ground if kind is Kind.BACKGROUND else kind.value


def suggestions(layer: Layer, canvas: Box, *, bottom: bool) -> list[dict[str, str]]:
    """Edits that suit the layer, the likeliest first: their names as in an edit's JSON form, and what for.

    `bottom` says that nothing lies below it; it is taken for the ground where it covers nine tenths of the canvas.
    """
    box = layer.box.intersect(canvas)
    covers = not box.empty and box.width * box.height >= 0.9 * canvas.width * canvas.height
    found = _SUGGESTED[kind_of(layer, bottom=bottom and covers)]
    return [{"edit": edit, "for": purpose} for edit, purpose in found]


def looks_like_text(alpha: UInt8[np.ndarray, "h w"]) -> bool:
    """Many small parts, most of which stand in rows of like height, and those are most of it."""
    return _letter_height(alpha) > 0


def _letter_height(alpha: UInt8[np.ndarray, "h w"]) -> float:
    """The usual height of what look like letters, in pixels; 0 where it looks like no text."""
    scale = min(1.0, 1024 / max(alpha.shape))
    if scale < 1:
        size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    _, _, stats, centres = cv2.connectedComponentsWithStats((alpha > 96).astype(np.uint8), connectivity=8)
    order = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:_PARTS] + 1
    width, height, area = stats[order, cv2.CC_STAT_WIDTH :].T
    large = area >= 6
    width, height, area, middle = width[large], height[large], area[large], centres[order[large], 1]
    if len(area) < 4:
        return 0
    alike = (height < 2 * height[:, None]) & (2 * height > height[:, None])
    beside = np.abs(middle - middle[:, None]) < 0.6 * np.minimum(height, height[:, None])
    letters = ((alike & beside).sum(axis=1) >= 3) & (width < 20 * height)
    if letters.mean() < 0.6 or area[letters].sum() <= _LETTERED * area.sum():
        return 0
    return float(np.median(height[letters])) / scale


def _is_shadow(pixels: UInt8[np.ndarray, "n 4"], share: float) -> bool:
    """Dark, of one colour, and this share of it soft."""
    shown = pixels[pixels[:, 3] > _SOFT[0]]
    if not len(shown) or float((shown[:, 3] < _SOFT[1]).mean()) < share:
        return False
    return float(shown[:, :3].mean()) < _DARK and float(shown[:, :3].std(axis=0).max()) < 2 * _EVEN


def _is_line(alpha: UInt8[np.ndarray, "h w"]) -> bool:
    """Long and thin, at any angle."""
    ys, xs = np.nonzero(alpha > 127)
    if len(ys) < 2:
        return False
    step = max(1, len(ys) // 20_000)
    _, (width, height), _ = cv2.minAreaRect(np.stack([xs[::step], ys[::step]], axis=1).astype(np.float32))
    return max(width, height) + 1 > _THIN * (min(width, height) + 1)


def _is_photo(colours: Float[np.ndarray, "n 3"]) -> bool:
    """Rich in brightness, and in colours: cards and screens have a few that take most of them."""
    often = np.sort(np.bincount(_cells(colours, 32)))
    return float(colours.mean(axis=1).std()) > _RICH and often[-_FEW:].sum() < _FLAT * len(colours)


def _cells(colours: Float[np.ndarray, "n 3"], count: int) -> Int[np.ndarray, " n"]:
    """The cell that each colour is in, of so many along red, green and blue."""
    red, green, blue = (colours * (count / 256)).astype(np.int32).T
    return (red * count + green) * count + blue


def _of_few_colours(colours: Float[np.ndarray, "n 3"]) -> bool:
    """True when three quarters of the pixels are near one of two colours: letters with a few foreign specks."""
    left = colours
    for _ in range(_INKS):
        if not len(left):
            break
        cell = _cells(left, _CELLS)
        ink = left[cell == np.bincount(cell).argmax()]
        left = left[np.abs(left - np.median(ink, axis=0)).max(axis=1) >= 2 * _EVEN]
    return len(left) < (1 - _INKED) * len(colours)


def _colour_of(layer: Layer) -> str:
    pixels = layer.rgba.reshape(-1, 4)
    pixels = pixels[:: max(1, len(pixels) // 100_000)]
    return _colour_word(np.median(pixels[pixels[:, 3] > 160][:, :3].astype(np.float32), axis=0))


def _colour_word(colour: Float[np.ndarray, "3"]) -> str:
    table = np.array([[*_COLOURS.values(), tuple(colour)]], np.float32) / 255
    lab = cv2.cvtColor(table, cv2.COLOR_RGB2LAB)[0]
    return list(_COLOURS)[int(np.square(lab[:-1] - lab[-1]).sum(axis=1).argmin())]
