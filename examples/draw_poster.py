"""Draw examples/poster.png: a poster of our own, made of shapes, soft shadows and the font that comes with Pillow.

Run `python examples/draw_poster.py [OUT.png]`. Every call draws the same pixels.
"""

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = (1024, 1280)
FINE = 3
"""Shapes are drawn this many times larger and shrunk, for smooth edges."""

NIGHT, DUSK, GLOW = (24, 38, 74), (196, 92, 96), (250, 190, 128)
CREAM, RED, INK = (255, 240, 214), (206, 54, 50), (20, 30, 52)


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("poster.png")
    poster = ground()
    lay(poster, disc((690, 560), 210), (255, 214, 140), glow=60)
    lay(poster, hills(830, 46, 0.9, 1.1), (92, 70, 110), glow=0)
    lighthouse(poster)
    lay(poster, hills(1000, 30, 2.6, 2.0), (33, 84, 110), shadow=26)
    boat(poster)
    lay(poster, hills(1120, 26, 0.2, 2.7), (16, 52, 80), shadow=26)
    headline(poster)
    poster.convert("RGB").save(out, optimize=True)


def ground() -> Image.Image:
    """The evening sky: night above, glow at the horizon."""
    height = np.linspace(0.0, 1.0, SIZE[1])[:, None]
    stops = np.array([0.0, 0.45, 0.72])
    columns = [np.interp(height, stops, [c[i] for c in (NIGHT, DUSK, GLOW)]) for i in range(3)]
    rows = np.floor(np.stack(columns, axis=-1) + 0.5).astype(np.uint8)
    return Image.fromarray(rows.repeat(SIZE[0], axis=1)).convert("RGBA")


def lay(poster: Image.Image, shape: Image.Image, colour: tuple[int, int, int], shadow: int = 0, glow: int = 0) -> None:
    """Lay a coverage mask on the poster in one colour, above a soft shadow or a glow of its own."""
    for width, tone, strength in ((shadow, (8, 12, 30), 0.55), (glow, colour, 0.6)):
        if width:
            soft = shape.filter(ImageFilter.GaussianBlur(width * 0.6))
            poster.paste(tone, (0, -width // 4), soft.point([round(v * strength) for v in range(256)]))
    poster.paste(colour, (0, 0), shape)


def disc(centre: tuple[int, int], radius: int) -> Image.Image:
    x, y = centre
    return mask("ellipse", (x - radius, y - radius, x + radius, y + radius))


def mask(kind: str, places: object, **options: object) -> Image.Image:
    """Coverage, 0-255, of one of Pillow's shapes, with smooth edges."""
    large = Image.new("L", (SIZE[0] * FINE, SIZE[1] * FINE))
    getattr(ImageDraw.Draw(large), kind)((np.asarray(places, float) * FINE).ravel().tolist(), fill=255, **options)
    return large.resize(SIZE, Image.Resampling.BOX)


def hills(level: int, rise: int, phase: float, waves: float) -> Image.Image:
    """Everything below a wavy line."""
    x = np.linspace(-20, SIZE[0] + 20, 200)
    turn = x / SIZE[0] * math.tau * waves / 2 + phase
    y = level + rise * np.sin(turn) + rise * 0.4 * np.sin(2.3 * turn + 1)
    line = np.stack([x, y], axis=-1)
    return mask("polygon", np.vstack([line, [(SIZE[0] + 20, SIZE[1] + 20), (-20, SIZE[1] + 20)]]))


def lighthouse(poster: Image.Image) -> None:
    """A striped tower with gallery, lantern and roof, on its rock."""
    lay(
        poster, mask("polygon", [(36, 1060), (120, 900), (215, 868), (330, 880), (420, 940), (520, 1060)]), (52, 44, 74)
    )
    tower = mask("polygon", [(190, 890), (218, 480), (318, 480), (346, 890)])
    lay(poster, tower, CREAM, shadow=34)
    for top, bottom in ((560, 640), (720, 800)):
        left, right = (lambda y: 190 + (890 - y) * 28 / 410), (lambda y: 346 - (890 - y) * 28 / 410)
        lay(
            poster,
            mask("polygon", [(left(bottom), bottom), (left(top), top), (right(top), top), (right(bottom), bottom)]),
            RED,
        )
    shade = np.asarray(tower, float) * np.clip((np.arange(SIZE[0]) - 250) / 100, 0, 1) * 0.28
    poster.paste(INK, (0, 0), Image.fromarray(shade.round().astype(np.uint8)))
    lay(poster, mask("rounded_rectangle", (198, 462, 338, 486), radius=8 * FINE), INK)
    lay(poster, mask("rectangle", (232, 392, 304, 464)), (255, 226, 130), glow=50)
    for x in (232, 266, 300):
        lay(poster, mask("rectangle", (x, 392, x + 5, 464)), INK)
    lay(poster, mask("polygon", [(218, 396), (268, 326), (318, 396)]), RED)
    lay(poster, disc((268, 322), 9), INK)
    lay(poster, mask("rounded_rectangle", (248, 826, 290, 892), radius=20 * FINE), INK)


def boat(poster: Image.Image) -> None:
    """A small boat with two sails."""
    lay(poster, mask("polygon", [(650, 1070), (860, 1070), (822, 1118), (690, 1118)]), RED, shadow=18)
    lay(poster, mask("rectangle", (744, 860, 751, 1072)), INK)
    lay(poster, mask("polygon", [(757, 866), (757, 1056), (872, 1056)]), CREAM, shadow=12)
    lay(poster, mask("polygon", [(738, 900), (738, 1056), (660, 1056)]), (255, 206, 150), shadow=12)


def headline(poster: Image.Image) -> None:
    """Words at the top and at the foot."""
    for words, size, bold, middle, colour in (
        ("LIGHT & SEA", 132, 4, (512, 170), CREAM),
        ("an evening by the harbour", 46, 0, (512, 268), (255, 206, 150)),
        ("21 June  ·  free for everyone", 40, 1, (512, 1218), CREAM),
    ):
        shape = Image.new("L", SIZE)
        font = ImageFont.load_default(size)
        ImageDraw.Draw(shape).text(middle, words, 255, font, anchor="mm", stroke_width=bold, stroke_fill=255)
        lay(poster, shape, colour, shadow=10 if bold == 4 else 0)


if __name__ == "__main__":
    main()
