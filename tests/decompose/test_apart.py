"""Things that lie apart become layers of their own."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lamina.decompose.apart import set_apart
from lamina.decompose.coarse import Coarse
from lamina.decompose.exact import make_exact
from lamina.decompose.lift import lift
from lamina.decompose.working import Working

GREEN = (90, 160, 90)


def of_label(label: np.ndarray, count: int | None = None) -> Coarse:
    """An answer as large as the picture, sure of itself: what is seen of a layer is all of it."""
    count = count or int(label.max()) + 1
    visible = (label == np.arange(count)[:, None, None]).astype(np.float32)
    return Coarse(
        visible=visible,
        alpha=np.concatenate([np.ones_like(visible[:1]), visible[1:]]),
        rgb=np.full((*visible.shape, 3), 0.5, np.float32),
        confidence=np.linspace(1, 0.5, count).astype(np.float32),
        label=label,
    )


def picture_of(label: np.ndarray) -> np.ndarray:
    colours = np.array([GREEN, (200, 40, 40), (250, 250, 250), (40, 40, 200), (0, 0, 0)], np.uint8)
    return np.dstack([colours[label], np.full(label.shape, 255, np.uint8)])


def set_apart_in(label: np.ndarray, most: int, *, fine: bool = False, count: int | None = None) -> Coarse:
    return set_apart(Working(picture_of(label)), of_label(label, count), most, fine=fine)


def squares() -> np.ndarray:
    """Layer 1: a large square, a middle one, and two small ones close together; layer 2 is one square."""
    label = np.zeros((200, 200), np.uint8)
    label[10:60, 10:60] = 1
    label[10:40, 100:130] = 1
    label[100:110, 100:110] = 1
    label[100:110, 112:122] = 1
    label[150:190, 20:60] = 2
    return label


def test_parts_of_a_layer_become_layers_where_it_stood_as_sure_as_it_was() -> None:
    parted = set_apart_in(squares(), 20)
    assert parted.label is not None
    seen = [int(parted.label[place]) for place in ((30, 30), (20, 110), (105, 105), (105, 115), (170, 40))]
    assert seen == [1, 2, 3, 3, 4], "what lies close together goes together; the square on top stays on top"
    assert np.array_equal(parted.label > 0, squares() > 0)
    assert parted.confidence.tolist() == [1, 0.75, 0.75, 0.75, 0.5]
    assert len(parted.visible) == len(parted.alpha) == len(parted.rgb) == 5


def test_the_largest_come_first_and_not_more_than_may_be() -> None:
    parted = set_apart_in(squares(), 4)
    assert parted.label is not None
    assert [int(parted.label[place]) for place in ((30, 30), (20, 110), (105, 105), (170, 40))] == [1, 2, 1, 3]
    assert len(set_apart_in(squares(), 3).visible) == len(set_apart_in(squares(), 1).visible) == 3


def test_parts_take_the_places_of_empty_layers() -> None:
    label = np.where(squares() == 2, 4, squares()).astype(np.uint8)
    parted = set_apart_in(label, 5)
    assert parted.label is not None
    assert len(parted.visible) == 5, "2 and 3 were empty"
    assert [int(parted.label[place]) for place in ((30, 30), (20, 110), (105, 105), (170, 40))] == [1, 2, 3, 4]


def test_a_layer_of_next_to_nothing_goes_to_what_is_beside_it_where_its_place_is_taken() -> None:
    label = squares()
    label[160:163, 30:33] = 3
    kept, taken = set_apart_in(label, 20), set_apart_in(label, 4)
    assert kept.label is not None
    assert taken.label is not None
    assert len(kept.visible) == 6
    assert kept.label[161, 31] == 5
    assert len(taken.visible) == 4
    assert taken.label[161, 31] == taken.label[170, 40] == 3


def test_what_something_above_may_join_stays_one() -> None:
    label = np.zeros((200, 200), np.uint8)
    label[50:150, 10:60] = label[50:150, 140:190] = 1
    assert len(set_apart_in(label, 20).visible) == 3
    label[80:100, 40:160] = 2
    assert len(set_apart_in(label, 20).visible) == 3, "a bar lies across both"
    label[80:100, 90:110] = 0
    assert len(set_apart_in(label, 20).visible) == 5


def lettering() -> tuple[np.ndarray, np.ndarray]:
    """Three words on a green ground, far apart for their size, and a square; all are layer 1."""
    image = Image.new("L", (400, 300))
    font = ImageFont.load_default(40)
    draw = ImageDraw.Draw(image)
    draw.text((20, 20), "LIGHT  SEA", 255, font)
    draw.text((20, 72), "HARBOUR", 255, font)
    draw.rectangle((300, 200, 340, 240), 255)
    label = (np.asarray(image) > 127).astype(np.uint8)
    return label, np.dstack([np.where(label[..., None] > 0, 255, GREEN), np.full(label.shape, 255)]).astype(np.uint8)


def test_lettering_stays_in_blocks_and_comes_apart_where_that_is_asked_for() -> None:
    label, picture = lettering()
    working = Working(picture)
    normal, fine = (set_apart(working, of_label(label), 20, fine=fine) for fine in (False, True))
    assert normal.label is not None
    assert fine.label is not None
    assert len(normal.visible) == 3
    assert set(np.unique(normal.label[:120])) == {0, 1}
    assert len(fine.visible) == 5
    assert np.array_equal(fine.label > 0, label > 0)


def test_small_things_come_apart_where_that_is_asked_for() -> None:
    label = squares()
    label[150:158, 150:158] = 1
    assert [len(set_apart_in(label, 20, fine=fine).visible) for fine in (False, True)] == [5, 6]


@pytest.mark.parametrize("fine", [False, True])
def test_what_is_too_small_for_a_layer_goes_with_the_upper_layer_it_touches(fine: bool) -> None:
    """Of layer 1 there is a tip on layer 2, and a dot far from everything."""
    label = squares()
    tip, dot = (slice(146, 150), slice(36, 40)), (slice(180, 184), slice(180, 184))
    label[tip] = label[dot] = 1
    parted = set_apart_in(label, 20, fine=fine).label
    assert parted is not None
    assert (parted[tip] == parted[170, 40]).all()
    assert (parted[dot] == parted[30, 30]).all(), "what touches nothing stays with its own"
    assert np.array_equal(parted > 0, label > 0)


def test_nothing_goes_with_what_a_box_was_drawn_for() -> None:
    label = squares()
    tip = (slice(146, 150), slice(36, 40))
    label[tip] = 1
    parted = set_apart(Working(picture_of(label)), replace(of_label(label, 3), pinned=1), 20)
    assert parted.label is not None
    assert (parted.label[tip] == parted.label[30, 30]).all()


@pytest.mark.parametrize("most", [2, 20])
def test_pinned_layers_stay_whole(most: int) -> None:
    label = squares()
    label[label == 2] = 0
    parted = set_apart(Working(picture_of(label)), replace(of_label(label, 2), pinned=1), most)
    assert parted.label is not None
    assert np.array_equal(parted.label, label)
    assert len(parted.visible) == 2
    assert parted.pinned == 1


def test_what_colour_tells_from_the_ground_is_a_thing_where_the_network_saw_none() -> None:
    label = squares()
    working = Working(picture_of(label))
    blind = of_label(np.zeros_like(label), 4)
    found = set_apart(working, blind, 4, fine=True).label
    assert found is not None
    assert ((found > 0) == (label > 0)).mean() > 0.99
    assert found.max() == 3
    left = set_apart(working, blind, 4).label
    assert left is not None
    assert not left.any()


def test_parts_are_lifted_with_what_is_hidden_of_each() -> None:
    """Layer 1 is two discs, the network knows that one goes on below a bar that covers it by half."""
    y, x = np.mgrid[0:200, 0:200]
    one, other = (np.hypot(x - cx, y - 100) < 40 for cx in (50, 150))
    bar = (np.abs(x - 50) < 8) & (np.abs(y - 100) < 60)
    label = np.where(bar, 2, np.where(one | other, 1, 0)).astype(np.uint8)
    coarse = of_label(label)
    coarse.alpha[1] = one | other
    picture = picture_of(label)
    working = Working(picture)
    layers, fidelity = make_exact(picture, lift(picture, set_apart(working, coarse, 8), working=working))
    assert fidelity.exact_share == 1
    assert len(layers) == 4

    def cover(number: int) -> np.ndarray:
        canvas = np.zeros((200, 200))
        layer = layers[number]
        canvas[int(layer.y) : int(layer.y) + layer.height, int(layer.x) : int(layer.x) + layer.width] = layer.rgba[
            ..., 3
        ]
        return canvas > 127

    places = sorted((cover(k) for k in (1, 2)), key=lambda found: float(np.nonzero(found)[1].mean()))
    for found, true in zip(places, (one, other), strict=True):
        assert (found & true).sum() > 0.97 * (found | true).sum()


def test_the_letters_of_a_word_stay_together_however_high() -> None:
    label = np.zeros((400, 600), np.uint8)
    for left, right in ((40, 160), (200, 320), (360, 440)):
        label[100:280, left:right] = 1
        label[130:280, left + 30 : right - 30] = 0
    label[380:, 40:140] = 1
    parted = set_apart_in(label, 8)
    assert parted.label is not None
    assert len({int(parted.label[110, left + 5]) for left in (40, 200, 360)}) == 1
    assert parted.label[390, 60] != parted.label[110, 50]
    assert set_apart_in(label, 8, fine=True).visible.shape[0] == 5
