"""Draw one element of a scene on a clear canvas: cut-outs, shapes, boxes, strokes, veils; and the grounds under them.

Every function takes a random generator and a canvas size (width, height) and returns premultiplied float32 RGBA,
0-1. Knows the art bank, not scenes.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw

from lamina.data.art import Bank
from lamina.data.tiles import (
    SUPER,
    Array,
    Box,
    Canvas,
    Rng,
    colour,
    contrasting,
    decorate,
    fill,
    gradient,
    nearby,
    place,
    rotate,
    spot,
    texture,
)

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportArgumentType=false, reportUnknownArgumentType=false

__all__ = [
    "cutout",
    "ground",
    "icon",
    "panel",
    "photo_shape",
    "picture_box",
    "place_cutout",
    "repeated",
    "shape",
    "standing",
    "stroke",
    "veil",
    "wash",
]


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
    return decorate(rng, place_cutout(rng, bank, size, extent=extent, centre=centre), chance=0.25)


def standing(rng: Rng, bank: Bank, size: Canvas, *, extent: float) -> Array:
    """A photographed cut-out upright on the lower edge of the canvas, or cut by it; sometimes with shadow or glow."""
    tile = _scaled(_bank_cutout(rng, bank, photo=True), extent * min(size))
    height, sunk = tile.shape[0], rng.uniform(0, 0.25) * tile.shape[0] if rng.random() < 0.5 else 0
    return decorate(
        rng, place(tile, size, (rng.uniform(0.15, 0.85) * size[0], size[1] - height / 2 + sunk)), chance=0.2
    )


def place_cutout(
    rng: Rng, bank: Bank, size: Canvas, *, extent: float, centre: tuple[float, float] | None = None
) -> Array:
    """A bank cut-out as it is, a third of them turned a little."""
    tile = _scaled(_bank_cutout(rng, bank), extent * min(size))
    if rng.random() < 0.3:
        tile = rotate(tile, rng.normal(0, 18))
    return place(tile, size, centre or spot(rng, size, extent))


def _scaled(tile: Array, long_side: float) -> Array:
    """Premultiplied RGBA at another size, its longer side at least 4 px."""
    factor = max(4, round(long_side)) / max(tile.shape[:2])
    wide, high = max(3, round(tile.shape[1] * factor)), max(3, round(tile.shape[0] * factor))
    tile = cv2.resize(tile, (wide, high), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    tile = np.clip(tile, 0, 1)
    tile[..., :3] = np.minimum(tile[..., :3], tile[..., 3:])
    return tile


def photo_shape(rng: Rng, bank: Bank, size: Canvas, *, extent: float) -> Array:
    """A photo inside a clean mask."""
    mask = _mask(rng, size, extent, spot(rng, size, extent))
    rgb = _bank_ground(rng, bank, size, photo=True)
    return decorate(rng, np.dstack([rgb * mask[..., None], mask]).astype(np.float32), chance=0.3)


def shape(rng: Rng, size: Canvas, *, extent: float, centre: tuple[float, float] | None = None, under: Array) -> Array:
    """A filled figure (polygon, ellipse, ring, blob, bar, frame …) in a colour unlike `under`."""
    mask = _mask(rng, size, extent, centre or spot(rng, size, extent))
    colours = fill(rng, size, contrasting(rng, under))
    canvas = np.dstack([colours * mask[..., None], mask]).astype(np.float32)
    if rng.random() < 0.2:
        canvas *= rng.uniform(0.35, 0.9)
    return decorate(rng, canvas, chance=0.25)


def panel(
    rng: Rng, size: Canvas, box: Box, under: Array, *, radius: float | None = None, base: Array | None = None
) -> tuple[Array, Array]:
    """A box or button over `box`; returns it and its colour. `radius` is a share of the short side, `base` a colour."""
    width, height = size[0] * SUPER, size[1] * SUPER
    image = Image.new("L", (width, height))
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    share = float(rng.choice([0.0, 0.0, 0.1, 0.25, 0.5])) if radius is None else radius
    corner = share * min(right - left, bottom - top)
    outline = round(rng.uniform(0.5, 1.5) * SUPER) if rng.random() < 0.08 else 0
    # Whole numbers: Pillow cannot draw a frame whose straight sides come out shorter than nothing by a fraction.
    edges = int(left), int(top), int(right - 1), int(bottom - 1)
    ImageDraw.Draw(image).rounded_rectangle(edges, corner, fill=0 if outline else 255, outline=255, width=outline or 1)
    mask = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    if base is None:
        base = nearby(rng, under) if rng.random() < 0.3 else contrasting(rng, under, 0.12)
    canvas = np.dstack([fill(rng, size, base, plain=0.75) * mask[..., None], mask]).astype(np.float32)
    if rng.random() < 0.12:
        canvas *= rng.uniform(0.4, 0.9)
    return decorate(rng, canvas, chance=0.25), base


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


def icon(rng: Rng, bank: Bank, size: Canvas, *, extent: float, centre: tuple[float, float], tint: Array) -> Array:
    """A cut-out turned into a sign: a silhouette, two tones or a line drawing, in `tint`."""
    canvas = place_cutout(rng, bank, size, extent=extent, centre=centre)
    alpha = canvas[..., 3]
    shade = canvas[..., :3].mean(axis=-1) / np.maximum(alpha, 1e-3)
    draw = rng.random()
    if draw < 0.4:
        return np.dstack([tint * alpha[..., None], alpha]).astype(np.float32)
    if draw < 0.75:
        seen = shade[alpha > 0.5]
        levels = np.quantile(seen, [0.35, 0.65, 0.85]) if seen.size else np.array([0.3, 0.5, 0.7])
        high = np.clip((shade - levels[int(rng.integers(3))]) * 12 + 0.5, 0, 1)[..., None]
        other = np.float32(rng.choice([0.0, 1.0])) if rng.random() < 0.6 else colour(rng)
        mixed = tint * (1 - high) + other * high
        return np.dstack([mixed * alpha[..., None], alpha]).astype(np.float32)
    inner = cv2.GaussianBlur(alpha * (0.3 + 0.7 * shade), (0, 0), 0.8)
    lines = np.clip(np.hypot(cv2.Sobel(inner, cv2.CV_32F, 1, 0), cv2.Sobel(inner, cv2.CV_32F, 0, 1)) * 2 - 0.3, 0, 1)
    return np.dstack([tint * lines[..., None], lines]).astype(np.float32)


def stroke(rng: Rng, size: Canvas, *, tint: Array, width: float) -> Array:
    """A freehand line or loop of brush strokes, `width` a fraction of the short side; some of them translucent."""
    count = int(rng.integers(2, 9))
    start, points = rng.uniform(0.1, 0.9, 2), []
    for _ in range(count):
        points.append(start)
        start = np.clip(start + rng.normal(0, 0.22, 2), -0.05, 1.05)
    ticks = np.linspace(0, count - 1, 12 * count)
    path = np.stack([np.interp(ticks, np.arange(count), np.array(points)[:, axis]) for axis in (0, 1)], 1)
    path = cv2.GaussianBlur(path.astype(np.float32), (1, 9), 0) * np.array(size) * SUPER
    mask = np.zeros((size[1] * SUPER, size[0] * SUPER), np.uint8)
    thick = max(2, round(width * min(size) * SUPER))
    cv2.polylines(mask, [path.astype(np.int32)], False, 255, thick, cv2.LINE_AA)
    alpha = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    if rng.random() < 0.35:
        grain = cv2.resize(rng.random((size[1] // 3 + 1, size[0] // 3 + 1)).astype(np.float32), size)
        alpha = alpha * np.clip((grain - rng.uniform(0, 0.35)) * 4, 0, 1)
    alpha = alpha * (rng.uniform(0.4, 1) if rng.random() < 0.35 else 1)
    return np.dstack([tint * alpha[..., None], alpha]).astype(np.float32)


def wash(rng: Rng, size: Canvas) -> Array:
    """A gradient of one tint over the whole canvas, from clear to half covered."""
    tint = colour(rng)
    alpha = gradient(rng, size, np.zeros(3, np.float32), np.ones(3, np.float32))[..., 0] * rng.uniform(0.25, 0.8)
    return np.dstack([tint * alpha[..., None], alpha]).astype(np.float32)


def picture_box(rng: Rng, bank: Bank, size: Canvas, *, box: Box) -> Array:
    """A photo or painting cropped to a box, as a thumbnail."""
    left, top = round(box[0] * size[0]), round(box[1] * size[1])
    wide, high = max(3, round((box[2] - box[0]) * size[0])), max(3, round((box[3] - box[1]) * size[1]))
    tile = np.ones((high, wide, 4), np.float32)
    tile[..., :3] = _bank_ground(rng, bank, (wide, high), photo=rng.random() < 0.75)
    return place(tile, size, (left + wide / 2, top + high / 2))


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


def _bank_cutout(rng: Rng, bank: Bank, *, photo: bool = False) -> Array:
    """Any cut-out, or a photographed one where the bank has some."""
    photographed = bank.cutouts[bank.cutouts[:, 5] == 1] if photo else bank.cutouts
    rows = photographed if len(photographed) else bank.cutouts
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


def _mask(rng: Rng, size: Canvas, extent: float, centre: tuple[float, float]) -> Array:
    """Antialiased coverage of a random figure, float32 HW."""
    width, height = size[0] * SUPER, size[1] * SUPER
    radius = extent * min(size) * SUPER / 2
    squash = rng.uniform(0.4, 1.0) if rng.random() < 0.5 else 1.0
    turn = rng.uniform(0, 2 * math.pi)
    outline = _FIGURES[int(rng.integers(len(_FIGURES)))](rng)
    cos, sin = math.cos(turn), math.sin(turn)
    points = outline * (radius, radius * squash) @ np.array([[cos, sin], [-sin, cos]])
    points += np.array(centre) * SUPER
    canvas = np.zeros((height, width), np.uint8)
    if rng.random() < 0.15:
        thick = max(SUPER, round(radius * rng.uniform(0.06, 0.3)))
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
