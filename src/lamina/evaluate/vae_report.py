"""What a run over a VAE found, to be read: a table, JSON and a page, the worst PSNR first."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lamina.evaluate.page import Section, page
from lamina.evaluate.reconstruction import GROUNDS, VaeMeasured, VaeRow
from lamina.evaluate.report import as_text

__all__ = ["table", "to_html", "to_json"]

_GROUNDS = "/".join(GROUNDS)
_HEADS = ("picture", "size", f"PSNR {_GROUNDS}", "SSIM", "LPIPS", "rFID")


def table(measured: VaeMeasured) -> str:
    """One line a picture, the means last, then what is absent; three figures stand for black, grey and white."""
    return "\n".join([as_text(_HEADS, _lines(measured)), *_notes(measured)])


def to_json(measured: VaeMeasured, about: Mapping[str, Any]) -> dict[str, Any]:
    """All figures: `about`, the means, the pictures, what was set aside, and notes on what is absent."""
    return {
        **about,
        "mean": measured.mean,
        "pictures": [asdict(row) for row in _worst_first(measured.rows)],
        "not_measured": measured.unusable,
        "notes": list(measured.notes),
    }


def to_html(measured: VaeMeasured, about: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page; `pictures` is the HTML of each row's pictures by its name."""
    rows = _worst_first(measured.rows)
    sections = [
        Section(name=row.name, words="; ".join(_cells(row)[1:4]), error=None, pictures=pictures.get(row.name, ""))
        for row in rows
    ]
    return page("RGBA-VAE measured", about, _HEADS, _lines(measured), sections, _notes(measured))


def _worst_first(rows: Sequence[VaeRow]) -> list[VaeRow]:
    return sorted(rows, key=lambda row: (float(np.mean(list(row.psnr.values()))), row.name))


def _lines(measured: VaeMeasured) -> list[list[str]]:
    mean = measured.mean
    last = ["mean", "", _joined(mean["psnr"], 2), _joined(mean["ssim"], 4), _joined(mean["lpips"], 4)]
    return [*(_cells(row) for row in _worst_first(measured.rows)), [*last, _joined(mean["rfid"], 3)]]


def _cells(row: VaeRow) -> list[str]:
    figures = [_joined(row.psnr, 2), _joined(row.ssim, 4), _joined(row.lpips, 4)]
    return [row.name, f"{row.width}x{row.height}", *figures, ""]


def _joined(figures: Mapping[str, float] | None, digits: int) -> str:
    return "-" if figures is None else "/".join(f"{figures[ground]:.{digits}f}" for ground in GROUNDS)


def _notes(measured: VaeMeasured) -> list[str]:
    return [*measured.notes, *(f"not measured: {name}: {reason}" for name, reason in measured.unusable.items())]
