"""Measure a decomposer on a folder of layered documents: Layer-F, ground error, the published protocol, exactness.

    python benchmarks/quality.py FOLDER [--model small] [--limit N] [--layers true|auto] [--json OUT]

FOLDER holds one folder a document: 00.png, 01.png, … (full canvas, bottom first) and composite.png. A picture that
yields no stack, or fewer than two visible layers, counts with the worst score. The table is worst first.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import classical
import numpy as np
from PIL import Image

from lamina.document.composite import flatten_nodes
from lamina.document.document import Document
from lamina.document.layer import Layer
from lamina.errors import LaminaError
from lamina.evaluate.metrics import MERGES, Scores, means, reduce_stack, score
from lamina.pixels import round_u8

__all__ = ["Predict", "Row", "load_predictor", "main", "measure", "summarize", "table"]

Predict = Callable[[Path, int | None], list[np.ndarray]]
"""(picture, number of layers or None for auto) -> full-canvas stored RGBA layers, bottom first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One document's figures."""

    name: str
    layers: int
    """Layers that the truth has; what the decomposer was asked for, unless it chose."""
    scores: Scores
    covered: bool
    """A stack of two or more visible layers came back."""
    exact_share: float
    """Share of pixels whose composite equals the picture."""
    seconds: float


def load_predictor(model: str) -> Predict:
    """How to predict: `classical`; a checkpoint (`small` or a path); `random`, the same pipeline with an untrained
    network; `raw:small`, `raw:PATH` or `raw:random`, the network alone, its layers only enlarged."""
    if model == "classical":
        return _classical
    from lamina.options import DecomposeOptions

    raw = model.startswith("raw:")
    decomposer = _decomposer(model.removeprefix("raw:"))

    def predict(picture: Path, layers: int | None) -> list[np.ndarray]:
        options = DecomposeOptions(layers=layers or "auto")
        if raw:
            return _raw(decomposer, _open(picture, "RGB"), options)
        return canvases(decomposer(picture, options))

    return predict


def _decomposer(model: str) -> Any:
    from lamina.decompose.decomposer import Decomposer

    if model != "random":
        return Decomposer.load(model)
    import torch

    from lamina.model.small import SmallConfig, SmallNet

    torch.manual_seed(0)
    return Decomposer(SmallNet(SmallConfig()), name="random")


def _raw(decomposer: Any, rgb: np.ndarray, options: Any) -> list[np.ndarray]:
    """The network's own alphas and colours, enlarged bilinearly; seen colours are the picture's."""
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    coarse = decomposer.coarse(opaque, options)
    size = (rgb.shape[1], rgb.shape[0])

    def enlarged(values: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))

    layers: list[np.ndarray] = []
    for visible, alpha, colour in zip(coarse.visible, coarse.alpha, coarse.rgb, strict=True):
        seen = enlarged(visible)[..., None]
        hidden = np.dstack([enlarged(colour[..., c]) for c in range(3)]) * 255
        layers.append(round_u8(np.dstack([rgb * seen + hidden * (1 - seen), enlarged(alpha) * 255])))
    return layers


def canvases(document: Document) -> list[np.ndarray]:
    """A document's layers and groups on the full canvas, bottom first."""
    return [flatten_nodes([node], document.box) for node in document.layers]


def measure(folder: Path, predict: Predict, *, auto: bool = False) -> Row:
    """Decompose one document's composite and score it."""
    true = [_open(path, "RGBA") for path in sorted(folder.glob("[0-9][0-9].png"))]
    start = time.perf_counter()
    try:
        predicted = predict(folder / "composite.png", None if auto else len(true))
    except LaminaError as error:
        print(f"{folder.name}: {error}", file=sys.stderr)
        predicted = []
    seconds = time.perf_counter() - start
    return Row(
        name=folder.name,
        layers=len(true),
        scores=score(predicted, true),
        covered=len(reduce_stack(predicted)) >= 2,
        exact_share=exact_share(predicted, _open(folder / "composite.png", "RGB")),
        seconds=seconds,
    )


