"""Soft shadows and glows on an even ground become part of what casts them."""

import cv2
import numpy as np
import pytest

from lamina.decompose.coarse import Coarse
from lamina.decompose.edges import find_borders
from lamina.decompose.exact import make_exact
from lamina.decompose.lift import lift
from lamina.decompose.paint import Sheet, paint
from lamina.decompose.plate import Plate
from lamina.decompose.veil import Veil, _veiled, find_veil
from lamina.document.composite import flatten
from lamina.document.document import Document

SIZE = (240, 320)


def card(colour=(0, 0, 0), strength=0.5, ground=(228, 222, 205)):
    """A card on a plain ground, and what it casts: picture, card's mask, alpha of the shadow or glow."""
    mask = np.zeros(SIZE, np.float32)
    mask[80:160, 100:220] = 1
    cast = strength * cv2.GaussianBlur(np.roll(mask, 6, axis=0), (0, 0), 6)
    plain = np.full((*SIZE, 3), ground, np.float32)
    picture = plain + cast[..., None] * (np.array(colour, np.float32) - plain)
    picture = np.where(mask[..., None] > 0, np.float32([60, 120, 200]), picture)
    return np.floor(picture + 0.5).astype(np.uint8), mask, cast


def coarse_of(mask):
    small = cv2.resize(mask, (40, 30), interpolation=cv2.INTER_AREA)
    visible = np.stack([1 - small, small])
    rgb = np.full((2, 30, 40, 3), 0.5, np.float32)
    return Coarse(visible=visible, alpha=np.stack([np.ones_like(small), small]), rgb=rgb, confidence=np.ones(2))


@pytest.mark.parametrize(
    ("colour", "ground"), [((0, 0, 0), (228, 222, 205)), ((255, 60, 170), (20, 16, 40))], ids=["shadow", "glow"]
)
def test_its_alpha_and_colour_are_found(colour, ground):
    picture, mask, cast = card(colour, ground=ground)
    veil = find_veil(picture, find_borders((mask > 0).astype(np.uint8)))
    assert veil is not None
    alpha = cv2.resize(veil.premul[..., 3], SIZE[::-1])
    around = (mask == 0) & (cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0)
    assert np.abs(alpha - cast)[around].max() < 0.05
    strong = cv2.resize((cast > 0.1).astype(np.uint8), veil.premul.shape[1::-1]) * (veil.premul[..., 3] > 0.1) > 0
    found = veil.premul[strong][:, :3] / veil.premul[strong][:, 3:]
    assert np.abs(found.mean(axis=0) - colour).max() < 8


def sky_and_meadow():
    """A gradient of four stops above a flat colour: no gradient as a whole."""
    down = np.linspace(0, 1, SIZE[0])
    stops = ((30, 90, 200, 240), (40, 70, 110, 190), (120, 110, 110, 90))
    sky = np.stack([np.interp(down, (0, 0.2, 0.5, 1), stop) for stop in stops], axis=-1)
    picture = np.repeat(sky[:, None], SIZE[1], axis=1)
    picture[200:] = (60, 140, 50)
    return picture


def test_a_shadow_on_a_broken_gradient_is_found():
    _, mask, cast = card()
    picture = np.where(mask[..., None] > 0, (250, 250, 250), sky_and_meadow() * (1 - cast[..., None]))
    veil = find_veil(np.floor(picture + 0.5).astype(np.uint8), find_borders((mask > 0).astype(np.uint8)))
    assert veil is not None
    alpha = cv2.resize(veil.premul[..., 3], SIZE[::-1])
    around = (mask == 0) & (cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0) & (cast > 0.08)
    assert np.abs(alpha - cast)[around].mean() < 0.05
    assert alpha[cast < 0.005].max() < 0.05


def test_what_hides_the_ground_is_no_veil():
    """A soft white cloud on light blue would need an alpha of nearly one."""
    _, mask, cast = card(strength=1.0)
    cloud = np.clip(12 * cast, 0, 1)[..., None]
    picture = np.where(mask[..., None] > 0, (20, 60, 160), (225, 232, 242) + cloud * (30, 23, 13))
    veil = find_veil(np.floor(picture + 0.5).astype(np.uint8), find_borders((mask > 0).astype(np.uint8)))
    assert veil is None or veil.premul[..., 3].max() < 0.02


@pytest.mark.parametrize("spoil", ["restless ground", "hard thing", "endless"])
def test_what_is_no_veil_is_left_in_the_ground(spoil):
    picture, mask, _ = card(strength=0)
    if spoil == "restless ground":
        noise = np.random.default_rng(0).normal(0, 40, (24, 32, 3)).astype(np.float32)
        picture = np.clip(picture + cv2.resize(noise, SIZE[::-1]), 0, 255).astype(np.uint8)
    elif spoil == "hard thing":
        picture[120:130, 222:240] = (200, 30, 30)
    else:
        picture[165:175] = (200, 200, 180)
    veil = find_veil(picture, find_borders((mask > 0).astype(np.uint8)))
    assert veil is None or veil.premul[..., 3].max() < 0.02


@pytest.mark.parametrize(("restless_from", "is_veil"), [(240, True), (100, False)])
def test_a_difference_broken_off_where_the_ground_cannot_be_told_is_no_veil(restless_from, is_veil):
    """Half a shadow taken away shows more than a whole one left."""
    mask = card()[1]
    cast = 0.6 * cv2.GaussianBlur(mask, (0, 0), 8)
    noise = np.random.default_rng(0).normal(0, 40, (24, 32, 3)).astype(np.float32)
    ground = sky_and_meadow()
    ground[restless_from:] += cv2.resize(noise, SIZE[::-1])[restless_from:]
    picture = np.where(mask[..., None] > 0, (250, 250, 250), np.clip(ground, 0, 255) * (1 - cast[..., None]))
    veil = find_veil(np.floor(picture + 0.5).astype(np.uint8), find_borders((mask > 0).astype(np.uint8)))
    assert (veil is not None) == is_veil


def test_the_layer_takes_its_shadow_along_and_the_ground_is_bare():
    picture, mask, cast = card()
    rgba = np.dstack([picture, np.full(SIZE, 255, np.uint8)])
    layers, _ = make_exact(rgba, lift(rgba, coarse_of(mask)))
    assert np.array_equal(flatten(Document(width=SIZE[1], height=SIZE[0], layers=tuple(layers))), rgba)
    ground, thing = layers
    assert np.abs(ground.rgba[..., :3].astype(int) - (228, 222, 205)).max() <= 8
    alpha = np.zeros(SIZE, np.float32)
    alpha[thing.y : thing.y + thing.height, thing.x : thing.x + thing.width] = thing.rgba[..., 3] / 255
    assert np.abs(alpha - (mask + (1 - mask) * cast)).max() < 0.06


def test_a_wide_shadow_stays_with_its_thing_beside_another_one():
    mask, other = np.zeros((2, *SIZE), np.float32)
    mask[50:110, 90:230] = 1
    other[150:180, 110:210] = 1
    cast = 0.5 * cv2.GaussianBlur(np.roll(mask, 14, axis=0), (0, 0), 7)  # reaches beyond the middle of the gap
    plain = np.full((*SIZE, 3), (228, 222, 205), np.float32)
    picture = plain * (1 - cast[..., None])
    picture[mask > 0], picture[other > 0] = (60, 120, 200), (200, 60, 40)
    rgba = np.dstack([np.floor(picture + 0.5), np.full(SIZE, 255)]).astype(np.uint8)
    small = [cv2.resize(values, (40, 30), interpolation=cv2.INTER_AREA) for values in (mask, other)]
    visible = np.stack([1 - small[0] - small[1], *small])
    rgb = np.full((3, 30, 40, 3), 0.5, np.float32)
    alpha = np.stack([np.ones_like(small[0]), *small])
    layers, _ = make_exact(rgba, lift(rgba, Coarse(visible=visible, alpha=alpha, rgb=rgb, confidence=np.ones(3))))
    assert np.array_equal(flatten(Document(width=SIZE[1], height=SIZE[0], layers=tuple(layers))), rgba)
    gap = np.zeros(SIZE, bool)
    gap[112:146, 110:210] = True
    found = []
    for layer in layers:
        raster = np.zeros((*SIZE, 4), np.uint8)
        raster[layer.y : layer.y + layer.height, layer.x : layer.x + layer.width] = layer.rgba
        found.append(raster)
    assert np.abs(found[0][gap][:, :3].astype(int) - (228, 222, 205)).max() <= 8
    assert np.abs(found[1][..., 3] / 255 - cast)[gap & (cast > 0.06)].max() < 0.08
    assert found[2][gap][:, 3].max() < 26


