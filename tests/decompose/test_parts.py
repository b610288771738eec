"""Specks vanish, dots stay, and unused labels are put to use."""

import numpy as np

from lamina.decompose.parts import close_gaps, join_moved, join_pieces, join_specks, keep_whole, untorn


def test_an_island_like_its_surroundings_joins_them_and_a_dot_stays():
    label = np.zeros((200, 200), np.uint8)
    picture = np.full((200, 200, 3), 120, np.uint8)
    label[50:52, 50:52] = 1
    label[90:92, 90:92] = 1
    picture[90:92, 90:92] = 250
    label[120:160, 120:160] = 2
    joined = join_specks(label, picture, np.zeros(label.shape, bool))
    assert (joined[50:52, 50:52] == 0).all()
    assert (joined[90:92, 90:92] == 1).all()
    assert np.array_equal(joined[100:], label[100:]), "what is large stays, however alike"


def test_a_thin_letter_is_no_speck() -> None:
    label = np.zeros((200, 200), np.uint8)
    label[50:55, 50:51] = 1
    letters = label > 0
    picture = np.full((200, 200, 3), 120, np.uint8)
    picture[letters] = 140
    assert not join_specks(label, picture, np.zeros_like(letters)).any()
    assert np.array_equal(join_specks(label, picture, letters), label)


def test_a_speck_between_two_labels_stays():
    label = np.zeros((200, 200), np.uint8)
    label[:, 100:] = 2
    label[50:52, 99:101] = 1
    assert np.array_equal(join_specks(label, np.full((200, 200, 3), 9, np.uint8), np.zeros(label.shape, bool)), label)


def ring():
    """A red thing on grey with two holes of the ground's label, one grey and one yellow, and a yellow one beside it."""
    label = np.zeros((200, 200), np.uint8)
    picture = np.full((200, 200, 3), 120, np.uint8)
    label[40:160, 40:160], picture[40:160, 40:160] = 2, (200, 20, 20)
    label[60:75, 60:75], picture[60:75, 60:75] = 0, 120
    label[100:115, 100:115], picture[100:115, 100:115] = 0, (240, 220, 10)
    picture[10:20, 10:20] = (240, 220, 10)
    return label, picture


def test_a_gap_in_a_thing_closes_and_a_hole_that_shows_the_ground_stays():
    label, picture = ring()
    closed = close_gaps(label, picture)
    assert (closed[100:115, 100:115] == 2).all()
    assert (closed[60:75, 60:75] == 0).all()
    closed[100:115, 100:115] = 0
    assert np.array_equal(closed, label), "nothing else changes"


def test_a_gap_between_two_things_stays():
    label, picture = ring()
    label[40:160, 107:160] = 3
    label[100:115, 100:115] = 0
    assert np.array_equal(close_gaps(label, picture), label)


def test_a_large_opening_and_one_at_the_edge_stay():
    label, picture = ring()
    label[40:70, 100:115], picture[40:70, 100:115] = 0, (240, 220, 10)
    label[:40, 100:115] = 2
    label[0:4, 104:108] = 0
    label[60:75, 60:75] = 2
    assert np.array_equal(close_gaps(label, picture)[:70], label[:70])


def test_what_nothing_sets_off_from_its_surroundings_is_a_piece_of_them() -> None:
    """A strip of sky that went with the sea; a strip of a colour of its own stays, and so does all that a label has."""
    picture = np.full((200, 200, 3), (40, 60, 120), np.uint8)
    picture[150:] = (20, 90, 90)
    picture[60:80, 20:120] += 20
    label = np.zeros((200, 200), np.uint8)
    label[150:] = label[:20, 20:120] = label[60:80, 20:120] = 1
    label[100:130, 20:60] = 2  # unlike nothing, but the network saw a thing there
    joined = join_pieces(label, picture)
    assert not joined[:20].any()
    assert np.array_equal(joined[20:], label[20:])


def test_what_a_letter_half_encloses_of_a_card_is_the_cards() -> None:
    picture = np.full((200, 200, 3), (40, 60, 120), np.uint8)
    picture[50:190, 10:190] = (250, 240, 230)
    label = np.zeros((200, 200), np.uint8)
    label[50:190, 10:190] = 1
    picture[100:140, 100:104] = picture[100:140, 116:120] = picture[100:104, 100:120] = 20
    label[100:140, 100:104] = label[100:140, 116:120] = label[100:104, 100:120] = 2
    whole = label.copy()
    label[104:125, 104:116] = 0
    assert np.array_equal(join_pieces(label, picture), whole)
    picture[104:125, 104:116] = (40, 60, 120)
    assert np.array_equal(join_pieces(label, picture), label), "a hole in the card"


