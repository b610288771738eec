"""Paint the layers at the picture's own size from what is known at working size, strip by strip.

Visible colours are the picture's; in the soft rim of an upper layer its colour is freed from what shines through.
Memory beside the layers is bounded by the strips. Knows borders, sheets and the picture; nothing of networks.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from lamina.decompose.edges import Borders, upper_share
from lamina.decompose.together import each
from lamina.decompose.veil import Veil
from lamina.document.layer import Layer, trimmed
from lamina.pixels import channel_max, round_u8

__all__ = ["Sheet", "paint"]

_STRIP_PIXELS = 1 << 18
"""Full-size pixels of a strip."""

_RIM = 8.0
"""Working pixels beside a thing in which its veil is told by the pixels themselves."""

_INSIDE = 1.0
"""Working pixels from a border beyond which all neighbours of a pixel have its label."""

_GRAIN = 6.0
"""What differs by less (0-255) from the ground's usual colour below a veil is the ground's own grain."""

_MORE = 2.0
"""A veil is nowhere so many times stronger than it was told."""

_THROUGH = 0.2
"""Share of the ground that shines through a veil, from which its colour can be told."""

_HALF = 0.5 / 255
"""Half a byte."""

_MOSTLY = 0.5
"""Share from which a pixel is so much the upper layer's that its alpha, not the ground's colour, makes up the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A layer at working size, within a part of the canvas."""

    rows: slice
    columns: slice
    colour: Float[np.ndarray, "H W 4"]
    """Colour 0-255 and its variance, at half the working size, continued wherever the layer is not seen."""
    whole: Float[np.ndarray, "h w"]
    """Alpha of all of it: 1 where it is seen, and what upper layers hide."""


def paint(
    picture: UInt8[np.ndarray, "h w 4"],
    source: UInt8[np.ndarray, "h w 4"],
    borders: Borders,
    sheets: list[Sheet],
    veil: Veil | None = None,
) -> list[Layer]:
    """Layers at full size, bottom first. `source` is `picture` with defined colour under alpha 0."""
    height, width = picture.shape[:2]
    scale = (borders.label.shape[0] / height, borders.label.shape[1] / width)
    canvases = [_Canvas(number, sheet, scale, (height, width)) for number, sheet in enumerate(sheets)]
    rows = max(8, _STRIP_PIXELS // width)

    def paint_strip(top: int) -> None:
        view = _View(scale=scale, rows=slice(top, min(height, top + rows)), columns=slice(0, width))
        strip = _look(view, picture, source, borders, canvases, veil)
        for canvas in canvases:
            canvas.paint(strip)

    each(paint_strip, range(0, height, rows))
    return [canvas.layer() for canvas in canvases]


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """A part of the full-size canvas, and how to look working-size arrays up for it."""

    scale: tuple[float, float]
    """Working pixels per full pixel, down and across."""
    rows: slice
    columns: slice

    def smooth(self, values: Any, origin: tuple[float, float] = (0, 0)) -> Any:
        """Bilinear; `origin` is the working row and column where `values` begin."""
        return self._look_up(values, origin, cv2.INTER_LINEAR)

    def nearest(self, values: Any, origin: tuple[float, float] = (0, 0)) -> Any:
        return self._look_up(values, origin, cv2.INTER_NEAREST)

    def _look_up(self, values: Any, origin: tuple[float, float], how: int) -> Any:
        down, across = self.scale
        size = (self.columns.stop - self.columns.start, self.rows.stop - self.rows.start)
        if self.scale == (1.0, 1.0):
            top, left = self.rows.start - int(origin[0]), self.columns.start - int(origin[1])
            if top >= 0 and left >= 0 and top + size[1] <= values.shape[0] and left + size[0] <= values.shape[1]:
                return values[top : top + size[1], left : left + size[0]]
        inverse = np.array(
            [
                [across, 0, (self.columns.start + 0.5) * across - 0.5 - origin[1]],
                [0, down, (self.rows.start + 0.5) * down - 0.5 - origin[0]],
            ]
        )
        return cv2.warpAffine(values, inverse, size, flags=how | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)


def _depth(view: _View, depth: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "h w"]:
    """Signed distance to the border. Inside a label the sign changes too, without passing 0, where the nearest other
    one changes from a lower to an upper one: only the distance is smoothed there."""
    smooth = view.smooth(depth)
    if view.scale == (1.0, 1.0):
        return smooth
    nearest = view.nearest(depth)
    return np.where(np.abs(nearest) > _INSIDE, np.copysign(view.smooth(np.abs(depth)), nearest), smooth)


def _look(
    view: _View,
    picture: UInt8[np.ndarray, "h w 4"],
    source: UInt8[np.ndarray, "h w 4"],
    borders: Borders,
    canvases: "list[_Canvas]",
    veil: Veil | None,
) -> "_Strip":
    """Find out who is seen in some rows, and how much of each."""
    part = (view.rows, view.columns)
    depth = _depth(view, borders.depth)
    share = np.clip(depth + 0.5, 0, 1)
    reach = view.smooth(borders.reach)
    near = np.nonzero(np.abs(depth) < reach)
    lower, upper = view.nearest(borders.lower), view.nearest(borders.upper if veil is None else veil.owner)
    below, above = np.zeros((2, near[0].size, 4), np.float32)
    owns: dict[int, Any] = {}
    for number, canvas in enumerate(canvases):
        own = canvas.colours(view)
        if own is None:
            continue
        owns[number] = own
        for names, into in ((lower, below), (upper, above)):
            found = np.flatnonzero(names[near] == number)
            ys, xs = near[0][found] - own.top, near[1][found] - own.left
            height, width = own.values.shape[:2]
            into[found] = own.values[np.clip(ys, 0, height - 1), np.clip(xs, 0, width - 1)]
    here = source[part][..., :3].astype(np.float32)
    cast = None
    if veil is not None:
        half = _View(scale=(view.scale[0] / 2, view.scale[1] / 2), rows=view.rows, columns=view.columns)
        cast = half.smooth(veil.premul) * (lower == 0)[..., None]
        below[:, :3] += cast[near][:, :3] - cast[near][:, 3:] * below[:, :3]
    share[near] = _in_bytes(upper_share(here[near], below, above, depth[near], reach[near]), here[near], below[:, :3])
    ground = np.zeros_like(here)
    ground[near] = below[:, :3]
    if cast is not None:
        _explain(cast, here, owns[0].values[..., :3], (share <= 0) & (depth > -_RIM))
    opacity = picture[part][..., 3].astype(np.float32) / 255
    return _Strip(
        view=view,
        colour=here,
        opacity=opacity,
        lower=lower,
        upper=upper,
        share=share,
        ground=ground,
        cast=cast,
        owns=owns,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Strip:
    """What is known of some full-size rows."""

    view: _View
    colour: Float[np.ndarray, "h w 3"]
    opacity: Float[np.ndarray, "h w"]
    lower: UInt8[np.ndarray, "h w"]
    upper: UInt8[np.ndarray, "h w"]
    share: Float[np.ndarray, "h w"]
    """The upper one's share of what is seen."""
    ground: Float[np.ndarray, "h w 3"]
    """What is seen where the upper one is not, near borders: the lower one's colour below the upper one's veil."""
    cast: Float[np.ndarray, "h w 4"] | None
    """The upper one's veil on the ground, premultiplied, 0-255 and 0-1."""
    owns: "dict[int, _Own]"
    """Colours of the layers that reach into these rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Own:
    """A layer's continued colours (and variance) within a strip, from row `top` and column `left` of it on."""

    values: Float[np.ndarray, "h w 4"]
    top: int
    left: int


