"""Gates and captioners that another process can load by name, some of them bad."""

import os
import time

import numpy as np

from lamina.data.sample import Sample

__all__ = ["crash_on_red", "hang_on_blue", "mean_colour", "no_text"]


def crash_on_red(sample: Sample) -> str | None:
    """Kills its process for a picture whose top left pixel is pure red."""
    if tuple(sample.composite[0, 0]) == (255, 0, 0):
        os._exit(7)
    return None


def hang_on_blue(sample: Sample) -> str | None:
    """Never ends for a picture whose top left pixel is pure blue."""
    while tuple(sample.composite[0, 0]) == (0, 0, 255):
        time.sleep(0.05)
    return None


def no_text(sample: Sample) -> str | None:
    return "it has text" if "text" in sample.kinds else None


def mean_colour(rgb: np.ndarray) -> str:
    return "mean " + " ".join(str(round(float(value))) for value in rgb.mean(axis=(0, 1)))
