"""Draw documents whose soft edges are known exactly: hair, fur, glow, shadow, motion blur, lettering.

Everything is drawn from shapes, noise and the font that comes with Pillow; a name and a size always give the same
pixels. Layers are full-canvas stored RGBA, bottom first: the ground, whole below what lies on it, and the subject.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

__all__ = ["DRAWN", "draw"]

FINE = 4
"""Strokes and shapes are drawn this many times larger and shrunk by area means."""

Raster = UInt8[np.ndarray, "h w 4"]
Size = tuple[int, int]


def draw(name: str, size: Size = (1200, 900)) -> list[Raster]:
    """The layers of one document of `DRAWN`, `size` being width and height in pixels."""
    return DRAWN[name](size)


def hair(size: Size) -> list[Raster]:
    """A head whose loose hair, 1 to 3 px wide, stands before a restless photo-like ground."""
    return [photo(size, 1), _head(size, 2)]


def hair_on_paper(size: Size) -> list[Raster]:
    """The same head before a plain, slightly grainy wall."""
    return [paper(size, (206, 212, 214), 3), _head(size, 2)]


def fur(size: Size) -> list[Raster]:
    """A round animal with short fur over a gradient."""
    width, height = size
    rng = np.random.default_rng(4)
    canvas = _Fine(size)
    centre, radius = np.array([width * 0.5, height * 0.52]), height * 0.28
    canvas.fill(_circle(centre, radius, 80), (182, 122, 66))
    unit = max(size) / 1200
    for angle in rng.permutation(np.linspace(0, 2 * np.pi, 2600)):
        way = np.array([np.cos(angle), np.sin(angle)])
        start = centre + way * radius * rng.uniform(0.55, 0.99)
        lean = angle + rng.normal(0.25, 0.18)
        end = start + np.array([np.cos(lean), np.sin(lean)]) * rng.uniform(16, 44) * unit
        tone = rng.uniform(0.55, 1.2)
        canvas.stroke([start, (start + end) / 2 + rng.normal(0, 1.5, 2), end], (190 * tone, 128 * tone, 70 * tone), 1.6)
    for x in (-0.35, 0.35):
        canvas.fill(_circle(centre + np.array([x, -0.15]) * radius, radius * 0.12, 30), (24, 20, 20))
    return [gradient(size, (58, 92, 84), (222, 226, 190)), canvas.layer()]


def glow(size: Size) -> list[Raster]:
    """A neon sign with a wide glow before a dark gradient."""
    width, height = size
    tube = lettering(size, [("Neon", (width * 0.5, height * 0.46), height * 0.34)])
    spread = cv2.GaussianBlur(tube, (0, 0), height / 28) * 0.75 + cv2.GaussianBlur(tube, (0, 0), height / 90) * 0.25
    halo = np.clip(1.3 * spread, 0, 0.9)
    return [gradient(size, (12, 16, 38), (44, 26, 62)), _over((255, 60, 170), halo, (255, 226, 244), tube)]


def shadow(size: Size) -> list[Raster]:
    """A card with a soft drop shadow on grainy paper."""
    return [paper(size, (232, 226, 212), 5), _card(size)]


def shadow_on_photo(size: Size) -> list[Raster]:
    """The same card on a photo-like ground."""
    return [photo(size, 6), _card(size)]


def motion(size: Size) -> list[Raster]:
    """A striped ball that moves fast before a photo-like ground."""
    width, height = size
    canvas = _Fine(size)
    centre, radius = np.array([width * 0.5, height * 0.5]), height * 0.2
    canvas.fill(_circle(centre, radius, 90), (214, 52, 40))
    canvas.fill(_circle(centre, radius * 0.6, 90), (246, 232, 210))
    canvas.fill(_circle(centre, radius * 0.3, 90), (30, 60, 150))
    path = np.full((1, round(height / 9) * 2 + 1), 1, np.float32)
    premul = cv2.filter2D(canvas.premultiplied(), -1, path / path.size)
    return [photo(size, 7), _straight(premul)]


def text_on_photo(size: Size) -> list[Raster]:
    """White lettering of several sizes before a photo-like ground."""
    return [photo(size, 8), _text(size, (250, 250, 246))]


def text_on_gradient(size: Size) -> list[Raster]:
    """Dark lettering of several sizes on a gradient."""
    return [gradient(size, (250, 214, 120), (238, 120, 108)), _text(size, (38, 30, 66))]


DRAWN: dict[str, Callable[[Size], list[Raster]]] = {
    "hair": hair,
    "hair-on-paper": hair_on_paper,
    "fur": fur,
    "glow": glow,
    "shadow": shadow,
    "shadow-on-photo": shadow_on_photo,
    "motion": motion,
    "text-on-photo": text_on_photo,
    "text-on-gradient": text_on_gradient,
}
"""What is drawn: a name and its function."""


def photo(size: Size, seed: int) -> Raster:
    """Cloudy colours with some grain, as restless as the blurred ground of a photo."""
    width, height = size
    rng = np.random.default_rng(seed)
    base = np.array(rng.uniform(70, 160, 3), np.float32)
    out = np.broadcast_to(base, (height, width, 3)).copy()
    for octave in range(1, 7):
        cells = (3 * 2**octave // 2, 4 * 2**octave // 2)
        noise = rng.normal(0, 44 / octave**1.3, (*cells, 3)).astype(np.float32)
        noise = 0.6 * noise.mean(axis=2, keepdims=True) * 1.7 + 0.4 * noise
        out += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    return _opaque(out + rng.normal(0, 1.5, out.shape))


def paper(size: Size, colour: Sequence[int], seed: int) -> Raster:
    """One colour with faint grain and a slight fall of light."""
    width, height = size
    rng = np.random.default_rng(seed)
    light = np.linspace(1.03, 0.95, width, dtype=np.float32)[None, :, None]
    return _opaque(np.array(colour, np.float32) * light + rng.normal(0, 1.2, (height, width, 1)))


def gradient(size: Size, top: Sequence[int], bottom: Sequence[int]) -> Raster:
    """A vertical gradient without grain."""
    width, height = size
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    rows = np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share
    return _opaque(np.broadcast_to(rows, (height, width, 3)))


def lettering(size: Size, lines: Sequence[tuple[str, tuple[float, float], float]]) -> Float[np.ndarray, "h w"]:
    """Coverage 0-1 of lines of words, each with its middle and its height in pixels."""
    width, height = size
    canvas = Image.new("L", (width * FINE, height * FINE))
    for words, (x, y), tall in lines:
        font = ImageFont.load_default(tall * FINE)
        ImageDraw.Draw(canvas).text((x * FINE, y * FINE), words, fill=255, font=font, anchor="mm")
    return cv2.resize(np.asarray(canvas), size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


class _Fine:
    """A canvas on which hard shapes and strokes are drawn large."""

    def __init__(self, size: Size) -> None:
        self.size, self.unit = size, max(1.0, (max(size) / 1200) ** 0.5)
        self.colour = np.zeros((size[1] * FINE, size[0] * FINE, 3), np.uint8)
        self.mask = np.zeros(self.colour.shape[:2], np.uint8)

    def fill(self, outline: Sequence[np.ndarray], colour: Sequence[float]) -> None:
        points = np.round(np.stack(outline) * FINE).astype(np.int32)
        cv2.fillPoly(self.colour, [points], tuple(float(v) for v in colour))
        cv2.fillPoly(self.mask, [points], (255,))

    def stroke(self, points: Sequence[np.ndarray], colour: Sequence[float], wide: float) -> None:
        line = np.round(_smooth(points) * FINE).astype(np.int32)
        thick = max(1, round(wide * self.unit * FINE))
        cv2.polylines(self.colour, [line], False, tuple(float(min(255, v)) for v in colour), thick)
        cv2.polylines(self.mask, [line], False, (255,), thick)

    def premultiplied(self) -> Float[np.ndarray, "h w 4"]:
        """Colour 0-255 times coverage, and coverage 0-1, at the canvas' own size."""
        self.colour[self.mask == 0] = 0
        colour = cv2.resize(self.colour, self.size, interpolation=cv2.INTER_AREA).astype(np.float32)
        mask = cv2.resize(self.mask, self.size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return np.dstack([colour, mask])

    def layer(self) -> Raster:
        return _straight(self.premultiplied())


def _head(size: Size, seed: int) -> Raster:
    width, height = size
    rng = np.random.default_rng(seed)
    canvas = _Fine(size)
    centre = np.array([width * 0.5, height * 0.42])
    tall = height * 0.24
    shoulders = [np.array([width * x, height * y]) for x, y in ((0.2, 1.01), (0.28, 0.8), (0.45, 0.72))]
    mirrored = [np.array([width - p[0], p[1]]) for p in shoulders[::-1]]
    canvas.fill([*shoulders, *mirrored], (52, 74, 120))
    canvas.fill(_circle(centre + (0, tall * 1.1), tall * 0.45, 60), (205, 158, 130))
    canvas.fill([centre + (p - centre) * (1.02, 1.12) for p in _circle(centre, tall * 1.04, 90)], (66, 44, 32))
    for _ in range(1500):
        angle = rng.uniform(-np.pi * 1.12, np.pi * 0.12)
        way = np.array([np.cos(angle), np.sin(angle)])
        start = centre + way * tall * rng.uniform(0.7, 1.05)
        turn = angle + rng.normal(0, 0.5) + 0.5 * np.sign(way[0])
        long = tall * abs(rng.normal(0.32, 0.22))
        middle = start + way * long * 0.6
        end = middle + np.array([np.cos(turn), np.sin(turn) + 0.35]) * long * 0.7
        tone = rng.uniform(0.55, 1.7)
        canvas.stroke([start, middle, end], (70 * tone, 46 * tone, 32 * tone), rng.uniform(0.7, 2.2))
    face = [centre + (p - centre) * (0.78, 0.98) + (0, tall * 0.16) for p in _circle(centre, tall, 90)]
    canvas.fill(face, (224, 178, 150))
    for x in (-0.32, 0.32):
        canvas.fill(_circle(centre + np.array([x, 0.05]) * tall, tall * 0.07, 30), (40, 36, 50))
    return canvas.layer()


def _card(size: Size) -> Raster:
    width, height = size
    canvas = _Fine(size)
    left, top, right, bottom = width * 0.28, height * 0.24, width * 0.72, height * 0.7
    canvas.fill([np.array(p) for p in ((left, top), (right, top), (right, bottom), (left, bottom))], (250, 250, 252))
    canvas.fill(_circle(np.array([width * 0.4, height * 0.42]), height * 0.09, 80), (226, 84, 60))
    for row in range(3):
        y = height * (0.38 + 0.06 * row)
        bar = ((width * 0.52, y), (width * 0.68, y), (width * 0.68, y + height / 50), (width * 0.52, y + height / 50))
        canvas.fill([np.array(p) for p in bar], (90, 96, 110))
    premul = canvas.premultiplied()
    moved = np.float32([[1, 0, width * 0.012], [0, 1, height * 0.03]])
    soft = cv2.GaussianBlur(cv2.warpAffine(premul[..., 3], moved, size), (0, 0), height / 36) * 0.55
    through = soft * (1 - premul[..., 3])
    premul[..., :3] += np.array([12, 14, 24], np.float32) * through[..., None]
    premul[..., 3] += through
    return _straight(premul)


def _text(size: Size, colour: Sequence[int]) -> Raster:
    width, height = size
    lines = [
        ("Harbour", (width * 0.5, height * 0.3), height * 0.2),
        ("Songs of the quiet sea", (width * 0.5, height * 0.52), height * 0.06),
        ("every evening in August, at the old pier by the lighthouse", (width * 0.5, height * 0.64), height * 0.032),
        ("doors at seven; bring a blanket, a lantern and your friends", (width * 0.5, height * 0.7), height * 0.022),
    ]
    coverage = lettering(size, lines)
    return _over(colour, np.zeros_like(coverage), colour, coverage)


def _over(lower: Sequence[int], lower_alpha: np.ndarray, upper: Sequence[int], upper_alpha: np.ndarray) -> Raster:
    """One layer of two coverages in one colour each."""
    below = lower_alpha * (1 - upper_alpha)
    colour = np.array(lower, np.float32) * below[..., None] + np.array(upper, np.float32) * upper_alpha[..., None]
    return _straight(np.dstack([colour, below + upper_alpha]))


def _straight(premul: Float[np.ndarray, "h w 4"]) -> Raster:
    colour = premul[..., :3] / np.maximum(premul[..., 3:], 1e-6)
    out = np.dstack([colour, premul[..., 3] * 255])
    out = np.floor(np.clip(out, 0, 255) + 0.5).astype(np.uint8)
    out[out[..., 3] == 0] = 0
    return out


def _opaque(colour: np.ndarray) -> Raster:
    rgb = np.floor(np.clip(colour, 0, 255) + 0.5).astype(np.uint8)
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def _circle(centre: np.ndarray, radius: float, corners: int) -> list[np.ndarray]:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return [centre + radius * np.array([np.cos(angle), np.sin(angle)]) for angle in angles]


def _smooth(points: Sequence[np.ndarray]) -> np.ndarray:
    """Points along the parabola through three corners (a Bezier curve)."""
    first, middle, last = points
    t = np.linspace(0, 1, 9)[:, None]
    return (1 - t) ** 2 * first + 2 * t * (1 - t) * middle + t**2 * last
