"""Places in a document's tree: find a node among its siblings, put others there, make new ids.

Every function returns new values; branches that do not change stay the same objects. The top level has the id "".
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from lamina.document.document import Document
from lamina.document.layer import Group, Layer, Node, walk
from lamina.errors import InputError

__all__ = ["TOP", "children_of", "fresh_id", "layers_in", "locate", "map_layers", "with_children"]

TOP = ""


def locate(document: Document, node_id: str) -> tuple[str, int]:
    """Id of the parent (TOP for the document itself) and index among the siblings; InputError when there is none."""
    document.find(node_id)
    parents = [TOP, *(node.id for node in document.walk() if isinstance(node, Group))]
    for parent in parents:
        for index, child in enumerate(children_of(document, parent)):
            if child.id == node_id:
                return parent, index
    raise AssertionError(f"'{node_id}' was found, but not among any group's children")


def children_of(document: Document, parent: str) -> tuple[Node, ...]:
    """The nodes at the top level or in a group, bottom first; InputError when `parent` is no group."""
    if parent == TOP:
        return document.layers
    node = document.find(parent)
    if not isinstance(node, Group):
        raise InputError(f"'{parent}' is a layer, expected a group")
    return node.children


def with_children(document: Document, parent: str, children: Iterable[Node]) -> Document:
    """The document with other nodes in a group or at the top level."""
    if parent == TOP:
        return replace(document, layers=tuple(children))
    return replace(document, layers=_with_children(document.layers, parent, tuple(children)))


def layers_in(node: Node) -> list[Layer]:
    """The layer itself, or every layer in a group, bottom first."""
    return [node for node in walk((node,)) if isinstance(node, Layer)]


def map_layers(node: Node, change: Callable[[Layer], Layer]) -> Node:
    """The node with every layer in it changed."""
    if isinstance(node, Layer):
        return change(node)
    return replace(node, children=tuple(map_layers(child, change) for child in node.children))


def fresh_id(stem: str, taken: Iterable[str]) -> str:
    """`stem`, or the first of stem-2, stem-3, … that is not taken; a stem that ends in a number counts on from 2."""
    known = set(taken)
    stem = re.sub(r"-\d+$", "", stem)
    number, candidate = 1, stem
    while candidate in known:
        number += 1
        candidate = f"{stem}-{number}"
    return candidate


def _with_children(nodes: tuple[Node, ...], parent: str, children: tuple[Node, ...]) -> tuple[Node, ...]:
    out: list[Node] = []
    for node in nodes:
        if isinstance(node, Group):
            inner = children if node.id == parent else _with_children(node.children, parent, children)
            out.append(node if inner is node.children else replace(node, children=inner))
        else:
            out.append(node)
    same = all(new is old for new, old in zip(out, nodes, strict=True))
    return nodes if same else tuple(out)