def test_the_ground_below_an_opaque_veil_is_the_ground_around_not_black():
    picture, mask, _ = card(strength=0)
    picture[mask == 0] = (200, 190, 170)  # all of it a veil, which hides a ground known to be blue
    rgba = np.dstack([picture, np.full(SIZE, 255)]).astype(np.uint8)
    whole = (slice(0, SIZE[0]), slice(0, SIZE[1]))
    half = (SIZE[0] // 2, SIZE[1] // 2)

    def sheet(colour):
        values = np.broadcast_to(np.float32([*colour, 1]), (*half, 4)).copy()
        return Sheet(rows=whole[0], columns=whole[1], colour=values, whole=np.zeros(SIZE, np.float32))

    opaque = np.broadcast_to(np.float32([200, 190, 170, 1]), (*half, 4)).copy()
    veil = Veil(premul=opaque, owner=np.ones(SIZE, np.uint8))
    sheets = [sheet((40, 60, 120)), sheet((60, 120, 200))]
    ground = paint(rgba, rgba, find_borders((mask > 0).astype(np.uint8)), sheets, veil)[0]
    seen = ground.rgba[..., :3][(mask == 0) & (cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0)]
    assert np.abs(seen.astype(int) - (40, 60, 120)).max() <= 1


@pytest.mark.parametrize(("strip", "kept"), [((240, 210, 230), True), ((150, 144, 138), False)])
def test_beside_things_a_veil_takes_what_it_nearly_explains_and_no_bar_across(strip, kept):
    mask = np.zeros(SIZE, np.uint8)
    mask[90:150, 120:200] = 1
    picture = np.full((*SIZE, 3), (180, 170, 160), np.uint8)
    picture[86:154, 100:220] = strip
    picture[mask > 0] = (60, 120, 200)
    rgba = np.dstack([picture, np.full(SIZE, 255)]).astype(np.uint8)
    half = (SIZE[0] // 2, SIZE[1] // 2)
    sheets = [
        Sheet(
            rows=slice(0, SIZE[0]),
            columns=slice(0, SIZE[1]),
            colour=np.broadcast_to(np.float32([*colour, 1]), (*half, 4)).copy(),
            whole=np.zeros(SIZE, np.float32),
        )
        for colour in ((180, 170, 160), (60, 120, 200))
    ]
    faint = np.broadcast_to(np.float32([0, 0, 0, 0.12]), (*half, 4)).copy()  # darkens the ground by an eighth
    veil = Veil(premul=faint, owner=np.ones(SIZE, np.uint8))
    ground = paint(rgba, rgba, find_borders(mask), sheets, veil)[0].rgba[..., :3].astype(int)
    beside = ground[87, 130:190]
    bare = np.array([180, 170, 160])
    assert (np.abs(beside - bare).max() > 20) == kept


def uneven(*, texture: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A card with a shadow on a ground that is brighter around it than is told from farther off, or is streaked."""
    _, mask, cast = card()
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    bright = 24 * np.maximum(1 - np.hypot((rows - 120) / 90, (columns - 160) / 110), 0)
    if texture:
        bright = 2 * bright * np.sin(2 * np.pi * columns / 14)
        cast = np.zeros_like(cast)
    picture = np.clip(np.full((*SIZE, 3), (200, 190, 180), np.float32) + bright[..., None], 0, 255)
    picture = np.where(mask[..., None] > 0, (60, 120, 200), picture * (1 - cast[..., None]))
    return np.floor(picture + 0.5).astype(np.uint8), mask, cast


def test_a_shadow_beside_a_brighter_ground_is_found():
    picture, mask, cast = uneven(texture=False)
    veil = find_veil(picture, find_borders((mask > 0).astype(np.uint8)))
    assert veil is not None
    alpha = cv2.resize(veil.premul[..., 3], SIZE[::-1])
    dark = (mask == 0) & (cast > 0.2) & (cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0)
    assert alpha[dark].mean() > 0.6 * cast[dark].mean()


def test_texture_is_no_veil():
    picture, mask, _ = uneven(texture=True)
    veil = find_veil(picture, find_borders((mask > 0).astype(np.uint8)))
    assert veil is None or veil.premul[..., 3].mean() < 0.002


def test_a_lamp_keeps_its_glow_where_its_tower_throws_a_shadow() -> None:
    mask = np.zeros(SIZE, np.float32)
    mask[60:180, 140:180] = 1
    lamp = np.arange(SIZE[0])[:, None] < 90
    alpha = np.where(lamp, 0.5, 0.4) * cv2.GaussianBlur(mask, (0, 0), 8)
    ground = np.full((*SIZE, 3), (120, 70, 90), np.float32)
    cast = np.where(lamp[..., None], np.float32([255, 220, 130]), np.float32([10, 10, 20]))
    picture = np.where(mask[..., None] > 0, (200, 60, 50), ground + alpha[..., None] * (cast - ground))
    veil = find_veil(np.floor(picture + 0.5).astype(np.uint8), find_borders((mask > 0).astype(np.uint8)))
    assert veil is not None
    found = cv2.resize(veil.premul[..., 3], SIZE[::-1])
    beside = (alpha > 0.1) & (cv2.dilate(mask, np.ones((9, 9), np.uint8)) == 0)
    for where in (beside & lamp, beside & ~lamp):
        assert found[where].mean() > 0.6 * alpha[where].mean()


@pytest.mark.parametrize(("slope", "is_glow"), [(1.0, True), (0.6, False)])
def test_what_is_lighter_beside_a_shadow_is_a_glow_where_it_fades_soon(slope: float, is_glow: bool) -> None:
    """Left of a wall at the right edge it is lighter above, darker below; a ground brighter than told fades late."""
    away = np.tile(np.arange(80, 0, -1, dtype=np.float32), (100, 1))
    reach, above = 40.0, np.arange(100)[:, None] < 50
    light, dark = 20 * (1 - slope * away / reach), -40 * (1 - away / reach)
    difference = np.repeat((np.where(above, light, dark) * (away < reach))[..., None], 3, axis=2)
    flat = np.ones_like(away)
    plate = Plate(colour=np.full((*away.shape, 3), 120, np.float32), doubt=flat, reach=reach * flat, widest=reach)
    no = np.zeros(away.shape, bool)
    kept = _veiled(difference, np.abs(difference[..., 0]) / 120, np.abs(difference[..., 0]) > 2.5, plate, no, away, no)
    assert kept[80, 60]
    assert kept[20, 60] == is_glow