class _Canvas:
    """A layer's raster at full size while it is painted."""

    def __init__(self, number: int, sheet: Sheet, scale: tuple[float, float], size: tuple[int, int]) -> None:
        self.number, self.sheet = number, sheet
        self.rows = _stretched(sheet.rows, scale[0], size[0])
        self.columns = _stretched(sheet.columns, scale[1], size[1])
        self.rgba = np.zeros((self.rows.stop - self.rows.start, self.columns.stop - self.columns.start, 4), np.uint8)

    def colours(self, view: _View) -> _Own | None:
        """The layer's colours in a view; None where it does not reach."""
        top, bottom = max(self.rows.start, view.rows.start), min(self.rows.stop, view.rows.stop)
        if top >= bottom:
            return None
        part = _View(scale=(view.scale[0] / 2, view.scale[1] / 2), rows=slice(top, bottom), columns=self.columns)
        values = part.smooth(self.sheet.colour, (self.sheet.rows.start / 2, self.sheet.columns.start / 2))
        return _Own(values=values, top=top - view.rows.start, left=self.columns.start)

    def paint(self, strip: _Strip) -> None:
        """Write the strip's part of the raster."""
        if self.number not in strip.owns:
            return
        found = strip.owns[self.number]
        own, top = found.values[..., :3], strip.view.rows.start + found.top
        bottom = top + own.shape[0]
        part = (slice(found.top, found.top + own.shape[0]), self.columns)
        view = _View(scale=strip.view.scale, rows=slice(top, bottom), columns=self.columns)
        origin = (self.sheet.rows.start, self.sheet.columns.start)
        share, opacity, here = strip.share[part], strip.opacity[part], strip.colour[part]
        is_upper = (strip.upper[part] == self.number) & (share > 0)
        is_lower = (strip.lower[part] == self.number) & (share < 1)
        under = (strip.lower[part] > self.number) | ((strip.upper[part] > self.number) & (share >= 1))

        alpha = np.where(under & (opacity >= 1), view.smooth(self.sheet.whole, origin), 0)
        np.copyto(alpha, opacity * share, where=is_upper)
        rest = opacity * (1 - share) / np.maximum(1 - opacity * share, 1e-6)
        np.copyto(alpha, rest, where=is_lower)
        colour = np.where(((is_upper & (share >= 1)) | (is_lower & (share <= 0)))[..., None], here, own)
        mixed = is_upper & (share < 1)
        if mixed.any():
            colour[mixed] = _unmixed(here[mixed], strip.ground[part][mixed], share[mixed], own[mixed])
        if strip.cast is not None:
            _add_veil(
                colour,
                alpha,
                strip.cast[part],
                share,
                here,
                strip.owns[0].values[part][..., :3],
                is_upper=strip.upper[part] == self.number,
                ground=self.number == 0,
            )
        raster = self.rgba[top - self.rows.start : bottom - self.rows.start]
        raster[..., :3] = round_u8(colour)
        raster[..., 3] = round_u8(alpha * 255)

    def layer(self) -> Layer:
        x, y = self.columns.start, self.rows.start
        return trimmed(Layer(id=str(self.number), name=f"Layer {self.number}", rgba=self.rgba, x=x, y=y))


