"""Layers, groups and boxes: placement numbers, bounds, and what is refused."""

import numpy as np
import pytest

from lamina.document.layer import BlendMode, Box, Group, Layer, trimmed, walk
from lamina.errors import InputError


def layer(width=4, height=2, **values):
    rgba = np.full((height, width, 4), 255, np.uint8)
    return Layer(**{"id": "a", "name": "A", "rgba": rgba, **values})


def test_pixels_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        layer().rgba[0, 0, 0] = 1


def test_a_caller_that_keeps_a_view_cannot_change_a_layer():
    whole = np.zeros((4, 4, 4), np.uint8)
    made = layer(rgba=whole[1:3])
    whole[:] = 9
    assert made.rgba.max() == 0


@pytest.mark.parametrize(
    ("values", "box"),
    [
        ({"x": 3, "y": -1}, Box(3, -1, 7, 1)),
        ({"scale": (2.0, 2.0)}, Box(-2, -1, 6, 3)),
        ({"angle": 90.0}, Box(1, -1, 3, 3)),
        ({"angle": 180.0}, Box(0, 0, 4, 2)),
        ({"x": 0.5}, Box(0, 0, 5, 2)),
        ({"angle": 45.0}, Box(-1, -2, 5, 4)),
        ({"width": 3, "angle": 90.0}, Box(0, -1, 2, 2)),
    ],
)
def test_box_is_the_bounds_after_scale_and_angle(values, box):
    assert layer(**values).box == box


def test_scaling_by_a_third_and_back_is_upright_again():
    assert layer(scale=(1 / 3 * 3 + 1e-13, 1.0)).upright
    assert not layer(scale=(1 + 1e-6, 1.0)).upright


def test_a_raster_of_odd_sum_on_its_side_may_lie_on_half_pixels():
    assert layer(width=3, angle=90.0, x=0.5, y=0.5).quarter_turns == 1
    assert layer(width=3, x=0.5, y=0.5).quarter_turns is None
    assert layer(width=4, angle=90.0, x=0.5, y=0.5).quarter_turns is None


def test_corners_turn_clockwise():
    assert np.allclose(layer(angle=90.0).corners, [(3, -1), (3, 3), (1, 3), (1, -1)])


@pytest.mark.parametrize(
    "values",
    [
        {"opacity": 1.4},
        {"opacity": float("nan")},
        {"scale": (0.0, 1.0)},
        {"scale": (float("inf"), 1.0)},
        {"x": float("nan")},
        {"rgba": np.zeros((0, 3, 4), np.uint8)},
    ],
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(InputError):
        layer(**values)


def test_equality_compares_content():
    assert layer() == layer()
    assert layer() != layer(x=1)
    assert layer() != layer(rgba=np.zeros((2, 4, 4), np.uint8))


def test_group_box_is_the_union_and_walk_goes_bottom_first():
    group = Group(id="g", name="G", children=(layer(), layer(id="b", x=10, blend=BlendMode.SCREEN)))
    assert group.box == Box(0, 0, 14, 2)
    assert Group(id="e", name="E").box.empty
    assert [node.id for node in walk((group,))] == ["g", "a", "b"]


def test_trimmed_cuts_the_transparent_rim_and_keeps_the_place():
    rgba = np.zeros((6, 5, 4), np.uint8)
    rgba[2:4, 1:2] = 200
    cut = trimmed(layer(rgba=rgba, x=10, y=20))
    assert (cut.box, cut.rgba.min()) == (Box(11, 22, 12, 24), 200)
    assert trimmed(layer(rgba=np.zeros((6, 5, 4), np.uint8))).rgba.shape == (1, 1, 4)
