"""What edits do, what they refuse, and what they leave alone."""

import copy
import json
import random

import numpy as np
import pytest

from lamina.document import edits as e
from lamina.document.apply import apply
from lamina.document.composite import flatten, flatten_nodes
from lamina.document.document import Document
from lamina.document.images import image_text
from lamina.document.layer import BlendMode, Box, Group, Layer, Text
from lamina.errors import InputError
from lamina.pixels import pixel_sha256


def layer(node_id, height=6, width=8, **values):
    rgba = np.random.default_rng(sum(node_id.encode())).integers(0, 256, (height, width, 4), np.uint8)
    return Layer(**{"id": node_id, "name": node_id.upper(), "rgba": rgba, **values})


def sample():
    group = Group(id="g", name="G", children=(layer("c", x=10, y=4), layer("d", 4, 6, x=14, y=12)))
    ground = layer("a", 20, 24)
    return Document(width=24, height=20, layers=(ground, layer("b", x=3, y=2), group, layer("f", x=1, y=11)))


def pixels_of(document):
    return {node.id: node.rgba for node in document.walk() if isinstance(node, Layer)}


def order(document, group=None):
    return [node.id for node in (document.find(group).children if group else document.layers)]


def near(document, other, tolerance=1):
    one, two = flatten(document).astype(int), flatten(other).astype(int)
    shown = (one[..., 3] > 0) & (two[..., 3] > 0)
    return np.abs(one - two)[shown].max() <= tolerance and np.abs(one - two)[..., 3].max() <= tolerance


# ---- one layer


def test_move_adds_to_the_place():
    moved = apply(sample(), e.Move(layer="b", dx=4, dy=-0.5)).find("b")
    assert (moved.x, moved.y) == (7, 1.5)


def test_resize_multiplies_about_the_centre():
    resized = apply(sample(), e.Resize(layer="b", scale=(2, 0.5))).find("b")
    assert (resized.scale, resized.centre) == ((2.0, 0.5), sample().find("b").centre)
    assert resized.box == Box(-1, 3, 15, 7)


def test_a_hundred_shrinks_and_enlargements_lose_nothing():
    start = sample()
    document = start
    for _ in range(100):
        document = apply(document, e.Resize(layer="b", scale=0.3), e.Resize(layer="b", scale=1 / 0.3))
    assert document.find("b").rgba is start.find("b").rgba
    assert np.allclose(document.find("b").scale, 1, rtol=0, atol=1e-12)
    assert np.array_equal(flatten(document), flatten(start))


def test_simple_values_are_set():
    document = apply(
        sample(),
        e.Rename(layer="b", name="New"),
        e.SetOpacity(layer="b", opacity=0.5),
        e.SetBlend(layer="b", blend=BlendMode.SCREEN),
        e.SetVisible(layer="b", visible=False),
        e.Rotate(layer="b", degrees=-90),
    )
    b = document.find("b")
    assert (b.name, b.opacity, b.blend, b.visible, b.angle) == ("New", 0.5, BlendMode.SCREEN, False, 270)


def test_recolor_also_colours_live_text():
    text = Text(content="Hi", color="#000000")
    rgba = np.full((2, 2, 4), [0, 0, 0, 255], np.uint8)
    document = Document(width=2, height=2, layers=(layer("t", rgba=rgba, text=text),))
    t = apply(document, e.Recolor(layer="t", color="#e11d48")).find("t")
    assert (t.rgba[0, 0].tolist(), t.text.color) == ([225, 29, 72, 255], "#e11d48")


@pytest.mark.parametrize(
    ("fit", "box", "shape"),
    [
        ("contain", Box(4, 2, 14, 8), (10, 20, 4)),
        ("cover", Box(4, 0, 14, 10), (10, 10, 4)),
        ("stretch", Box(4, 0, 14, 10), (10, 20, 4)),
    ],
)
def test_replace_fits_the_old_box(fit, box, shape):
    document = Document(width=20, height=20, layers=(layer("a", 10, 10, x=4, y=0, opacity=0.5),))
    new = np.full((10, 20, 4), 50, np.uint8)
    a = apply(document, e.Replace(layer="a", image=new, fit=fit)).find("a")
    assert (a.box, a.rgba.shape, a.opacity) == (box, shape, 0.5)
    assert np.allclose(a.centre, (9, 5))


