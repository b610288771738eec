"""Carry out edits: a document and edits in, a new document out, all or nothing.

Only recolor, replace, insert and merge make pixels; every other layer's array stays the same object. Knows where an
edit acts and what it refuses; the geometry is in `placement`, the colours in `recolor`, the tree in `tree`.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from lamina.document import edits as e
from lamina.document.composite import flatten_nodes, rasterize
from lamina.document.document import Document
from lamina.document.images import is_path, read_image
from lamina.document.layer import BlendMode, Box, Group, Layer, Node, trimmed, walk
from lamina.document.placement import fitted, moved, resized, rotated
from lamina.document.recolor import recolor
from lamina.document.tree import TOP, children_of, fresh_id, layers_in, locate, map_layers, with_children
from lamina.errors import InputError
from lamina.pixels import pixel_sha256

__all__ = ["Stored", "apply"]

Stored = Callable[[str], UInt8[np.ndarray, "h w 4"] | None]

_MERGE_PIXELS = 1 << 26
"""A merged layer keeps what lies outside the canvas up to this size; beyond it, it is cut to the canvas."""


_LOOKS_THE_SAME = (e.Rename, e.SetLocked)
_OF_THE_PICTURE = ("fidelity", "warnings")
"""Fields of `meta` that describe the composite as it was made."""


def apply(document: Document, *edits: e.Edit, stored: Stored | None = None) -> Document:
    """The document after the edits, in order; the one given is unchanged.

    For an image given as sha256 (`pixels.pixel_sha256`), `stored` finds pixels beyond those of the document's layers.
    What `meta` said of the likeness to the source is dropped by an edit that changes the composite.
    Raises InputError, having done nothing, when any edit cannot be carried out as it says.
    """
    for number, edit in enumerate(edits, start=1):
        try:
            document = _apply(document, edit, stored)
        except InputError as error:
            raise InputError(f"edit {number}: {error}") from error
    if all(isinstance(edit, _LOOKS_THE_SAME) for edit in edits):
        return document
    return replace(document, meta={key: value for key, value in document.meta.items() if key not in _OF_THE_PICTURE})


def _apply(document: Document, edit: e.Edit, stored: Stored | None) -> Document:
    match edit:
        case e.Insert():
            return _insert(document, edit, stored)
        case e.Merge():
            return _merge(document, edit.layers)
        case e.Regroup():
            return _ungroup(document, edit.layer) if edit.layer is not None else _group(document, edit)
        case _:
            pass
    parent, index = locate(document, edit.layer)
    siblings = children_of(document, parent)
    node = siblings[index]
    if not isinstance(edit, e.SetLocked):
        _check_unlocked(node)
    match edit:
        case e.Delete():
            new: tuple[Node, ...] = ()
        case e.Duplicate():
            new = (node, _copy(document, node))
        case e.Reorder():
            return _reorder(document, edit, node, parent, index)
        case e.Replace():
            if isinstance(node, Group):
                raise InputError(f"'{node.id}' is a group; replace takes a layer")
            new = (fitted(node, _pixels(document, str(edit.image), stored), edit.fit),)
        case _:
            new = (_changed(node, edit),)
    return with_children(document, parent, (*siblings[:index], *new, *siblings[index + 1 :]))


def _changed(
    node: Node,
    edit: e.Move | e.Resize | e.Rotate | e.Rename | e.SetOpacity | e.SetBlend | e.SetVisible | e.SetLocked | e.Recolor,
) -> Node:
    match edit:
        case e.Move():
            return moved(node, edit.dx, edit.dy)
        case e.Resize():
            return resized(node, edit.factors)
        case e.Rotate():
            return rotated(node, edit.degrees)
        case e.Rename():
            return replace(node, name=edit.name)
        case e.SetOpacity():
            return replace(node, opacity=edit.opacity)
        case e.SetVisible():
            return replace(node, visible=edit.visible)
        case e.SetLocked():
            return map_layers(node, lambda layer: replace(layer, locked=edit.locked))
        case e.Recolor():
            return _recolored(node, edit)
        case e.SetBlend():
            if isinstance(node, Layer):
                return replace(node, blend=edit.blend)
            if edit.blend == BlendMode.NORMAL:
                return node
            raise InputError(f"'{node.id}' is a group, and groups blend as normal; set the blend of its layers")


def _check_unlocked(*nodes: Node) -> None:
    for node in nodes:
        for layer in layers_in(node):
            if layer.locked:
                where = "" if layer is node else f" in group '{node.id}'"
                raise InputError(f"layer '{layer.id}'{where} is locked; unlock it first (set-locked)")


def _recolored(node: Node, edit: e.Recolor) -> Node:
    layers = layers_in(node)
    # A live text's colour goes through the same formula: one pixel of no weight.
    inks = [_ink(layer) for layer in layers]
    color = tuple(bytes.fromhex(edit.color[1:]))
    pictures = recolor([*(layer.rgba for layer in layers), *inks], (color[0], color[1], color[2]), edit.strength)
    changed: dict[str, Layer] = {}
    for layer, rgba, ink in zip(layers, pictures, pictures[len(layers) :], strict=False):
        text = layer.text and replace(layer.text, color="#" + bytes(ink[0, 0, :3]).hex())
        changed[layer.id] = replace(layer, rgba=rgba, text=text)
    return map_layers(node, lambda layer: changed[layer.id])


def _ink(layer: Layer) -> UInt8[np.ndarray, "1 1 4"]:
    known = layer.text is not None and re.fullmatch(r"#[0-9a-fA-F]{6}", layer.text.color) is not None
    color = layer.text.color[1:] if known and layer.text else "000000"
    return np.frombuffer(bytes.fromhex(color + "00"), np.uint8).reshape(1, 1, 4)


def _pixels(document: Document, image: str, stored: Stored | None) -> UInt8[np.ndarray, "h w 4"]:
    if not image.startswith("data:") and not is_path(image):
        for node in document.walk():
            if isinstance(node, Layer) and pixel_sha256(node.rgba) == image:
                return node.rgba
        found = stored(image) if stored else None
        if found is not None:
            return found
    return read_image(image)


def _insert(document: Document, edit: e.Insert, stored: Stored | None) -> Document:
    rgba = _pixels(document, str(edit.image), stored)
    layer = Layer(
        id=fresh_id(f"layer-{pixel_sha256(rgba)[:8]}-1", (node.id for node in document.walk())),
        name="Picture" if edit.name is None else edit.name,
        rgba=rgba,
        x=edit.x,
        y=edit.y,
    )
    parent = TOP if edit.group is None else edit.group
    siblings = children_of(document, parent)
    to = len(siblings) if edit.to is None else edit.to
    return with_children(document, parent, _inserted(siblings, layer, to))


def _inserted(siblings: tuple[Node, ...], node: Node, to: int) -> tuple[Node, ...]:
    if not 0 <= to <= len(siblings):
        raise InputError(f"index {to} is outside 0-{len(siblings)}")
    return (*siblings[:to], node, *siblings[to:])


def _reorder(document: Document, edit: e.Reorder, node: Node, parent: str, index: int) -> Document:
    siblings = children_of(document, parent)
    target = parent if edit.group is None else edit.group
    if any(inner.id == target for inner in walk((node,))):
        raise InputError(f"group '{node.id}' cannot be put into itself")
    without = with_children(document, parent, (*siblings[:index], *siblings[index + 1 :]))
    return with_children(without, target, _inserted(children_of(without, target), node, edit.to))


def _copy(document: Document, node: Node) -> Node:
    taken = {other.id for other in document.walk()}

    def copied(node: Node, name: str) -> Node:
        stem = re.sub(r"-copy(-\d+)?$", "", node.id)
        new_id = fresh_id(f"{stem}-copy", taken)
        taken.add(new_id)
        if isinstance(node, Layer):
            return replace(node, id=new_id, name=name)
        children = tuple(copied(child, child.name) for child in node.children)
        return replace(node, id=new_id, name=name, children=children)

    return copied(node, f"{node.name} copy")


def _picked(document: Document, ids: tuple[str, ...], verb: str) -> tuple[str, list[int]]:
    """Parent and rising indices of sibling nodes; none of them may hold a locked layer."""
    places = [locate(document, node_id) for node_id in ids]
    parents = {parent for parent, _ in places}
    if len(parents) > 1:
        raise InputError(f"{', '.join(ids)} are not in the same group; only siblings can be {verb}")
    _check_unlocked(*(document.find(node_id) for node_id in ids))
    return parents.pop(), sorted(index for _, index in places)


def _merge(document: Document, ids: tuple[str, ...]) -> Document:
    parent, indices = _picked(document, ids, "merged")
    siblings = children_of(document, parent)
    first, last = indices[0], indices[-1]
    nodes = siblings[first : last + 1]
    if len(nodes) != len(indices):
        between = ", ".join(node.id for node in nodes if node.id not in ids)
        raise InputError(f"{between} lies between the layers to merge; only adjacent ones composite to the same")
    box = _check_mergeable(document, nodes, over_nothing=first == 0)
    taken = {node.id for node in document.walk()}
    merged = trimmed(
        Layer(
            id=fresh_id(f"{nodes[0].id}-merged", taken),
            name=nodes[-1].name,
            rgba=flatten_nodes(nodes, box),
            x=box.left,
            y=box.top,
        )
    )
    return with_children(document, parent, (*siblings[:first], merged, *siblings[last + 1 :]))


def _check_mergeable(document: Document, nodes: tuple[Node, ...], *, over_nothing: bool) -> Box:
    """The box that a merged layer fills. Raises InputError when no one layer can composite to the same."""
    for node in nodes:
        if not node.visible:
            raise InputError(f"'{node.id}' is hidden and would be lost in the merge; show it or leave it out")
    bounds = Group(id="", name="", children=nodes).box
    if bounds.width * bounds.height > _MERGE_PIXELS:
        bounds = bounds.intersect(document.box)
    if bounds.empty:
        bounds = Box(0, 0, 1, 1)
    for index, node in enumerate(nodes):
        if isinstance(node, Group) or node.blend == BlendMode.NORMAL or over_nothing:
            continue
        placed = rasterize(node, bounds)
        if placed is None:
            continue
        rgba, x, y = placed
        below = flatten_nodes(nodes[:index], Box(x, y, x + rgba.shape[1], y + rgba.shape[0]))
        if (below[..., 3][rgba[..., 3] > 0] < 255).any():
            raise InputError(
                f"layer '{node.id}' blends as {node.blend} with what lies below the merged layers; "
                "set its blend to normal, or merge it together with everything below it"
            )
    return bounds


def _group(document: Document, edit: e.Regroup) -> Document:
    ids = edit.layers or ()
    parent, indices = _picked(document, ids, "grouped")
    siblings = children_of(document, parent)
    group = Group(
        id=fresh_id("group", (node.id for node in document.walk())),
        name="Group" if edit.name is None else edit.name,
        children=tuple(siblings[index] for index in indices),
    )
    kept: list[Node] = []
    for index, node in enumerate(siblings):
        if index == indices[-1]:
            kept.append(group)
        elif index not in indices:
            kept.append(node)
    return with_children(document, parent, kept)


def _ungroup(document: Document, group_id: str) -> Document:
    parent, index = locate(document, group_id)
    siblings = children_of(document, parent)
    group = siblings[index]
    if not isinstance(group, Group):
        raise InputError(f"'{group_id}' is a layer; only a group can be dissolved")
    _check_unlocked(group)
    if group.opacity != 1:
        boxes = [child.box for child in group.children if child.visible]
        if any(not a.intersect(b).empty for i, a in enumerate(boxes) for b in boxes[:i]):
            raise InputError(
                f"group '{group_id}' has opacity {group.opacity:g} and its layers overlap, so they cannot carry it "
                "one by one; set its opacity to 1 or merge it"
            )
    children = [
        replace(child, opacity=child.opacity * group.opacity, visible=child.visible and group.visible)
        for child in group.children
    ]
    return with_children(document, parent, (*siblings[:index], *children, *siblings[index + 1 :]))