def exact_share(layers: Sequence[np.ndarray], rgb: np.ndarray) -> float:
    """Share of pixels at which the layers composite to the opaque picture, byte for byte."""
    if not layers:
        return 0.0
    nodes = tuple(Layer(id=str(i), name=str(i), rgba=rgba) for i, rgba in enumerate(layers))
    flat = flatten_nodes(nodes, Document(width=rgb.shape[1], height=rgb.shape[0]).box)
    return float(((flat[..., :3] == rgb).all(axis=-1) & (flat[..., 3] == 255)).mean())


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over the documents."""
    return {
        "documents": len(rows),
        **means([row.scores for row in rows]),
        "coverage": float(np.mean([row.covered for row in rows])),
        "exact_share": float(np.mean([row.exact_share for row in rows])),
        "seconds": float(np.mean([row.seconds for row in rows])),
    }


def table(rows: Sequence[Row]) -> str:
    """Worst Layer-F first, the means last."""
    heads = f"layers  groups  Layer-F  ground  L1/IoU 0 merges  L1/IoU {MERGES} merges  exact  seconds"
    lines = [f"{'document':44} {heads}"]
    for row in sorted(rows, key=lambda row: row.scores.layer_f):
        s = row.scores
        groups = f"{s.groups_pred}/{s.groups_true}"
        lines.append(_line(row.name, str(row.layers), groups, asdict(s), row.exact_share, row.seconds))
    mean = summarize(rows)
    lines.append(_line("mean", "", f"±{mean['group_error']:.2f}", mean, mean["exact_share"], mean["seconds"]))
    return "\n".join([*lines, f"coverage {mean['coverage']:.3f} of {len(rows)} documents"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of document folders")
    parser.add_argument("--model", default="small", help="small, classical, or a checkpoint's path (default small)")
    parser.add_argument("--limit", type=int, help="only the first N documents")
    parser.add_argument(
        "--layers", choices=["true", "auto"], default="true", help="ask for the true number, or let it choose"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write rows and means here")
    options = parser.parse_args(arguments)
    if options.model == "classical" and options.layers == "auto":
        parser.error("the classical baseline cannot choose a number of layers; use --layers true")
    folders = sorted(path.parent for path in options.folder.glob("*/composite.png"))[: options.limit]
    if not folders:
        parser.error(f"{options.folder} holds no document folders with a composite.png")
    predict = load_predictor(options.model)
    rows: list[Row] = []
    for number, folder in enumerate(folders, 1):
        rows.append(measure(folder, predict, auto=options.layers == "auto"))
        print(f"{number}/{len(folders)} {folder.name} {rows[-1].scores.layer_f:.3f}", file=sys.stderr, flush=True)
    print(table(rows))
    if options.json:
        report = {"model": options.model, "layers": options.layers, "mean": summarize(rows)}
        options.json.write_text(json.dumps({**report, "documents": [asdict(row) for row in rows]}, indent=1) + "\n")


def _classical(picture: Path, layers: int | None) -> list[np.ndarray]:
    if layers is None:
        raise LaminaError("the classical baseline needs a number of layers")
    return classical.decompose(_open(picture, "RGB"), layers)


def _open(path: Path, mode: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def _line(name: str, layers: str, groups: str, scores: dict[str, Any], exact: float, seconds: float) -> str:
    ground = "    -" if scores["ground"] is None else f"{scores['ground']:.3f}"
    first, last = (f"{scores['rgb_l1'][k]:.4f}/{scores['alpha_iou'][k]:.4f}" for k in (0, MERGES))
    found = f"{layers:>6} {groups:>7} {scores['layer_f']:8.3f}   {ground}"
    return f"{name:44} {found}   {first}   {last}   {exact:.3f}   {seconds:6.1f}"


if __name__ == "__main__":
    main()
