"""How true layers are at full size: soft edges, colours free of the old ground, filled grounds, exactness, seconds.

    python benchmarks/fidelity.py [FOLDER] [--drawn] [--from true|predicted|both] [--model small] [--size 1200x900]
                                  [--limit N] [--only NAME]... [--json OUT] [--look DIR]

FOLDER holds layered documents whose layers are known at full size; --drawn (the default without FOLDER) takes nine of
our own drawing with soft edges (`benchmarks/soft.py`). Each picture is lifted from coarse layers made of the truth
(what a perfect network would say) and from those the checkpoint predicts, asked for the true number of layers.

Columns, means over the upper layers of a document, then over documents:
  exact   share of pixels whose 8-bit composite equals the picture, after exactness
  before  PSNR of the composite before exactness, in dB (99 stands for exact); after: the same afterwards
  iou     soft IoU of alpha, hidden parts included: sum of minima over sum of maxima
  edge    gradient error: sum |grad a - grad a'| over sum |grad a'|, where the layer is seen; 0 is perfect
  band    mean colour difference (0-255) where 0.05 < true alpha < 0.95 and the layer is seen, weighted by true alpha
  halo    mean difference (0-255) there after both are laid on magenta: alpha and colour together, as it is looked at
  hidden  mean colour difference (0-255) of layers where others hide them (and both have them)
  lift, made   seconds of lifting and of exactness
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import oracle
import soft
from jaxtyping import Float, UInt8
from PIL import Image
from scipy.optimize import linear_sum_assignment

from lamina.decompose.coarse import Coarse
from lamina.decompose.exact import make_exact
from lamina.decompose.lift import lift
from lamina.document.composite import flatten, flatten_nodes
from lamina.document.document import Document
from lamina.document.layer import Box, Layer
from lamina.errors import LaminaError
from lamina.evaluate.dataset import find, open_document, picture_of, seen_layers
from lamina.options import DecomposeOptions

__all__ = ["Figures", "main", "measure"]

MAGENTA = np.array([255, 0, 255], np.float32)

Raster = UInt8[np.ndarray, "h w 4"]
Answer = Callable[[Raster, Sequence[Raster]], Coarse]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What is measured of one document; None where there is nothing to measure."""

    exact: float
    before: float
    after: float
    iou: float | None
    edge: float | None
    band: float | None
    halo: float | None
    hidden: float | None
    lift: float
    made: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="folder of layered documents")
    parser.add_argument("--drawn", action="store_true", help="our own soft-edged documents")
    parser.add_argument("--from", dest="start", choices=("true", "predicted", "both"), default="both")
    parser.add_argument("--model", default="small", help="checkpoint that predicts")
    parser.add_argument("--size", default="1200x900", help="of the drawn documents")
    parser.add_argument("--limit", type=int, help="only the first N documents of FOLDER")
    parser.add_argument("--only", action="append", default=[], help="only documents of this name")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--look", type=Path, help="folder for pictures of the layers on magenta")
    options = parser.parse_args(arguments)
    found: dict[str, dict[str, Figures]] = {}
    for start, answer in answers(options.start, options.model).items():
        found[start] = {}
        print(f"from {start} coarse layers\n{'':28}" + "".join(f"{f.name:>8}" for f in fields(Figures)), flush=True)
        for name, picture, truth in documents(options):
            if options.only and name not in options.only:
                continue
            look = options.look / f"{name}-{start}" if options.look else None
            found[start][name] = run(picture, truth, answer, look)
            print(row(name, found[start][name]), flush=True)
        if found[start]:
            print(row(f"mean of {len(found[start])}", mean(list(found[start].values()))), flush=True)
    if options.json:
        told = {start: {name: asdict(row) for name, row in rows.items()} for start, rows in found.items()}
        options.json.write_text(json.dumps(told, indent=1))


