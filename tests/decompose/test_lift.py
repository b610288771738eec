"""Lifting a network's small layers to the picture's own size."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lamina.decompose.coarse import Coarse
from lamina.decompose.exact import make_exact
from lamina.decompose.lift import lift
from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import Layer


def disc(height, width, centre, radius):
    """Antialiased coverage of a disc, 0-1."""
    fine = np.zeros((height * 4, width * 4), np.uint8)
    cv2.circle(fine, (centre[0] * 4, centre[1] * 4), radius * 4, 255, -1)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)


def scene(height=180, width=240):
    """A gradient, a blue disc and a white bar wholly on it: straight colours and coverages, bottom first."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    gradient = np.stack([60 + 0.5 * x, 180 - 72 * y / height, np.full_like(x, 90)], axis=-1)
    bar = np.zeros((height, width), np.float32)
    bar[80:96, 80:150] = 1
    colours = [gradient, np.full_like(gradient, (30, 40, 200)), np.full_like(gradient, 250)]
    return colours, [np.ones_like(x), disc(height, width, (115, 90), 60), bar]


def flat(colours, alphas):
    picture = np.zeros_like(colours[0])
    for colour, alpha in zip(colours, alphas, strict=True):
        picture += alpha[..., None] * (colour - picture)
    return np.dstack([np.round(picture), np.full(picture.shape[:2], 255)]).astype(np.uint8)


def coarse_of(colours, alphas, size=(32, 24)):
    def small(values):
        return cv2.resize(np.ascontiguousarray(values, np.float32), size, interpolation=cv2.INTER_AREA)

    seen, through = [], np.ones_like(alphas[0])
    for alpha in reversed(alphas):
        seen.insert(0, small(through * alpha))
        through = through * (1 - alpha)
    return Coarse(
        visible=np.stack(seen),
        alpha=np.stack([small(alpha) for alpha in alphas]),
        rgb=np.stack([small(colour / 255) for colour in colours]),
        confidence=np.ones(len(alphas), np.float32),
    )


def on_canvas(layer, height=180, width=240):
    canvas = np.zeros((height, width, 4), np.uint8)
    canvas[layer.y : layer.y + layer.height, layer.x : layer.x + layer.width] = layer.rgba
    return canvas


def test_layers_get_the_pictures_own_edges_and_whole_hidden_parts():
    colours, alphas = scene()
    layers = lift(flat(colours, alphas), coarse_of(colours, alphas))
    for layer, truth in zip(layers, alphas, strict=True):
        alpha = on_canvas(layer)[..., 3] / 255
        assert np.minimum(alpha, truth).sum() / np.maximum(alpha, truth).sum() > 0.985
    assert (on_canvas(layers[1])[82:94, 82:148, 3] == 255).all(), "the disc is whole below the bar"


def test_a_layer_ends_under_another_where_the_network_says_so() -> None:
    colours, alphas = scene()
    alphas[2][70:110, 80:150] = 1
    coarse = coarse_of(colours, alphas)
    whole = on_canvas(lift(flat(colours, alphas), coarse)[1])
    coarse.alpha[1] *= 0.1
    cut = on_canvas(lift(flat(colours, alphas), coarse)[1])
    hidden = (alphas[1] > 0) & (alphas[2] > 0)
    assert whole[..., 3][hidden].mean() > 240
    assert cut[..., 3][hidden].mean() < 60


def test_below_something_small_a_layer_goes_on_whatever_the_network_says() -> None:
    colours, alphas = scene()
    alphas[2] = np.zeros_like(alphas[2])
    alphas[2][80:96, 90:130] = 1
    coarse = coarse_of(colours, alphas)
    coarse.alpha[1] *= 0.1
    card = on_canvas(lift(flat(colours, alphas), coarse)[1])
    assert (card[82:94, 92:128, 3] == 255).all()


def test_a_layer_reaches_below_what_covers_its_rim_where_the_network_is_sure() -> None:
    colours, alphas = scene()
    alphas[2] = np.zeros_like(alphas[2])
    alphas[2][40:140, 150:215] = 1  # over the right part of the disc and of the ground beside it
    coarse = coarse_of(colours, alphas)
    whole = on_canvas(lift(flat(colours, alphas), coarse)[1])[..., 3] / 255
    assert np.minimum(whole, alphas[1]).sum() / np.maximum(whole, alphas[1]).sum() > 0.95
    coarse.alpha[1] *= 0.6
    cut = on_canvas(lift(flat(colours, alphas), coarse)[1])[..., 3] / 255
    assert cut[(alphas[1] > 0) & (alphas[2] > 0)].mean() < 0.15


