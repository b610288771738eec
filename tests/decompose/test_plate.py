"""The bare ground beside things is told where it can be, and only there."""

import cv2
import numpy as np

from lamina.decompose.plate import find_plate

SIZE = (240, 320)


def thing():
    mask = np.zeros(SIZE, bool)
    mask[80:160, 110:210] = True
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return mask, np.where(mask, 0, away).astype(np.float32)


def sky():
    """A gradient of many stops above, a flat meadow below: no gradient as a whole."""
    down = np.linspace(0, 1, SIZE[0])
    colours = np.stack([np.interp(down, (0, 0.2, 0.5, 1), c) for c in ((30, 90, 200, 240), (40, 70, 110, 190))], -1)
    picture = np.dstack([np.repeat(colours[:, None], SIZE[1], axis=1), np.full(SIZE, 120.0)])
    picture[200:] = (60, 140, 50)
    return picture.astype(np.float32)


def shaded(picture):
    """Dark within 20 px of the thing, and what was there before."""
    mask, away = thing()
    dark = np.where(mask, 0, np.clip(1 - away / 20, 0, 1))[..., None] * 0.5
    return picture * (1 - dark.astype(np.float32))


def test_below_a_shadow_the_sky_goes_on_and_the_meadow_stays():
    mask, away = thing()
    plate = find_plate(shaded(sky()), ~mask, away, 320)
    told = plate.reach > 0
    beside = ~mask & (away < 20)
    assert told[beside].mean() > 0.8
    assert np.abs(plate.colour - sky())[told & beside].max() < 10


def test_an_even_ground_is_told_between_things_too():
    mask, away = thing()
    mask[80:160, 212:300] = True  # a gap of two pixels that no bare ground is seen in
    away = np.where(mask, 0, cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)).astype(np.float32)
    plate = find_plate(np.full((*SIZE, 3), (220, 210, 190), np.float32), ~mask, away, 320)
    assert (plate.reach[80:160, 210:212] > 0).all()
    assert np.abs(plate.colour[80:160, 210:212] - (220, 210, 190)).max() < 0.01


def test_a_restless_ground_is_not_told():
    mask, away = thing()
    noise = np.random.default_rng(0).normal(128, 50, (24, 32, 3)).astype(np.float32)
    plate = find_plate(cv2.resize(noise, SIZE[::-1]), ~mask, away, 320)
    assert (plate.reach[~mask & (away < 20)] > 0).mean() < 0.1


def test_a_hard_edge_parts_the_ground():
    """Told from its own side, each side of an edge that runs towards the thing is itself."""
    mask, away = thing()
    picture = np.zeros((*SIZE, 3), np.float32)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    wave = (np.sin(x / 9) * 30)[..., None].astype(np.float32)
    picture[:120] = 60 + wave[:120] * 0.1
    picture[120:] = 180 + wave[120:] * 0.1
    ground = ~mask
    ground[119:121] = False
    plate = find_plate(picture, ground, away, 320)
    told = (plate.reach > 0) & ground & (y != 119) & (y != 120)
    assert told[ground & (away < 20)].mean() > 0.8
    assert np.abs(plate.colour - picture)[told].max() < 12


def test_soft_rims_of_a_thing_lead_from_no_piece_to_another():
    """The thing stands before a horizon, whose edge is not seen to be hard where the thing's own rim is."""
    mask, away = thing()
    slope = np.arange(SIZE[1]) * 0.15 + 100
    hill = np.arange(SIZE[0])[:, None] > slope
    picture = np.where(hill[..., None], np.float32((90, 70, 110)), sky())
    edge = cv2.morphologyEx(hill.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    plate = find_plate(shaded(picture), ~mask & ~(edge & (away > 3)), away, 320)
    beside = ~mask & ~edge & (away > 1.5) & (away < 20)
    assert (plate.reach[beside] > 0).mean() > 0.9
    assert np.abs(plate.colour - picture)[beside & (plate.reach > 0)].mean() < 4
