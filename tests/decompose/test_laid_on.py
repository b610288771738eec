"""What lies on a layer comes off it."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lamina.decompose.apart import fill_up, set_apart, shown
from lamina.decompose.coarse import Coarse
from lamina.decompose.laid_on import lettering_on, parts_on
from lamina.decompose.working import Working

GREEN, RED, WHITE, BLUE = (90, 160, 90), (200, 40, 40), (250, 250, 250), (40, 40, 200)


def working_of(image: Image.Image) -> Working:
    return Working(np.dstack([np.asarray(image), np.full(image.size[::-1], 255, np.uint8)]))


def of_label(label: np.ndarray, count: int, pinned: int = 0) -> Coarse:
    visible = (label == np.arange(count)[:, None, None]).astype(np.float32)
    rgb, sure = np.full((*visible.shape, 3), 0.5, np.float32), np.linspace(1, 0.5, count).astype(np.float32)
    return Coarse(visible=visible, alpha=visible, rgb=rgb, confidence=sure, label=label, pinned=pinned)


def button(*, even: bool = True) -> tuple[Working, np.ndarray, np.ndarray]:
    """A card with a word on a green page, the card's mask, and where the word's dark pixels are."""
    image = Image.new("RGB", (400, 300), GREEN)
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 80, 339, 219), WHITE)
    if not even:
        draw.rectangle((60, 80, 199, 219), BLUE)
        draw.rectangle((60, 80, 339, 109), RED)
    draw.text((210 if not even else 90, 140), "REPLACE", (20, 20, 20), ImageFont.load_default(26 if not even else 40))
    pixels = np.asarray(image).astype(int)
    card = np.zeros((300, 400), bool)
    card[80:220, 60:340] = True
    return working_of(image), card, pixels.sum(axis=2) < 100


def test_lettering_comes_off_its_card() -> None:
    working, card, dark = button()
    (part,) = lettering_on(working, card.astype(np.uint8), 2)
    assert part.layer == 1
    assert part.mask[dark].mean() > 0.95
    assert not part.mask[~card].any()
    assert part.mask.sum() < 2.2 * dark.sum()


def test_lettering_that_is_a_layer_or_the_ground_or_pinned_stays() -> None:
    working, card, _ = button()
    assert not lettering_on(working, np.zeros_like(card, np.uint8), 1), "the ground's"
    assert not lettering_on(working, (working.lines > 0).astype(np.uint8), 2), "a layer of its own"
    assert not lettering_on(working, card.astype(np.uint8), 1), "pinned"
    assert not lettering_on(working_of(Image.new("RGB", (400, 300), GREEN)), card.astype(np.uint8), 2), "none there"


def test_lettering_comes_off_an_uneven_layer_only_if_more_layers_are_asked_for() -> None:
    working, card, dark = button(even=False)
    label = card.astype(np.uint8)
    assert not lettering_on(working, label, 2)
    (part,) = lettering_on(working, label, 2, cards=False)
    assert part.mask[dark].mean() > 0.9


def test_of_a_card_and_its_word_layers_are_made_in_any_case_where_there_is_room() -> None:
    working, card, dark = button()
    found = set_apart(working, of_label(card.astype(np.uint8), 2), 20)
    assert found.label is not None
    assert len(found.visible) == 3
    assert np.median(found.label[dark]) == 2, "the word lies above its card"
    assert found.confidence.tolist() == [1, 0.5, 0.5]
    assert len(set_apart(working, of_label(card.astype(np.uint8), 2), 2).visible) == 2, "no room"


def face() -> tuple[Working, np.ndarray]:
    """A red disc with two white eyes, a blue dot in each, and a mouth of a hardly different red; all one layer."""
    image = Image.new("RGB", (400, 400), GREEN)
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 60, 340, 340), RED)
    for left in (120, 220):
        draw.ellipse((left, 140, left + 60, 200), WHITE)
        draw.ellipse((left + 20, 160, left + 40, 180), BLUE)
    draw.rectangle((160, 260, 240, 280), (206, 46, 46))
    label = np.zeros((400, 400), np.uint8)
    label[np.hypot(*(np.mgrid[:400, :400] - 200)) < 141] = 1
    return working_of(image), label


def test_parts_of_one_colour_come_off_together_with_what_lies_in_them() -> None:
    working, label = face()
    eyes, dots = parts_on(working, label, 2, 2, 5)
    assert (eyes.layer, dots.layer) == (1, 2), "the dots come off the eyes, which were the first to come off"
    for left in (120, 220):
        assert eyes.mask[170, left + 5]
        assert eyes.mask[170, left + 30], "with the dot"
        assert dots.mask[170, left + 30]
        assert not dots.mask[170, left + 5]
    assert not eyes.mask[270, 200], "a mouth that hardly differs is none"
    assert not eyes.mask[300, 200]


def test_parts_come_off_only_as_many_as_there_is_room_for_and_not_off_the_ground_or_pinned_layers() -> None:
    working, label = face()
    assert len(parts_on(working, label, 2, 2, 1)) == 1
    assert not parts_on(working, label, 2, 2, 0)
    assert not parts_on(working, label, 1, 2, 5), "pinned"
    assert not parts_on(working, np.zeros_like(label), 1, 1, 5), "the ground"


def test_what_shades_off_or_reaches_the_rim_of_its_layer_is_no_part() -> None:
    image = Image.new("RGB", (400, 400), GREEN)
    shade = np.asarray(image).copy()
    shade[50:350, 50:350] = np.linspace(40, 250, 300).astype(np.uint8)[:, None]
    shade[50:350, 50:120] = RED
    label = np.zeros((400, 400), np.uint8)
    label[50:350, 50:350] = 1
    assert not parts_on(working_of(Image.fromarray(shade)), label, 2, 2, 5)


def test_asked_for_layers_are_filled_with_parts_each_above_what_it_came_off() -> None:
    working, label = face()
    plain = set_apart(working, of_label(label, 2), 5, fine=True)
    filled = fill_up(working, plain, 5)
    assert filled.label is not None
    assert len(plain.visible) == shown(plain) == 2
    assert len(filled.visible) == shown(filled) == 4
    assert [int(filled.label[place]) for place in ((5, 5), (100, 200), (170, 125), (170, 150))] == [0, 1, 2, 3]
    assert np.array_equal(filled.label > 0, label > 0)


def test_parts_take_the_places_of_empty_layers_and_leave_pinned_ones_on_top() -> None:
    working, label = face()
    label[5:35, 5:35] = 3
    answer = of_label(label, 4, pinned=1)
    assert shown(answer) == 3
    filled = fill_up(working, answer, 4)
    assert filled.label is not None
    assert len(filled.visible) == 4, "the second layer was empty"
    assert [int(filled.label[place]) for place in ((100, 200), (170, 125), (170, 150), (20, 20))] == [1, 2, 2, 3]


def test_a_part_that_hardly_stands_out_or_is_a_speck_stays() -> None:
    image = Image.new("RGB", (400, 400), GREEN)
    draw = ImageDraw.Draw(image)
    draw.rectangle((50, 50, 349, 349), WHITE)
    draw.rectangle((100, 100, 180, 180), tuple(value - 28 for value in WHITE))
    draw.rectangle((250, 250, 257, 257), BLUE)
    label = np.zeros((400, 400), np.uint8)
    label[50:350, 50:350] = 1
    assert not parts_on(working_of(image), label, 2, 2, 5)
    draw.rectangle((250, 250, 269, 269), BLUE)
    assert len(parts_on(working_of(image), label, 2, 2, 5)) == 1


def test_what_lines_cut_a_layer_into_is_no_part_of_its_own() -> None:
    image = Image.new("RGB", (400, 400), GREEN)
    draw = ImageDraw.Draw(image)
    draw.rectangle((50, 100, 349, 299), WHITE)
    for top in (150, 200, 250):
        draw.rectangle((50, top, 349, top + 5), BLUE)
    label = np.zeros((400, 400), np.uint8)
    label[100:300, 50:350] = 1
    bars = parts_on(working_of(image), label, 2, 2, 5)
    assert len(bars) == 1, "three bars of one colour"
    assert (np.asarray(image)[bars[0].mask] == BLUE).all(axis=1).mean() > 0.95


def test_single_letters_of_a_line_are_no_parts() -> None:
    working, card, _ = button()
    assert not parts_on(working, card.astype(np.uint8), 2, 2, 5)


def test_lettering_on_a_restless_ground_or_next_to_none_stays() -> None:
    working, card, dark = button()
    label, pixels = card.astype(np.uint8), working.rgb.copy()
    noise = np.random.default_rng(0).integers(-60, 60, (*card.shape, 1))
    restless = np.where((card & ~dark)[..., None], np.clip(pixels + noise, 80, 255), pixels).astype(np.uint8)
    assert not lettering_on(working_of(Image.fromarray(restless)), label, 2, cards=False)
    image = Image.new("RGB", (1000, 800), WHITE)
    ImageDraw.Draw(image).text((500, 400), "llll", (20, 20, 20), ImageFont.load_default(12))
    small = working_of(image)
    assert small.lines.any()
    assert not lettering_on(small, np.ones(small.rgb.shape[:2], np.uint8), 2)


def test_small_words_far_from_the_others_stay_off_their_card() -> None:
    image = Image.new("RGB", (1000, 800), GREEN)
    draw = ImageDraw.Draw(image)
    draw.rectangle((100, 100, 899, 749), WHITE)
    draw.text((150, 200), "REPLACE THE WORDS", (20, 20, 20), ImageFont.load_default(60))
    draw.text((700, 700), "menu", (20, 20, 20), ImageFont.load_default(16))
    working = working_of(image)
    label = (working.rgb[..., 0] != GREEN[0]).astype(np.uint8)
    words = [part.mask for part in lettering_on(working, label, 2)]
    found = set_apart(working, of_label(label, 2), 3).label
    assert found is not None
    assert len(words) == 1
    assert (found[words[0]] == 2).all()
    assert words[0][700:].any()