def test_the_ground_is_continued_without_a_ghost_of_what_lay_on_it():
    colours, alphas = scene()
    ground = on_canvas(lift(flat(colours, alphas), coarse_of(colours, alphas))[0])
    assert (ground[..., 3] == 255).all()
    assert np.abs(ground[..., :3] - colours[0]).max() < 6
    assert np.abs(ground[..., :3] - colours[0]).mean() < 0.6


def test_a_shadow_beside_an_object_does_not_darken_the_ground_below_it():
    colours, alphas = scene()
    shaded = [colours[0] * (1 - 0.3 * np.roll(alphas[1], 4, axis=0))[..., None], *colours[1:]]
    ground = on_canvas(lift(flat(shaded, alphas), coarse_of(colours, alphas))[0])
    below = alphas[1] > 0
    assert np.abs(ground[below][:, :3] - colours[0][below]).mean() < 8


def test_a_coarse_guess_counts_only_where_a_layer_is_seen_nowhere():
    colours, alphas = scene()
    ghost = [np.full_like(colours[0], 255), *colours[1:]]
    ground = on_canvas(lift(flat(colours, alphas), coarse_of(ghost, alphas))[0])
    assert np.abs(ground[..., :3] - colours[0]).max() < 6
    alphas[1][:], ghost[1] = 1, colours[0]
    ground = on_canvas(lift(flat(ghost, alphas), coarse_of(ghost, alphas))[0])
    assert (ground[:60, :, :3] > 250).all()


def test_soft_rims_are_freed_from_the_ground():
    colours, alphas = scene()
    shown = on_canvas(lift(flat(colours, alphas), coarse_of(colours, alphas))[1])
    rim = (shown[..., 3] > 100) & (shown[..., 3] < 250) & (alphas[2] == 0)
    assert rim.sum() > 50
    assert np.abs(shown[rim][:, :3].astype(float) - (30, 40, 200)).max() < 40


def test_the_stack_can_be_made_exact_with_small_repairs():
    colours, alphas = scene()
    picture = flat(colours, alphas)
    layers, fidelity = make_exact(picture, lift(picture, coarse_of(colours, alphas)))
    assert np.array_equal(flatten(Document(width=240, height=180, layers=tuple(layers))), picture)
    assert fidelity.psnr_before_db is None or fidelity.psnr_before_db > 40


def test_what_is_transparent_stays_transparent():
    colours, alphas = scene()
    picture = flat(colours, alphas)
    picture[:, :50, 3] = 0
    picture[:, 50:60, 3] = 100
    layers, _ = make_exact(picture, lift(picture, coarse_of(colours, alphas)))
    assert all(layer.x >= 50 for layer in layers)
    again = flatten(Document(width=240, height=180, layers=tuple(layers)))
    assert np.array_equal(again[:, 50:], picture[:, 50:])


def test_a_large_picture_is_lifted_in_strips_without_seams():
    colours, alphas = scene(1400, 240)
    alphas[2][80:1300, 100:130] = 1
    picture = flat(colours, alphas)
    bar = on_canvas(lift(picture, coarse_of(colours, alphas, (16, 96)))[2], 1400, 240)
    assert np.abs(bar[400:1200, 95:140, 3].astype(int) - np.round(255 * alphas[2][400:1200, 95:140])).max() < 40


@pytest.mark.parametrize("size", [(16, 16), (17, 301), (300, 16)])
def test_small_and_narrow_pictures_work(size):
    rng = np.random.default_rng(0)
    picture = np.dstack([rng.integers(0, 256, (*size, 3)), np.full(size, 255)]).astype(np.uint8)
    visible = rng.random((4, 32, 40)).astype(np.float32)
    coarse = Coarse(
        visible=visible / visible.sum(axis=0),
        alpha=rng.random((4, 32, 40)).astype(np.float32),
        rgb=rng.random((4, 32, 40, 3)).astype(np.float32),
        confidence=np.ones(4, np.float32),
    )
    layers = lift(picture, coarse)
    assert len(layers) == 4
    again, _ = make_exact(picture, layers)
    assert np.array_equal(flatten(Document(width=size[1], height=size[0], layers=tuple(again))), picture)


def test_a_layer_seen_nowhere_is_one_transparent_pixel_and_steps_are_told():
    colours, alphas = scene()
    coarse = coarse_of([*colours, colours[0]], [*alphas, np.zeros_like(alphas[0])])
    steps = []
    layers = lift(flat(colours, alphas), coarse, on_step=lambda step, total: steps.append((step, total)))
    assert layers[3].rgba.shape == (1, 1, 4)
    assert layers[3].rgba[0, 0, 3] == 0
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_same_picture_gives_the_same_bytes():
    colours, alphas = scene()
    first, second = (lift(flat(colours, alphas), coarse_of(colours, alphas)) for _ in range(2))
    assert all(isinstance(layer, Layer) for layer in first)
    assert first == second


