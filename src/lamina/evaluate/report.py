"""What a run found, to be read: a table for the terminal, JSON for programs, and a page with the pictures.

Worst Layer-F first everywhere. Knows rows and files; how the page looks is `page`'s.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lamina.errors import InputError
from lamina.evaluate.metrics import MERGES
from lamina.evaluate.page import Section, page
from lamina.evaluate.run import Measured, Row, summarize
from lamina.formats.files import atomic_file, check_file, hidden_beside

__all__ = ["as_text", "check_place", "table", "to_html", "to_json", "worst_first", "write"]

_JSON, _PAGE = "report.json", "report.html"

_HEADS = (
    *("document", "layers", "groups", "Layer-F", "ground", "hidden", "IoU", "L1/IoU 0", f"L1/IoU {MERGES}"),
    *("PSNR", "exact", "seconds"),
)
_NAME = 44


def worst_first(rows: Sequence[Row]) -> list[Row]:
    """Rows by rising Layer-F, then IoU, then name."""
    return sorted(rows, key=lambda row: (row.scores.layer_f, row.iou, row.name))


def table(measured: Measured) -> str:
    """One line a document, worst first, the means last, then coverage and what was set aside."""
    return "\n".join([as_text(_HEADS, _text_lines(measured)), *_notes(measured)])


def as_text(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in letters: names to the left, figures to the right, columns as wide as they need to be."""
    short = [[_shortened(line[0]), *line[1:]] for line in [heads, *lines]]
    widths = [max(len(line[column]) for line in short) for column in range(len(heads))]
    return "\n".join(
        "  ".join([f"{line[0]:{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in short
    )


def to_html(measured: Measured, about: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page; `pictures` is the HTML of each document's pictures by its name (`page.shown_pictures`)."""
    sections = [
        Section(
            name=row.name,
            words=", ".join(f"{head} {cell}" for head, cell in zip(_HEADS[1:7], _cells(row)[:6], strict=True)),
            error=row.error,
            pictures=pictures.get(row.name, ""),
        )
        for row in worst_first(measured.rows)
    ]
    return page("Layers measured", about, _HEADS, _text_lines(measured), sections, _notes(measured))


def to_json(measured: Measured, about: Mapping[str, Any]) -> dict[str, Any]:
    """All figures: `about` (model, options, …), the means, a list of documents (worst first), what was set aside."""
    return {
        **about,
        "mean": summarize(measured.rows),
        "documents": [asdict(row) for row in worst_first(measured.rows)],
        "not_measured": measured.unusable,
    }


def check_place(path: str | os.PathLike[str]) -> None:
    """Raise InputError where `write` would: before long work is begun. A folder that is not there is made."""
    target = Path(path)
    if target.suffix.lower() in (".json", ".html"):
        check_file(target)
        if not target.absolute().parent.is_dir():
            raise InputError(f"cannot write {target}: there is no folder {target.absolute().parent}")
        return
    try:
        target.mkdir(parents=True, exist_ok=True)
        probe = hidden_beside(target / _JSON, ".json")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write reports into {target}: {error.strerror or error}") from error


def write(path: str | os.PathLike[str], data: Mapping[str, Any], text: str) -> list[Path]:
    """Write the JSON and the page (`text`); each appears whole. Returns what was written.

    A path that ends in .json or .html gets that one alone; any other is a folder for report.json and report.html.
    """
    check_place(path)
    target = Path(path)
    alone = target.suffix.lower() in (".json", ".html")
    files = [target] if alone else [target / _JSON, target / _PAGE]
    for file in files:
        content = text if file.suffix.lower() == ".html" else json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        with atomic_file(file) as temporary:
            temporary.write_text(content, "utf-8")
    return files


def _text_lines(measured: Measured) -> list[list[str]]:
    """A cell per head: the rows, worst first, then the means."""
    rows = [[row.name, *_cells(row)] for row in worst_first(measured.rows)]
    return [*rows, ["mean", *_means(summarize(measured.rows))]]


def _notes(measured: Measured) -> list[str]:
    mean = summarize(measured.rows)
    found = f"coverage {mean['coverage']:.3f} of {mean['documents']} documents; "
    found += f"number of groups within one of the truth: {mean['within_one']:.3f}"
    return [found, *(f"not measured: {name}: {reason}" for name, reason in measured.unusable.items())]


def _cells(row: Row) -> list[str]:
    s = row.scores
    counts = [f"{row.layers_pred}/{row.layers_true}", f"{s.groups_pred}/{s.groups_true}"]
    return [*counts, *_figures(s.layer_f, s.ground, row.hidden, row.iou, s.rgb_l1, s.alpha_iou), *_ends(asdict(row))]


def _means(mean: Mapping[str, Any]) -> list[str]:
    names = ("layer_f", "ground", "hidden", "iou", "rgb_l1", "alpha_iou")
    return ["", f"±{mean['group_error']:.2f}", *_figures(*(mean[name] for name in names)), *_ends(mean)]


def _figures(
    layer_f: float,
    ground: float | None,
    hidden: float | None,
    iou: float,
    l1: Sequence[float],
    overlap: Sequence[float],
) -> list[str]:
    known = ["-" if value is None else f"{value:.3f}" for value in (layer_f, ground, hidden, iou)]
    return [*known, *(f"{l1[k]:.4f}/{overlap[k]:.4f}" for k in (0, MERGES))]


def _ends(values: Mapping[str, Any]) -> list[str]:
    seconds = "-" if values["seconds"] is None else f"{values['seconds']:.1f}"
    return [f"{values['psnr']:.1f}", f"{values['exact_share']:.3f}", seconds]


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"
