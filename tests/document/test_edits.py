"""Edits as values and as JSON."""

import json

import numpy as np
import pytest
from PIL import Image

from lamina.document import edits as e
from lamina.document.layer import BlendMode
from lamina.errors import InputError

EVERY = (
    e.Move(layer="a", dx=4, dy=-0.5),
    e.Resize(layer="a", scale=2),
    e.Resize(layer="a", scale=(0.5, 1.25)),
    e.Rotate(layer="a", degrees=-30.1),
    e.Rename(layer="a", name="Früh"),
    e.Reorder(layer="a", to=0),
    e.Reorder(layer="a", to=2, group=""),
    e.SetOpacity(layer="a", opacity=0.3),
    e.SetBlend(layer="a", blend=BlendMode.COLOR_DODGE),
    e.SetVisible(layer="a", visible=False),
    e.SetLocked(layer="a", locked=True),
    e.Recolor(layer="a", color="#e11d48", strength=0.5),
    e.Replace(layer="a", image=np.full((2, 2, 4), 7, np.uint8), fit="cover"),
    e.Insert(image="0" * 64, x=1.5, y=2, name="N", to=0, group="g"),
    e.Insert(image=Image.new("RGB", (2, 1), "red")),
    e.Duplicate(layer="a"),
    e.Delete(layer="a"),
    e.Merge(layers=("a", "b")),
    e.Regroup(layers=("a", "b"), name="G"),
    e.Regroup(layer="g"),
)


@pytest.mark.parametrize("edit", EVERY, ids=lambda edit: edit.kind)
def test_json_form_round_trips_through_text(edit):
    text = json.dumps([e.to_json(edit)])
    assert e.from_json(json.loads(text)) == (edit,)


def test_every_kind_is_covered_and_named_as_in_the_contract():
    names = (
        "move resize rotate rename reorder set-opacity set-blend set-visible set-locked "
        "recolor replace insert duplicate delete merge regroup"
    )
    assert " ".join(dict.fromkeys(edit.kind for edit in EVERY)) == names


def test_optional_fields_may_be_left_out_or_null():
    assert e.from_json([{"edit": "recolor", "layer": "a", "color": "#000000"}])[0].strength == 1
    assert e.from_json([{"edit": "reorder", "layer": "a", "to": 1, "group": None}])[0].group is None
    assert e.to_json(e.Reorder(layer="a", to=1)) == {"edit": "reorder", "layer": "a", "to": 1}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"edit": "explode", "layer": "a"}, "'explode', expected one of move, resize"),
        ({"type": "move", "layer": "a"}, "no field 'edit', expected one of"),
        ("move", "expected an object"),
        ({"edit": "move", "layer": "a", "dx": 1}, "move lacks the field 'dy'"),
        ({"edit": "move", "layer": "a", "dx": 1, "dy": 1, "dz": 1}, "no field 'dz'; it has layer, dx, dy"),
        ({"edit": "move", "layer": 3, "dx": 1, "dy": 1}, "'layer' is 3, expected text"),
        ({"edit": "move", "layer": "a", "dx": True, "dy": 1}, "'dx' is True, expected a number"),
        ({"edit": "move", "layer": "a", "dx": float("nan"), "dy": 1}, "'dx' is nan"),
        ({"edit": "move", "layer": "a", "dx": 10**400, "dy": 1}, "expected a number"),
        ({"edit": "resize", "layer": "a", "scale": [1, 2, 3]}, "'scale' is"),
        ({"edit": "resize", "layer": "a", "scale": 0}, "not above 0"),
        ({"edit": "set-opacity", "layer": "a", "opacity": 140}, "opacity 140 is outside 0-1"),
        ({"edit": "set-blend", "layer": "a", "blend": "shine"}, "'shine', expected one of normal"),
        ({"edit": "set-visible", "layer": "a", "visible": 1}, "expected true or false"),
        ({"edit": "reorder", "layer": "a", "to": 1.5}, "expected a whole number"),
        ({"edit": "recolor", "layer": "a", "color": "red"}, "#rrggbb"),
        ({"edit": "recolor", "layer": "a", "color": "#ff0000", "strength": 2}, "strength 2 is outside 0-1"),
        ({"edit": "replace", "layer": "a", "image": "0" * 64, "fit": "tile"}, "contain, cover, stretch"),
        ({"edit": "insert", "image": "/etc/passwd"}, "file paths are not taken"),
        ({"edit": "merge", "layers": []}, "'layers' is empty"),
        ({"edit": "merge", "layers": ["a", "a"]}, "twice"),
        ({"edit": "merge", "layers": "ab"}, "expected a list of ids"),
        ({"edit": "regroup"}, "either 'layers'"),
        ({"edit": "regroup", "layer": "a", "layers": ["b"]}, "either 'layers'"),
        ({"edit": "regroup", "layer": "a", "name": "x"}, "only together with"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(entry, message):
    with pytest.raises(InputError) as caught:
        e.from_json([{"edit": "delete", "layer": "a"}, entry])
    assert str(caught.value).startswith("edit 2: ")
    assert message in str(caught.value)


def test_edits_must_be_a_list():
    with pytest.raises(InputError, match="expected a list"):
        e.from_json({"edit": "delete", "layer": "a"})


def test_a_path_is_taken_where_it_is_allowed():
    entry = {"edit": "insert", "image": "logo.png"}
    assert e.from_json([entry], paths=True) == (e.Insert(image="logo.png"),)
