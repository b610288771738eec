"""Draw one element of a scene on a transparent canvas: cut-outs, shapes, text, veils; and the grounds under them.

Every function takes a random generator and a canvas size (width, height) and returns premultiplied float32 RGBA,
0-1. Knows the art bank, not scenes.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lamina.data.art import Bank

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportArgumentType=false, reportUnknownArgumentType=false
# ruff: noqa: SIM905

__all__ = [
    "Array",
    "Canvas",
    "Rng",
    "colour",
    "contrasting",
    "cutout",
    "decorate",
    "gradient",
    "ground",
    "panel",
    "photo_shape",
    "repeated",
    "shape",
    "text",
    "texture",
    "veil",
]

Canvas = tuple[int, int]
Array = np.ndarray
Rng = np.random.Generator

_SUPER = 4
_SYLLABLES = (
    "an ar be ca co da de do el en er es fa fi ga go ha he in is ka la le li lo ma me mi mo na ne no on or pa pe pi "
    "ra re ri ro sa se si so ta te ti to un va ve vi wa we yo za"
).split()
_WORDS = (
    "sale new open summer music festival best offer today live free coffee shop book club art show night party city "
    "travel the and for with your our big little house game play start menu home about contact buy now join us more "
    "winter spring happy birthday love world 2024 50% 100 10:30 24/7 $9.99 vol. no. 7 chapter one part two news team"
).split()


def colour(rng: Rng) -> Array:
    """A random RGB colour 0-1: often saturated, sometimes grey, black or white."""
    draw = rng.random()
    if draw < 0.12:
        return np.full(3, rng.choice([0.0, 1.0, 0.05, 0.95]), np.float32)
    if draw < 0.25:
        return np.clip(np.full(3, rng.random()) + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)
    hsv = np.array([[[rng.random() * 360, rng.beta(2, 1.3), rng.beta(2.5, 1.2)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


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


def ground(rng: Rng, bank: Bank, size: Canvas, kind: str) -> Array:
    """An opaque ground: "photo", "paint", "flat", "gradient" or "texture"."""
    if kind == "photo" or kind == "paint":
        rgb = _bank_ground(rng, bank, size, photo=kind == "photo")
        if rng.random() < 0.15:
            rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.01, 0.05) * max(size))
        if rng.random() < 0.25:
            mix = rng.uniform(0.2, 0.6)
            rgb = rgb * (1 - mix) + colour(rng) * mix
    elif kind == "flat":
        rgb = np.broadcast_to(
            colour(rng) if rng.random() < 0.65 else np.float32(rng.choice([0.97, 1.0, 0.0])), (size[1], size[0], 3)
        )
    elif kind == "gradient":
        first = colour(rng)
        rgb = gradient(rng, size, first, np.clip(first + rng.normal(0, 0.3, 3), 0, 1).astype(np.float32))
    else:
        rgb = texture(rng, size)
    return np.dstack([np.clip(rgb, 0, 1), np.ones((size[1], size[0]), np.float32)]).astype(np.float32)


def cutout(rng: Rng, bank: Bank, size: Canvas, *, extent: float, centre: tuple[float, float] | None = None) -> Array:
    """A bank cut-out whose long side is `extent` of the canvas's short side; sometimes with shadow, glow or outline."""
    tile = _bank_cutout(rng, bank)
    long_side = max(4, round(extent * min(size)))
    factor = long_side / max(tile.shape[:2])
    wide, high = max(3, round(tile.shape[1] * factor)), max(3, round(tile.shape[0] * factor))
    tile = cv2.resize(tile, (wide, high), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    tile = np.clip(tile, 0, 1)
    tile[..., :3] = np.minimum(tile[..., :3], tile[..., 3:])
    if rng.random() < 0.3:
        tile = _rotate(tile, rng.normal(0, 18))
    canvas = _place(tile, size, centre or _spot(rng, size, extent))
    return decorate(rng, canvas, chance=0.3)


def photo_shape(rng: Rng, bank: Bank, size: Canvas, *, extent: float) -> Array:
    """A photo inside a clean mask."""
    mask = _mask(rng, size, extent, _spot(rng, size, extent))
    rgb = _bank_ground(rng, bank, size, photo=True)
    return decorate(rng, np.dstack([rgb * mask[..., None], mask]).astype(np.float32), chance=0.3)


def shape(rng: Rng, size: Canvas, *, extent: float, centre: tuple[float, float] | None = None, under: Array) -> Array:
    """A filled figure (polygon, ellipse, ring, blob, bar, frame …) in a colour unlike `under`."""
    mask = _mask(rng, size, extent, centre or _spot(rng, size, extent))
    fill = _fill(rng, size, contrasting(rng, under))
    canvas = np.dstack([fill * mask[..., None], mask]).astype(np.float32)
    if rng.random() < 0.2:
        canvas *= rng.uniform(0.35, 0.9)
    return decorate(rng, canvas, chance=0.25)


def panel(rng: Rng, size: Canvas, box: tuple[float, float, float, float], under: Array) -> tuple[Array, Array]:
    """A box or button over `box` (fractions left, top, right, bottom); returns it and its colour."""
    width, height = size[0] * _SUPER, size[1] * _SUPER
    image = Image.new("L", (width, height))
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    radius = rng.choice([0.0, 0.1, 0.25, 0.5]) * min(right - left, bottom - top)
    ImageDraw.Draw(image).rounded_rectangle((left, top, right - 1, bottom - 1), radius, fill=255)
    mask = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    base = contrasting(rng, under, 0.12)
    canvas = np.dstack([_fill(rng, size, base) * mask[..., None], mask]).astype(np.float32)
    if rng.random() < 0.3:
        canvas *= rng.uniform(0.4, 0.9)
    return decorate(rng, canvas, chance=0.35), base


def repeated(rng: Rng, bank: Bank, size: Canvas, under: Array) -> Array:
    """Two to six like things in a row, a column or a loose crowd, as one element."""
    count = int(rng.integers(2, 7))
    extent = rng.uniform(0.08, 0.22)
    start, step = rng.uniform(0.1, 0.35, 2), np.array([rng.uniform(0.12, 0.25), 0.0])
    if rng.random() < 0.4:
        step = step[::-1]
    state = rng.bit_generator.state
    canvas = np.zeros((size[1], size[0], 4), np.float32)
    same = rng.random() < 0.5
    for index in range(count):
        spot = start + step * index
        centre = (float(spot[0] * size[0]), float(spot[1] * size[1]))
        inner = np.random.Generator(type(rng.bit_generator)()) if same else rng
        if same:
            inner.bit_generator.state = state
        if state["state"]["state"] % 2:
            item = cutout(inner, bank, size, extent=extent, centre=centre)
        else:
            item = shape(inner, size, extent=extent, centre=centre, under=under)
        canvas = item + canvas * (1 - item[..., 3:])
    rng.random(7)
    return canvas


def veil(rng: Rng, size: Canvas) -> Array:
    """A soft overlay: vignette, glow, light leak or a gradient that fades out."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    draw = rng.random()
    if draw < 0.3:
        distance = np.hypot(x / width - 0.5, y / height - 0.5)
        alpha = np.clip((distance - 0.35) * 2.2, 0, 1) * rng.uniform(0.4, 0.9)
        tint = np.zeros(3, np.float32)
    elif draw < 0.65:
        cx, cy, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.15, 0.5) * max(size)
        alpha = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (radius / 2) ** 2)) * rng.uniform(0.4, 1.0)
        tint = colour(rng)
    else:
        axis = y / height if rng.random() < 0.7 else x / width
        alpha = np.clip((axis if rng.random() < 0.6 else 1 - axis) * rng.uniform(1.2, 2.5) - rng.uniform(0.2, 1), 0, 1)
        alpha = alpha * rng.uniform(0.5, 0.95)
        tint = colour(rng)
    return np.dstack([tint * alpha[..., None], alpha]).astype(np.float32)


def text(rng: Rng, bank: Bank, size: Canvas, *, box: tuple[float, float, float, float], under: Array) -> Array:
    """One block of one to four lines inside `box` (fractions), in one colour or gradient, sometimes with outline."""
    left, top, right, bottom = box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1]
    path = str(rng.choice(bank.fonts))
    lines = _lines(rng, path, int(rng.choice([1, 1, 1, 2, 2, 3, 4])))
    pixel = 64
    font = _font(path, pixel)
    spacing = int(pixel * rng.uniform(1.05, 1.4))
    widths = [max(1, round(font.getlength(line))) for line in lines]
    block = Image.new("L", (max(widths) + pixel, spacing * len(lines) + pixel))
    draw = ImageDraw.Draw(block)
    align = rng.choice([0.0, 0.5, 0.5, 1.0])
    for index, line in enumerate(lines):
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
    if rng.random() < 0.12:
        tile = _rotate(tile, rng.normal(0, 20))
    coverage = _place(tile, size, ((left + right) / 2, (top + bottom) / 2))[..., 3]
    fill = _fill(rng, size, contrasting(rng, under, 0.35), plain=0.85)
    canvas = np.dstack([fill * coverage[..., None], coverage]).astype(np.float32)
    return decorate(rng, canvas, chance=0.25)


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


# --- bank pictures -------------------------------------------------------------------------------------------------


def _bank_ground(rng: Rng, bank: Bank, size: Canvas, *, photo: bool) -> Array:
    """A crop of a photo or painting; a procedural texture where the bank has none (a permissive one)."""
    rows = bank.grounds[bank.grounds[:, 5] == float(photo)]
    if not len(rows):
        return np.clip(texture(rng, size), 0, 1).astype(np.float32)
    picture = bank.picture(rows[rng.choice(len(rows), p=rows[:, 4] / rows[:, 4].sum())])
    height, width = picture.shape[:2]
    aspect = size[0] / size[1]
    crop_h = min(height, width / aspect) * rng.uniform(0.45, 1.0)
    crop_w = crop_h * aspect
    top, left = rng.uniform(0, height - crop_h), rng.uniform(0, width - crop_w)
    crop = picture[int(top) : int(top + crop_h) + 1, int(left) : int(left + crop_w) + 1]
    rgb = cv2.resize(crop, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return _recolour(rng, rgb[:, ::-1] if rng.random() < 0.5 else rgb)


def _bank_cutout(rng: Rng, bank: Bank) -> Array:
    rows = bank.cutouts
    picture = bank.picture(rows[rng.choice(len(rows), p=rows[:, 4] / rows[:, 4].sum())])
    tile = picture.astype(np.float32) / 255
    rgb = _recolour(rng, tile[..., :3])
    tile = np.dstack([rgb * tile[..., 3:], tile[..., 3]])
    return np.ascontiguousarray(tile[:, ::-1] if rng.random() < 0.5 else tile, dtype=np.float32)


def _recolour(rng: Rng, rgb: Array) -> Array:
    if rng.random() < 0.35:
        gain, lift = rng.uniform(0.7, 1.3, 3), rng.normal(0, 0.06)
        rgb = np.clip(rgb * gain + lift, 0, 1)
    if rng.random() < 0.1:
        grey = rgb.mean(axis=-1, keepdims=True)
        rgb = np.clip(grey * rng.uniform(0.6, 1.2) * (0.4 + colour(rng)), 0, 1)
    return rgb.astype(np.float32)


# --- placing and masks ---------------------------------------------------------------------------------------------


def _spot(rng: Rng, size: Canvas, extent: float) -> tuple[float, float]:
    """A centre that keeps most of an element of this extent on the canvas."""
    margin = min(0.45, extent * 0.38)
    return (
        float(np.clip(rng.normal(0.5, 0.25), margin, 1 - margin) * size[0]),
        float(np.clip(rng.normal(0.5, 0.25), margin, 1 - margin) * size[1]),
    )


def _place(tile: Array, size: Canvas, centre: tuple[float, float]) -> Array:
    canvas = np.zeros((size[1], size[0], 4), np.float32)
    high, wide = tile.shape[:2]
    left, top = round(centre[0] - wide / 2), round(centre[1] - high / 2)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + wide, size[0]), min(top + high, size[1])
    if x1 > x0 and y1 > y0:
        canvas[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
    return canvas


def _rotate(tile: Array, degrees: float) -> Array:
    high, wide = tile.shape[:2]
    side = math.ceil(math.hypot(high, wide))
    matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), degrees, 1.0)
    matrix[:, 2] += (side - wide) / 2, (side - high) / 2
    return np.clip(cv2.warpAffine(tile, matrix, (side, side), flags=cv2.INTER_LINEAR), 0, 1)


def _fill(rng: Rng, size: Canvas, base: Array, plain: float = 0.6) -> Array:
    draw = rng.random()
    if draw < plain:
        return np.broadcast_to(base, (size[1], size[0], 3))
    second = np.clip(base + rng.normal(0, 0.25, 3), 0, 1).astype(np.float32)
    if draw < plain + (1 - plain) * 0.75:
        return gradient(rng, size, base, second)
    return np.clip(texture(rng, size) * 0.5 + base * 0.5, 0, 1)


def _mask(rng: Rng, size: Canvas, extent: float, centre: tuple[float, float]) -> Array:
    """Antialiased coverage of a random figure, float32 HW."""
    width, height = size[0] * _SUPER, size[1] * _SUPER
    radius = extent * min(size) * _SUPER / 2
    squash = rng.uniform(0.4, 1.0) if rng.random() < 0.5 else 1.0
    turn = rng.uniform(0, 2 * math.pi)
    outline = _FIGURES[int(rng.integers(len(_FIGURES)))](rng)
    cos, sin = math.cos(turn), math.sin(turn)
    points = outline * (radius, radius * squash) @ np.array([[cos, sin], [-sin, cos]])
    points += np.array(centre) * _SUPER
    canvas = np.zeros((height, width), np.uint8)
    if rng.random() < 0.15:
        thick = max(_SUPER, round(radius * rng.uniform(0.06, 0.3)))
        cv2.polylines(canvas, [points.astype(np.int32)], True, 255, thick, cv2.LINE_AA)
    else:
        cv2.fillPoly(canvas, [points.astype(np.int32)], 255)
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _ellipse(_rng: Rng) -> Array:
    t = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], 1)


def _polygon(rng: Rng) -> Array:
    t = np.linspace(0, 2 * math.pi, int(rng.integers(3, 8)), endpoint=False)
    return np.stack([np.cos(t), np.sin(t)], 1)


def _star(rng: Rng) -> Array:
    count = int(rng.integers(4, 12))
    t = np.linspace(0, 2 * math.pi, 2 * count, endpoint=False)
    radius = np.where(np.arange(2 * count) % 2, rng.uniform(0.35, 0.8), 1.0)
    return np.stack([np.cos(t), np.sin(t)], 1) * radius[:, None]


def _blob(rng: Rng) -> Array:
    t = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    waves = [rng.normal(0, 0.16 / k) * np.cos(k * t + rng.uniform(0, 6.3)) for k in range(1, 6)]
    radius = 0.8 + np.sum(waves, axis=0)
    return np.stack([np.cos(t), np.sin(t)], 1) * radius[:, None]


def _bar(rng: Rng) -> Array:
    thin = rng.uniform(0.03, 0.25)
    return np.array([[-1, -thin], [1, -thin], [1, thin], [-1, thin]])


def _figure(rng: Rng) -> Array:
    """Head and shoulders: the outline of a standing person, roughly."""
    head, width = rng.uniform(0.16, 0.26), rng.uniform(0.35, 0.6)
    t = np.linspace(-0.6 * math.pi, 1.6 * math.pi, 40)[::-1]
    neck = np.stack([head * np.cos(t + math.pi), -0.7 + head * 1.2 * np.sin(t + math.pi)], 1)
    body = np.array([[width, -0.25], [width, 1.0], [-width, 1.0], [-width, -0.25]])
    return np.concatenate([neck, body])


_FIGURES: tuple[Callable[[Rng], Array], ...] = (_ellipse, _polygon, _polygon, _star, _blob, _blob, _bar, _figure)


# --- words ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=700)
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