def test_small_things_stay_whole_on_whatever_they_stand() -> None:
    label = np.zeros((100, 200), np.uint8)
    label[40:100, 100:200] = 1  # a large panel on the ground
    label[10:20, 10:30] = 2
    label[10:20, 24:30] = 3  # a letter on the ground, cut in two
    label[60:70, 120:140] = 3
    label[60:70, 120:125] = 2  # one on the panel
    whole = keep_whole(label, np.zeros(label.shape, bool))
    assert set(np.unique(whole[10:20, 10:30])) == {2}
    assert set(np.unique(whole[60:70, 120:140])) == {3}
    assert np.array_equal(whole == 0, label == 0)
    assert np.array_equal(whole == 1, label == 1)


def test_a_large_thing_may_have_two_labels() -> None:
    label = np.zeros((100, 100), np.uint8)
    label[20:80, 20:50], label[20:80, 50:80] = 1, 2
    assert np.array_equal(keep_whole(label, np.zeros(label.shape, bool)), label)


def test_letters_on_a_layer_do_not_become_ground_for_the_scraps_of_it_between_them():
    label = np.zeros((120, 160), np.uint8)
    label[60:] = 1
    label[82:94, 40:80] = 0  # the network left some ground around a word
    letters = np.zeros(label.shape, bool)
    letters[84:92, 44:76:6] = letters[84:92, 45:76:6] = True
    label[letters] = 2
    assert (keep_whole(label, letters)[letters] == 2).all()
    assert (keep_whole(label, np.zeros_like(letters))[letters] == 0).all()


def test_a_glint_the_ground_s_colour_closes_and_a_mesh_stays_open():
    label, picture = np.zeros((400, 400), np.uint8), np.full((400, 400, 3), 120, np.uint8)
    label[20:380, 20:380], picture[20:380, 20:380] = 2, (200, 20, 20)
    label[100:102, 100:105], picture[100:102, 100:105] = 0, 120
    assert (close_gaps(label, picture)[100:102, 100:105] == 2).all()
    for row in range(30, 370, 10):
        for column in range(30, 370, 10):
            label[row : row + 2, column : column + 2], picture[row : row + 2, column : column + 2] = 0, 120
    assert np.array_equal(close_gaps(label, picture), label)


def test_what_moved_goes_back_where_nothing_sets_it_off() -> None:
    """The red of a tower that went to a red sky; not true sky, seen through a gap or beside it."""
    before = np.zeros((60, 60), np.uint8)
    before[:, 16:40] = 1
    picture = np.full((60, 60, 3), (200, 90, 95), np.uint8)
    picture[:, 20:40] = (240, 230, 220)
    picture[20:40, 20:40] = (180, 50, 50)
    gap = (slice(45, 55), slice(25, 35))
    picture[gap] = (200, 90, 95)
    after = before.copy()
    after[20:40, 30:40] = after[gap] = after[:, 16:20] = 0
    joined = join_moved(after, picture, before)
    assert (joined[20:40, 20:40] == 1).all()
    assert not joined[gap].any()
    assert not joined[:, 16:20].any()
    assert np.array_equal(join_moved(before, picture, before), before)


def page(card: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A panel (1) on a page of 245 with a card of this grey on it: picture, labels, regions."""
    picture = np.full((200, 200, 3), 245, np.uint8)
    label = np.zeros((200, 200), np.uint8)
    label[40:160, 40:160], picture[40:160, 40:160] = 1, (90, 60, 200)
    picture[60:140, 60:140] = card
    regions = label.astype(np.int32)
    regions[60:140, 60:140] = 2
    return picture, label, regions


def test_a_card_that_became_ground_in_part_is_its_panels_again() -> None:
    picture, before, regions = page(255)
    label = before.copy()
    label[60:120, 60:140] = 0
    assert np.array_equal(untorn(label, before, picture, regions), before)
    before[60:70, 60:140] = 0
    assert (untorn(label, before, picture, regions)[60:140, 60:140] == 1).all(), "whatever a part of it was before"


def test_a_card_of_the_very_colour_of_the_page_is_what_most_of_it_is() -> None:
    picture, before, regions = page(245)
    for bottom, owner in ((120, 0), (80, 1)):
        label = before.copy()
        label[60:bottom, 60:140] = 0
        assert (untorn(label, before, picture, regions)[60:140, 60:140] == owner).all()


def test_what_became_ground_wholly_or_touches_the_rim_stays_so() -> None:
    picture, before, regions = page(255)
    label = np.where(regions == 2, 0, before).astype(np.uint8)
    assert np.array_equal(untorn(label, before, picture, regions), label)
    before[:], label[:100] = 1, 0
    assert np.array_equal(untorn(label, before, picture, np.zeros_like(regions)), label)


def test_a_restless_region_may_be_torn() -> None:
    picture, before, regions = page(255)
    picture[60:140:2, 60:140] = 150
    label = before.copy()
    label[60:120, 60:140] = 0
    assert np.array_equal(untorn(label, before, picture, regions), label)