def test_a_wide_layer_has_no_seams_between_what_lies_on_it_and_its_ground():
    """Above the working size: where the nearest other layer changes from a lower to an upper one."""
    height, width = 900, 1600
    card, dot = np.zeros((2, height, width), np.float32)
    card[100:800, 200:1400] = 1
    dot[400:500, 400:500] = 1
    colours = [
        np.full((height, width, 3), colour, np.float32) for colour in ((70, 90, 160), (250, 250, 250), (30, 40, 30))
    ]
    alphas = [np.ones_like(card), card, dot]
    picture = flat(colours, alphas)
    _, middle, _ = lift(picture, coarse_of(colours, alphas, size=(64, 36)))
    alpha = on_canvas(middle, height, width)[..., 3]
    alone = np.zeros((height, width), bool)
    alone[110:790, 210:1390] = True
    alone[390:510, 390:510] = False
    assert (alpha[alone] == 255).all()


def test_below_things_on_a_transparent_ground_is_no_black_silhouette():
    height, width = 180, 240
    thing = disc(height, width, (115, 85), 50)
    cast = 0.5 * cv2.GaussianBlur(np.roll(thing, 8, axis=0), (0, 0), 8)
    union = thing + (1 - thing) * cast
    colour = thing[..., None] * np.float32((30, 90, 160)) / np.maximum(union, 1e-6)[..., None]
    picture = np.floor(np.dstack([colour, 255 * union]) + 0.5).astype(np.uint8)
    picture[picture[..., 3] == 0] = 0
    colours = [np.zeros((height, width, 3), np.float32), np.full((height, width, 3), (30, 90, 160), np.float32)]
    layers, _ = make_exact(picture, lift(picture, coarse_of(colours, [np.ones_like(thing), thing])))
    made = flatten(Document(width=width, height=height, layers=tuple(layers)))
    seen = picture[..., 3] > 0
    assert np.array_equal(made[..., 3], picture[..., 3])
    assert np.array_equal(made[seen], picture[seen])
    ground = on_canvas(layers[0])[..., 3]
    assert ground[60:110, 90:140].max() < 130
    assert ground[142:150, 100:130].max() > 50


def test_a_card_is_whole_and_even_below_the_letters_on_it() -> None:
    """Small letters, at a scale where the picture's pixels are not the working ones."""
    height, width, paper, card, ink = 1300, 1000, (34, 85, 110), (16, 52, 80), (255, 240, 214)
    words = Image.new("L", (width, height))
    ImageDraw.Draw(words).text((240, 590), "21 June - free for everyone", 255, font=ImageFont.load_default(40))
    layer = np.zeros((height, width), np.float32)
    layer[400:900, 100:900] = 1
    alphas = [np.ones_like(layer), layer, np.asarray(words) / np.float32(255)]
    colours = [np.full((height, width, 3), colour, np.float32) for colour in (paper, card, ink)]
    picture = flat(colours, alphas)
    told = [*alphas[:2], cv2.dilate(alphas[2], np.ones((9, 9), np.uint8))]
    layers, fidelity = make_exact(picture, lift(picture, coarse_of(colours, told, (125, 162))))
    assert fidelity.exact_share == 1
    below = on_canvas(layers[1], height, width)[570:660, 230:760]
    assert (below[..., 3] > 200).all()
    off = np.abs(below[..., :3].astype(int) - card).max(axis=-1)
    assert (off > 24).sum() <= 3


def test_letters_leave_no_ghost_on_a_restless_ground() -> None:
    y, x = np.mgrid[0:240, 0:320]
    wave = 60 * np.sin(x / 9) * np.cos(y / 11)
    ground = np.stack([150 + wave, 110 + wave, 90 + 0.6 * wave], axis=-1)
    strokes = (np.abs(y - 120) < 30) & (x > 60) & (x < 260) & (x % 30 < 5)
    picture = np.dstack([np.rint(np.where(strokes[..., None], 255, ground)), np.full(strokes.shape, 255)])
    visible = np.stack([~strokes, strokes]).astype(np.float32)
    answer = Coarse(
        visible=visible,
        alpha=np.stack([np.ones_like(visible[0]), visible[1]]),
        rgb=np.full((2, 240, 320, 3), 0.5, np.float32),
        confidence=np.ones(2, np.float32),
        label=strokes.astype(np.uint8),
    )
    bottom = lift(picture.astype(np.uint8), answer)[0]
    assert np.abs(bottom.rgba[..., :3].astype(float) - ground)[strokes].mean() < 8
