"""Tidy a map of labels: small things stay whole, specks and patches that a thing encloses join what is around them.

Knows labels and the picture; nothing of networks or alphas.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Int, UInt8

from lamina.decompose.agree import common_borders
from lamina.decompose.fill import membrane
from lamina.pixels import box_slices, channel_max

__all__ = [
    "close_gaps",
    "connected",
    "join_moved",
    "join_pieces",
    "join_specks",
    "keep_off_ground",
    "keep_whole",
    "untorn",
]

_SPECK = 80
"""A speck is smaller than the square of the longer side over this."""

_FAINT = 30.0
"""What differs by less (0-255) from its surroundings is a speck, what differs by more may be a dot."""

_SURROUNDED = 0.8
"""Share of a speck's border that one other label has."""

_NO_EDGE, _OPEN = 3.0, 0.15
"""What differs by less along this share of its border is a piece of what is beyond."""

_SET_OFF = 15.0
"""What differs by more in the mean from those it was given to, along its border with them, is none of theirs."""

_WHOLLY, _SHEET, _UNEVEN = 0.95, 64, 8.0
"""A sheet is larger than the square of the longer side over the second, of one colour (standard deviation, 0-255) and
away from the canvas's rim; it becomes ground from this share on."""

_SAME = 4.0
"""What differs by less (0-255) from the ground around has its colour."""

_SMALL = 0.03
"""A thing that covers less of the canvas than this is not cut in two."""

_GAP = 0.01
"""A gap in a thing is smaller than this share of the canvas."""

_GAP_WITHIN = 0.6
"""Share of a gap's border that lies on one thing."""

_GAP_OF_THING = 0.03
"""And has less than this share of the part of the thing that it lies in: the counter of a letter has more."""

_GAP_UNLIKE = 25.0
"""A hole in a thing, as in a ring, differs by less (0-255) from the ground around the thing; a gap by more."""

_GLINT = (3e-4, 3e-3)
"""A gap below these shares of the canvas and of its thing is a glint on it, whatever it looks like, ..."""

_MESH = 1e-2
"""... unless such gaps are more than this share of the thing: then it is a mesh."""

_GAP_SCALE = 4
"""The ground's colour is continued at so many times less than working size."""


