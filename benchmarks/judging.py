"""How often the score without truth picks the better of two stacks, and how often its warnings are right.

    python benchmarks/judging.py DOCUMENTS [--model small] [--limit N] [-o ROWS.json]

Every document (with its true layers) is taken apart in several ways: the looks that a further try would take, and told
two and six layers. Of all pairs of stacks of one picture whose Layer-F differ by 0.02 or more, the share is counted
where the score prefers the better one, for the score, for each of its terms, and for other figures that need no truth;
a tie counts as half. Half is chance. Then the warnings: how often they are given for the true stack (false alarms), and
for the true stack spoilt on purpose: the largest object cut in two, left half in the ground, left as a ghost there.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from lamina.decompose.decomposer import Decomposer
from lamina.decompose.exact import make_exact
from lamina.decompose.judge import TERMS, judge
from lamina.decompose.lift import lift
from lamina.decompose.tidy import tidy
from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import Layer
from lamina.errors import LaminaError
from lamina.evaluate.dataset import find, open_document, picture_of, seen_layers
from lamina.evaluate.metrics import reduce_stack, score_reduced
from lamina.options import DecomposeOptions
from lamina.pixels import resize_rgba

__all__ = ["accuracy", "main", "spoilt", "stacks"]

SIDE = 512
"""Longer side that pictures are reduced to, as for a further look."""

APART = 0.02
"""Difference of Layer-F from which one stack is better than another."""

OTHERS = ("repair", "count")
"""Figures beside the score's own terms: PSNR before exactness, number of layers."""


def stacks(decomposer: Decomposer, rgba: np.ndarray) -> Iterator[tuple[str, list[Layer], list[float], float]]:
    """Name, layers, their confidence and PSNR before exactness of one picture taken apart in several ways."""
    asked = [(f"look {k}", DecomposeOptions(), k) for k in range(decomposer.looker.attempts)]
    asked += [(f"told {n}", DecomposeOptions(layers=n), 0) for n in (2, 6)]
    for name, options, attempt in asked:
        coarse = decomposer.coarse(rgba, options, attempt)
        layers, fidelity = make_exact(rgba, lift(rgba, coarse))
        tidied = tidy(rgba, layers, coarse.confidence, key=name)
        yield name, tidied.layers, tidied.confidence, fidelity.psnr_before_db or 99.0


def spoilt(layers: Sequence[Layer]) -> dict[str, list[Layer]]:
    """The stack with its largest object (upright, full-canvas raster) spoilt in three ways."""
    target = max(range(1, len(layers)), key=lambda k: int(layers[k].rgba[..., 3].sum(dtype=np.int64)))
    thing = layers[target].rgba
    middle = int(np.median(np.nonzero(thing[..., 3])[1]))
    left, right = thing.copy(), thing.copy()
    left[:, middle:, 3] = 0
    right[:, :middle, 3] = 0

    def with_ground(colours: np.ndarray, weight: np.ndarray) -> Layer:
        ground = layers[0].rgba.astype(np.float32)
        ground[..., :3] += weight[..., None] * (colours[..., :3] - ground[..., :3])
        return _layer("ground", ground.round().astype(np.uint8))

    def replaced(*new: Layer, ground: Layer = layers[0]) -> list[Layer]:
        return [ground, *layers[1:target], *new, *layers[target + 1 :]]

    alpha = thing[..., 3] / np.float32(255)
    return {
        "cut in two": replaced(_layer("l", left), _layer("r", right)),
        "half left below": replaced(_layer("r", right), ground=with_ground(left, left[..., 3] / np.float32(255))),
        "ghost": replaced(layers[target], ground=with_ground(thing, 0.6 * alpha)),
    }


def accuracy(rows: Sequence[dict[str, Any]], figure: str) -> tuple[float, int]:
    """Share of pairs of one document's stacks that `figure` orders as Layer-F does, and the number of pairs."""
    right, pairs = 0.0, 0
    for name in sorted({row["document"] for row in rows}):
        for a, b in combinations([row for row in rows if row["document"] == name], 2):
            if abs(a["layer_f"] - b["layer_f"]) < APART:
                continue
            agreement = np.sign(a[figure] - b[figure]) * np.sign(a["layer_f"] - b["layer_f"])
            right += (agreement + 1) / 2
            pairs += 1
    return right / max(pairs, 1), pairs


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--model", default="small")
    parser.add_argument("--limit", type=int)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args(argv)
    decomposer = Decomposer.load(args.model, device="cpu")
    rows: list[dict[str, Any]] = []
    alarms: dict[str, list[tuple[bool, bool]]] = {}
    for case in find(args.documents)[: args.limit]:
        try:
            document = open_document(case.path)
            rgba, true = _reduced(picture_of(document).rgba), [_reduced(c) for _, c in seen_layers(document)]
            if len(true) < 2:
                continue
            truth = [_layer(str(k), canvas) for k, canvas in enumerate(true)]
            reference = reduce_stack(true)
            for name, layers, sure, repair in stacks(decomposer, rgba):
                verdict = judge(rgba, layers, sure)
                canvases = [c for _, c in seen_layers(_document(layers, rgba))]
                found = score_reduced(reduce_stack(canvases), reference).layer_f
                figures = {"repair": repair, "count": len(layers)}
                rows.append(
                    {"document": case.name, "stack": name, "layer_f": found, "score": verdict.score}
                    | verdict.terms
                    | figures
                )
            for name, layers in {"true": truth, **spoilt(truth)}.items():
                verdict = judge(flatten(_document(layers, rgba)), layers, [1.0] * len(layers))
                alarms.setdefault(name, []).append((bool(verdict.ghosts), bool(verdict.cuts)))
        except LaminaError as error:
            print(f"{case.name}: {error}", file=sys.stderr)
    for figure in ("score", *TERMS, *OTHERS):
        share, pairs = accuracy(rows, figure)
        print(f"{figure:>10}  picks the better of two: {share:.3f} of {pairs}")
    first = [row for row in rows if row["stack"] == "look 0"]
    looks = [row for row in rows if row["stack"].startswith("look")]
    taken = [max((r for r in looks if r["document"] == row["document"]), key=_score) for row in first]
    print(f"Layer-F of the first look {_mean(first):.3f}, of the best-judged look {_mean(taken):.3f}")
    for name, given in alarms.items():
        ghosts, cuts = np.mean(given, axis=0)
        print(f"{name:>16}: ghost said {ghosts:.2f}, cut said {cuts:.2f} of {len(given)}")
    if args.output:
        args.output.write_text(json.dumps(rows, indent=1), "utf-8")
    return 0


def _document(layers: Sequence[Layer], rgba: np.ndarray) -> Document:
    return Document(width=rgba.shape[1], height=rgba.shape[0], layers=tuple(layers))


def _score(row: dict[str, Any]) -> float:
    return row["score"]


def _mean(rows: Sequence[dict[str, Any]]) -> float:
    return float(np.mean([row["layer_f"] for row in rows])) if rows else 0.0


def _layer(name: str, rgba: np.ndarray) -> Layer:
    return Layer(id=name, name=name, rgba=rgba)


def _reduced(rgba: np.ndarray) -> np.ndarray:
    height, width = rgba.shape[:2]
    shrink = min(1.0, SIDE / max(height, width))
    return resize_rgba(rgba, (max(16, round(width * shrink)), max(16, round(height * shrink))))


if __name__ == "__main__":
    sys.exit(main())
