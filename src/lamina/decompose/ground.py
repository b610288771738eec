"""How far colour is believed about the ground: factors on what a network says of it. Knows pixels only."""

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["ground_odds"]

_TELLING = (0.05, 0.97)
"""Shares of the canvas between which a ground found by colour is believed."""


def ground_odds(reached: Bool[np.ndarray, "h w"], near: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"] | None:
    """Factors on the ground's weight by what `lamina.model.cues.border_ground` found; None where that tells nothing.

    e where a pixel hangs on the border, e^0.5 where it has a colour of the border but is enclosed, as the inside of a
    letter, 1/e elsewhere.
    """
    if not _TELLING[0] < reached.mean() < _TELLING[1]:
        return None
    hangs, enclosed, differs = (np.float32(np.exp(power)) for power in (1.0, 0.5, -1.0))
    return np.where(reached, hangs, np.where(near, enclosed, differs))
