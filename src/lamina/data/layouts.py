"""Layouts: what stands where in covers, banners, screens, emblems, charts, boards, photos and illustrations.

A layout draws a whole scene as Elements, lowest first, in the finest parts that a person might keep as layers of their
own; parts of one `block` (the lines of a text, the icons of a row) may be merged later. The mix follows what open
layered documents look like: mostly flat grounds, lettering, boxes and drawn figures, few photos, little overlap.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import numpy as np

from lamina.data import elements, lettering
from lamina.data.art import Bank
from lamina.data.lettering import Style
from lamina.data.tiles import Array, Box, Canvas, Rng, colour, contrasting, decorate, flatten, nearby

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["LAYOUTS", "Element", "Layout"]


class Element(NamedTuple):
    """One part of a scene."""

    kind: str
    item: Array
    """Premultiplied float32 RGBA 0-1 on the whole canvas."""
    block: int
    """Parts with one number belong together."""


Layout = Callable[[Rng, Bank, Canvas], list[Element]]

_GRAPHIC = {"flat": 0.72, "gradient": 0.14, "texture": 0.06, "photo": 0.04, "paint": 0.04}


class _Board:
    """A scene in the making."""

    def __init__(self, rng: Rng, bank: Bank, size: Canvas, grounds: dict[str, float]) -> None:
        self.rng, self.bank, self.size = rng, bank, size
        kind = str(rng.choice(list(grounds), p=list(grounds.values())))
        ground = elements.ground(rng, bank, size, kind)
        self.under: Array = ground[..., :3].mean(axis=(0, 1))
        self.stack = [Element(f"ground-{kind}", ground, 0)]
        self._blocks: Iterator[int] = count(1)

    def block(self) -> int:
        return next(self._blocks)

    def add(self, kind: str, item: Array, block: int | None = None) -> None:
        self.stack.append(Element(kind, item, self.block() if block is None else block))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, *numbers: int) -> int:
        return int(self.rng.choice(numbers))

    def overlay(self, share: float) -> None:
        """Sometimes a wash, a veil or faint ornament over the ground."""
        if not self.chance(share):
            return
        draw = self.rng.random()
        if draw < 0.4:
            self.add("wash", elements.wash(self.rng, self.size))
        elif draw < 0.7:
            self.add("veil", elements.veil(self.rng, self.size))
        else:
            self.add("ornament", self.faint_ornament())

    def faint_ornament(self) -> Array:
        """A large figure or many small ones in a colour close to the ground."""
        rng = self.rng
        near = nearby(rng, self.under)
        if rng.random() < 0.5:
            extent = rng.uniform(0.6, 1.3)
            centre = (rng.uniform(0.2, 0.8) * self.size[0], rng.uniform(0.2, 0.8) * self.size[1])
            return elements.icon(rng, self.bank, self.size, extent=extent, centre=centre, tint=near)
        look = lettering.style(rng, self.bank, self.under)
        box = (rng.uniform(-0.2, 0.5), rng.uniform(-0.1, 0.4), rng.uniform(0.7, 1.2), rng.uniform(0.6, 1.1))
        return lettering.paragraph(rng, self.bank, self.size, box=box, look=Style(look.font, near))

    def lines(self, box: Box, under: Array, many: int, look: Style | None = None) -> None:
        """`many` lines of one text, one element each, down the box."""
        rng = self.rng
        look = look or lettering.style(rng, self.bank, under)
        align, block = float(rng.choice([0.0, 0.0, 0.5, 0.5, 1.0])), self.block()
        pitch = (box[3] - box[1]) / many
        for row in range(many):
            top = box[1] + row * pitch
            part = (box[0], top, box[2], top + pitch * 0.85)
            item = lettering.text(rng, self.bank, self.size, box=part, under=under, lines=1, style=look, align=align)
            self.add("text", item, block)

    def words(self, box: Box, under: Array, block: int | None = None) -> None:
        """One text as one element: a headline, a few lines, or a small paragraph."""
        rng = self.rng
        look = lettering.style(rng, self.bank, under) if rng.random() < 0.7 else None
        if look and rng.random() < 0.25:
            self.add("text", lettering.paragraph(rng, self.bank, self.size, box=box, look=look), block)
        else:
            self.add("text", lettering.text(rng, self.bank, self.size, box=box, under=under, style=look), block)

    def cutouts(self, many: int, largest: float, smallest: float = 0.12) -> None:
        extents = sorted((float(self.rng.uniform(0.15, largest) ** 1.2) for _ in range(many)), reverse=True)
        for extent in extents:
            self.add("cutout", elements.cutout(self.rng, self.bank, self.size, extent=max(smallest, extent)))

    def sign(self, box: Box, under: Array, block: int | None = None) -> None:
        """Something drawn that fills a box: a cut-out, an icon, a device, or a heap of shapes."""
        rng, size = self.rng, self.size
        wide, high = (box[2] - box[0]) * size[0], (box[3] - box[1]) * size[1]
        centre = ((box[0] + box[2]) / 2 * size[0], (box[1] + box[3]) / 2 * size[1])
        extent = min(wide, high) / min(size)
        draw = rng.random()
        if draw < 0.5:
            item = elements.place_cutout(rng, self.bank, size, extent=extent, centre=centre)
        elif draw < 0.72:
            tint = contrasting(rng, under)
            item = elements.icon(rng, self.bank, size, extent=extent, centre=centre, tint=tint)
        elif draw < 0.86:
            item = self.device(box, under)
        else:
            item = flatten(_heap(rng, size, under, centre, extent * min(size) * 0.3, int(rng.integers(3, 9))))
        self.add("sign", item, block)

    def device(self, box: Box, under: Array) -> Array:
        """A case with a screen and things on it, in one piece."""
        rng = self.rng
        case, base = elements.panel(rng, self.size, box, under, radius=float(rng.choice([0.05, 0.15, 0.3])))
        inner = _inset(box, rng.uniform(0.08, 0.2))
        screen, shown = elements.panel(rng, self.size, inner, base, radius=float(rng.choice([0.0, 0.1])))
        parts = [case, screen]
        for _ in range(int(rng.integers(1, 4))):
            left, top = rng.uniform(0, 0.5, 2)
            w, h = inner[2] - inner[0], inner[3] - inner[1]
            spot = (inner[0] + left * w, inner[1] + top * h, inner[0] + (left + 0.5) * w, inner[1] + (top + 0.35) * h)
            if rng.random() < 0.6:
                parts.append(lettering.text(rng, self.bank, self.size, box=spot, under=shown, lines=1))
            else:
                parts.append(elements.panel(rng, self.size, spot, shown)[0])
        return flatten(parts)


def _cover(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """A book cover or poster: bands, a title in lines, small print, one or two figures."""
    board = _Board(rng, bank, size, _GRAPHIC)
    board.overlay(0.12)
    colours = board.under
    taken = rng.uniform(0.45, 0.75)
    upside = board.chance(0.35)
    if board.chance(0.35):
        edge = 1 - taken if upside else taken
        band: Box = (0.0, 0.0, 1.0, edge) if upside else (0.0, edge, 1.0, 1.0)
        item, colours = elements.panel(rng, size, band, board.under, radius=0.0)
        board.add("panel", item)
    figure: Box = (rng.uniform(0.02, 0.3), 0.04, rng.uniform(0.7, 0.98), taken - 0.03)
    writing: Box = (rng.uniform(0.03, 0.2), taken + 0.03, rng.uniform(0.75, 0.97), 0.97)
    if upside:
        figure, writing = _flipped(figure), _flipped(writing)
    if board.chance(0.85):
        block = board.block()
        if board.chance(0.6):
            board.sign(figure, board.under, block)
        else:
            many = board.pick(2, 3, 4)
            for part in range(many):
                left = figure[0] + (figure[2] - figure[0]) * part / many
                spot = (left, figure[1], left + (figure[2] - figure[0]) / many * 0.95, figure[3])
                board.sign(spot, board.under, block)
    split = rng.uniform(0.45, 0.75)
    middle = writing[1] + (writing[3] - writing[1]) * split
    title: Box = (writing[0], writing[1], writing[2], middle - 0.02)
    if board.chance(0.6):
        board.lines(title, colours, board.pick(1, 2, 2, 3, 4))
    else:
        board.words(title, colours)
    if board.chance(0.75):
        rest: Box = (
            writing[0],
            middle + 0.02,
            writing[0] + (writing[2] - writing[0]) * rng.uniform(0.4, 1),
            writing[3],
        )
        board.lines(rest, colours, board.pick(1, 1, 2, 3))
    if board.chance(0.25):
        _strew(board, board.pick(2, 4, 8))
    return board.stack


def _banner(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """A sign at one side, a large word and a tagline beside it, sometimes small print in a corner."""
    board = _Board(rng, bank, size, _GRAPHIC)
    board.overlay(0.3)
    share, top, bottom = rng.uniform(0.25, 0.5), rng.uniform(0.02, 0.25), rng.uniform(0.75, 0.98)
    block = board.block() if board.chance(0.3) else None
    left = board.chance(0.7)
    sign: Box = (0.03, top, share, bottom) if left else (1 - share, top, 0.97, bottom)
    word_box = (share + 0.03, top, 0.97, bottom) if left else (0.03, top, 0.97 - share, bottom)
    if board.chance(0.85):
        board.sign(sign, board.under, block)
    look = lettering.style(rng, bank, board.under)
    split = top + (bottom - top) * rng.uniform(0.45, 0.8)
    if board.chance(0.35):  # one word in two colours, each of its own layer
        half = word_box[0] + (word_box[2] - word_box[0]) * rng.uniform(0.35, 0.65)
        other = Style(look.font, contrasting(rng, board.under, 0.3))
        twin = board.block()
        for style, spot in ((look, (word_box[0], top, half, split)), (other, (half, top, word_box[2], split))):
            item = lettering.text(rng, bank, size, box=spot, under=board.under, lines=1, style=style, align=0.5)
            board.add("text", item, twin)
    else:
        board.lines((word_box[0], top, word_box[2], split), board.under, board.pick(1, 1, 2), look)
    if board.chance(0.7):
        board.lines((word_box[0], split + 0.03, word_box[2], bottom), board.under, board.pick(1, 1, 2, 3))
    if board.chance(0.35):
        corner = (0.62, 0.02, 0.98, 0.2) if board.chance(0.5) else (0.62, 0.86, 0.98, 0.98)
        board.lines(corner, board.under, board.pick(1, 2, 3))
    return board.stack


def _screen(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """Bars, cards with thumbnails, icons and lines of text, buttons."""
    board = _Board(rng, bank, size, {"flat": 0.88, "gradient": 0.07, "photo": 0.05})
    rows, columns = board.pick(1, 2, 2, 3, 4), board.pick(1, 1, 2, 2, 3)
    top, foot = (
        (rng.uniform(0.06, 0.2) if board.chance(0.65) else 0.0),
        (rng.uniform(0.06, 0.25) if board.chance(0.3) else 0.0),
    )
    bars, gap = board.block(), rng.uniform(0.01, 0.06)
    for box in [(0.0, 0.0, 1.0, top)] * (top > 0) + [(0.0, 1 - foot, 1.0, 1.0)] * (foot > 0):
        item, base = elements.panel(rng, size, box, board.under, radius=0.0)
        board.add("panel", item, bars)
        high = box[3] - box[1]
        board.lines((0.04, box[1] + 0.2 * high, rng.uniform(0.3, 0.6), box[3] - 0.2 * high), base, 1)
        _icon_row(
            board, (rng.uniform(0.6, 0.85), box[1] + 0.2 * high, 0.97, box[3] - 0.2 * high), base, board.pick(1, 2, 3)
        )
    radius, base = float(rng.choice([0.0, 0.06, 0.15])), None
    cards, pictures, writing = board.block(), board.block(), board.block()
    boxed = board.chance(0.75)
    plan = rng.random(3) < (0.5, 0.6, 0.3)
    for row in range(rows):
        for column in range(columns):
            width, height = (1 - gap) / columns - gap, (1 - top - foot - gap) / rows - gap
            left, upper = gap + column * (width + gap), top + gap + row * (height + gap)
            box: Box = (left, upper, left + width, upper + height)
            under = board.under
            if boxed:
                item, base = elements.panel(rng, size, box, board.under, radius=radius, base=base)
                board.add("panel", item, cards)
                under = base
            inner = _inset(box, 0.08)
            if plan[0]:  # a thumbnail at the left
                split = inner[0] + (inner[2] - inner[0]) * 0.35
                thumb = (inner[0], inner[1], split - 0.02, inner[3])
                if board.chance(0.5):
                    board.add("photo", elements.picture_box(rng, bank, size, box=thumb), pictures)
                else:
                    board.sign(thumb, under, pictures)
                inner = (split, inner[1], inner[2], inner[3])
            middle = inner[1] + (inner[3] - inner[1]) * rng.uniform(0.4, 0.6)
            if plan[1]:
                board.words((inner[0], inner[1], inner[2], middle), under, writing if board.chance(0.7) else None)
                board.words((inner[0], middle, inner[2], inner[3]), under, writing if board.chance(0.7) else None)
            elif plan[2]:
                button: Box = (inner[0], middle, inner[0] + (inner[2] - inner[0]) * 0.6, inner[3])
                item, pressed = elements.panel(rng, size, button, under)
                board.add("panel", item)
                board.words(_inset(button, 0.15), pressed)
            else:
                board.sign(inner, under, pictures)
    return board.stack


def _emblem(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """A logo or vector figure built of shapes over shapes, on a plain ground, sometimes with its name."""
    board = _Board(rng, bank, size, {"flat": 0.9, "gradient": 0.1})
    named = board.chance(0.4)
    depth = rng.uniform(0.62, 0.8) if named else 1.0
    centre = np.array([size[0] / 2, size[1] * depth / 2])
    extent, under = rng.uniform(0.6, 0.97) * depth, board.under
    for _ in range(int(rng.integers(2, 8))):
        spot = (float(centre[0]), float(centre[1]))
        draw = rng.random()
        if draw < 0.62:
            item = elements.shape(rng, size, extent=extent, centre=spot, under=under)
        elif draw < 0.85:
            tint = contrasting(rng, under)
            item = elements.icon(rng, bank, size, extent=extent, centre=spot, tint=tint)
        else:
            item = flatten(_heap(rng, size, under, spot, extent * min(size) * 0.25, int(rng.integers(2, 6))))
        board.add("shape", item)
        inside = item[..., 3] > 0.5
        if inside.any():
            under = item[..., :3][inside].mean(axis=0)
        centre = centre + rng.normal(0, 0.12 * extent * min(size), 2)
        extent *= rng.uniform(0.45, 0.95)
    if named:
        board.lines((0.06, depth + 0.02, 0.94, 0.97), board.under, board.pick(1, 1, 2))
    return board.stack


def _chart(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """Bars or lines over a grid, with labels; or boxes joined by arrows."""
    board = _Board(rng, bank, size, {"flat": 0.92, "gradient": 0.08})
    area: Box = (rng.uniform(0.05, 0.2), rng.uniform(0.08, 0.3), rng.uniform(0.8, 0.97), rng.uniform(0.7, 0.9))
    wide, high = area[2] - area[0], area[3] - area[1]
    if board.chance(0.6):
        item, _ = elements.panel(rng, size, area, board.under, radius=0.0)
        board.add("panel", item)
    grid, tint = int(rng.integers(2, 8)), contrasting(rng, board.under, 0.15)
    rules, bars, labels = board.block(), board.block(), board.block()
    lines = [
        _rule(size, (area[0], area[1] + high * k / grid, area[2], area[1] + high * k / grid), tint)
        for k in range(grid + 1)
    ]
    board.add("rule", flatten(lines), rules)
    many, shade = int(rng.integers(3, 8)), contrasting(rng, board.under)
    look = lettering.style(rng, bank, board.under)
    for bar in range(many):
        left = area[0] + wide * (bar + 0.2) / many
        spot: Box = (left, area[3] - high * rng.uniform(0.1, 0.95), left + wide * 0.6 / many, area[3])
        item, _ = elements.panel(rng, size, spot, board.under, radius=0.0, base=shade)
        board.add("bar", item, bars)
        if board.chance(0.7):
            under = (left, area[3] + 0.02, left + wide * 0.7 / many, area[3] + 0.08)
            board.add(
                "text", lettering.text(rng, bank, size, box=under, under=board.under, lines=1, style=look), labels
            )
    if board.chance(0.5):
        board.lines((area[0], 0.01, area[2], area[1] - 0.02), board.under, 1, look)
    return board.stack


def _pinboard(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """Icons, drawings, notes and pencil strokes spread over a plain ground."""
    board = _Board(rng, bank, size, {"flat": 0.82, "texture": 0.08, "paint": 0.05, "gradient": 0.05})
    board.overlay(0.08)
    columns, rows = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    regular, block = board.chance(0.5), board.block()
    for cell in range(columns * rows):
        if board.chance(0.2):
            continue
        x, y = (cell % columns + 0.5) / columns, (cell // columns + 0.5) / rows
        if not regular:
            x, y = np.clip((x, y) + rng.normal(0, 0.08, 2), 0.05, 0.95)
        half_w, half_h = np.array([0.44 / columns, 0.44 / rows]) * (1 if regular else rng.uniform(0.5, 1.3))
        spot: Box = (float(x - half_w), float(y - half_h), float(x + half_w), float(y + half_h))
        own = block if board.chance(0.5) else None
        draw = rng.random()
        if draw < 0.62:
            board.sign(spot, board.under, own)
        elif draw < 0.85:
            board.words(spot, board.under, own)
        else:
            item, base = elements.panel(rng, size, spot, board.under)
            board.add("panel", item, own)
            board.words(_inset(spot, 0.15), base)
    for _ in range(board.pick(0, 0, 1, 3)):
        tint = contrasting(rng, board.under, 0.3)
        board.add("stroke", elements.stroke(rng, size, tint=tint, width=rng.uniform(0.008, 0.06)))
    return board.stack


def _sketch(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """Broad brush strokes and washes over one another, as a painter's layers."""
    board = _Board(rng, bank, size, {"flat": 0.7, "gradient": 0.15, "texture": 0.15})
    for _ in range(int(rng.integers(2, 9))):
        tint = colour(rng)
        board.add("stroke", elements.stroke(rng, size, tint=tint, width=rng.uniform(0.05, 0.35)))
    if board.chance(0.4):
        board.cutouts(1, 0.8)
    if board.chance(0.3):
        board.words((rng.uniform(0.05, 0.3), 0.75, 0.95, 0.97), board.under)
    return board.stack


