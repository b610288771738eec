"""Tools of the drawings of quality.md: masks with smooth edges, paint with gradients, soft shadows, lettering.

Places and sizes are in units of the design; `scale` says how many pixels a unit has. Pillow and NumPy only, with the
font inside Pillow; the same call always gives the same pixels.
"""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

__all__ = ["Art", "Paint", "Sheet", "curve", "noise", "ring", "rows", "tones"]

FINE = 3
"""Masks are drawn this many times larger and shrunk by area means."""

Paint = str | Sequence[str] | np.ndarray
"""One colour `#rrggbb`; several, from one side of the shape to the other; or RGB pixels of the whole canvas."""

Place = tuple[float, float]


class Art:
    """A document in the making: its sheets (layers) bottom first, and masks (coverage, 0-255) of its size."""

    def __init__(self, width: int, height: int, scale: float = 1.0, seed: int = 0) -> None:
        self.width, self.height, self.scale = width, height, scale
        self.size = round(width * scale), round(height * scale)
        self.rng = np.random.default_rng(seed)
        self.sheets: list[Sheet] = []

    def sheet(self, name: str) -> "Sheet":
        """A new empty layer above all others."""
        self.sheets.append(Sheet(self, name))
        return self.sheets[-1]

    def ground(self, paint: Paint, turn: float = 0) -> "Sheet":
        """The lowest layer, filled."""
        sheet = self.sheet("ground")
        sheet.put(self.box(-1, -1, self.width + 1, self.height + 1), paint, turn=turn)
        return sheet

    def layers(self) -> list[tuple[str, np.ndarray]]:
        """Name and full-canvas RGBA of every layer, bottom first; colour where nothing is seen is 0."""
        pixels = [(sheet.name, np.array(sheet.image)) for sheet in self.sheets]
        return [(name, np.where(rgba[..., 3:] > 0, rgba, 0).astype(np.uint8)) for name, rgba in pixels]

    def oval(self, x: float, y: float, across: float, down: float | None = None) -> Image.Image:
        """An ellipse by its centre and radii."""
        down = across if down is None else down
        return self._mask("ellipse", (x - across, y - down, x + across, y + down))

    def box(self, left: float, top: float, right: float, bottom: float, radius: float = 0) -> Image.Image:
        return self._mask("rounded_rectangle", (left, top, right, bottom), radius=radius * self.scale * FINE)

    def shape(self, places: Sequence[Place], smooth: bool = False) -> Image.Image:
        """A polygon, or the closed curve through its corners."""
        return self._mask("polygon", curve(places, closed=True) if smooth else places)

    def line(self, places: Sequence[Place], width: float, smooth: bool = True) -> Image.Image:
        """A stroke with round ends."""
        path = curve(places) if smooth and len(places) > 2 else np.asarray(places, float)
        half = width * self.scale * FINE / 2

        def draw(pen: ImageDraw.ImageDraw, points: np.ndarray) -> None:
            pen.line([*map(tuple, points)], 255, max(1, round(2 * half)))
            for x, y in points:
                pen.ellipse((x - half, y - half, x + half, y + half), 255)

        return self._fine(path, width, draw)

    def words(
        self, text: str, x: float, y: float, size: float, bold: float = 0, anchor: str = "ls", space: float = 0
    ) -> Image.Image:
        """Lettering at a place; `bold` thickens every stroke, `space` parts the letters; anchors as Pillow's."""
        unit = self.scale * FINE
        font, stroke = _font(round(size * unit)), round(bold * unit)
        wide = (sum(font.getlength(c) for c in text) / unit + space * (len(text) - 1)) if space else 0.0
        wide = wide or font.getlength(text) / unit
        left = x - {"l": 0, "m": wide / 2, "r": wide}[anchor[0]]

        def draw(pen: ImageDraw.ImageDraw, points: np.ndarray) -> None:
            start, foot = points[0]
            for part in text if space else (text,):
                pen.text((start, foot), part, 255, font, "l" + anchor[1], stroke_width=stroke, stroke_fill=255)
                start += font.getlength(part) + space * unit

        return self._fine(np.array([(left, y), (left + wide, y)]), size * 1.2, draw)

    def round_words(
        self, text: str, x: float, y: float, radius: float, size: float, bold: float = 0, below: bool = False
    ) -> Image.Image:
        """Lettering along a circle, about its top, or (`below`) upright about its foot."""
        unit = self.scale * FINE
        mask = Image.new("L", (self.size[0] * FINE, self.size[1] * FINE))
        font, stroke = _font(round(size * unit)), round(bold * unit)
        steps = [font.getlength(c) / unit * 1.16 + 2 * bold for c in text]
        along = -sum(steps) / 2
        for letter, step in zip(text, steps, strict=True):
            angle = (along + step / 2) / radius
            along += step
            side = 2 * round(size * unit)
            tile = Image.new("L", (side, side))
            ImageDraw.Draw(tile).text(
                (side / 2, side / 2), letter, 255, font, "mm" if letter in "·-" else "ms", stroke_width=stroke
            )
            tile = ImageChops.offset(tile, 0, 0 if letter in "·-" else round(size * unit * 0.36))
            tile = tile.rotate(math.degrees(angle if below else -angle), Image.Resampling.BICUBIC)
            way = -1 if not below else 1
            centre = x + radius * math.sin(angle), y + way * radius * math.cos(angle)
            mask.paste(255, [round(c * unit - side / 2) for c in centre], tile)
        return mask.reduce(FINE)

    def _mask(self, kind: str, places: object, **options: object) -> Image.Image:
        points = np.asarray(places, float).reshape(-1, 2)
        return self._fine(points, 1, lambda pen, p: getattr(pen, kind)(p.ravel().tolist(), fill=255, **options))

    def _fine(
        self, points: np.ndarray, rim: float, draw: Callable[[ImageDraw.ImageDraw, np.ndarray], object]
    ) -> Image.Image:
        """Let `draw` draw about points (units; it gets them in fine pixels of its part) as far as `rim` from them."""
        low = np.floor(np.maximum((points.min(axis=0) - rim) * self.scale, 0)).astype(int)
        high = np.ceil(np.minimum((points.max(axis=0) + rim) * self.scale, self.size)).astype(int)
        mask, size = Image.new("L", self.size), np.maximum(high - low, 1)
        part = Image.new("L", tuple((size * FINE).tolist()))
        draw(ImageDraw.Draw(part), (points * self.scale - low) * FINE)
        mask.paste(part.reduce(FINE), tuple(low.tolist()))
        return mask


