"""Splitting a layer: the group shows what the layer showed, and nothing else changes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.decompose.coarse import Coarse
from lamina.decompose.decomposer import Decomposer
from lamina.document.composite import flatten, flatten_nodes
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Box, Group, Layer, Text
from lamina.document.tree import locate
from lamina.errors import InputError
from lamina.options import DecomposeOptions


class Quarters:
    """Sees as many layers as it is asked for, side by side, whatever the picture shows; auto sees three."""

    name, ignores, attempts, most_layers = "quarters", (), 1, 8

    def look(self, rgba: np.ndarray, options: DecomposeOptions, attempt: int = 0) -> Coarse:
        count = min(3, options.max_layers) if options.layers == "auto" else options.layers
        columns = np.arange(12) * count // 12
        visible = (columns == np.arange(count)[:, None, None]).astype(np.float32).repeat(8, axis=1)
        return Coarse(
            visible=visible,
            alpha=np.maximum(visible, (np.arange(count) == 0)[:, None, None]).astype(np.float32),
            rgb=np.full((count, 8, 12, 3), 0.5, np.float32),
            confidence=np.full(count, 0.7, np.float32),
        )


@pytest.fixture(scope="module")
def decomposer() -> Decomposer:
    return Decomposer(Quarters())


def pixels(seed: int = 0, height: int = 40, width: int = 60, *, soft: bool = True) -> np.ndarray:
    """Three coloured stripes with noise; with `soft`, alphas of every kind."""
    rng = np.random.default_rng(seed)
    stripes = np.array([(200, 30, 30), (30, 180, 60), (40, 60, 220)])[np.arange(width) * 3 // width]
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., :3] = np.clip(stripes + rng.integers(-4, 5, (height, width, 3)), 0, 255)
    if soft:
        rgba[: height // 3, :, 3] = rng.integers(0, 256, (height // 3, width))
        rgba[-4:, :, 3] = 0
    return rgba


def document(**placed: object) -> Document:
    """A ground, the layer "in" inside two groups, and a veil on top."""
    layer = Layer(**{"id": "in", "name": "Stripes", "rgba": pixels(), "x": 7, "y": 5, **placed})  # type: ignore[arg-type]
    mate = Layer(id="mate", name="Mate", rgba=pixels(1, 20, 20), x=30, y=20, opacity=0.6)
    inner = Group(id="inner", name="Inner", children=(layer, mate), opacity=0.8)
    return Document(
        width=90,
        height=70,
        layers=(
            Layer(id="ground", name="Ground", rgba=pixels(2, 70, 90, soft=False)),
            Group(id="outer", name="Outer", children=(inner,)),
            Layer(id="veil", name="Veil", rgba=pixels(3, 30, 30), x=40, blend=BlendMode.MULTIPLY),
        ),
        meta={"model": "x"},
    )


def same_picture(one: np.ndarray, other: np.ndarray) -> bool:
    shown = one[..., 3] > 0
    return bool(np.array_equal(one[..., 3], other[..., 3]) and np.array_equal(one[shown], other[shown]))


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 999),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    layers=st.sampled_from(["auto", 2, 5]),
    noise=st.booleans(),
)
def test_the_group_composites_to_the_layer_byte_for_byte(
    decomposer: Decomposer, seed: int, size: tuple[int, int], layers: int, noise: bool
) -> None:
    rgba = pixels(seed, *size)
    if noise:
        rgba = np.random.default_rng(seed).integers(0, 256, (*size, 4), np.uint8)
    whole = Document(width=60, height=60, layers=(Layer(id="a", name="A", rgba=rgba, x=-3, y=4),))
    try:
        split = decomposer.split(whole, "a", DecomposeOptions(layers=layers))
    except InputError as error:
        assert "nothing to split" in str(error)  # noqa: PT017 - tiny layers hold one thing
        return
    group = split.layers[0]
    assert isinstance(group, Group)
    assert len(group.children) > 1
    box = Box(-3, 4, -3 + size[1], 4 + size[0])
    assert same_picture(rgba, flatten_nodes(group.children, box))
    assert same_picture(flatten(whole), flatten(split))


@pytest.mark.parametrize(
    "placed",
    [
        {},
        {"opacity": 0.37},
        {"visible": False},
        {"x": 6.5, "y": 5.25},
        {"scale": (0.5, 1.3)},
        {"angle": 33.0, "scale": (1.2, 1.2)},
        {"angle": 90.0},
        {"x": -25},
        {"text": Text(content="hello")},
    ],
    ids=str,
)
def test_a_split_layer_looks_the_same_wherever_it_lies_and_the_rest_is_untouched(
    decomposer: Decomposer, placed: dict[str, object]
) -> None:
    before = document(**placed)
    after = decomposer.split(before, "in")
    assert np.array_equal(flatten(after), flatten(before))
    group = after.find("in")
    assert isinstance(group, Group)
    assert (group.name, locate(after, "in")) == ("Stripes", locate(before, "in"))
    assert len(group.children) == 3
    for node in ("ground", "mate", "veil"):
        assert after.find(node) is before.find(node)
    record = after.meta["splits"]["in"]
    assert record["model"] == "quarters"
    assert record["fidelity"]["exact_share"] == 1.0
    assert set(record["fidelity"]["confidence"]) == {child.id for child in group.children}
    plain = set(placed) <= {"opacity", "visible"} or placed == {"x": -25}
    assert any("live text" in words or "size it is shown" in words for words in record["warnings"]) == (not plain)


def test_a_layer_is_split_again_and_again(decomposer: Decomposer) -> None:
    before = deeper = document()
    for _ in range(3):
        largest = max(
            (n for n in deeper.walk() if isinstance(n, Layer) and n.id not in ("ground", "mate", "veil")),
            key=lambda n: int((n.rgba[..., 3] == 255).sum()),
        )
        deeper = decomposer.split(deeper, largest.id)
        assert np.array_equal(flatten(deeper), flatten(before))
    ids = [node.id for node in deeper.walk()]
    assert len(ids) == len(set(ids)) >= 6 + 3 * 2
    assert sum(isinstance(node, Group) for node in deeper.walk()) == 2 + 3
    assert decomposer.split(before, "in") == decomposer.split(before, "in")


def test_what_cannot_be_split_is_refused_with_a_reason(decomposer: Decomposer) -> None:
    flat = np.full((30, 30, 4), (9, 99, 199, 255), np.uint8)
    cases: list[tuple[Callable[[], Document], str, str]] = [
        (document, "inner", "is a group already; split one of the layers in it: in, mate"),
        (document, "nobody", "no layer with id 'nobody'"),
        (document, "veil", "blends as multiply"),
        (lambda: document(locked=True), "in", "is locked; unlock it first"),
        (lambda: document(rgba=np.zeros((9, 9, 4), np.uint8)), "in", "shows nothing"),
    ]
    for make, layer, words in cases:
        with pytest.raises(InputError, match=words):
            decomposer.split(make(), layer)
    with pytest.raises(InputError, match="at least 2 layers"):
        decomposer.split(document(), "in", DecomposeOptions(layers=1))

    class One(Quarters):
        def look(self, rgba: np.ndarray, options: DecomposeOptions, attempt: int = 0) -> Coarse:
            return super().look(rgba, replace(options, layers=1), attempt)

    with pytest.raises(InputError, match="shows one thing only"):
        Decomposer(One()).split(document(rgba=flat), "in")


def test_boxes_of_a_split_are_in_pixels_of_the_canvas(decomposer: Decomposer) -> None:
    rgba = np.full((60, 80, 4), (240, 240, 230, 255), np.uint8)
    rgba[20:40, 30:50, :3] = (200, 20, 60)
    before = Document(width=200, height=100, layers=(Layer(id="card", name="Card", rgba=rgba, x=100, y=10),))
    after = decomposer.split(before, "card", DecomposeOptions(layers=3, box=((125, 25, 155, 55),)))
    assert after.find("card").children[-1].box == (130, 30, 150, 50)  # type: ignore[union-attr]
    assert np.array_equal(flatten(after), flatten(before))
    with pytest.raises(InputError, match="outside the layer 'card'"):
        decomposer.split(before, "card", DecomposeOptions(box=((0, 0, 20, 20),)))