def join_specks(
    label: UInt8[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"], letters: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Labels where small islands of hardly another colour have that of what surrounds them, unless they are letters."""
    parts, area, owner = connected(label)
    inked = np.bincount(parts[letters], minlength=area.size)
    speck = (area < (max(label.shape) / _SPECK) ** 2) & (2 * inked < area)
    return _joined(parts, owner, speck, common_borders(parts, rgb), _SURROUNDED, _FAINT)


def join_moved(
    label: UInt8[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"], before: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Labels where islands that had another one `before`, set off from their new own and by nothing from what else is
    beside them, have its label: the red of a tower that went to a red sky."""
    count = int(max(label.max(), before.max())) + 1
    parts, _, owner = connected(np.where(label != before, label + count, label).astype(np.uint8))
    moved = owner >= count
    if not moved.any():
        return label
    new = (owner % count).astype(np.uint8)
    inner, outer, step = _steps_out_of(moved, parts, rgb)
    own, bare = new[outer] == new[inner], step < _NO_EDGE
    border, with_own = np.bincount(inner, minlength=new.size), np.bincount(inner[own], minlength=new.size)
    set_off = np.bincount(inner[own], step[own], new.size) > _SET_OFF * np.maximum(with_own, 1)
    pairs, length = np.unique(inner[bare] * new.size + outer[bare], return_counts=True)
    inner, outer = pairs // new.size, pairs % new.size
    joins = np.flatnonzero((length > _OPEN * border[inner]) & set_off[inner])
    joins = joins[np.argsort(length[joins], kind="stable")]  # the longest one is heard last
    new[inner[joins]] = owner[outer[joins]]
    return new[parts]


def untorn(
    label: UInt8[np.ndarray, "h w"],
    before: UInt8[np.ndarray, "h w"],
    rgb: UInt8[np.ndarray, "h w 3"],
    regions: Int[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w"]:
    """Labels where no region of one colour that was an upper layer's became ground in part: a white card on a page that
    is nearly white is the layer's again, what has the very colour of the page is what most of it is."""
    area = np.maximum(np.bincount(regions.ravel()), 1)
    lost, upper = (
        np.bincount(regions[where], minlength=area.size) for where in ((label == 0) & (before > 0), before > 0)
    )
    torn = (lost > 0) & (lost < _WHOLLY * area) & (upper > area / 2) & (area > (max(label.shape) / _SHEET) ** 2)
    for rim in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        torn[rim] = False
    if not torn.any():
        return label
    places = np.nonzero(torn[regions])
    of, here = regions[places], rgb[places].astype(np.float32)
    off = here - _continued(rgb, before == 0)[places]
    mean, square, strange = (
        np.stack([np.bincount(of, one, area.size) for one in values.T]) / area
        for values in (here, np.square(here), off)
    )
    torn &= (square - np.square(mean)).max(axis=0) < _UNEVEN**2
    count = int(before.max()) + 1
    most = np.bincount(of * np.int64(count) + before[places], minlength=area.size * count).reshape(-1, count)
    owner = most[:, 1:].argmax(axis=1) + 1
    owner[(np.abs(strange).max(axis=0) < _SAME) & (lost > area / 2)] = 0
    return np.where(torn[regions], owner[regions], label).astype(np.uint8)


def _steps_out_of(which: Any, parts: Any, rgb: Any) -> tuple[Any, Any, Any]:
    """For every pixel border between a part of `which` and another: both parts, the step of colour (0-255)."""
    found: list[Any] = []
    for one, other in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        ys, xs = np.nonzero((parts[one] != parts[other]) & (which[parts[one]] != which[parts[other]]))
        pair = np.stack([parts[one][ys, xs], parts[other][ys, xs]])
        step = channel_max(np.abs(rgb[one][ys, xs].astype(np.int16) - rgb[other][ys, xs]))
        found.append(np.vstack([np.where(which[pair[0]], pair, pair[::-1]), step]))
    inner, outer, step = np.hstack(found).astype(np.int64)
    return inner, outer, step


def join_pieces(label: UInt8[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """Labels where islands of any size that nothing sets off from what is beside them have its label, unless they are
    most of their own: a strip of sky that has the colour of the sea, what a letter half encloses of a card."""
    parts, area, owner = connected(label)
    lesser = np.ones(area.size, bool)
    lesser[[np.where(owner == number, area, 0).argmax() for number in np.unique(owner)]] = False
    return _joined(parts, owner, lesser, common_borders(parts, rgb), _OPEN, _NO_EDGE)


def _joined(
    parts: Int[np.ndarray, "h w"],
    owner: UInt8[np.ndarray, " n"],
    which: Bool[np.ndarray, " n"],
    borders: tuple[Any, Any, Any, Any],
    along: float,
    faint: float,
) -> UInt8[np.ndarray, "h w"]:
    """Labels of the parts, those of `which` having that of another one, where they differ from it by less than `faint`
    along more than this share of their border."""
    first, second, length, step = borders
    pairs = [(one, other, length, step) for one, other in ((first, second), (second, first))]
    inner, outer, length, step = (np.concatenate([pair[k] for pair in pairs]) for k in range(4))
    border = np.bincount(inner, length, owner.size)
    joins = np.flatnonzero(which[inner] & ~which[outer] & (length > along * border[inner]) & (step < faint))
    joins = joins[np.argsort(length[joins], kind="stable")]  # the longest one is heard last
    new = owner.copy()
    new[inner[joins]] = owner[outer[joins]]
    return new[parts]


def keep_whole(label: UInt8[np.ndarray, "h w"], letters: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Labels where every small thing, as an icon or part of one, has the one label that most of it has.

    A thing is what stands by itself on the ground, then on the next label, and so on upwards. Letters do not become
    ground that way: scraps of it between them may have more pixels than thin strokes.
    """
    before, label = label, label.copy()
    count = int(label.max()) + 1
    for number in range(count):
        parts_found: Any = cv2.connectedComponentsWithStats((label != number).astype(np.uint8), connectivity=8)
        things, parts, stats, _ = parts_found
        small = stats[:, cv2.CC_STAT_AREA] < _SMALL * label.size
        small[0] = False
        if not small.any():
            continue
        at = np.flatnonzero(small[parts])
        thing = parts.take(at)
        inside = np.bincount(thing.astype(np.int64) * count + label.take(at), minlength=things * count)
        label.put(at, inside.reshape(things, count).argmax(axis=1)[thing])
    return keep_off_ground(label, before, letters)


def keep_off_ground(
    label: UInt8[np.ndarray, "h w"], before: UInt8[np.ndarray, "h w"], letters: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Labels where letters that have become ground are what they were `before`."""
    return np.where(letters & (label == 0), before, label)


def close_gaps(label: UInt8[np.ndarray, "h w"], rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """Labels where small islands of the ground inside a thing are the thing's, unless they look like the ground; glints
    are always."""
    found: Any = cv2.connectedComponentsWithStats((label == 0).astype(np.uint8), connectivity=4)
    _, parts, stats, _ = found
    left, top, width, height, area = stats.T
    inside = (left > 0) & (top > 0) & (left + width < label.shape[1]) & (top + height < label.shape[0])
    small = inside & (area < _GAP * label.size)
    small[0] = False
    if not small.any():
        return label
    ground = _continued(rgb, (label == 0) & ~small[parts])
    things, thing_area, owner = connected(label)
    out = label.copy()
    glints: list[tuple[int, int]] = []
    for number in np.flatnonzero(small):
        rows = slice(top[number] - 1, top[number] + height[number] + 1)
        columns = slice(left[number] - 1, left[number] + width[number] + 1)
        island = parts[rows, columns] == number
        rim = (cv2.dilate(island.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~island
        around, length = np.unique(things[rows, columns][rim], return_counts=True)
        thing, most = int(around[length.argmax()]), length.max()
        if most < _GAP_WITHIN * rim.sum() or area[number] >= _GAP_OF_THING * thing_area[thing]:
            continue
        unlike = rgb[rows, columns][island] - ground[rows, columns][island]
        if np.abs(unlike).mean(axis=0).max() >= _GAP_UNLIKE:
            out[rows, columns][island] = owner[thing]
        elif area[number] < min(_GLINT[0] * label.size, _GLINT[1] * thing_area[thing]):
            glints.append((int(number), thing))
    through = np.bincount([thing for _, thing in glints], [area[number] for number, _ in glints], thing_area.size)
    new = np.zeros(area.size, np.uint8)
    for number, thing in glints:
        if through[thing] < _MESH * thing_area[thing]:
            new[number] = owner[thing]
    return np.where(new[parts] > 0, new[parts], out)


def _continued(rgb: UInt8[np.ndarray, "h w 3"], known: Any) -> Any:
    """Colours (0-255) continued smoothly from where they are known; only about right."""
    height, width = known.shape
    size = max(1, width // _GAP_SCALE), max(1, height // _GAP_SCALE)
    share = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize((rgb * known[..., None]).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mean /= np.maximum(share, 1e-3)[..., None]
    return cv2.resize(membrane(mean, share > 0.9), (width, height), interpolation=cv2.INTER_LINEAR)


def connected(label: UInt8[np.ndarray, "h w"]) -> tuple[Int[np.ndarray, "h w"], Any, UInt8[np.ndarray, " n"]]:
    """Number the connected parts of equal label from 0 on, with their areas and labels."""
    parts = np.zeros(label.shape, np.int32)
    owner = list[Any]()
    for number in np.flatnonzero(np.bincount(label.ravel())):
        mask = label == number
        box = box_slices(mask)
        count, own = cv2.connectedComponents(mask[box].astype(np.uint8), connectivity=4)
        np.copyto(parts[box], own + (len(owner) - 1), where=mask[box])
        owner += [number] * (count - 1)
    return parts, np.bincount(parts.ravel()), np.array(owner, np.uint8)