def test_replace_with_pixels_of_the_same_size_copies_them():
    new = layer("z").rgba
    b = apply(sample(), e.Replace(layer="b", image=new)).find("b")
    assert b.box == sample().find("b").box
    assert np.array_equal(b.rgba, new)


# ---- the tree


def test_insert_goes_on_top_or_where_it_is_told():
    picture = np.full((2, 3, 4), 9, np.uint8)
    document = apply(sample(), e.Insert(image=picture, x=5), e.Insert(image=picture, to=0, group="g", name="In"))
    top = document.layers[-1]
    assert (top.name, top.box) == ("Picture", Box(5, 0, 8, 2))
    assert document.find("g").children[0].name == "In"
    assert document == apply(
        sample(), e.Insert(image=picture, x=5), e.Insert(image=picture, to=0, group="g", name="In")
    )


def test_stored_pixels_are_found_by_their_sha256():
    b, other = sample().find("b").rgba, np.full((2, 2, 4), 3, np.uint8)
    assert np.array_equal(apply(sample(), e.Insert(image=pixel_sha256(b))).layers[-1].rgba, b)
    found = apply(sample(), e.Insert(image=pixel_sha256(other)), stored={pixel_sha256(other): other}.get)
    assert np.array_equal(found.layers[-1].rgba, other)
    with pytest.raises(InputError, match="no stored pixels"):
        apply(sample(), e.Insert(image=pixel_sha256(other)))


def test_duplicates_lie_just_above_and_never_share_ids():
    document = apply(sample(), e.Duplicate(layer="b"), e.Duplicate(layer="b"), e.Duplicate(layer="b-copy"))
    assert order(document) == ["a", "b", "b-copy-2", "b-copy", "b-copy-3", "g", "f"]
    document = apply(document, e.Duplicate(layer="g"))
    assert order(document, "g-copy") == ["c-copy", "d-copy"]
    assert document.find("c-copy").rgba is document.find("c").rgba


def test_reorder_counts_from_the_bottom():
    assert order(apply(sample(), e.Reorder(layer="f", to=0))) == ["f", "a", "b", "g"]
    assert order(apply(sample(), e.Reorder(layer="a", to=3))) == ["b", "g", "f", "a"]
    into = apply(sample(), e.Reorder(layer="b", to=1, group="g"))
    assert (order(into), order(into, "g")) == (["a", "g", "f"], ["c", "b", "d"])
    assert order(apply(into, e.Reorder(layer="c", to=0, group=""))) == ["c", "a", "g", "f"]


def test_delete_takes_a_group_with_all_in_it():
    assert list(pixels_of(apply(sample(), e.Delete(layer="g")))) == ["a", "b", "f"]


def test_grouping_and_dissolving_are_inverse():
    grouped = apply(sample(), e.Regroup(layers=("f", "b"), name="Pair"))
    assert order(grouped) == ["a", "g", "group"]
    assert order(grouped, "group") == ["b", "f"]
    assert order(apply(grouped, e.Regroup(layer="group"))) == ["a", "g", "b", "f"]


def test_a_faint_group_dissolves_only_where_that_is_exact():
    apart = apply(sample(), e.SetOpacity(layer="g", opacity=0.5), e.Move(layer="d", dx=-14, dy=0))
    loose = apply(apart, e.Regroup(layer="g"))
    assert loose.find("c").opacity == 0.5
    assert near(loose, apart)
    with pytest.raises(InputError, match="overlap"):
        apply(sample(), e.Move(layer="d", dx=0, dy=-4), e.SetOpacity(layer="g", opacity=0.5), e.Regroup(layer="g"))


def test_a_hidden_group_leaves_hidden_layers():
    loose = apply(sample(), e.SetVisible(layer="g", visible=False), e.Regroup(layer="g"))
    assert not loose.find("c").visible


# ---- groups as one thing


