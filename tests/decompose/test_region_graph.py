from typing import Any

import numpy as np
import pytest

from lamina.decompose.coarse import Coarse
from lamina.decompose.region_graph import log_odds, region_graph
from lamina.decompose.working import Working

PAGE, CARD = (240, 240, 240, 255), (20, 90, 160, 255)


def picture() -> Any:
    rgba = np.full((60, 80, 4), PAGE, np.uint8)
    rgba[20:40, 0:40] = CARD
    return rgba


def answer(rgba: Any, card: float = 0.9) -> Coarse:
    seen = np.where((rgba == CARD).all(axis=2), card, 0.1).astype(np.float32)
    visible = np.stack([1 - seen, seen])
    return Coarse(visible=visible, alpha=visible, rgb=np.zeros((*visible.shape, 3)), confidence=np.ones(2))


def test_regions_and_their_common_border() -> None:
    rgba = picture()
    graph = region_graph(Working(rgba), answer(rgba))
    page, card = graph.regions[0, 0], graph.regions[30, 10]
    assert len(graph.area) == 2
    assert graph.area[card] == pytest.approx(20 * 40 / (60 * 80))
    rim = 2 * (60 + 80) - 4
    assert graph.rim[card] == pytest.approx(20 / rim)
    assert graph.rim.sum() == pytest.approx(1)
    assert np.allclose([graph.said[page], graph.said[card]], log_odds(np.array([0.9, 0.1])), atol=1e-4)
    assert sorted(graph.pairs[:, 0]) == [0, 1]
    assert np.allclose(graph.share, 1)
    assert np.array_equal(graph.region[:, 0], graph.said)
    assert np.isfinite(graph.region).all()
    assert np.isfinite(graph.border).all()


def test_sizes_places_and_shapes_are_the_same_in_a_mirror() -> None:
    rgba = picture()
    one, other = (region_graph(Working(side), answer(side)) for side in (rgba, np.ascontiguousarray(rgba[:, ::-1])))
    rows = [graph.region[np.argsort(graph.area), 8:18] for graph in (one, other)]
    assert np.allclose(*rows, atol=0.03)  # regions differ by a pixel, places count from pixels' corners


def test_a_picture_of_one_colour_is_one_region_without_borders() -> None:
    rgba = np.full((40, 40, 4), 255, np.uint8)
    graph = region_graph(Working(rgba), answer(rgba))
    assert graph.region.shape == (1, 30)
    assert graph.border.shape == (0, 5)
    assert np.isfinite(graph.region).all()


def test_odds_are_bounded() -> None:
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
    assert log_odds(0.5) == 0
