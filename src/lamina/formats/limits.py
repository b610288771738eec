"""How much a file may make us allocate, checked on declared sizes before any pixel is decoded.

Knows sizes only; every reader asks here first, so that a small broken or hostile file cannot fill the memory.
"""

from lamina.errors import FormatError
from lamina.pixels import MAX_PIXELS

__all__ = ["LARGEST_FILE", "MAX_PIXELS", "MAX_TOTAL_PIXELS", "PixelBudget"]

LARGEST_FILE = 2**31
"""Largest file that is read, in bytes."""

MAX_TOTAL_PIXELS = 8 * MAX_PIXELS
"""Largest sum over all rasters of one file: 2 GB of stored pixels."""


class PixelBudget:
    """Counts the pixels one file has asked for."""

    def __init__(self) -> None:
        self.spent = 0

    def take(self, width: int, height: int, what: str) -> None:
        """Allow a raster of this size; raises FormatError when it is empty, too large, or one too many."""
        if width < 1 or height < 1:
            raise FormatError(f"{what} is {width}x{height}, expected at least one pixel each way")
        if width * height > MAX_PIXELS:
            raise FormatError(f"{what} is {width}x{height}, over the limit of {MAX_PIXELS // 10**6} megapixels")
        self.spent += width * height
        if self.spent > MAX_TOTAL_PIXELS:
            raise FormatError(
                f"the layers hold over {MAX_TOTAL_PIXELS // 10**6} megapixels together, more than is read"
            )
