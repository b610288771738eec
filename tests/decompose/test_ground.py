import numpy as np

from lamina.decompose.ground import ground_odds
from lamina.model.cues import border_ground


def test_odds_favour_the_border_then_its_colours_elsewhere() -> None:
    rgb = np.full((60, 60, 3), 255, np.uint8)
    rgb[10:50, 10:50] = (0, 90, 0)
    rgb[25:35, 25:35] = 255
    odds = ground_odds(*border_ground(rgb))
    assert odds is not None
    assert odds[5, 5] > odds[30, 30] > 1 > odds[15, 15]


def test_odds_say_nothing_of_a_picture_without_a_figure() -> None:
    assert ground_odds(*border_ground(np.full((40, 40, 3), 7, np.uint8))) is None
