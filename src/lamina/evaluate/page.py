"""A report as one HTML page that needs nothing else: figures, and the pictures side by side. No scripts.

Knows figures as text and small pictures; no files and no order.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lamina.evaluate.run import Shown, View
from lamina.pixels import round_u8

__all__ = ["Section", "page", "picture_tag", "shown_pictures", "side_by_side"]

_LARGE, _SMALL = 320, 140
"""Longer sides of the pictures, in pixels: flat picture and grounds; layers."""

_MOST = 40
"""Layers of one side that are shown."""

_SQUARE = 7
_DARK, _LIGHT = 172, 206

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c1c21; background: #f7f7f9; margin: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid #d7d7dc; text-align: right; }
th:first-child, td:first-child { text-align: left; }
section { border-top: 2px solid #b9b9c2; margin-top: 2rem; }
.row { display: flex; flex-wrap: wrap; gap: .8rem; align-items: flex-end; }
figure { margin: 0; } figcaption { font-size: 12px; color: #60606a; max-width: 320px; overflow-wrap: anywhere; }
.layers figcaption { max-width: 140px; }
img { display: block; border: 1px solid #9a9aa4; }
h3 { font-size: 14px; margin: 1rem 0 .3rem; } .bad { color: #a1202a; }
"""


class Section(NamedTuple):
    """One item of a report: its name, its figures in words, what failed, and its pictures as HTML."""

    name: str
    words: str
    error: str | None
    pictures: str


def page(
    title: str,
    about: Mapping[str, Any],
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    sections: Sequence[Section],
    notes: Sequence[str] = (),
) -> str:
    """The whole page: what was measured, the table (`heads` over `lines`), notes, then the sections in their order."""
    words = "; ".join(f"{key}: {value}" for key, value in about.items() if value is not None)
    parts = ["<!doctype html>", f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>']
    parts += [f"<style>{_STYLE}</style></head><body>", f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(words)}</p>"]
    parts += ["<table>", _table_row("th", heads), *(_table_row("td", line) for line in lines), "</table>"]
    parts += [f"<p>{html.escape(note)}</p>" for note in notes]
    for section in sections:
        parts.append(f"<section><h2>{html.escape(section.name)}</h2><p>{html.escape(section.words)}</p>")
        if section.error:
            parts.append(f'<p class="bad">{html.escape(section.error)}</p>')
        parts += [section.pictures, "</section>"]
    return "\n".join([*parts, "</body></html>", ""])


def shown_pictures(shown: Shown) -> str:
    """Input and grounds side by side, then the layers of both sides, small."""
    large = [("input", shown.picture), ("true ground", shown.ground_true)]
    if shown.ground_pred is not None:
        large.append(("predicted ground", shown.ground_pred))
    parts = [side_by_side(large)]
    parts += [_layers("true layers, bottom first", shown.true)]
    parts += [_layers("predicted layers, bottom first: IoU with the true layer of that number", shown.predicted)]
    return "\n".join(parts)


def side_by_side(pictures: Sequence[tuple[str, UInt8[np.ndarray, "h w 4"]]]) -> str:
    """Pictures with a word below each, in a row."""
    return '<div class="row">' + "".join(_figure(rgba, words, _LARGE) for words, rgba in pictures) + "</div>"


def picture_tag(rgba: UInt8[np.ndarray, "h w 4"], longest: int) -> str:
    """An <img> with the picture inside: JPEG, transparent ones on a checkerboard; never enlarged."""
    image = Image.fromarray(np.ascontiguousarray(rgba), "RGBA")
    image.thumbnail((longest, longest), reducing_gap=3.0)
    small = np.asarray(image)
    rows, columns = np.ogrid[: small.shape[0], : small.shape[1]]
    squares = np.where((rows // _SQUARE + columns // _SQUARE) % 2, _LIGHT, _DARK)[..., None]
    alpha = small[..., 3:].astype(np.float32) / 255
    flat = round_u8(small[..., :3] * alpha + squares * (1 - alpha))
    packed = io.BytesIO()
    Image.fromarray(flat).save(packed, "JPEG", quality=85)
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    return f'<img width="{flat.shape[1]}" height="{flat.shape[0]}" src="data:image/jpeg;base64,{data}" alt="">'


def _layers(title: str, views: Sequence[View]) -> str:
    figures = "".join(_figure(view.rgba, view.words, _SMALL) for view in views[:_MOST])
    more = f"<p>and {len(views) - _MOST} more</p>" if len(views) > _MOST else ""
    return f'<h3>{html.escape(title)}</h3><div class="row layers">{figures or "<p>none</p>"}</div>{more}'


def _figure(rgba: UInt8[np.ndarray, "h w 4"], words: str, longest: int) -> str:
    return f"<figure>{picture_tag(rgba, longest)}<figcaption>{html.escape(words)}</figcaption></figure>"


def _table_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