def answers(start: str, model: str) -> dict[str, Answer]:
    """Where coarse layers come from: the truth, a checkpoint, or both."""
    out: dict[str, Answer] = {}
    if start in ("true", "both"):
        out["true"] = lambda _, truth: oracle.coarse(truth)
    if start in ("predicted", "both"):
        from lamina.decompose.decomposer import Decomposer

        decomposer = Decomposer.load(model, device="cpu")
        out["predicted"] = lambda picture, truth: decomposer.coarse(picture, DecomposeOptions(layers=len(truth)))
    return out


def documents(options: Any) -> Iterator[tuple[str, Raster, list[Raster]]]:
    """Name, picture and true full-canvas layers (bottom first) of what is to be measured."""
    if options.drawn or options.folder is None:
        width, height = (int(side) for side in options.size.split("x"))
        for name in soft.DRAWN:
            if not options.only or name in options.only:
                truth = soft.draw(name, (width, height))
                yield name, composite(truth), truth
    for case in find(options.folder)[: options.limit] if options.folder else ():
        try:
            document = open_document(case.path)
            truth = [canvas for _, canvas in seen_layers(document) if canvas[..., 3].any()]
            yield case.name, picture_of(document).rgba, truth
        except LaminaError as error:
            print(f"{case.name}: {error}", file=sys.stderr)


def run(picture: Raster, truth: Sequence[Raster], answer: Answer, look: Path | None = None) -> Figures:
    """Lift one picture and measure it."""
    coarse = answer(picture, truth)
    marks = [time.perf_counter()]
    lifted = lift(picture, coarse)
    marks.append(time.perf_counter())
    layers, fidelity = make_exact(picture, lifted)
    marks.append(time.perf_counter())
    canvases = [on_canvas(layer, picture) for layer in layers]
    if look:
        show(canvases, truth, look)
    shown = flatten(Document(width=picture.shape[1], height=picture.shape[0], layers=tuple(layers)))
    same = (shown == picture).all(-1) | ((shown[..., 3] == 0) & (picture[..., 3] == 0))
    return Figures(
        exact=float(same.mean()),
        before=99.0 if fidelity.psnr_before_db is None else fidelity.psnr_before_db,
        after=99.0 if fidelity.psnr_db is None else fidelity.psnr_db,
        lift=marks[1] - marks[0],
        made=marks[2] - marks[1],
        **measure(canvases, truth),
    )


def measure(layers: Sequence[Raster], truth: Sequence[Raster]) -> dict[str, float | None]:
    """Figures of full-canvas layers against the true ones; the grounds belong together, the rest by best alphas."""
    pairs = matched(layers, truth)
    clear = see_through(truth)
    rows: dict[str, list[float]] = {name: [] for name in ("iou", "edge", "band", "halo", "hidden")}
    for number, true in enumerate(truth):
        layer = layers[pairs[number]] if number in pairs else np.zeros_like(true)
        a, b = layer[..., 3] / np.float32(255), true[..., 3] / np.float32(255)
        difference = np.abs(layer[..., :3].astype(np.float32) - true[..., :3]).mean(axis=2)
        covered = (clear[number] < 0.05) & (b > 0.95) & (a > 0.05)
        if covered.sum() > 50:
            rows["hidden"].append(float(difference[covered].mean()))
        if number == 0:
            continue
        rows["iou"].append(float(np.minimum(a, b).sum() / max(np.maximum(a, b).sum(), 1e-6)))
        seen = clear[number] > 0.5
        steps = [np.abs(da - db) for da, db in zip(gradient(a), gradient(b), strict=True)]
        true_steps = sum(float(np.abs(step)[seen].sum()) for step in gradient(b))
        rows["edge"].append(sum(float(step[seen].sum()) for step in steps) / max(true_steps, 1e-6))
        band = (b > 0.05) & (b < 0.95) & seen
        if band.any():
            both = band & (a > 0.02)
            weight = np.where(both, b, 0)
            rows["band"].append(float((difference * weight).sum() / max(weight.sum(), 1e-6)))
            off = np.abs(on_magenta(layer) - on_magenta(true)).mean(axis=2)
            rows["halo"].append(float(off[band].mean()))
    return {name: sum(values) / len(values) if values else None for name, values in rows.items()}