def _unmixed(
    seen: Float[np.ndarray, "n 3"],
    ground: Float[np.ndarray, "n 3"],
    share: Float[np.ndarray, " n"],
    own: Float[np.ndarray, "n 3"],
) -> Float[np.ndarray, "n 3"]:
    """Colour of an upper layer behind whose `share` the ground shines through; its usual colour where that is faint."""
    weight = share[:, None]
    found = np.clip((seen - (1 - weight) * ground) / np.maximum(weight, 1e-3), 0, 255)
    sure = np.clip(weight / 0.4, 0, 1)
    return own + sure * sure * (found - own)


def _in_bytes(
    share: Float[np.ndarray, " n"], seen: Float[np.ndarray, "n 3"], ground: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, " n"]:
    """Shares that bytes can hold: 0 or 1 where they round to it; where a pixel is mostly the upper layer's, so large
    that a colour of 0-255 explains what is seen above the ground, else exactness would bend the ground's."""
    mostly = np.flatnonzero((share > _MOSTLY) & (share < 1))
    least = np.ceil(_least_alpha(seen[mostly], ground[mostly]) * 255 - 1e-3) / 255
    share = share.copy()
    share[mostly] = np.maximum(share[mostly], least)
    share[share > 1 - _HALF] = 1
    share[share < _HALF] = 0
    return share.astype(np.float32)