def _illustration(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """Figures before a painted or plain ground, some cut by the edge, sometimes a crowd of silhouettes in front."""
    grounds = {"paint": 0.25, "gradient": 0.22, "flat": 0.28, "texture": 0.13, "photo": 0.12}
    board = _Board(rng, bank, size, grounds)
    for _ in range(board.pick(0, 0, 1)):
        board.add("shape", elements.shape(rng, size, extent=rng.uniform(0.2, 1.1), under=board.under))
    board.cutouts(int(rng.choice([1, 2, 3, 4, 6], p=[0.25, 0.3, 0.25, 0.15, 0.05])), 1.05)
    if board.chance(0.2):
        centre = (rng.uniform(0.25, 0.75) * size[0], rng.uniform(0.3, 0.7) * size[1])
        heap = _heap(rng, size, board.under, centre, rng.uniform(0.06, 0.16) * min(size), int(rng.integers(5, 13)))
        board.add("compound", flatten(heap))
    if board.chance(0.12):
        tint = np.full(3, rng.uniform(0, 0.2), np.float32)
        crowd = [
            elements.icon(rng, bank, size, extent=0.5, centre=((k + 0.5) / 5 * size[0], 0.95 * size[1]), tint=tint)
            for k in range(5)
        ]
        board.add("compound", flatten(crowd))
    board.overlay(0.08)
    for _ in range(board.pick(0, 0, 1, 2)):
        board.words(_anywhere(rng), board.under)
    return board.stack


def _photo(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """A photo with cut-outs, boxes and lettering over it."""
    board = _Board(rng, bank, size, {"photo": 0.85, "paint": 0.15})
    board.overlay(0.2)
    if board.chance(0.35):
        box = _free_box(rng)
        item, base = elements.panel(rng, size, box, board.under)
        board.add("panel", item)
        board.words(_inset(box, 0.12), base)
    board.cutouts(int(rng.choice([0, 1, 2, 3], p=[0.25, 0.4, 0.22, 0.13])), 0.95)
    if board.chance(0.12):
        board.add("photo", elements.photo_shape(rng, bank, size, extent=rng.uniform(0.2, 0.6)))
    if board.chance(0.12):
        board.add("stroke", elements.stroke(rng, size, tint=colour(rng), width=rng.uniform(0.02, 0.1)))
    for _ in range(board.pick(0, 1, 1, 2)):
        if board.chance(0.4):
            board.lines(_anywhere(rng), board.under, board.pick(1, 2, 3))
        else:
            board.words(_anywhere(rng), board.under)
    return board.stack


def _portrait(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """One to three photographed figures, large, before a photo or a plain ground; words behind or over them."""
    grounds = {"photo": 0.45, "paint": 0.1, "flat": 0.2, "gradient": 0.2, "texture": 0.05}
    board = _Board(rng, bank, size, grounds)
    board.overlay(0.12)
    if board.chance(0.25):
        board.words(_anywhere(rng), board.under)
    for extent in sorted(rng.uniform(0.45, 1.35, board.pick(1, 1, 1, 2, 2, 3)), reverse=True):
        board.add("cutout", elements.standing(rng, bank, size, extent=float(extent)))
    if board.chance(0.3):
        board.cutouts(1, 0.5)
    for _ in range(board.pick(0, 0, 1, 2)):
        board.words(_anywhere(rng), board.under)
    return board.stack


def _free(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """Anything anywhere: shapes, boxes with words, cut-outs, repeated things, lettering."""
    board = _Board(rng, bank, size, {"flat": 0.4, "gradient": 0.28, "texture": 0.12, "photo": 0.1, "paint": 0.1})
    for _ in range(board.pick(0, 0, 1, 2, 3)):
        board.add("shape", elements.shape(rng, size, extent=rng.uniform(0.2, 1.1), under=board.under))
    board.overlay(0.1)
    for _ in range(board.pick(0, 0, 1, 1, 2)):
        box = _free_box(rng)
        item, base = elements.panel(rng, size, box, board.under)
        board.add("panel", item)
        if board.chance(0.75):
            board.words(_inset(box, rng.uniform(0.06, 0.25)), base)
    board.cutouts(board.pick(0, 1, 1, 2, 3), 0.9)
    if board.chance(0.15):
        board.add("repeated", elements.repeated(rng, bank, size, board.under))
    for _ in range(board.pick(0, 1, 1, 2, 3)):
        board.words(_anywhere(rng), board.under)
    return board.stack


def _collage(rng: Rng, bank: Bank, size: Canvas) -> list[Element]:
    """Windows, cards or pictures that overlap, each in one piece, many with a shadow."""
    board = _Board(rng, bank, size, {"flat": 0.7, "gradient": 0.15, "photo": 0.15})
    for _ in range(int(rng.integers(2, 6))):
        wide, high = rng.uniform(0.25, 0.65, 2)
        left, top = rng.uniform(-0.05, 1.05 - wide), rng.uniform(-0.05, 1.05 - high)
        box: Box = (left, top, left + wide, top + high)
        if board.chance(0.55):
            item = board.device(box, board.under)
        elif board.chance(0.6):
            item = elements.picture_box(rng, bank, size, box=box)
        else:
            item, _ = elements.panel(rng, size, box, board.under)
        board.add("window", decorate(rng, item, chance=0.6))
    if board.chance(0.3):
        board.words(_anywhere(rng), board.under)
    return board.stack


LAYOUTS: dict[Layout, float] = {
    _cover: 0.15,
    _banner: 0.12,
    _screen: 0.13,
    _emblem: 0.09,
    _chart: 0.04,
    _pinboard: 0.1,
    _sketch: 0.03,
    _illustration: 0.08,
    _photo: 0.08,
    _portrait: 0.08,
    _free: 0.06,
    _collage: 0.04,
}
"""Every layout with its share of the scenes."""


def _icon_row(board: _Board, box: Box, under: Array, many: int) -> None:
    tint, block = contrasting(board.rng, under, 0.3), board.block()
    wide = (box[2] - box[0]) / many
    extent = min(wide * board.size[0], (box[3] - box[1]) * board.size[1]) / min(board.size)
    for k in range(many):
        centre = ((box[0] + wide * (k + 0.5)) * board.size[0], (box[1] + box[3]) / 2 * board.size[1])
        item = elements.icon(board.rng, board.bank, board.size, extent=extent, centre=centre, tint=tint)
        board.add("icon", item, block)


def _strew(board: _Board, many: int) -> None:
    """Small like marks spread over a part of the canvas, as one element."""
    rng = board.rng
    tint = contrasting(rng, board.under, 0.2)
    left, top = rng.uniform(0.05, 0.5), rng.uniform(0.05, 0.7)
    marks: list[Array] = []
    for _ in range(many):
        x, y = left + rng.uniform(0, 0.4), top + rng.uniform(0, 0.25)
        marks.append(_rule(board.size, (x, y, x + rng.uniform(0.01, 0.08), y), tint))
    board.add("marks", flatten(marks))


def _rule(size: Canvas, box: Box, tint: Array) -> Array:
    """A line one pixel thick along the top of a box."""
    canvas = np.zeros((size[1], size[0], 4), np.float32)
    row = int(np.clip(box[1] * size[1], 0, size[1] - 1))
    columns = slice(max(0, int(box[0] * size[0])), max(1, int(box[2] * size[0])))
    canvas[row, columns, :3], canvas[row, columns, 3] = tint, 1
    return canvas


def _heap(rng: Rng, size: Canvas, under: Array, centre: tuple[float, float], spread: float, many: int) -> list[Array]:
    """Shapes heaped on one spot: one many-coloured figure."""
    items: list[Array] = []
    for _ in range(many):
        x, y = np.array(centre) + rng.normal(0, spread, 2)
        extent = float(np.clip(rng.uniform(1.2, 3.5) * spread / min(size), 0.06, 1))
        items.append(elements.shape(rng, size, extent=extent, centre=(float(x), float(y)), under=under))
    return items


def _anywhere(rng: Rng) -> Box:
    """A box for lettering, wide in nearly half of the cases."""
    width = rng.uniform(0.5, 0.95) if rng.random() < 0.45 else rng.uniform(0.2, 0.55)
    height = rng.uniform(0.06, 0.3)
    left = rng.uniform(0.02, 0.98 - width)
    top = rng.uniform(0.02, 0.2) if rng.random() < 0.5 else rng.uniform(0.02, 0.96 - height)
    return left, top, left + width, top + height


def _free_box(rng: Rng) -> Box:
    width, height = rng.uniform(0.2, 0.95), rng.uniform(0.1, 0.6)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return left, top, left + width, top + height


def _flipped(box: Box) -> Box:
    return box[0], 1 - box[3], box[2], 1 - box[1]


def _inset(box: Box, share: float) -> Box:
    left, top, right, bottom = box
    dx, dy = (right - left) * share, (bottom - top) * share
    return left + dx, top + dy, right - dx, bottom - dy
