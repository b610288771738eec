"""Small documents for the tests of formats: drawn by hypothesis, and one with a bit of everything."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from lamina.document.document import Document
from lamina.document.layer import BlendMode, Box, Group, Layer, Node, Text

__all__ = ["built", "noise", "rich_document", "sketches"]

_BOX = Box(1, 2, 3, 4)

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)


def noise(height: int, width: int, seed: int, *, opaque: bool = False) -> np.ndarray:
    """Random stored pixels; a few rows and columns have alpha 0 and colour under it."""
    rgba = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    rgba[: height // 5, : width // 3, 3] = 0
    if opaque:
        rgba[..., 3] = 255
    return rgba


@st.composite
def sketches(draw: Any, *, upright: bool = False) -> dict[str, Any]:
    """Plain values that `built` makes any small document of; `upright`: only whole places, scale 1 and angle 0.

    Two steps, because the shape checks of the test run use `random`, which a strategy must not.
    """
    ids = iter(draw(st.lists(st.text(max_size=6), min_size=8, max_size=8, unique=True)))
    place = st.integers(-30, 30) if upright else st.integers(-30, 30) | st.floats(-30, 30)

    def layer() -> dict[str, Any]:
        free = {} if upright else {"scale": (draw(st.floats(0.1, 9)), 2.0), "angle": draw(st.floats(-400, 400))}
        text = st.none() | st.fixed_dictionaries({"content": st.text(max_size=9), "box": st.sampled_from([None, _BOX])})
        return {
            "id": next(ids),
            "name": draw(st.text(max_size=12)),
            "rgba": draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))),
            "x": draw(place),
            "y": draw(place),
            "opacity": draw(st.floats(0, 1)),
            "blend": draw(st.sampled_from(BlendMode)),
            "visible": draw(st.booleans()),
            "locked": draw(st.booleans()),
            "text": draw(text),
            **free,
        }

    def nodes(depth: int) -> list[dict[str, Any]]:
        made = [layer() for _ in range(draw(st.integers(0, 2)))]
        if depth:
            group = {
                "id": next(ids),
                "name": draw(st.text(max_size=12)),
                "children": nodes(depth - 1),
                "opacity": draw(st.floats(0, 1)),
                "visible": draw(st.booleans()),
            }
            made.insert(draw(st.integers(0, len(made))), group)
        return made

    return {
        "width": draw(st.integers(1, 20)),
        "height": draw(st.integers(1, 20)),
        "layers": nodes(draw(st.integers(0, 2))),
        "meta": draw(st.dictionaries(st.text(max_size=5), _JSON, max_size=2)),
        "icc": draw(st.sampled_from([None, bytes(16) + b"RGB " + bytes(200)])),
        "dpi": draw(st.sampled_from([None, (300.0, 150.5)])),
        "source": draw(st.sampled_from([None, (3, 4, 0)])),
    }


def built(sketch: dict[str, Any]) -> Document:
    """The document of a sketch."""

    def node(values: dict[str, Any]) -> Node:
        if "children" in values:
            return Group(**{**values, "children": tuple(node(child) for child in values["children"])})
        text = Text(**values["text"]) if values["text"] else None
        return Layer(**{**values, "rgba": noise(*values["rgba"]), "text": text})

    source = noise(*sketch["source"]) if sketch["source"] else None
    return Document(**{**sketch, "layers": tuple(node(each) for each in sketch["layers"]), "source": source})


def rich_document(blends: tuple[BlendMode, ...] = (BlendMode.NORMAL, BlendMode.MULTIPLY, BlendMode.SCREEN)) -> Document:
    """96x80: an opaque ground, nested groups, opacities, hidden and locked layers, boxes that leave the canvas."""
    tops = [
        Layer(
            id=f"top{k}", name=f"Top {mode}", rgba=noise(30, 40, 20 + k), x=5 * k, y=40 - 3 * k, blend=mode, opacity=0.6
        )
        for k, mode in enumerate(blends)
    ]
    inner = Group(
        id="inner",
        name="Inner",
        opacity=0.8,
        children=(
            Layer(id="a", name="Stripe", rgba=noise(20, 90, 1), x=-15, y=30, opacity=0.6),
            Layer(id="b", name="Corner", rgba=noise(50, 40, 2), x=75, y=60),
        ),
    )
    outer = Group(
        id="outer",
        name="Äußere 漢字",
        opacity=0.4,
        children=(inner, Layer(id="c", name="Label", rgba=noise(30, 30, 4), x=40, y=-8, locked=True)),
    )
    hidden = Layer(id="h", name="Hidden", rgba=noise(40, 40, 3, opaque=True), x=10, y=10, visible=False)
    return Document(
        width=96,
        height=80,
        layers=(Layer(id="bg", name="Ground", rgba=noise(80, 96, 0, opaque=True)), *tops, hidden, outer),
        dpi=(300.0, 300.0),
    )
