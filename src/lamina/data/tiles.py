"""What every element of a scene is made with: colours, fills, placing, and the shadows, glows and outlines under it.

Arrays are premultiplied float32 RGBA 0-1 unless said; knows no art and no scenes.
"""

import math

import cv2
import numpy as np

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportArgumentType=false, reportUnknownArgumentType=false

__all__ = [
    "SUPER",
    "Array",
    "Box",
    "Canvas",
    "Rng",
    "colour",
    "contrasting",
    "decorate",
    "fill",
    "flatten",
    "gradient",
    "nearby",
    "place",
    "rotate",
    "spot",
    "texture",
]

Canvas = tuple[int, int]
"""Width and height in pixels."""
Array = np.ndarray
Rng = np.random.Generator
Box = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the canvas."""

SUPER = 4
"""Drawn figures are this many times larger than the canvas before they are shrunk, for smooth edges."""


def colour(rng: Rng) -> Array:
    """A random RGB colour 0-1: often saturated, sometimes grey, black or white."""
    draw = rng.random()
    if draw < 0.12:
        return np.full(3, rng.choice([0.0, 1.0, 0.05, 0.95]), np.float32)
    if draw < 0.25:
        return np.clip(np.full(3, rng.random()) + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)
    hsv = np.array([[[rng.random() * 360, rng.beta(2, 1.3), rng.beta(2.5, 1.2)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


def nearby(rng: Rng, other: Array) -> Array:
    """A colour a little lighter or darker than `other`, as cards on their page are."""
    step = rng.uniform(0.03, 0.15) * (1 if other.mean() < 0.5 or rng.random() < 0.3 else -1)
    return np.clip(other + step + rng.normal(0, 0.01, 3), 0, 1).astype(np.float32)


def contrasting(rng: Rng, other: Array, least: float = 0.25) -> Array:
    """A colour at least `least` away from `other` in mean absolute difference, as far as eight draws find one."""
    best = colour(rng)
    for _ in range(8):
        if np.abs(best - other).mean() >= least:
            return best
        draw = colour(rng)
        if np.abs(draw - other).mean() > np.abs(best - other).mean():
            best = draw
    return best


def gradient(rng: Rng, size: Canvas, first: Array, second: Array) -> Array:
    """Linear or radial blend of two colours, float32 HW3."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if rng.random() < 0.65:
        angle = rng.choice([0.0, 90.0, 180.0, 270.0, rng.random() * 360]) * math.pi / 180
        t = x / width * math.cos(angle) + y / height * math.sin(angle)
        t = (t - t.min()) / max(float(np.ptp(t)), 1e-6)
    else:
        cx, cy = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
        t = np.clip(np.hypot(x - cx, y - cy) / (rng.uniform(0.4, 0.9) * math.hypot(width, height)), 0, 1)
    return first + (second - first) * (t ** rng.uniform(0.7, 1.5))[..., None]


def texture(rng: Rng, size: Canvas) -> Array:
    """Smooth coloured noise, stripes, dots or checks, float32 HW3."""
    width, height = size
    first = colour(rng)
    second = np.clip(first + rng.normal(0, 0.25, 3), 0, 1).astype(np.float32)
    draw = rng.random()
    if draw < 0.45:
        field = np.zeros((height, width), np.float32)
        for octave in range(1, 5):
            cells = 2**octave + int(rng.integers(1, 3))
            coarse = rng.random((cells, cells)).astype(np.float32)
            field += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) / octave
        field = (field - field.min()) / max(float(np.ptp(field)), 1e-6)
    else:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        period = rng.uniform(0.04, 0.2) * max(size)
        angle = rng.choice([0, 45, 90, rng.random() * 180]) * math.pi / 180
        u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        wave_u, wave_v = np.sin(u * 2 * math.pi / period), np.sin(v * 2 * math.pi / period)
        wave = wave_u if draw < 0.7 else (wave_u * wave_v if draw < 0.85 else wave_u + wave_v - 0.8)
        field = np.clip(0.5 + wave * 4, 0, 1)
    return first + (second - first) * field[..., None]


def fill(rng: Rng, size: Canvas, base: Array, plain: float = 0.6) -> Array:
    """Colours for a figure, HW3: `base` alone in a share `plain` of the draws, else a gradient or a texture."""
    draw = rng.random()
    if draw < plain:
        return np.broadcast_to(base, (size[1], size[0], 3))
    second = np.clip(base + rng.normal(0, 0.25, 3), 0, 1).astype(np.float32)
    if draw < plain + (1 - plain) * 0.75:
        return gradient(rng, size, base, second)
    return np.clip(texture(rng, size) * 0.5 + base * 0.5, 0, 1)


def place(tile: Array, size: Canvas, centre: tuple[float, float]) -> Array:
    """A tile on an empty canvas, centred at x, y in pixels; what sticks out is cut."""
    canvas = np.zeros((size[1], size[0], 4), np.float32)
    high, wide = tile.shape[:2]
    left, top = round(centre[0] - wide / 2), round(centre[1] - high / 2)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + wide, size[0]), min(top + high, size[1])
    if x1 > x0 and y1 > y0:
        canvas[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
    return canvas


def rotate(tile: Array, degrees: float) -> Array:
    """A tile turned about its centre, on a square canvas that holds it at any angle."""
    high, wide = tile.shape[:2]
    side = math.ceil(math.hypot(high, wide))
    matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), degrees, 1.0)
    matrix[:, 2] += (side - wide) / 2, (side - high) / 2
    return np.clip(cv2.warpAffine(tile, matrix, (side, side), flags=cv2.INTER_LINEAR), 0, 1)


def spot(rng: Rng, size: Canvas, extent: float) -> tuple[float, float]:
    """A centre that keeps most of an element of this extent on the canvas."""
    margin = min(0.45, extent * 0.38)
    return (
        float(np.clip(rng.normal(0.5, 0.25), margin, 1 - margin) * size[0]),
        float(np.clip(rng.normal(0.5, 0.25), margin, 1 - margin) * size[1]),
    )


def flatten(items: list[Array]) -> Array:
    """Several elements, lowest first, as one."""
    canvas = items[0]
    for item in items[1:]:
        canvas = item + canvas * (1 - item[..., 3:])
    return canvas


def decorate(rng: Rng, canvas: Array, *, chance: float) -> Array:
    """Now and then put a soft shadow, a glow or an outline under the element, in the same layer."""
    if rng.random() > chance:
        return canvas
    height, width = canvas.shape[:2]
    unit = max(width, height) / 128
    alpha = canvas[..., 3]
    draw = rng.random()
    if draw < 0.6:
        shift = np.array([[1, 0, rng.normal(0, 2) * unit], [0, 1, abs(rng.normal(0, 2.5)) * unit]], np.float32)
        under = cv2.GaussianBlur(cv2.warpAffine(alpha, shift, (width, height)), (0, 0), rng.uniform(0.6, 4) * unit)
        under, tint = under * rng.uniform(0.25, 0.75), np.zeros(3, np.float32)
    elif draw < 0.75:
        under = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(2, 5) * unit) * rng.uniform(0.6, 1.4)
        tint = colour(rng)
    else:
        radius = max(1, round(rng.uniform(0.8, 2.5) * unit))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        under, tint = cv2.dilate(alpha, kernel), colour(rng)
    under = np.clip(under, 0, 1)[..., None]
    return (canvas + np.concatenate([tint * under, under], axis=-1) * (1 - alpha[..., None])).astype(np.float32)
