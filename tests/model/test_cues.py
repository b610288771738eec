import numpy as np

from lamina.model.cues import CUES, border_ground, cues


def test_ground_of_one_colour_is_all_but_the_figure() -> None:
    rgb = np.full((60, 80, 3), (250, 240, 230), np.uint8)
    rgb[20:40, 30:50] = (20, 30, 120)
    ground = border_ground(rgb)[0]
    assert not ground[20:40, 30:50].any()
    assert ground.sum() == 60 * 80 - 20 * 20


def test_ground_follows_a_gradient_and_stops_at_an_edge() -> None:
    rgb = np.repeat(np.linspace(0, 200, 120).astype(np.uint8)[:, None, None], 3, axis=2).repeat(100, axis=1)
    rgb[50:70, 40:60] = (255, 0, 0)
    ground = border_ground(rgb)[0]
    assert not ground[52:68, 42:58].any()
    assert ground.mean() > 0.95


def test_spot_of_the_ground_colour_inside_a_figure_is_not_reached() -> None:
    rgb = np.full((60, 60, 3), 255, np.uint8)
    rgb[10:50, 10:50] = (0, 90, 0)
    rgb[25:35, 25:35] = 255
    ground = border_ground(rgb)[0]
    assert ground[5, 5]
    assert not ground[30, 30]


def test_noise_has_hardly_any_ground() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert border_ground(rgb)[0].mean() < 0.2


def test_cues_are_what_colour_says_at_half_the_size() -> None:
    rgb = np.full((64, 96, 3), 255, np.uint8)
    rgb[16:48, 16:48] = (0, 90, 0)
    rgb[24:40, 24:40] = 255
    found = cues(rgb)
    assert found.shape == (64, 96, CUES)
    assert found[4, 4].tolist() == [255, 255]
    assert found[20, 20].tolist() == [0, 0]
    assert found[32, 32].tolist() == [0, 255]
    assert np.array_equal(found, cues(rgb))
