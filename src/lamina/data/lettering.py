"""Lettering: headlines, lines and small print in random words, fonts and colours.

Words are common ones and random syllables, hangul and Han in fonts that have them. Knows fonts' paths only.
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lamina.data.art import Bank
from lamina.data.tiles import SUPER, Array, Box, Canvas, Rng, contrasting, decorate, fill, place, rotate

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportArgumentType=false, reportUnknownArgumentType=false
# ruff: noqa: SIM905

__all__ = ["Style", "paragraph", "style", "text"]

_SYLLABLES = (
    "an ar be ca co da de do el en er es fa fi ga go ha he in is ka la le li lo ma me mi mo na ne no on or pa pe pi "
    "ra re ri ro sa se si so ta te ti to un va ve vi wa we yo za"
).split()
_WORDS = (
    "sale new open summer music festival best offer today live free coffee shop book club art show night party city "
    "travel the and for with your our big little house game play start menu home about contact buy now join us more "
    "winter spring happy birthday love world 2024 50% 100 10:30 24/7 $9.99 vol. no. 7 chapter one part two news team"
).split()


class Style(NamedTuple):
    """How lettering looks."""

    font: str
    colour: Array


def style(rng: Rng, bank: Bank, under: Array, least: float = 0.35) -> Style:
    """A font and a colour that reads on `under`."""
    draw = rng.random()
    if draw < 0.45:  # most lettering is near black on light grounds and near white on dark ones
        dark = float(under.mean()) > rng.uniform(0.35, 0.65)
        tint = np.clip((rng.uniform(0, 0.3) if dark else rng.uniform(0.85, 1)) + rng.normal(0, 0.03, 3), 0, 1)
        return Style(str(rng.choice(bank.fonts)), tint.astype(np.float32))
    return Style(str(rng.choice(bank.fonts)), contrasting(rng, under, least))


def text(
    rng: Rng,
    bank: Bank,
    size: Canvas,
    *,
    box: Box,
    under: Array,
    lines: int = 0,
    style: Style | None = None,
    align: float | None = None,
) -> Array:
    """One block of `lines` lines (0: one to four) inside `box` (fractions), in one colour or gradient, sometimes with
    outline. `style` fixes font and colour; `align` is where lines lie in the block, 0 left to 1 right."""
    left, top, right, bottom = box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1]
    path = style.font if style else str(rng.choice(bank.fonts))
    words = _lines(rng, path, lines or int(rng.choice([1, 1, 1, 2, 2, 3, 4])))
    pixel = 64 if bottom - top > 14 * len(words) else 32
    font = _font(path, pixel)
    spacing = int(pixel * rng.uniform(1.05, 1.4))
    widths = [max(1, round(font.getlength(line))) for line in words]
    block = Image.new("L", (max(widths) + pixel, spacing * len(words) + pixel))
    draw = ImageDraw.Draw(block)
    align = float(rng.choice([0.0, 0.5, 0.5, 1.0])) if align is None else align
    for index, line in enumerate(words):
        x = pixel // 2 + (max(widths) - widths[index]) * align
        draw.text((x, pixel // 4 + spacing * index), line, fill=255, font=font)
    bounds = block.getbbox()
    if bounds is None:
        return np.zeros((size[1], size[0], 4), np.float32)
    mask = np.asarray(block.crop(bounds)).astype(np.float32) / 255
    factor = min((right - left) / mask.shape[1], (bottom - top) / mask.shape[0])
    wide, high = max(2, round(mask.shape[1] * factor)), max(2, round(mask.shape[0] * factor))
    mask = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    tile = np.repeat(mask[..., None], 4, axis=2)
    if style is None and rng.random() < 0.12:
        tile = rotate(tile, rng.normal(0, 20))
    centre = (left + wide / 2 + (right - left - wide) * align, (top + bottom) / 2)
    coverage = place(tile, size, centre)[..., 3]
    colours = fill(rng, size, style.colour if style else contrasting(rng, under, 0.35), plain=0.88)
    canvas = np.dstack([colours * coverage[..., None], coverage]).astype(np.float32)
    if rng.random() < 0.05:
        canvas *= rng.uniform(0.3, 0.85)
    return decorate(rng, canvas, chance=0.05 if style else 0.22)


def paragraph(rng: Rng, bank: Bank, size: Canvas, *, box: Box, look: Style) -> Array:
    """Three to a dozen full lines of small lettering that fill `box`, the last one shorter."""
    rows = int(rng.integers(3, 12))
    wide, high = max(8, round((box[2] - box[0]) * size[0])), max(6, round((box[3] - box[1]) * size[1]))
    pitch = max(4, high * SUPER // rows)
    pixel = max(4, round(pitch * rng.uniform(0.55, 0.8)))
    font = _font(look.font, min(pixel, 96))
    block = Image.new("L", (wide * SUPER, pitch * rows))
    draw = ImageDraw.Draw(block)
    letters = max(4, round(2.1 * wide * SUPER / pixel))
    for row in range(rows):
        line = " ".join(_word(rng) for _ in range(letters // 4))[: letters if row < rows - 1 else letters // 2]
        draw.text((0, row * pitch), line, fill=255, font=font)
    mask = cv2.resize(np.asarray(block), (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    tile = np.repeat(mask[..., None], 4, axis=2)
    coverage = place(tile, size, ((box[0] + box[2]) / 2 * size[0], (box[1] + box[3]) / 2 * size[1]))[..., 3]
    return np.dstack([look.colour * coverage[..., None], coverage]).astype(np.float32)


@lru_cache(maxsize=2000)
def _font(path: str, pixel: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, pixel)


def _lines(rng: Rng, font_path: str, count: int) -> list[str]:
    wide = {"wqy": (0x4E00, 0x9000), "nanum": (0xAC00, 0xD000)}
    for key, (first, last) in wide.items():
        if key in font_path.lower() and rng.random() < 0.8:
            return ["".join(chr(rng.integers(first, last)) for _ in range(rng.integers(2, 9))) for _ in range(count)]
    lines: list[str] = []
    for _ in range(count):
        words = [_word(rng) for _ in range(int(rng.choice([1, 1, 2, 2, 3, 4, 5])))]
        line = " ".join(words)
        lines.append(line.upper() if rng.random() < 0.4 else line.title() if rng.random() < 0.5 else line)
    return lines


def _word(rng: Rng) -> str:
    if rng.random() < 0.5:
        return str(rng.choice(_WORDS))
    return "".join(rng.choice(_SYLLABLES, int(rng.integers(1, 4))))
