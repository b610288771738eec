"""Measure predictions against a data set, document by document: one row of figures and what to show of each.

A prediction that is missing, fails, has another size or fewer than two visible layers counts with the worst figures.
A document that cannot be measured against (broken, or of fewer than two visible layers) is set aside and named.
"""

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.errors import Cancelled, InputError, LaminaError
from lamina.evaluate.dataset import Case, open_document, picture_of, seen_layers
from lamina.evaluate.layers import exact_share, hidden_error, layer_ious, match, mean_iou, psnr
from lamina.evaluate.metrics import Scores, group_layers, means, reduce_stack, score_reduced
from lamina.evaluate.predict import Predict
from lamina.pixels import Picture

__all__ = ["Measured", "Row", "Shown", "View", "measure", "run", "summarize"]

_log = logging.getLogger(__name__)

_NEAR = 1  # groups by which a count may be off and still count as found


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One document's figures."""

    name: str
    layers_true: int
    """Layers of the truth that are not hidden or empty; what the model is asked for, unless it chooses."""
    layers_pred: int
    """The same of the prediction."""
    scores: Scores
    covered: bool
    """A usable prediction of two or more visible layers came back."""
    iou: float
    """Mean soft IoU over the true layers, best one-to-one matching, not grouped."""
    hidden: float | None
    """Error of what upper layers hide, 0-1; None where the truth hides next to nothing. See `layers.hidden_error`."""
    psnr: float
    """Of the composite against the picture, in dB, at most 100."""
    exact_share: float
    """Share of pixels whose composite equals the picture."""
    group_error: int
    """Difference of the numbers of groups."""
    seconds: float | None
    """For the prediction alone; None where it was only read."""
    error: str | None = None
    """Why there is no usable prediction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A layer to be looked at: reduced pixels and what to write below them."""

    rgba: UInt8[np.ndarray, "h w 4"]
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a report shows of a document; layers bottom first."""

    picture: UInt8[np.ndarray, "h w 4"]
    true: tuple[View, ...]
    predicted: tuple[View, ...]
    ground_true: UInt8[np.ndarray, "h w 4"]
    ground_pred: UInt8[np.ndarray, "h w 4"] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Everything that one run found."""

    rows: tuple[Row, ...]
    unusable: dict[str, str]
    """Documents that nothing can be measured against -> why."""


def run(
    cases: Sequence[Case],
    predict: Predict,
    *,
    auto: bool = False,
    timed: bool = True,
    on_step: Callable[[int, int], None] | None = None,
    on_row: Callable[[Row, Shown], None] | None = None,
) -> Measured:
    """Measure every document; no failure of one stops the others. Raises InputError when none can be measured.

    `on_step(done, total)` counts documents, the first time with 0; what it raises stops the run. `on_row` is handed
    each row as it comes, with what can be shown of it: pictures are not kept here.
    """
    rows: list[Row] = []
    unusable: dict[str, str] = {}
    for number, case in enumerate(cases):
        if on_step:
            on_step(number, len(cases))
        try:
            row, shown = measure(case, predict, auto=auto, timed=timed)
        except Cancelled:
            raise
        except LaminaError as error:
            unusable[case.name] = str(error)
            continue
        rows.append(row)
        if on_row:
            on_row(row, shown)
    if on_step:
        on_step(len(cases), len(cases))
    if not rows:
        name, reason = next(iter(unusable.items()), ("none", "there are no documents"))
        raise InputError(f"no document can be measured against; {name}: {reason}")
    return Measured(rows=tuple(rows), unusable=unusable)


