"""Layered documents in a folder, in any mix of forms: what is measured, and predictions to measure.

A document is a folder with 00.png, 01.png, … (full canvas, bottom first; composite.png beside them is the flat
picture), a bundle, or a .psd, .psb or .ora file. Layers count as they are seen: hidden ones are left out, groups are
taken apart and pass their opacity on, blend modes are not applied. Knows formats and documents; no figures.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from lamina import formats
from lamina.document.composite import flatten, rasterize
from lamina.document.document import Document
from lamina.document.layer import Box, Group, Layer, Node, trimmed
from lamina.errors import FormatError, InputError
from lamina.pixels import Picture, load_image, round_u8

__all__ = ["ENDINGS", "Case", "find", "locate", "open_document", "picture_of", "seen_layers", "stack"]

ENDINGS = (".zip", ".psd", ".psb", ".ora")

_NUMBERED = "[0-9][0-9].png"
_COMPOSITE = "composite.png"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One document of a data set: its name there, and where it lies."""

    name: str
    path: Path


def find(folder: str | os.PathLike[str]) -> list[Case]:
    """The documents of a folder, sorted by name; the one document that `folder` is itself, if it is one.

    A name is that of the file or folder without its ending, with it where two would be called the same. Raises
    InputError when there is nothing to measure.
    """
    root = Path(folder)
    if _is_document(root):
        return [Case(name=_bare(root), path=root)]
    if not root.is_dir():
        raise InputError(f"{root} is no folder of documents")
    paths = sorted(path for path in root.iterdir() if path.name[0] != "." and _is_document(path))
    if not paths:
        known = "folders with 00.png, 01.png, …, bundles, or files ending in " + ", ".join(ENDINGS)
        raise InputError(f"{root} holds no documents; expected {known}")
    names = [_bare(path) for path in paths]
    return [
        Case(name=name if names.count(name) == 1 else path.name, path=path)
        for name, path in zip(names, paths, strict=True)
    ]


def locate(folder: str | os.PathLike[str], name: str) -> Path:
    """Where the document of this name lies in a folder, in whatever form; raises InputError when it does not."""
    for path in (Path(folder) / f"{name}{ending}" for ending in ("", *ENDINGS)):
        if _is_document(path):
            return path
    raise InputError(f"there is no prediction for {name} in {folder}")


def open_document(path: Path) -> Document:
    """Read a document of any form; of a folder of numbered pictures, `source` is its composite.png.

    Raises FormatError or InputError for a broken one.
    """
    numbered = sorted(path.glob(_NUMBERED)) if path.is_dir() else []
    if not numbered:
        return formats.read(path)
    layers = [load_image(file) for file in numbered]
    sizes = {(layer.width, layer.height) for layer in layers}
    if len(sizes) > 1:
        raise FormatError(f"the layers of {path} have the sizes {sorted(sizes)}; all must fill the canvas")
    composite = path / _COMPOSITE
    source = load_image(composite).rgba if composite.is_file() else None
    if source is not None and source.shape[:2] != layers[0].rgba.shape[:2]:
        raise FormatError(f"{composite} is {source.shape[1]}x{source.shape[0]} px, its layers are {sizes.pop()}")
    return stack([layer.rgba for layer in layers], names=[file.stem for file in numbered], source=source)


def stack(
    canvases: Sequence[UInt8[np.ndarray, "h w 4"]],
    *,
    names: Sequence[str] | None = None,
    source: UInt8[np.ndarray, "h w 4"] | None = None,
) -> Document:
    """The document of full-canvas layers, bottom first; raises InputError when there is none."""
    if not canvases:
        raise InputError("a stack of no layers has no size")
    words = names or [str(number) for number in range(len(canvases))]
    layers = [
        trimmed(Layer(id=str(i), name=name, rgba=rgba))
        for i, (name, rgba) in enumerate(zip(words, canvases, strict=True))
    ]
    return Document(width=canvases[0].shape[1], height=canvases[0].shape[0], layers=tuple(layers), source=source)


def picture_of(document: Document) -> Picture:
    """What a model is shown: the flat picture kept with the document, or else its composite."""
    return load_image(flatten(document) if document.source is None else document.source)


def seen_layers(document: Document) -> Iterator[tuple[str, UInt8[np.ndarray, "h w 4"]]]:
    """Name and full-canvas pixels (stored) of every layer that is not hidden, bottom first, made one by one."""
    for layer, opacity in _leaves(document.layers, 1.0):
        placed = rasterize(layer, Box(0, 0, document.width, document.height))
        canvas = np.zeros((document.height, document.width, 4), np.uint8)
        if placed is not None:
            rgba, x, y = placed
            canvas[y : y + rgba.shape[0], x : x + rgba.shape[1]] = rgba
        if opacity != 1:
            canvas[..., 3] = round_u8(canvas[..., 3] * opacity)
        yield layer.name, canvas


def _leaves(nodes: Iterable[Node], opacity: float) -> Iterator[tuple[Layer, float]]:
    for node in nodes:
        if not node.visible or node.opacity == 0:
            continue
        if isinstance(node, Group):
            yield from _leaves(node.children, opacity * node.opacity)
        else:
            yield node, opacity * node.opacity


def _is_document(path: Path) -> bool:
    if path.is_dir():
        return (path / "document.json").is_file() or any(path.glob(_NUMBERED))
    return path.suffix.lower() in ENDINGS and path.is_file()


def _bare(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem
