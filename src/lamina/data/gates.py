"""Content gates: predicates on a sample that give a reason to drop it, or None.

A gate is any `Callable[[Sample], str | None]`; on the command line it is named `module:function`. The first three
always run; `blurred_faces` is asked for by name. Knows samples only.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from lamina.data.sample import Sample
from lamina.errors import InputError

__all__ = ["ALWAYS", "Gate", "blurred_faces", "named", "nearly_uniform", "one_holds_all", "too_small"]

Gate = Callable[[Sample], str | None]

_LEAST_SIDE = 96  # px
_LEAST_SPREAD = 3.0  # of 255
_ALL = 0.995
_FACE_SCALES = ((480, 40), (160, 24))
"""(longer side of the picture, smallest face) in px: a blurred face is found where shrinking makes it look sharp; the
cascade's own window is 24 px."""

_BLURRED = 35.0


def too_small(sample: Sample) -> str | None:
    """Pictures too small to learn from."""
    height, width = sample.composite.shape[:2]
    return f"its short side is {min(width, height)} px" if min(width, height) < _LEAST_SIDE else None


def nearly_uniform(sample: Sample) -> str | None:
    """Pictures that show next to nothing."""
    step = max(1, min(sample.composite.shape[:2]) // 256)  # a grid of pixels tells as much as all
    spread = float(sample.composite[::step, ::step].reshape(-1, 3).std(axis=0).max())
    return f"its colours spread by {spread:.1f} of 255" if spread < _LEAST_SPREAD else None


def one_holds_all(sample: Sample) -> str | None:
    """Pictures of one layer, or where one layer above the ground hides everything else."""
    if len(sample.layers) < 2:
        return "one layer holds all"
    seen = np.ones(sample.layers.shape[1:3], np.float32)
    for number in range(len(sample.layers) - 1, -1, -1):
        alpha = sample.layers[number, ..., 3].astype(np.float32) / 255
        if float((alpha * seen).mean()) > _ALL:
            return "one layer holds all"
        seen *= 1 - alpha
    return None


def blurred_faces(sample: Sample) -> str | None:
    """Pictures with a face that someone made unrecognizable.

    Frontal faces by the local binary pattern cascade that scikit-image carries; a face is blurred when the Laplacian
    of its grey values, at 64 px, varies by less than 35. Sees no profiles and no pixelated faces.
    """
    rgb = sample.composite
    for left, top, side in _faces(rgb):
        face = cv2.cvtColor(np.ascontiguousarray(rgb[top : top + side, left : left + side]), cv2.COLOR_RGB2GRAY)
        small = cv2.resize(face, (64, 64), interpolation=cv2.INTER_AREA)
        sharpness = float(np.asarray(cv2.Laplacian(small, cv2.CV_64F)).var())
        if sharpness < _BLURRED:
            return f"a face at {left}, {top} is blurred (sharpness {sharpness:.0f})"
    return None


ALWAYS: tuple[Gate, ...] = (too_small, nearly_uniform, one_holds_all)
"""The gates that every sample passes."""


def named(name: str, what: str = "gate") -> Callable[..., Any]:
    """The function called `module:function`, looked up where Python does and in the current folder.

    Raises InputError when there is none.
    """
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise InputError(f"{what} '{name}' is not of the form module:function")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"there is no {what} '{name}': {error}") from error
    if not callable(found):
        raise InputError(f"{what} '{name}' is a {type(found).__name__}, expected a function")
    return found


def _faces(rgb: UInt8[np.ndarray, "h w 3"]) -> list[tuple[int, int, int]]:
    """Left, top and side of each frontal face, in px of the picture; one face may come up more than once."""
    found: list[tuple[int, int, int]] = []
    for side, least in _FACE_SCALES:
        shrink = min(1.0, side / max(rgb.shape[:2]))
        size = (max(1, round(rgb.shape[1] * shrink)), max(1, round(rgb.shape[0] * shrink)))
        if min(size) <= least:
            continue
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        faces = _cascade().detect_multi_scale(
            img=small,
            scale_factor=1.2,
            step_ratio=1,
            min_size=(least, least),
            max_size=(min(size), min(size)),
            min_neighbor_number=4,
        )
        found += [(int(f["c"] / shrink), int(f["r"] / shrink), int(f["width"] / shrink)) for f in faces]
    return found


@functools.cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())