def measure(case: Case, predict: Predict, *, auto: bool = False, timed: bool = True) -> tuple[Row, Shown]:
    """Predict and score one document. Raises LaminaError where the document itself is unusable."""
    document = open_document(case.path)
    picture = picture_of(document)
    true, names, asked = _reduced(document)
    if len(true) < 2:
        raise InputError(f"the document has {len(true)} visible layers; measuring needs two or more")
    start = time.perf_counter()
    found, error = _predicted(predict, case, picture, None if auto else asked)
    seconds = time.perf_counter() - start
    predicted, words, given = _reduced(found) if found else ([], [], 0)
    scores = score_reduced(predicted, true)
    if found and len(predicted) < 2:
        error = f"the prediction has {len(predicted)} visible layers, expected two or more"
    ious = layer_ious(predicted, true)
    pairs = match(ious)
    hidden = hidden_error(predicted, true, pairs)
    flat = flatten(found) if found else None
    row = Row(
        name=case.name,
        layers_true=asked,
        layers_pred=given,
        scores=scores,
        covered=error is None,
        iou=mean_iou(ious, pairs),
        hidden=hidden,
        psnr=psnr(flat, picture.rgba) if flat is not None else 0.0,
        exact_share=exact_share(flat, picture.rgba) if flat is not None else 0.0,
        group_error=abs(scores.groups_pred - scores.groups_true),
        seconds=seconds if timed else None,
        error=error,
    )
    if error is not None:
        worst = None if hidden is None else 1.0
        row = replace(row, iou=0.0, hidden=worst, psnr=0.0, exact_share=0.0)
    partner = {i: (j, float(ious[i, j])) for i, j in pairs}
    for i, name in enumerate(words):
        j, iou = partner.get(i, (None, 0.0))
        words[i] = f"{name}: no partner" if j is None else f"{name}: {iou:.2f} of {j}"
    shown = Shown(
        picture=_small(picture),
        true=tuple(
            View(rgba=rgba, words=f"{j} {name}") for j, (rgba, name) in enumerate(zip(true, names, strict=True))
        ),
        predicted=tuple(View(rgba=rgba, words=text) for rgba, text in zip(predicted, words, strict=True)),
        ground_true=group_layers(true)[0],
        ground_pred=group_layers(predicted)[0] if predicted else None,
    )
    return row, shown


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over the documents, JSON-ready; what is None is left out of its mean."""
    return {
        "documents": len(rows),
        "coverage": _mean([row.covered for row in rows]),
        **means([row.scores for row in rows]),
        "within_one": _mean([row.group_error <= _NEAR for row in rows]),
        **{name: _mean([getattr(row, name) for row in rows]) for name in _FIGURES},
    }


_FIGURES = ("hidden", "iou", "psnr", "exact_share", "seconds")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _predicted(
    predict: Predict, case: Case, picture: Picture, layers: int | None
) -> tuple[Document | None, str | None]:
    """The prediction, or why there is none: whatever a model raises is its failure, never the end of the run."""
    try:
        found = predict(case, picture, layers)
    except Cancelled:
        raise
    except LaminaError as error:
        return None, str(error)
    except Exception as error:
        _log.exception("the prediction of %s failed", case.name)
        place = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} (in {place.name}, line {place.lineno})"
    if (found.width, found.height) != (picture.width, picture.height):
        return None, f"the prediction is {found.width}x{found.height} px, expected {picture.width}x{picture.height}"
    return found, None


def _reduced(document: Document) -> tuple[list[UInt8[np.ndarray, "h w 4"]], list[str], int]:
    """Layers in the scored form with their names, made one by one; and how many there are before any vanishes."""
    layers: list[UInt8[np.ndarray, "h w 4"]] = []
    names: list[str] = []
    count = 0
    for name, canvas in seen_layers(document):
        count += bool(canvas[..., 3].any())
        for rgba in reduce_stack([canvas]):
            layers.append(rgba)
            names.append(name)
    return layers, names, count


def _small(picture: Picture) -> UInt8[np.ndarray, "h w 4"]:
    """The flat picture as small as the layers; an empty one becomes one pixel."""
    return next(iter(reduce_stack([picture.rgba])), np.zeros((1, 1, 4), np.uint8))
