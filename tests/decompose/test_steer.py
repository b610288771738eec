"""Boxes and points: what they show becomes a layer, whatever the network says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lamina.decompose import coarse as coarse_module
from lamina.decompose.above import Above
from lamina.decompose.coarse import Coarse
from lamina.decompose.decomposer import Decomposer
from lamina.decompose.pointed import under_point
from lamina.decompose.steer import _with_what_hangs_on_it, steer  # pyright: ignore[reportPrivateUsage]
from lamina.decompose.working import Working
from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import Box, Layer
from lamina.errors import InputError
from lamina.options import DecomposeOptions

WIDTH, HEIGHT = 260, 200
DISC, CARD, WORD, DOT = (20, 20, 104, 104), (140, 18, 246, 86), (150, 36, 236, 70), (36, 130, 84, 178)


class Blind:
    """Sees the ground and empty layers only, as many as it is asked for."""

    name, ignores, attempts, most_layers = "blind", (), 1, 20

    def look(self, rgba: np.ndarray, options: DecomposeOptions, attempt: int = 0) -> Coarse:
        count = 1 if options.layers == "auto" else options.layers
        visible = np.zeros((count, 12, 16), np.float32)
        visible[0] = 1
        rgb = np.full((count, 12, 16, 3), 0.5, np.float32)
        return Coarse(visible=visible, alpha=visible, rgb=rgb, confidence=np.full(count, 0.8, np.float32))


@pytest.fixture(scope="module")
def decomposer() -> Decomposer:
    return Decomposer(Blind())


def coverage(draw) -> np.ndarray:
    fine = np.zeros((HEIGHT * 4, WIDTH * 4), np.uint8)
    draw(fine)
    return cv2.resize(fine, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) / 255.0


def scene(kind: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A disc, a card with a word on it, and a dot, on a plain, sloping or grainy ground; with the true alphas."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    grain = np.random.default_rng(0).normal(0, 60, (HEIGHT, WIDTH, 3)).astype(np.float32)
    grounds = {
        "plain": np.full((HEIGHT, WIDTH, 3), (232, 224, 208), np.float32),
        "sloping": np.stack([60 + 0.5 * columns, 190 - 0.4 * rows, np.full_like(rows, 90)], axis=-1),
        "grainy": cv2.GaussianBlur(grain, (0, 0), 2) + np.float32((90, 140, 90)),
    }
    alphas = {
        "disc": coverage(lambda a: cv2.circle(a, (62 * 4, 62 * 4), 36 * 4, 255, -1)),
        "card": coverage(lambda a: cv2.rectangle(a, (148 * 4, 26 * 4), (240 * 4 - 1, 80 * 4 - 1), 255, -1)),
        "word": coverage(lambda a: cv2.putText(a, "SALE", (155 * 4, 64 * 4), 3, 4.2, 255, 18, cv2.LINE_AA)),
        "dot": coverage(lambda a: cv2.circle(a, (60 * 4, 154 * 4), 18 * 4, 255, -1)),
    }
    colours = {"disc": (200, 30, 60), "card": (30, 60, 200), "word": (250, 250, 250), "dot": (250, 200, 20)}
    picture = grounds[kind]
    for name, alpha in alphas.items():
        picture = picture + alpha[..., None] * (np.float32(colours[name]) - picture)
    return np.round(np.clip(picture, 0, 255)).astype(np.uint8), alphas


def overlap(layer: Layer, truth: np.ndarray) -> float:
    canvas = np.zeros(truth.shape)
    left, top, right, bottom = layer.box
    canvas[top:bottom, left:right] = layer.rgba[..., 3] / 255
    return float(np.minimum(canvas, truth).sum() / np.maximum(canvas, truth).sum())


def exact(document: Document, picture: np.ndarray) -> bool:
    return bool(np.array_equal(flatten(document)[..., :3], picture))


@pytest.mark.parametrize("kind", ["plain", "sloping", "grainy"])
def test_what_a_box_or_point_shows_becomes_a_layer_with_soft_edges(decomposer: Decomposer, kind: str) -> None:
    picture, truth = scene(kind)
    options = DecomposeOptions(box=(DISC, CARD), point=((60, 150),))
    document = decomposer(picture, options)
    assert exact(document, picture)
    assert len(document.layers) == 4
    for layer, name in zip(document.layers[1:], ("disc", "card", "dot"), strict=True):
        assert overlap(layer, truth[name]) > 0.9, name
    edge = document.layers[1].rgba[..., 3]
    assert ((edge > 20) & (edge < 235)).sum() > 40
    assert document.meta["options"]["box"] == [list(DISC), list(CARD)]
    assert document.meta["warnings"] == []


def test_the_ground_behind_is_filled(decomposer: Decomposer) -> None:
    picture, truth = scene("plain")
    ground = decomposer(picture, DecomposeOptions(box=(DISC,))).layers[0]
    behind = ground.rgba[truth["disc"] > 0]
    assert np.abs(behind[:, :3].astype(int) - (232, 224, 208)).max() < 8
    assert (behind[:, 3] == 255).all()


def test_a_word_on_a_card_that_stays_in_the_ground_leaves_the_card_behind_it(decomposer: Decomposer) -> None:
    picture, truth = scene("plain")
    ground, word = decomposer(picture, DecomposeOptions(box=(WORD,))).layers
    assert overlap(word, truth["word"]) > 0.9
    behind = ground.rgba[truth["word"] > 0.9]
    assert np.abs(behind[:, :3].astype(int) - (30, 60, 200)).max() < 12


def test_a_box_round_two_things_makes_one_layer_and_counts(decomposer: Decomposer) -> None:
    picture, truth = scene("plain")
    both = np.maximum(truth["disc"], truth["dot"])
    document = decomposer(picture, DecomposeOptions(layers=3, box=((15, 15, 110, 190),)))
    assert len(document.layers) == 3
    assert overlap(document.layers[-1], both) > 0.9
    assert overlap(document.layers[1], truth["card"]) > 0.9, "what the box leaves is still parted"
    assert exact(document, picture)
    card = decomposer(picture, DecomposeOptions(layers=2, box=(CARD,)))
    assert overlap(card.layers[-1], truth["card"]) > 0.9, "the word on the card goes with it"


def test_where_boxes_overlap_the_later_wins(decomposer: Decomposer) -> None:
    picture, truth = scene("plain")
    inner_last = decomposer(picture, DecomposeOptions(box=(CARD, WORD)))
    card, word = inner_last.layers[1:]
    assert overlap(word, truth["word"]) > 0.9
    assert overlap(card, truth["card"]) > 0.9, "the card is whole below the word"
    outer_last = decomposer(picture, DecomposeOptions(box=(WORD, CARD)))
    assert len(outer_last.layers) == 2
    assert "later ones cover wholly: 1" in outer_last.meta["warnings"][0]


def test_a_box_that_cuts_a_thing_short_by_a_little_has_the_whole_thing(decomposer: Decomposer) -> None:
    picture, truth = scene("plain")
    document = decomposer(picture, DecomposeOptions(box=((28, 28, 97, 97),)))
    assert overlap(document.layers[-1], truth["disc"]) > 0.97


def test_a_box_or_point_on_bare_ground_is_said_and_makes_no_layer(decomposer: Decomposer) -> None:
    picture, _ = scene("plain")
    document = decomposer(picture, DecomposeOptions(box=((100, 110, 240, 190),), point=((5, 5),)))
    assert len(document.layers) == 1
    assert "box 100,110,240,190 shows nothing above its ground: it became no layer" in document.meta["warnings"]
    assert "point 5,5 hits the ground: it became no layer" in document.meta["warnings"]


def test_points_find_the_word_on_the_card_and_the_card_beside_the_word(decomposer: Decomposer) -> None:
    picture, truth = scene("plain")
    y, x = np.argwhere(truth["word"] > 0.99)[0]
    word = decomposer(picture, DecomposeOptions(point=((int(x), int(y)),))).layers[-1]
    assert overlap(word, truth["word"]) > 0.85
    card = decomposer(picture, DecomposeOptions(point=((236, 30),))).layers[-1]
    assert overlap(card, truth["card"]) > 0.85


def test_boxes_are_in_pixels_of_large_pictures_too(decomposer: Decomposer) -> None:
    picture, truth = scene("plain")
    large = cv2.resize(picture, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    document = decomposer(large, DecomposeOptions(box=(tuple(6 * v for v in DISC),)))  # type: ignore[arg-type]
    assert overlap(document.layers[-1], cv2.resize(truth["disc"], None, fx=6, fy=6)) > 0.97
    assert exact(document, large)


def test_a_transparent_picture_can_be_steered(decomposer: Decomposer) -> None:
    picture, truth = scene("plain")
    rgba = np.dstack([picture, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[:, 110:, 3] = 0
    document = decomposer(rgba, DecomposeOptions(box=(DISC,)))
    flat, shown = flatten(document), rgba[..., 3] > 0
    assert np.array_equal(flat[..., 3], rgba[..., 3])
    assert np.array_equal(flat[shown], rgba[shown])
    assert overlap(document.layers[-1], truth["disc"]) > 0.9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"box": ((300, 10, 400, 50),)}, "box 300,10,400,50 lies outside the picture, which is 260x200 px"),
        ({"box": ((-90, 10, 0, 50),)}, "lies outside"),
        ({"point": ((10, 200),)}, "point 10,200 lies outside the picture"),
    ],
)
def test_places_outside_the_picture_are_refused(decomposer: Decomposer, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        decomposer(scene("plain")[0], DecomposeOptions(**options))


def test_boxes_are_in_pixels_of_the_picture_as_it_is_seen(decomposer: Decomposer, tmp_path: Path) -> None:
    picture, truth = scene("plain")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(np.ascontiguousarray(np.rot90(picture))).save(tmp_path / "turned.png", exif=exif)
    document = decomposer(tmp_path / "turned.png", DecomposeOptions(box=(DISC,)))
    assert (document.width, document.height) == (WIDTH, HEIGHT)
    assert overlap(document.layers[-1], truth["disc"]) > 0.9


class Vague(Blind):
    """Sees the disc, as a blob that is not round and lies beside it a little, and a card with all that is on it."""

    def look(self, rgba: np.ndarray, options: DecomposeOptions, attempt: int = 0) -> Coarse:
        visible = np.zeros((3, 12, 16), np.float32)
        visible[1, 2:6, 2:6] = 0.8
        visible[2, 2:5, 9:15] = 0.8
        visible[0] = 1 - visible.sum(axis=0)
        rgb = np.full((3, 12, 16, 3), 0.5, np.float32)
        return Coarse(visible=visible, alpha=visible, rgb=rgb, confidence=np.full(3, 0.8, np.float32))


def test_a_point_gets_the_thing_and_not_the_networks_rough_outline() -> None:
    picture, truth = scene("plain")
    document = Decomposer(Vague())(picture, DecomposeOptions(point=((62, 62),)))
    assert overlap(document.layers[-1], truth["disc"]) > 0.97
    assert exact(document, picture)


def test_a_point_on_a_patch_gets_what_lies_on_it_but_what_earlier_points_asked_for() -> None:
    rgb = np.full((200, 300, 3), (40, 60, 130), np.uint8)
    rgb[10:190, 10:290] = 250
    rgb[10:190, 10:100] = (225, 228, 234)
    rgb[40:70, 30:60] = (200, 40, 30)
    window = np.zeros((200, 300), np.uint8)
    window[10:190, 10:290] = 1
    sidebar = np.zeros((200, 300), bool)
    sidebar[10:190, 10:100] = True
    icon = np.zeros((200, 300), bool)
    icon[40:70, 30:60] = True

    working = Working(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))

    def agrees(x: int, y: int, label: np.ndarray, truth: np.ndarray) -> bool:
        found = under_point(working, x, y, label)
        return found is not None and int((found.mask ^ truth).sum()) <= 8

    assert agrees(20, 150, window, sidebar)
    assert agrees(45, 55, window, icon)
    assert agrees(20, 150, np.where(icon, 255, window).astype(np.uint8), sidebar & ~icon)


def test_a_mast_in_the_colour_of_the_sea_comes_with_the_boat_and_no_counter_of_the_card_with_a_word() -> None:
    label = np.zeros((60, 80), np.uint8)
    label[45:] = 1
    label[10:40, 30:33] = 2
    label[2:6, 60:70] = 2
    hull = np.zeros(label.shape, bool)
    hull[40:44, 20:44] = True
    counter = (slice(41, 43), slice(24, 28))
    label[counter], hull[counter] = 1, False
    found = _with_what_hangs_on_it(Above(mask=hull, clear=1.0), Box(10, 5, 50, 55), label)
    assert found.mask[10:40, 30:33].all()
    assert not found.mask[counter].any()
    assert not found.mask[2:6].any()
    assert not found.mask[45:].any()


def test_what_a_layer_showed_of_a_thing_asked_for_is_not_left_below_it() -> None:
    rgb = np.full((200, 260, 4), (232, 224, 208, 255), np.uint8)
    rgb[20:100, 20:100, :3] = rgb[130:170, 150:190, :3] = (240, 190, 60)
    upper = cv2.resize(np.float32(rgb[..., 2] == 60), (26, 20), interpolation=cv2.INTER_AREA)
    visible = np.stack([1 - upper, upper])
    colours = np.full((2, 20, 26, 3), 0.5, np.float32)
    coarse = Coarse(visible=visible, alpha=np.stack([np.ones_like(upper), upper]), rgb=colours, confidence=np.ones(2))
    steered = steer(rgb, coarse, DecomposeOptions(box=((140, 120, 200, 180),))).coarse
    assert steered.alpha[1, 14:16, 16:18].max() < 0.1
    assert steered.alpha[1, 4:9, 4:9].min() > 0.9
    assert steered.alpha[2, 14:16, 16:18].min() > 0.9


def sure_of(label: np.ndarray, count: int) -> Coarse:
    """An answer, settled, that is sure of these labels and knows nothing of what is hidden."""
    visible = (label == np.arange(count)[:, None, None]).astype(np.float32)
    alpha = np.concatenate([np.ones_like(visible[:1]), visible[1:]])
    colours = np.full((*visible.shape, 3), 0.5, np.float32)
    return Coarse(visible=visible, alpha=alpha, rgb=colours, confidence=np.ones(count, np.float32), label=label)


def test_words_on_a_thing_do_not_go_on_below_it() -> None:
    rgb = np.full((200, 260, 4), (232, 224, 208, 255), np.uint8)
    rgb[30:170, 40:220, :3] = (60, 50, 50)
    label = np.where((rgb[..., 0] == 60), 1, 0).astype(np.uint8)
    for left in range(60, 200, 28):
        rgb[60:140, left : left + 18, :3] = (240, 190, 60)
        label[60:140, left : left + 18] = 2
    steered = steer(rgb, sure_of(label, 3), DecomposeOptions(point=((50, 40),))).coarse
    assert steered.pinned == 1
    assert steered.label is not None
    assert (steered.label[35, 45], steered.label[100, 65]) == (2, 1), "the words are next to the thing now"
    assert steered.alpha[1, 35:55, 45:215].max() < 0.1


def test_what_is_around_a_thing_goes_on_below_it_where_it_is_nearest() -> None:
    """A word across the edge of a card."""
    rgb = np.full((200, 260, 4), (232, 224, 208, 255), np.uint8)
    rgb[40:160, 20:130, :3] = (40, 90, 200)
    label = np.where(rgb[..., 0] == 40, 1, 0).astype(np.uint8)
    for left in range(70, 190, 24):
        rgb[80:120, left : left + 16, :3] = (210, 50, 40)
        label[80:120, left : left + 16] = 2
    steered = steer(rgb, sure_of(label, 3), DecomposeOptions(box=((60, 70, 196, 130),))).coarse
    assert steered.pinned == 1
    assert len(steered.visible) == 3, "the word that the answer had is the one asked for"
    assert steered.alpha[1, 85:115, 72:120].min() > 0.9
    assert steered.alpha[1, 85:115, 145:].max() < 0.1


def test_labels_are_settled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    settled = coarse_module.part_where_sure
    monkeypatch.setattr(coarse_module, "part_where_sure", lambda *given: (calls.append(1), settled(*given))[1])
    Decomposer(Vague())(scene("plain")[0], DecomposeOptions(box=(DISC,), point=((60, 150),)))
    assert len(calls) == 1
