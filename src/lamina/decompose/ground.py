"""How far colour is believed about the ground: factors on what a network says of it. Knows pixels only."""

import numpy as np
from jaxtyping import Float, UInt8

from lamina.model.cues import border_ground

__all__ = ["ground_odds"]

_TELLING = (0.05, 0.97)
"""Shares of the canvas between which a ground found by colour is believed."""


def ground_odds(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"] | None:
    """Factors on the ground's weight by colour; None where colour tells nothing. Deterministic.

    e where a pixel hangs on the border, e^0.5 where it has a colour of the border but is enclosed, as the inside of a
    letter, 1/e elsewhere.
    """
    reached, near = border_ground(rgb)
    if not _TELLING[0] < reached.mean() < _TELLING[1]:
        return None
    return np.exp(np.where(reached, 1.0, np.where(near, 0.5, -1.0))).astype(np.float32)