def matched(layers: Sequence[Raster], truth: Sequence[Raster]) -> dict[int, int]:
    """Number of the layer for every true one: ground to ground, the others one to one by soft IoU at a quarter."""
    small = [
        [cv2.resize(v[..., 3], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.float32) for v in stack]
        for stack in (truth[1:], layers[1:])
    ]
    iou = np.array([[np.minimum(a, b).sum() / max(np.maximum(a, b).sum(), 1e-6) for b in small[1]] for a in small[0]])
    pairs = {0: 0}
    if iou.size:
        pairs |= {int(i) + 1: int(j) + 1 for i, j in zip(*linear_sum_assignment(-iou), strict=True)}
    return pairs


def see_through(truth: Sequence[Raster]) -> list[Float[np.ndarray, "h w"]]:
    """How much light what lies above each layer lets pass, 0-1."""
    clear = [np.ones(truth[0].shape[:2], np.float32)]
    for layer in reversed(truth[1:]):
        clear.append(clear[-1] * (1 - layer[..., 3] / np.float32(255)))
    return clear[::-1]


def gradient(alpha: Float[np.ndarray, "h w"]) -> list[Any]:
    """Derivatives across and down, smoothed by a Gaussian of 1 px."""
    smooth = cv2.GaussianBlur(alpha, (0, 0), 1.0)
    return [cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125)]


def on_magenta(layer: Raster) -> Float[np.ndarray, "h w 3"]:
    """The layer over plain magenta, 0-255."""
    alpha = layer[..., 3:] / np.float32(255)
    return layer[..., :3] * alpha + MAGENTA * (1 - alpha)


def on_canvas(layer: Layer, picture: Raster) -> Raster:
    """The layer's pixels where they lie on the canvas."""
    return flatten_nodes([layer], Box(0, 0, picture.shape[1], picture.shape[0]))


def composite(layers: Sequence[Raster]) -> Raster:
    """What a stack of full-canvas layers looks like, by the reference compositor."""
    stack = [Layer(id=str(i), name="", rgba=rgba) for i, rgba in enumerate(layers)]
    return flatten_nodes(stack, Box(0, 0, layers[0].shape[1], layers[0].shape[0]))


def show(layers: Sequence[Raster], truth: Sequence[Raster], folder: Path) -> None:
    """Write every layer and every true one over magenta, at full size."""
    folder.mkdir(parents=True, exist_ok=True)
    for word, stack in (("layer", layers), ("true", truth)):
        for number, layer in enumerate(stack):
            shown = np.floor(on_magenta(layer) + 0.5).astype(np.uint8)
            Image.fromarray(shown).save(folder / f"{word}-{number:02}.png", compress_level=1)


def mean(rows: Sequence[Figures]) -> Figures:
    """Means over documents; of what cannot be measured, over the others."""
    values: dict[str, Any] = {}
    for field in fields(Figures):
        known = [value for value in (getattr(figures, field.name) for figures in rows) if value is not None]
        values[field.name] = math.fsum(known) / len(known) if known else None
    return Figures(**values)


def row(name: str, figures: Figures) -> str:
    """One line of the table."""
    digits = {"exact": 4, "before": 1, "after": 1, "iou": 3, "edge": 3, "band": 1, "halo": 1, "hidden": 1}
    values = {field.name: getattr(figures, field.name) for field in fields(Figures)}
    cells = ("-" if value is None else f"{value:.{digits.get(key, 2)}f}" for key, value in values.items())
    return f"{name[:28]:28}" + "".join(f"{cell:>8}" for cell in cells)


if __name__ == "__main__":
    main()