def test_moving_a_group_moves_all_in_it():
    document = apply(sample(), e.Move(layer="g", dx=2, dy=3))
    assert [document.find(i).box[:2] for i in "cd"] == [(12, 7), (16, 15)]


def test_resizing_a_group_keeps_its_centre_and_proportions():
    document = apply(sample(), e.Resize(layer="g", scale=2))
    assert document.find("g").box == Box(5, -2, 25, 22)
    assert document.find("c").scale == (2.0, 2.0)
    back = apply(document, e.Resize(layer="g", scale=0.5))
    assert np.array_equal(flatten(back), flatten(sample()))


def test_a_group_stretches_unless_that_would_shear():
    turned = apply(sample(), e.Rotate(layer="d", degrees=90), e.Resize(layer="g", scale=(2, 1)))
    assert (turned.find("c").scale, turned.find("d").scale) == ((2.0, 1.0), (1.0, 2.0))
    with pytest.raises(InputError, match="shear layer 'd'"):
        apply(sample(), e.Rotate(layer="d", degrees=10), e.Resize(layer="g", scale=(2, 1)))


def test_a_group_turned_by_quarters_stays_sharp():
    document = sample()
    for _ in range(4):
        document = apply(document, e.Rotate(layer="g", degrees=90))
        assert all(document.find(i).quarter_turns is not None for i in "cd")
    assert document == sample()


@pytest.mark.parametrize("height", [10, 11])
def test_a_quarter_turn_of_a_group_is_the_quarter_turn_of_its_picture(height):
    group = Group(id="g", name="G", children=(layer("c", height, 12, x=4, y=6), layer("d", 4, 6, x=11, y=4)))
    document = Document(width=20, height=20, layers=(group,))
    box = group.box
    turned = apply(document, e.Rotate(layer="g", degrees=90))
    expected = np.rot90(flatten_nodes((group,), box), -1)
    assert np.array_equal(flatten_nodes(turned.layers, turned.find("g").box), expected)
    assert apply(turned, e.Rotate(layer="g", degrees=-90)) == document


def test_turning_a_group_there_and_back_returns_every_number():
    document = apply(sample(), e.Rotate(layer="g", degrees=33), e.Rotate(layer="g", degrees=12))
    document = apply(document, e.Rotate(layer="g", degrees=-45))
    for i in "cd":
        assert np.allclose(document.find(i).centre, sample().find(i).centre, atol=1e-9)
    assert np.array_equal(flatten(document), flatten(sample()))


def test_a_group_has_opacity_visibility_name_and_colour():
    edits = (
        e.SetOpacity(layer="g", opacity=0.25),
        e.SetVisible(layer="g", visible=False),
        e.Rename(layer="g", name="New"),
        e.Recolor(layer="g", color="#808080"),
    )
    document = apply(sample(), *edits)
    g = document.find("g")
    assert (g.opacity, g.visible, g.name) == (0.25, False, "New")
    grey = document.find("c").rgba[..., :3].astype(int)
    assert (grey.max(axis=-1) - grey.min(axis=-1)).max() <= 1


# ---- merge


def test_merged_layers_composite_to_the_same():
    document = apply(sample(), e.Rotate(layer="b", degrees=20), e.SetOpacity(layer="g", opacity=0.6))
    merged = apply(document, e.Merge(layers=("f", "b", "g")))
    assert order(merged) == ["a", "b-merged"]
    assert near(merged, document, 2)
    assert (merged.find("b-merged").name, merged.find("b-merged").opacity) == ("F", 1)


def test_a_group_alone_becomes_a_layer():
    merged = apply(sample(), e.Merge(layers=("g",)))
    assert order(merged) == ["a", "b", "g-merged", "f"]
    assert near(merged, sample(), 2)


def test_what_lies_outside_the_canvas_survives_a_merge():
    moved = apply(sample(), e.Move(layer="g", dx=-20, dy=0))
    merged = apply(moved, e.Merge(layers=("g",)), e.Move(layer="g-merged", dx=20, dy=0))
    assert near(merged, sample(), 2)


