"""The Document and its JSON form."""

import json

import numpy as np
import pytest

from lamina.document.document import Document, from_json, to_json
from lamina.document.layer import BlendMode, Box, Group, Layer, Text
from lamina.errors import FormatError, InputError


def layer(node_id, **values):
    rgba = np.random.default_rng(len(node_id)).integers(0, 256, (2, 3, 4), np.uint8)
    return Layer(**{"id": node_id, "name": node_id.upper(), "rgba": rgba, **values})


def sample():
    text = Text(content="Hi", font_family="Serif", size_px=12.5, color="#102030", align="right", box=Box(0, 0, 3, 2))
    low = layer("a", x=-2, y=1.5, scale=(0.5, 2.0), angle=30.0, opacity=0.25, blend=BlendMode.SOFT_LIGHT)
    inner = layer("bb", visible=False, locked=True, text=text)
    group = Group(id="g", name="Group", children=(inner, Group(id="e", name="Empty")), opacity=0.5, visible=False)
    return Document(width=8, height=6, layers=(low, group), meta={"seed": 3}, dpi=(72.0, 96.0))


def test_json_form_round_trips_through_text():
    document = sample()
    pixels = {node.id: node.rgba for node in document.walk() if isinstance(node, Layer)}
    text = json.dumps(to_json(document, lambda layer: {"file": layer.id}))
    assert from_json(json.loads(text), lambda entry: pixels[entry["file"]]) == document


def test_two_layers_with_one_id_are_refused():
    with pytest.raises(InputError, match="share the id 'a'"):
        Document(width=1, height=1, layers=(layer("a"), Group(id="g", name="", children=(layer("a"),))))


def test_an_empty_canvas_is_refused():
    with pytest.raises(InputError, match="0x4"):
        Document(width=0, height=4)


def test_find_names_the_ids_there_are():
    assert sample().find("bb").name == "BB"
    with pytest.raises(InputError, match="a, g, bb, e"):
        sample().find("zz")


def test_equality_compares_content():
    assert sample() == sample()
    assert sample() != Document(width=8, height=6)
    assert hash(sample()) == hash(sample())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.update(schema=2),
        lambda data: data.pop("width"),
        lambda data: data.update(width=float("inf")),
        lambda data: data["layers"][0].update(opacity=7),
        lambda data: data["layers"][0].update(kind="mesh"),
        lambda data: data["layers"][0].update(blend="shine"),
        lambda data: data["layers"][0].update(x=float("inf")),
        lambda data: data["layers"][0].update(text={"words": "?"}),
        lambda data: data["layers"].append(dict(data["layers"][0])),
        lambda data: data.update(layers=3),
    ],
)
def test_a_malformed_document_is_a_format_error(spoil):
    data = to_json(sample(), lambda layer: {})
    spoil(data)
    with pytest.raises(FormatError):
        from_json(data, lambda entry: np.zeros((2, 3, 4), np.uint8))


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_what_is_no_object_is_a_format_error(data):
    with pytest.raises(FormatError, match="expected an object"):
        from_json(data, lambda entry: np.zeros((1, 1, 4), np.uint8))