class Sheet:
    """One layer in the making."""

    def __init__(self, art: Art, name: str) -> None:
        self.art, self.name = art, name
        self.image = Image.new("RGBA", art.size)

    def put(
        self,
        mask: Image.Image,
        paint: Paint,
        opacity: float = 1,
        soft: float = 0,
        turn: float = 0,
        inside: Image.Image | None = None,
    ) -> Image.Image:
        """Paint what the mask covers, above all that is there; gives the mask back.

        Several colours run from top to bottom, turned by `turn` degrees: 90 runs from left to right.
        """
        cover = mask.filter(ImageFilter.GaussianBlur(soft * self.art.scale)) if soft else mask
        cover = ImageChops.multiply(cover, inside) if inside else cover
        if box := cover.getbbox():
            tile = Image.fromarray(_colours(paint, box, turn))
            tile.putalpha(cover.crop(box).point([round(v * opacity) for v in range(256)]))
            self.image.alpha_composite(tile, box[:2])
        return mask

    def shadow(self, down: float, soft: float, opacity: float, colour: str = "#000000", right: float = 0) -> None:
        """Lay a soft shadow below all that is there."""
        over, self.image = self.image, Image.new("RGBA", self.art.size)
        move = round(right * self.art.scale), round(down * self.art.scale)
        cast = Image.new("L", self.art.size)
        cast.paste(over.getchannel("A"), move)
        self.put(cast, colour, opacity, soft)
        self.image.alpha_composite(over)

    def turned(self, degrees: float, x: float, y: float) -> None:
        """Turn all that is there about a place, counter-clockwise."""
        centre = x * self.art.scale, y * self.art.scale
        self.image = self.image.rotate(degrees, Image.Resampling.BICUBIC, center=centre)


def curve(places: Sequence[Place], closed: bool = False, steps: int = 20) -> np.ndarray:
    """Points of the smooth (Catmull-Rom) curve through places."""
    p = np.asarray(places, float)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    path = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    path = path.reshape(-1, 2)
    return path if closed else np.concatenate([path, p[-2:-1]])


def ring(x: float, y: float, radius: float, count: int, deep: float = 0, turn: float = 0) -> list[Place]:
    """Corners of a regular polygon; every second one drawn in by `deep`, for stars and bumps."""
    angles = np.linspace(0, math.tau, count, endpoint=False) + math.radians(turn)
    far = [radius - (deep if i % 2 else 0) for i in range(count)]
    return [(x + r * math.sin(a), y - r * math.cos(a)) for r, a in zip(far, angles, strict=True)]


def rows(size: tuple[int, int], colours: Sequence[str]) -> np.ndarray:
    """RGB pixels that run from top to bottom through colours."""
    return _colours(colours, (0, 0, *size), 0)


def tones(colour: str) -> np.ndarray:
    """Red, green and blue of `#rrggbb`, 0-255."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)


def noise(rng: np.random.Generator, size: tuple[int, int], cells: int, octaves: int = 3) -> np.ndarray:
    """Soft noise from -1 to 1: random values in `cells` cells across, then in twice as many at half strength, …"""
    total = np.zeros(size[::-1])
    for octave in range(octaves):
        across = cells * 2**octave
        grid = rng.uniform(-1, 1, (max(2, across * size[1] // size[0]), across)).astype(np.float32)
        total += np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)) / 2**octave
    return np.clip(total, -1, 1)


def _colours(paint: Paint, box: tuple[int, int, int, int], turn: float) -> np.ndarray:
    left, top, right, bottom = box
    if isinstance(paint, np.ndarray):
        return np.ascontiguousarray(paint[top:bottom, left:right])
    if isinstance(paint, str):
        return np.full((bottom - top, right - left, 3), tones(paint), np.uint8)
    stops = np.stack([tones(colour) for colour in paint])
    y, x = np.mgrid[top:bottom, left:right].astype(float)
    angle = math.radians(turn)
    along = (x - x.mean()) * math.sin(angle) + (y - y.mean()) * math.cos(angle)
    t = (along - along.min()) / max(1e-6, float(np.ptp(along))) * (len(stops) - 1)
    mixed = np.stack([np.interp(t, np.arange(len(stops)), stops[:, c]) for c in range(3)], axis=-1)
    return np.floor(mixed + 0.5).astype(np.uint8)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(size, 1))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
