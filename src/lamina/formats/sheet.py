"""The contact sheet: one labelled picture of the input, every layer alone on a checkerboard, and the composite.

Layers come bottom first, each whole at its place: full opacity, normal blend, also what other layers hide. Drawn with
the font inside Pillow, which has little more than ASCII: accents are dropped, other writing becomes question marks.
"""

import math
import os
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lamina.document.composite import flatten, rasterize
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Group, Layer, Node
from lamina.formats import png
from lamina.formats.files import atomic_file

__all__ = ["MAX_SIDE", "draw", "write"]

MAX_SIDE = 2400
"""Largest width and height of a sheet, in pixels."""

_MAX_LAYERS = 150
_PICTURE = 480  # long side of a picture, where there is room
_COLUMN = 184  # a column is never narrower, for its caption
_MARGIN, _GAP, _HEADER, _CAPTION = 32, 24, 92, 54
_ASPECT = 1.6
_SQUARE = 8

_PAPER, _INK, _FAINT, _FRAME = (247, 247, 249), (28, 28, 33), (112, 112, 122), (150, 150, 158)
_DARK, _LIGHT = (176, 176, 181), (204, 204, 208)  # greys on which white and black layers both show


class _Cell(NamedTuple):
    picture: Image.Image
    name: str
    detail: str


class _Grid(NamedTuple):
    columns: int
    rows: int
    factor: float
    column: int
    row: int


