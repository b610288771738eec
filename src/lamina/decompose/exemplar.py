"""Fill a hole in a restless picture with more of what is around it.

Coarse to fine: the patches in and at the hole find the most similar ones outside it, and every pixel becomes the mean
of what they say it should be, the surer the more (after Wexler, Shechtman and Irani, Space-time completion of video,
2007). What is finer than the last scale comes from where the patches were found. Knows arrays only.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from lamina.decompose.bridge import bridge
from lamina.decompose.fill import continue_along, deep_holes, membrane, with_even_holes
from lamina.decompose.trend import gradient_of
from lamina.pixels import channel_sum

__all__ = ["continue_ground"]

_SIDES = (20, 32, 48, 72, 108)
"""Longer side of the picture on each scale."""

_SWEEPS = 3
"""Searches on every scale."""

_RADIUS = 3
"""Of a patch."""

_KNOWN = 0.6
"""Share of a coarse pixel from which it is known."""

_TERMS, _SAMPLE = 20, 1500
"""Principal components by which patches are compared, and how many patches they are found from."""

_CALM = 0.4
"""How much a patch's mean colour must be the smooth surface's there, beside every pixel of it being what is there."""

_AROUND = 64
"""Longer side of the picture that the smooth surface is laid through; it keeps a pixel away from the hole."""

_LEAST, _MOST = 60, 9000
"""Patches outside the hole that are needed, and that are looked at."""

_ROWS = 256
"""Patches that look for others at once: their distances stay in the cache."""

_INWARD = 1.3
"""How much less a pixel says than its neighbour nearer to what is known."""

_SHIFTS, _WIDER = 40, 4
"""Detail comes from so many shifts at most, by how they fit in a window of this radius."""

_ALIKE = 20.0
"""Colour distance (0-255) at which two places look little enough alike to take little detail from one another."""

_RIM = (64, 32)
"""Up to the longer side over the first from what is known, a smooth surface tells the colour between best, where soft
edges are mixed with it; from the longer side over the second on, what is alike."""

_OFF = 40
"""Deep holes are bridged from so far off their sides, the longer side over this: beside them things leave shadows."""

_ISLAND = 0.01
"""Something known that lies in the hole for itself and is smaller than this share of the picture is a thing's scrap."""

_LOCAL = 16
"""A ground is as restless as in a window of the longer side over this."""

_RESTLESS = (2.5, 2.0)
"""What is seen beside a thing is the ground's if it is off by at most so many of its deviations and levels."""


def continue_ground(
    colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"], beside: Bool[np.ndarray, "h w"] | None = None
) -> Float[np.ndarray, "h w 3"]:
    """Colours (0-255) at every pixel: kept where `known` but for scraps, elsewhere a gradient's where nearly all lies
    on one, or all around the hole; else what goes on from side to side, more of what is known, and smooth where too
    little is. What is seen `beside` things may be dimmed by them; below letters on a restless ground it is heard."""
    if not known.any() or known.all():
        return membrane(colours, known)
    trend = gradient_of(colours, known)
    if trend is not None:
        return continue_along(trend, colours, known)
    colours, sound = with_even_holes(colours, _without_scraps(known))
    share = _share(~sound)[..., None]
    out = bridge(colours, sound, membrane(colours, sound))
    alike = _look_alike(colours, sound) if share.any() else None
    if alike is not None:
        inner = bridge(colours, _off(sound), alike + membrane(colours - alike, sound))
        out += share * (inner - out)
    return out if beside is None else _seamless(out, colours, sound, beside & ~sound)


def _seamless(out: Any, colours: Any, known: Any, beside: Any) -> Float[np.ndarray, "h w 3"]:
    """The colours `out`, shallow holes filled once more from what is seen beside them too, but for what is off by more
    than the ground is restless there: that is a shadow or glow too faint to have been told."""
    window = (max(known.shape) // _LOCAL + 1,) * 2
    grey = channel_sum(colours) / 3
    weight = known.astype(np.float32)
    share = np.maximum(cv2.blur(weight, window), 1e-6)
    mean, square = (cv2.blur(values * weight, window) / share for values in (grey, np.square(grey)))
    restless = np.sqrt(np.maximum(square - np.square(mean), 0))
    off = np.abs(grey - channel_sum(out) / 3)
    met = known | (beside & (off < _RESTLESS[0] * restless + _RESTLESS[1]))
    _, holes, deep = deep_holes(~(known | beside))
    close = bridge(colours, met, membrane(colours, met))
    return np.where(deep[holes][..., None], out, close)


def _off(known: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    reach = 2 * round(max(known.shape) / _OFF) + 1
    return cv2.erode(known.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0


def _share(hole: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """How much of what is alike is taken: none beside what is known and in shallow holes."""
    side = max(hole.shape)
    near, far = (side / part for part in _RIM)
    depth, holes, deep = deep_holes(hole)
    return np.clip((depth - near) / (far - near), 0, 1) * deep[holes]


def _look_alike(
    colours: Float[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"] | None:
    """A picture that is blurred where the colours are known and goes on like them elsewhere; None if too few are."""
    height, width = known.shape
    smooth = _smooth(colours, known)
    filled: Any = None
    found: _Scale | None = None
    for side in _SIDES:
        scale = _Scale.of(colours, known, side, filled, smooth)
        if scale is None:
            continue
        for _ in range(_SWEEPS):
            scale.sweep()
        filled, found = scale.picture, scale
    if found is None:
        return None
    coarse = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    return coarse + _detail(colours, known, coarse, found)


def _without_scraps(known: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    found: Any = cv2.connectedComponentsWithStats(known.astype(np.uint8), connectivity=4)
    _, parts, stats, _ = found
    left, top, width, height, area = stats.T
    inside = (left > 0) & (top > 0) & (left + width < known.shape[1]) & (top + height < known.shape[0])
    scrap = inside & (area < _ISLAND * known.size)
    return known & ~scrap[parts]


class _Scale:
    """One scale: the picture so far, the patches that ask (in and at the hole) and those that are asked."""

    def __init__(self, picture: Any, smooth: Any, hole: Any, near: Any, whole: Any) -> None:
        """`smooth` is a surface through what lies off the hole; patches of pixels `near` it have part of it in them,
        those of `whole` pixels neither that nor the picture's edge."""
        self.picture, self.hole = picture, hole
        self.asking = np.nonzero(near)
        rows, columns = np.nonzero(whole)
        step = max(1, rows.size // _MOST)
        self.asked = rows[::step], columns[::step]
        others = _patches(picture)[self.asked].reshape(self.asked[0].size, -1)
        self.mean = others.mean(axis=0)
        centred = others - self.mean
        some = centred[:: max(1, len(centred) // _SAMPLE)]
        self.axes = np.linalg.eigh(some.T @ some)[1][:, -_TERMS:]
        calm = np.float32(_CALM**0.5 * (2 * _RADIUS + 1))
        means = cv2.blur(picture, (2 * _RADIUS + 1,) * 2)
        self.known = np.hstack([centred @ self.axes, calm * means[self.asked]])
        self.wanted = calm * smooth[self.asking]
        depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)[self.asking]
        self.inward = _INWARD**-depth
        self.answers: Any = None

    @classmethod
    def of(cls, colours: Any, known: Any, side: int, filled: Any, smooth: Any) -> "_Scale | None":
        """With what was `filled` before as a guess; None where too few patches are known whole."""
        mean, share = _reduced(colours, known, side)
        size = share.shape[::-1]
        hole = share <= _KNOWN
        guess = membrane(mean, ~hole) if filled is None else cv2.resize(filled, size, interpolation=cv2.INTER_CUBIC)
        near = cv2.dilate(hole.astype(np.uint8), np.ones((2 * _RADIUS + 1,) * 2, np.uint8)) > 0
        whole = np.zeros_like(hole)
        inner = (slice(_RADIUS, -_RADIUS),) * 2
        whole[inner] = ~near[inner]
        if whole.sum() < _LEAST or not hole.any():
            return None
        picture = np.where(hole[..., None], guess, mean).astype(np.float32)
        return cls(picture, cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR), hole, near, whole)

    def sweep(self) -> None:
        """Let every patch find its like, and every pixel of the hole become what they say."""
        asking = _patches(self.picture)[self.asking].reshape(self.asking[0].size, -1)
        self.answers, off = _nearest(np.hstack([(asking - self.mean) @ self.axes, self.wanted]), self.known)
        sure = self.inward * np.exp(-off / (2 * np.quantile(off, 0.75) + 1))
        height, width = self.hole.shape
        told = np.pad(self.picture, ((_RADIUS,) * 2,) * 2 + ((0, 0),), mode="reflect")
        told = np.dstack([told, np.ones(told.shape[:2], np.float32)])
        said = np.zeros_like(told)
        source, weight = np.zeros((height, width), np.int64), np.zeros((height, width, 1), np.float32)
        source[self.asking] = (self.asked[0] * told.shape[1] + self.asked[1])[self.answers]
        weight[self.asking] = sure[:, None]
        for down in range(2 * _RADIUS + 1):
            for across in range(2 * _RADIUS + 1):
                there = told.reshape(-1, 4).take(source + (down * told.shape[1] + across), axis=0)
                said[down : down + height, across : across + width] += weight * there
        said = said[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
        np.copyto(self.picture, said[..., :3] / np.maximum(said[..., 3:], 1e-9), where=self.hole[..., None])

    def shifts(self) -> tuple[Float[np.ndarray, "h w 2"], Float[np.ndarray, "h w"]]:
        """Rows and columns from each pixel to somewhere known that looks alike, and how much alike it looks, 0-1: of
        the most frequent shifts of the patches the one that fits best around the pixel, so that neighbours agree."""
        found = np.stack([self.asked[axis][self.answers] - self.asking[axis] for axis in range(2)], axis=1)
        shifts, often = np.unique(found, axis=0, return_counts=True)
        shifts = shifts[np.argsort(-often, kind="stable")[:_SHIFTS]].astype(np.float32)
        best = np.full(self.hole.shape, np.inf, np.float32)
        out = np.zeros((*self.hole.shape, 2), np.float32)
        for shift in shifts:
            there = _shifted(self.picture, shift)
            known = _shifted((~self.hole).astype(np.float32), shift) > 0
            off = cv2.blur(channel_sum(np.square(there - self.picture)), (2 * _WIDER + 1,) * 2)
            off[~known] = np.inf
            better = off < best
            best[better], out[better] = off[better], shift
        return out, np.exp(-best / _ALIKE**2)


def _shifted(values: Any, shift: Any) -> Any:
    """Every pixel's value so many rows and columns away; 0 beyond the picture."""
    move = np.array([[1, 0, shift[1]], [0, 1, shift[0]]], np.float32)
    size = values.shape[1::-1]
    return cv2.warpAffine(values, move, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)


def _reduced(colours: Any, known: Any, side: int) -> tuple[Any, Any]:
    """What is known of a picture reduced to this longer side, and the share of every pixel that is."""
    shrink = min(1.0, side / max(known.shape))
    size = (max(8, round(known.shape[1] * shrink)), max(8, round(known.shape[0] * shrink)))
    share = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize((colours * known[..., None]).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return mean / np.maximum(share, 1e-3)[..., None], share


def _smooth(colours: Any, known: Any) -> Any:
    """A smooth surface through what lies off the hole: beside it shadows and rims of what covered it are left."""
    mean, share = _reduced(colours, known, _AROUND)
    whole = (share > 0.9).astype(np.uint8)
    off = cv2.erode(whole, np.ones((3, 3), np.uint8))
    return membrane(mean, (off if off.any() else whole) > 0)


def _patches(picture: Float[np.ndarray, "h w 3"]) -> Any:
    """The patch around every pixel, "h w c p p"; a view."""
    padded = np.pad(picture, ((_RADIUS,) * 2,) * 2 + ((0, 0),), mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, (2 * _RADIUS + 1,) * 2, axis=(0, 1))


def _nearest(asking: Float[np.ndarray, "n k"], asked: Float[np.ndarray, "m k"]) -> tuple[Any, Any]:
    """For every row of one the nearest row of the other, and its squared distance."""
    # |a - b|^2 less |a|^2 is one product: (a, 1) with (-2 b, |b|^2).
    ones = np.ones((len(asking), 1), asking.dtype)
    product, others = np.hstack([asking, ones]), np.vstack([-2 * asked.T, np.square(asked).sum(axis=1)])
    found = np.empty(len(asking), np.int64)
    off = np.square(asking).sum(axis=1)
    for start in range(0, len(asking), _ROWS):
        rows = slice(start, start + _ROWS)
        distance = product[rows] @ others
        best = distance.argmin(axis=1)
        found[rows] = best
        off[rows] += distance[np.arange(best.size), best]
    return found, np.maximum(off, 0)


def _detail(colours: Any, known: Any, coarse: Any, scale: _Scale) -> Any:
    """What is finer than the last scale, in the hole, from where the patches were found; 0 elsewhere."""
    size, full = scale.hole.shape, known.shape
    sharp = np.where(known[..., None], colours, coarse).astype(np.float32)
    blurred = cv2.resize(sharp, size[::-1], interpolation=cv2.INTER_AREA)
    fine = sharp - cv2.resize(blurred, full[::-1], interpolation=cv2.INTER_CUBIC)
    fine *= known[..., None]
    hole = np.nonzero(~known)
    cell = tuple(np.minimum(hole[k] * size[k] // full[k], size[k] - 1) for k in range(2))
    shifts, alike = scale.shifts()
    shift = shifts[cell]
    source = tuple(
        np.clip(hole[k] + np.rint(shift[:, k] * full[k] / size[k]), 0, full[k] - 1).astype(np.int64) for k in range(2)
    )
    out = np.zeros_like(sharp)
    out[hole] = alike[cell][:, None] * fine[source]
    return out