def test_blend_modes_merge_where_the_backdrop_cannot_matter():
    document = apply(sample(), e.SetBlend(layer="b", blend=BlendMode.MULTIPLY))
    assert near(apply(document, e.Merge(layers=("a", "b"))), document, 2)
    solid = apply(
        document,
        e.Insert(image=np.full((20, 24, 4), [9, 99, 200, 255], np.uint8), to=1, name="Solid"),
    )
    ids = (solid.layers[1].id, "b")
    assert near(apply(solid, e.Merge(layers=ids)), solid, 1)
    with pytest.raises(InputError, match="'b' blends as multiply"):
        apply(document, e.Merge(layers=("b", "g")))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (("a", "g"), "b lies between"),
        (("a", "c"), "not in the same group"),
        (("a", "zz"), "no layer with id 'zz'"),
    ],
)
def test_only_adjacent_siblings_merge(layers, message):
    with pytest.raises(InputError, match=message):
        apply(sample(), e.Merge(layers=layers))


def test_a_hidden_layer_is_not_lost_in_a_merge():
    with pytest.raises(InputError, match="'b' is hidden"):
        apply(sample(), e.SetVisible(layer="b", visible=False), e.Merge(layers=("a", "b")))


# ---- refusals


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (e.Delete(layer="zz"), "no layer with id 'zz'; there are: a, b, g, c, d, f"),
        (e.Reorder(layer="a", to=4), "index 4 is outside 0-3"),
        (e.Reorder(layer="a", to=-1), "index -1"),
        (e.Reorder(layer="g", to=0, group="g"), "into itself"),
        (e.Reorder(layer="a", to=0, group="b"), "'b' is a layer, expected a group"),
        (e.SetBlend(layer="g", blend=BlendMode.SCREEN), "groups blend as normal"),
        (e.Replace(layer="g", image=np.zeros((1, 1, 4), np.uint8)), "replace takes a layer"),
        (e.Regroup(layer="b"), "only a group can be dissolved"),
        (e.Regroup(layers=("a", "c")), "only siblings can be grouped"),
        (e.Resize(layer="b", scale=1e9), "scale"),
        (e.Insert(image="nowhere.png"), "nowhere.png"),
        (e.Insert(image=np.zeros((1, 1, 4), np.uint8), to=9), "index 9"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(edit, message):
    with pytest.raises(InputError, match=message):
        apply(sample(), edit)


LOCKED = [
    e.Move(layer="c", dx=1, dy=0),
    e.Recolor(layer="c", color="#ffffff"),
    e.Rename(layer="g", name="x"),
    e.Resize(layer="g", scale=2),
    e.Delete(layer="g"),
    e.Duplicate(layer="c"),
    e.Reorder(layer="g", to=0),
    e.Merge(layers=("b", "g")),
    e.Regroup(layers=("g",)),
    e.Regroup(layer="g"),
]


@pytest.mark.parametrize("edit", LOCKED, ids=lambda edit: edit.kind)
def test_a_locked_layer_refuses_every_other_edit(edit):
    locked = apply(sample(), e.SetLocked(layer="c", locked=True))
    with pytest.raises(InputError, match=r"layer 'c'.* is locked"):
        apply(locked, edit)
    apply(locked, e.SetLocked(layer="c", locked=False), edit)


def test_locking_a_group_locks_all_in_it():
    locked = apply(sample(), e.SetLocked(layer="g", locked=True))
    assert [locked.find(i).locked for i in "abcdf"] == [False, False, True, True, False]


def test_edits_are_all_or_nothing():
    start = sample()
    kept = copy.deepcopy(start)
    with pytest.raises(InputError):
        apply(start, e.Move(layer="a", dx=1, dy=1), e.Recolor(layer="b", color="#ff0000"), e.Delete(layer="zz"))
    assert start == kept


# ---- properties


def some_edit(rng, document):
    ids = [node.id for node in document.walk()]
    leaves = [node.id for node in document.walk() if isinstance(node, Layer)]
    groups = [node.id for node in document.walk() if isinstance(node, Group)]
    picture = np.full((rng.randint(1, 5), rng.randint(1, 5), 4), rng.randint(0, 255), np.uint8)
    color = f"#{rng.randrange(1 << 24):06x}"
    siblings = [node.id for node in rng.choice([document.layers, *(document.find(g).children for g in groups)])]
    start = rng.randrange(max(1, len(siblings)))
    run = tuple(siblings[start : start + 2])
    makers = {
        "move": lambda: e.Move(layer=rng.choice(ids), dx=rng.randint(-5, 5), dy=rng.uniform(-2, 2)),
        "resize": lambda: e.Resize(layer=rng.choice(ids), scale=rng.choice([0.5, 2, (0.8, 1.25), 1.1])),
        "rotate": lambda: e.Rotate(layer=rng.choice(ids), degrees=rng.choice([90, -90, 180, 33.3])),
        "rename": lambda: e.Rename(layer=rng.choice(ids), name=color),
        "reorder": lambda: e.Reorder(
            layer=rng.choice(ids), to=rng.randint(0, 3), group=rng.choice([None, "", *groups])
        ),
        "set-opacity": lambda: e.SetOpacity(layer=rng.choice(ids), opacity=rng.random()),
        "set-blend": lambda: e.SetBlend(layer=rng.choice(ids), blend=rng.choice(list(BlendMode))),
        "set-visible": lambda: e.SetVisible(layer=rng.choice(ids), visible=rng.random() < 0.8),
        "set-locked": lambda: e.SetLocked(layer=rng.choice(ids), locked=rng.random() < 0.2),
        "recolor": lambda: e.Recolor(layer=rng.choice(ids), color=color, strength=rng.random()),
        "replace": lambda: e.Replace(layer=rng.choice(leaves), image=picture, fit=rng.choice(["contain", "cover"])),
        "insert": lambda: e.Insert(image=picture, x=rng.randint(-3, 20), group=rng.choice([None, *groups])),
        "duplicate": lambda: e.Duplicate(layer=rng.choice(ids)),
        "delete": lambda: e.Delete(layer=rng.choice(ids)),
        "merge": lambda: e.Merge(layers=run),
        "regroup": lambda: rng.choice([lambda: e.Regroup(layers=run), lambda: e.Regroup(layer=rng.choice(groups))])(),
    }
    return makers[rng.choice(list(makers))]()


def touched(edit, document):
    named = [edit.layer] if getattr(edit, "layer", None) else list(getattr(edit, "layers", None) or ())
    found = set()
    for node_id in named:
        node = document.find(node_id)
        found |= {
            inner.id
            for inner in ([node] if isinstance(node, Layer) else Document(width=1, height=1, layers=(node,)).walk())
        }
    return found


@pytest.mark.parametrize("seed", range(3))
def test_replaying_random_edits_from_their_json_gives_an_equal_document(seed):
    rng = random.Random(seed)
    start = sample()
    kept = copy.deepcopy(start)
    document, done = start, []
    while len(done) < 300:
        try:
            edit = some_edit(rng, document)
            after = apply(document, edit)
        except (InputError, IndexError):  # IndexError: no layer or group left to choose from
            continue
        others = {i: rgba for i, rgba in pixels_of(document).items() if i not in touched(edit, document)}
        new = pixels_of(after)
        assert all(new[i] is rgba for i, rgba in others.items()), edit
        if len(list(after.walk())) > 24:
            continue
        document = after
        done.append(edit)
    replayed = e.from_json(json.loads(json.dumps([e.to_json(edit) for edit in done])))
    assert len({edit.kind for edit in done}) == 16
    assert apply(start, *replayed) == document
    assert start == kept
    flatten(document)


def test_a_picture_given_as_pixels_equals_its_data_uri():
    picture = np.full((2, 2, 4), 7, np.uint8)
    assert e.Insert(image=picture) == e.Insert(image=image_text(picture))


def test_an_edit_of_the_composite_drops_what_meta_said_of_its_likeness() -> None:
    layer = Layer(id="a", name="A", rgba=np.full((2, 2, 4), 9, np.uint8))
    document = Document(width=4, height=4, layers=(layer,), meta={"model": "small", "fidelity": {"exact_share": 1.0}})
    assert apply(document, e.Rename(layer="a", name="B")).meta == document.meta
    assert apply(document, e.Move(layer="a", dx=1, dy=0)).meta == {"model": "small"}
