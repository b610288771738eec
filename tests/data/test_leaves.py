"""Leaves: what is baked composites plainly to the same, with no more alpha than it takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.composite.blend import get_blend_func
from psd_tools.constants import BlendMode as PsdBlend
from psd_tools.constants import ColorMode

from lamina.data import drawn
from lamina.data.leaves import FOREIGN, Leaf, bake, paint, plain
from lamina.data.stack import cap
from lamina.document.layer import BlendMode, Box

CANVAS = Box(0, 0, 40, 30)


def leaf(rgba: np.ndarray, **values: Any) -> Leaf:
    return Leaf(**{"name": "a", "rgba": rgba, "x": 0, "y": 0, **values})


def noise(seed: int, *, opaque: bool = False) -> np.ndarray:
    rgba = np.random.default_rng(seed).integers(0, 256, (30, 40, 4)).astype(np.uint8)
    if opaque:
        rgba[..., 3] = 255
    return rgba


@pytest.mark.parametrize("mode", [*BlendMode, *FOREIGN])
def test_a_baked_layer_gives_the_blended_composite_by_plain_over(mode: str):
    below, above = noise(1, opaque=True), noise(2)
    made = plain([leaf(below), leaf(above, blend=mode, opacity=0.7)], CANVAS)
    shown = paint(made, CANVAS, 255)[..., :3]
    cb, cs = (np.ascontiguousarray(rgba[..., :3]).astype(np.float32) / 255 for rgba in (below, above))
    alpha = above[..., 3:] / 255 * 0.7
    theirs = get_blend_func(PsdBlend[mode.upper().replace("-", "_")], ColorMode.RGB)
    wanted = cb * (1 - alpha) + alpha * theirs(cb, cs)
    sure = np.abs(cb + cs - 1) > 1e-3 if mode == "hard-mix" else np.ones_like(cb, bool)  # a tie may fall either way
    assert np.abs(shown - wanted)[sure].max() < 1.6 / 255
    assert (made[-1].rgba[..., 3] <= np.ceil(alpha[..., 0] * 255) + 1).all()
    assert made[-1].baked == (mode != BlendMode.NORMAL)


def test_the_baked_alpha_is_the_least_that_will_do():
    before = np.full((1, 3, 3), 0.5, np.float32)
    after = np.array([[[0.25, 0.25, 0.25], [0.75, 0.5, 0.5], [0.5, 0.5, 0.5]]], np.float32)
    rgba = bake(before, after)
    assert rgba[0, :, 3].tolist() == [128, 128, 0]
    assert rgba[0, 0, :3].max() <= 1
    assert rgba[0, 1, 0] >= 254


def test_text_blended_by_power_keeps_its_colour_and_gets_another_alpha():
    white = np.full((30, 40, 4), 255, np.uint8)
    text = np.zeros((30, 40, 4), np.uint8)
    text[..., 3] = np.linspace(0, 255, 40).astype(np.uint8)
    made = plain([leaf(white), leaf(text, kind="text")], CANVAS, text_power=1.5)
    shown = paint(made, CANVAS, 255)[..., 0]
    wanted = (1 - text[..., 3] / 255) ** (1 / 1.5)
    assert np.abs(shown - wanted).max() < 1 / 255
    assert not made[1].rgba[..., :3].any()
    assert np.array_equal(plain([leaf(white), leaf(text, kind="text")], CANVAS)[1].rgba[..., 3], text[:, 1:, 3])


def test_merging_keeps_the_composite_and_what_overlaps_stays_in_order():
    rng = np.random.default_rng(3)
    leaves = [leaf(noise(0, opaque=True))]
    for k in range(14):
        width, height = int(rng.integers(4, 14)), int(rng.integers(4, 12))
        x, y = int(rng.integers(0, 40 - width)), int(rng.integers(0, 30 - height))
        leaves.append(leaf(noise(k)[:height, :width], x=x, y=y, name=str(k)))
    before = paint(leaves, CANVAS, 255)
    for most, always in ((20, True), (6, False), (1, False)):
        merged = cap(leaves, CANVAS, most, always=always)
        assert len(merged) <= most
        assert np.abs(paint(merged, CANVAS, 255) - before).max() < 4 / 255


def test_a_drop_shadow_falls_away_from_the_light_and_below_its_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    psd = PSDImage.new("RGB", (120, 100))
    psd.create_pixel_layer(Image.new("RGB", (120, 100), (200, 200, 200)), name="Ground")
    psd.create_pixel_layer(Image.new("RGB", (40, 30), (250, 20, 20)), name="Card", left=30, top=20)
    psd.save(tmp_path / "a.psd")
    shadow = SimpleNamespace(
        name="DropShadow",
        color={"r": 0.0, "g": 0.0, "b": 0.0},
        blend_mode=PsdBlend.MULTIPLY,
        **{"opacity": 50.0, "size": 4.0, "choke": 0.0, "distance": 10.0, "angle": 90.0, "layer_knocks_out": True},
    )
    monkeypatch.setattr(drawn, "_effects", lambda layer: [shadow] if layer.name == "Card" else [])
    leaves, notes = drawn.drawn_leaves(PSDImage.open(tmp_path / "a.psd"))
    assert notes == []
    assert [each.kind for each in leaves] == ["pixels", "shadow", "pixels"]
    made = plain(leaves, Box(0, 0, 120, 100))
    shown = paint(made, Box(0, 0, 120, 100), 255)[..., 0] * 255
    assert shown[52, 50] == pytest.approx(100, abs=2)  # half black on 200, below the card
    assert shown[35, 50] == 250
    assert shown[15, 50] == 200
    assert shown[56, 24] == 200
