"""A picture at the size that labels are found on, and what it tells by itself, without a network. Knows pixels only."""

from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from lamina.decompose.ground import ground_odds
from lamina.decompose.letters import lines, printed
from lamina.decompose.regions import segment
from lamina.decompose.together import together
from lamina.model.cues import border_ground
from lamina.pixels import bleed, channel_max

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Working"]

_AREA, _SIDE = 1024 * 819, 1280
"""Pixels of the working picture, and its longer side, at most."""

_ALL_ROUND = 0.95
"""Share of the picture's rim that is a page's."""

_EVEN, _SAME = 0.75, 3
"""Share of a page that has one colour, and how far off (0-255) it may be."""


class Working:
    """The working picture; each thing it tells is found when first asked for, and once."""

    def __init__(self, picture: UInt8[np.ndarray, "h w 4"]) -> None:
        self.opaque = bool((picture[..., 3] == 255).all())
        self.source: UInt8[np.ndarray, "h w 4"] = picture if self.opaque else bleed(picture)
        """The picture, with colour under its alpha."""
        height, width = picture.shape[:2]
        shrink = min(1.0, _SIDE / max(height, width), (_AREA / (height * width)) ** 0.5)
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        self.rgb: UInt8[np.ndarray, "H W 3"] = np.ascontiguousarray(
            cv2.resize(self.source, size, interpolation=cv2.INTER_AREA)[..., :3]
        )
        self.scale = (size[0] / width, size[1] / height)
        """Working pixels per pixel of the picture, across and down."""

    @cached_property
    def regions(self) -> Int[np.ndarray, "H W"]:
        """Regions of even colour."""
        return segment(self.rgb)

    @cached_property
    def lines(self) -> Int[np.ndarray, "H W"]:
        """Lines of letters, from 1 on."""
        return lines(self.rgb, self.regions)

    @cached_property
    def printed(self) -> Bool[np.ndarray, "H W"]:
        """Lines of letters on an even ground."""
        return printed(self.rgb, self.lines)

    @cached_property
    def ground(self) -> tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
        """What hangs together with the border in colour, and what has a colour of the border."""
        return border_ground(self.rgb)

    @cached_property
    def odds(self) -> Float[np.ndarray, "H W"] | None:
        """Factors on the ground's weight by colour; None where colour tells nothing, as where a picture has alpha.

        Letters in a colour of the border are letters: white ones on a button are no holes in it.
        """
        if not self.opaque:
            return None
        reached, near = self.ground
        return ground_odds(reached & ~self.printed, near & ~self.printed)

    @cached_property
    def page(self) -> Bool[np.ndarray, "H W"] | None:
        """What has the colour of the one region that goes round an opaque picture, in that region; None where none
        does, or it is of no one colour. All else lies on it."""
        if not self.opaque:
            return None
        rim = np.concatenate([self.regions[0], self.regions[-1], self.regions[:, 0], self.regions[:, -1]])
        share = np.bincount(rim) / rim.size
        if share.max() < _ALL_ROUND:
            return None
        page = self.regions == share.argmax()
        colours = self.rgb[page].astype(np.int16)
        alike = channel_max(np.abs(colours - np.median(colours, axis=0).astype(np.int16))) <= _SAME
        page[page] = alike
        return page if alike.mean() > _EVEN else None

    def tell(self) -> None:
        """Find out all that a lift asks for."""
        together(lambda: self.lines, lambda: self.ground)
        _ = self.odds, self.page
