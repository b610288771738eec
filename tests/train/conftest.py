"""A tiny art bank drawn on the spot, so that scenes need no packages."""

from functools import lru_cache

import numpy as np
import pytest
from PIL import ImageFont

from lamina.data import lettering
from lamina.data.art import Bank


@lru_cache(maxsize=100)
def default_font(pixel: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(pixel)


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Six round cut-outs and four grounds; text in the font that comes with Pillow."""
    rng = np.random.default_rng(0)
    chunks: list[np.ndarray] = []
    cutouts: list[tuple[float, ...]] = []
    grounds: list[tuple[float, ...]] = []
    offset = 0
    y, x = np.mgrid[0:64, 0:64]
    for index in range(6):
        rgba = np.empty((64, 64, 4), np.uint8)
        rgba[..., :3] = rng.integers(0, 256, 3)
        rgba[..., 3] = np.where(np.hypot(x - 32, y - 32) < 20 + index, 255, 0)
        cutouts.append((offset, 64, 64, 4, 1.0, 0.0))
        chunks.append(rgba.reshape(-1))
        offset += rgba.size
    for index in range(4):
        rgb = rng.integers(0, 256, (210, 220, 3)).astype(np.uint8)
        grounds.append((offset, 210, 220, 3, 1.0, float(index % 2)))
        chunks.append(rgb.reshape(-1))
        offset += rgb.size
    monkeypatch.setattr(lettering, "_font", lambda _path, pixel: default_font(pixel))
    return Bank(np.concatenate(chunks), np.array(cutouts), np.array(grounds), ("any",))