def write(document: Document, path: str | os.PathLike[str]) -> list[str]:
    """Write the sheet as PNG, whole or not at all. A sheet is for looking at, so nothing counts as lost."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(png.encode(np.asarray(draw(document).convert("RGBA")), document.icc))
    return []


def draw(document: Document) -> Image.Image:
    """The sheet as an RGB picture of at most MAX_SIDE pixels each way."""
    layers = list(_leaves(document.layers, ""))
    shown = layers[:_MAX_LAYERS]
    grid = _fit(len(shown) + 1 + (document.source is not None), document.width, document.height)
    width = max(2 * _MARGIN + grid.columns * (grid.column + _GAP) - _GAP, 3 * _COLUMN)
    sheet = Image.new("RGB", (width, _HEADER + grid.rows * (grid.row + _GAP) - _GAP + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write_header(pen, document, len(layers), width - 2 * _MARGIN)
    for index, cell in enumerate(_cells(document, shown, grid.factor)):
        row, column = divmod(index, grid.columns)
        x, y = _MARGIN + column * (grid.column + _GAP), _HEADER + row * (grid.row + _GAP)
        sheet.paste(cell.picture, (x, y))
        pen.rectangle((x - 1, y - 1, x + cell.picture.width, y + cell.picture.height), outline=_FRAME)
        _write_line(pen, (x, y + grid.row - _CAPTION + 10), cell.name, 18, _INK, grid.column)
        _write_line(pen, (x, y + grid.row - _CAPTION + 34), cell.detail, 14, _FAINT, grid.column)
    return sheet


def _fit(count: int, width: int, height: int) -> _Grid:
    """The largest pictures for which `count` cells fit, in the arrangement nearest to _ASPECT with few empty places."""
    long_side = float(_PICTURE)
    while True:
        factor = long_side / max(width, height)
        factor = math.floor(factor) if factor > 1 else factor
        column = max(_COLUMN, round(width * factor))
        row = max(1, round(height * factor)) + _CAPTION
        grids: list[tuple[float, _Grid]] = []
        for columns in range(1, min(count, (MAX_SIDE - 2 * _MARGIN + _GAP) // (column + _GAP)) + 1):
            rows = math.ceil(count / columns)
            if _HEADER + rows * (row + _GAP) - _GAP + _MARGIN <= MAX_SIDE:
                aspect = columns * (column + _GAP) / (rows * (row + _GAP))
                cost = (rows * columns - count) / count + abs(math.log(aspect / _ASPECT))
                grids.append((cost, _Grid(columns, rows, factor, column, row)))
        if grids:
            return min(grids)[1]
        long_side *= 0.9


def _leaves(nodes: tuple[Node, ...], path: str) -> Iterator[tuple[Layer, str, bool]]:
    """Every layer, bottom first, with the names of the groups it is in and whether one of them is hidden."""
    for node in nodes:
        if isinstance(node, Group):
            inside = f"{path} / {node.name}" if path else node.name
            for layer, groups, hidden in _leaves(node.children, inside):
                yield layer, groups, hidden or not node.visible
        else:
            yield node, path, False


def _cells(document: Document, layers: list[tuple[Layer, str, bool]], factor: float) -> Iterator[_Cell]:
    size = max(1, round(document.width * factor)), max(1, round(document.height * factor))
    if document.source is not None:
        yield _Cell(_on_checkerboard(document.source, 0, 0, factor, size), "Input", "the flat picture")
    for number, (layer, groups, hidden) in enumerate(layers, 1):
        rgba, x, y = rasterize(layer, document.box) or (np.zeros((1, 1, 4), np.uint8), 0, 0)
        details = [f"{layer.box.width} x {layer.box.height} at {layer.box.left}, {layer.box.top}"]
        if layer.opacity != 1:
            details.append(f"{layer.opacity:.0%}")
        if layer.blend is not BlendMode.NORMAL:
            details.append(layer.blend.value)
        if hidden or not layer.visible:
            details.append("hidden")
        if groups:
            details.append(f"in {_legible(groups)}")
        picture = _on_checkerboard(rgba, x, y, factor, size)
        yield _Cell(picture, f"{number}  {_legible(layer.name)}", " · ".join(details))
    yield _Cell(_on_checkerboard(flatten(document), 0, 0, factor, size), "Composite", "all layers together")


def _on_checkerboard(rgba: np.ndarray, x: int, y: int, factor: float, size: tuple[int, int]) -> Image.Image:
    """A raster whose corner lies at x, y of the canvas, drawn on a checkerboard as large as the scaled canvas.

    Pillow resizes RGBA premultiplied. The raster gets a transparent rim and is cut to whole pixels of the result, so
    that it lies neither beside its place nor stretched.
    """
    height, width = rgba.shape[:2]
    left, top = math.floor(x * factor), math.floor(y * factor)
    right, bottom = max(left + 1, math.ceil((x + width) * factor)), max(top + 1, math.ceil((y + height) * factor))
    rim = math.ceil(1 / factor) + 1
    image = Image.fromarray(np.pad(rgba, ((rim, rim), (rim, rim), (0, 0))))
    box = (left / factor - x + rim, top / factor - y + rim, right / factor - x + rim, bottom / factor - y + rim)
    resample = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BICUBIC
    image = image.resize((right - left, bottom - top), resample, box=box, reducing_gap=3.0)
    ground = _checkerboard(size)
    ground.paste(image, (left, top), image)
    return ground


def _checkerboard(size: tuple[int, int]) -> Image.Image:
    rows, columns = np.ogrid[: size[1], : size[0]]
    light = (rows // _SQUARE + columns // _SQUARE) % 2
    return Image.fromarray(np.array([_DARK, _LIGHT], np.uint8)[light])


def _legible(name: str) -> str:
    """`name` in the letters of the font, on one line."""
    letters = (c for c in unicodedata.normalize("NFKD", " ".join(name.split())) if not unicodedata.combining(c))
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in letters)


def _write_header(pen: ImageDraw.ImageDraw, document: Document, count: int, room: int) -> None:
    layers = f"{count} layer{'s' if count != 1 else ''}"
    if count > _MAX_LAYERS:
        layers += f", the lowest {_MAX_LAYERS} shown"
    _write_line(pen, (_MARGIN, 22), f"{document.width} x {document.height} px  ·  {layers}", 26, _INK, room)
    exact = dict(document.meta.get("fidelity") or {}).get("exact_share")
    if isinstance(exact, int | float):
        line = f"{math.floor(exact * 10_000) / 100:g} % of the pixels composite back to the input exactly"
        _write_line(pen, (_MARGIN, 56), line, 15, _FAINT, room)


def _write_line(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], room: int
) -> None:
    """One line of text, shortened with an ellipsis to `room` pixels."""
    font = ImageFont.load_default(size)
    line = text
    while line and font.getlength(line) > room:
        line = line.rstrip("…")[:-1].rstrip() + "…"
    pen.text(place, line, font=font, fill=colour)