def _explain(
    cast: Float[np.ndarray, "h w 4"],
    here: Float[np.ndarray, "h w 3"],
    plate: Float[np.ndarray, "h w 3"],
    where: Bool[np.ndarray, "h w"],
) -> None:
    """Let the veil alone explain, in place, what differs from the ground below it by more than grain: what would take
    a much stronger veil than was told is the ground's own, as a bar across it."""
    found = np.nonzero((cast[..., 3] > 0) & where)
    seen, ground, guess = here[found], plate[found], cast[found]
    bare = (seen - guess[:, :3]) / np.maximum(1 - guess[:, 3:], 1e-3)
    need = _least_alpha(seen, ground)
    off = (channel_max(np.abs(bare - ground)) > _GRAIN) & (need < _MORE * guess[:, 3])
    seen, ground, alpha = seen[off], ground[off], need[off][:, None]
    guess[off] = np.concatenate([np.clip(seen - (1 - alpha) * ground, 0, 255 * alpha), alpha], axis=1)
    cast[found] = guess


def _add_veil(
    colour: Float[np.ndarray, "h w 3"],
    alpha: Float[np.ndarray, "h w"],
    cast: Float[np.ndarray, "h w 4"],
    share: Float[np.ndarray, "h w"],
    here: Float[np.ndarray, "h w 3"],
    plate: Float[np.ndarray, "h w 3"],
    *,
    is_upper: Bool[np.ndarray, "h w"],
    ground: bool,
) -> None:
    """Lay an upper layer's veil below it, or free the ground that is seen from it; in place."""
    veiled = (cast[..., 3] > 0) & (share < 1)
    if ground:
        bare = veiled & (share <= 0)
        rest, usual = 1 - cast[bare][:, 3:], plate[bare]
        freed = np.clip((here[bare] - cast[bare][:, :3]) / np.maximum(rest, 1e-3), 0, 255)
        colour[bare] = usual + np.clip(rest / _THROUGH, 0, 1) * (freed - usual)
        return
    found = np.nonzero(veiled & is_upper)
    own, rest, seen = share[found][:, None], 1 - share[found][:, None], here[found]
    whole = own + rest * cast[found][:, 3:]
    premul = own * colour[found] + rest * cast[found][:, :3]
    rim = share[found] > 0
    below, need = plate[found][rim], _least_alpha(seen[rim], plate[found][rim])
    whole[rim] = np.maximum(whole[rim], need[:, None])
    premul[rim] = np.clip(seen[rim] - (1 - whole[rim]) * below, 0, 255 * whole[rim])
    colour[found] = premul / np.maximum(whole, 1e-6)
    alpha[found] = whole[:, 0]


def _least_alpha(seen: Float[np.ndarray, "n 3"], ground: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """The least alpha of a colour in range that turns the ground into what is seen."""
    room = np.where(seen < ground, ground, 255 - ground)
    return np.clip(channel_max(np.abs(seen - ground) / np.maximum(room, 1)), 0, 1)


def _stretched(span: slice, scale: float, full: int) -> slice:
    """The full-size pixels that a span of working pixels touches."""
    return slice(int(np.floor(span.start / scale)), min(full, int(np.ceil(span.stop / scale - 1e-9))))
