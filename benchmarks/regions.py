"""How well boxes and points bring what they were put on, where that is known.

    python benchmarks/regions.py DOCUMENTS [--model small] [--limit N] [-o ROWS.json]

Each seen layer that takes .3 % to half of a document's canvas is asked for twice, alone: by the box around what is seen
of it, drawn as people draw, and by the point deepest within. A box wants all layers above the ground of which nine
tenths are seen within it; a point wants the layer it hits, with or without what lies on it, whichever is nearer.
Printed per document, then as means: intersection over union of what was pinned, at working size, with what was wanted;
the share of regions of .8 and more; the share that found nothing.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from lamina.decompose.decomposer import Decomposer
from lamina.decompose.steer import steer
from lamina.decompose.working import Working
from lamina.errors import LaminaError
from lamina.evaluate.dataset import find, open_document, picture_of, seen_layers
from lamina.options import DecomposeOptions
from lamina.pixels import resize_rgba

__all__ = ["Region", "main", "owners", "regions"]

LEAST, MOST = 0.003, 0.5
"""Shares of the canvas that what is asked for takes."""

LOOSE = (-0.02, 0.06)
"""How much wider a box is drawn on each side, in shares of its side."""

WITHIN = 0.9
"""A layer of which this share is seen within a box is wanted by it."""

GOOD = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """One thing that is asked for, and what counts as having it."""

    kind: str
    layer: int
    options: DecomposeOptions
    wanted: tuple[Bool[np.ndarray, "h w"], ...]


def owners(layers: Sequence[UInt8[np.ndarray, "h w 4"]]) -> UInt8[np.ndarray, "h w"]:
    """Which layer (bottom first) is mostly seen at each pixel."""
    left = np.ones(layers[0].shape[:2], np.float32)
    best, owner = np.zeros_like(left), np.zeros(left.shape, np.uint8)
    for number in range(len(layers) - 1, -1, -1):
        alpha = layers[number][..., 3] / np.float32(255)
        seen = left * alpha
        owner[seen > best] = number
        best = np.maximum(best, seen)
        left = left * (1 - alpha)
    return owner


def regions(owner: UInt8[np.ndarray, "h w"], *, seed: int = 0) -> list[Region]:
    """A box and a point for every layer that is seen enough."""
    rng = np.random.default_rng(seed)
    height, width = owner.shape
    area = np.bincount(owner.ravel(), minlength=int(owner.max()) + 1)
    out: list[Region] = []
    for layer in range(1, area.size):
        own = owner == layer
        if not LEAST * owner.size < area[layer] < MOST * owner.size:
            continue
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        sides = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        size = np.array([sides[2] - sides[0], sides[3] - sides[1]] * 2)
        wider = np.round(rng.uniform(*LOOSE, 4) * size) * (-1, -1, 1, 1)
        left, top, right, bottom = (int(s) for s in np.clip(sides + wider, 0, (width, height) * 2))
        within = np.bincount(owner[top:bottom, left:right].ravel(), minlength=area.size)
        wanted = sorted({layer} | {k for k in range(1, area.size) if area[k] and within[k] > WITHIN * area[k]})
        box = DecomposeOptions(box=((left, top, right, bottom),))
        out.append(Region(kind="box", layer=layer, options=box, wanted=(np.isin(owner, wanted),)))
        deep: Any = cv2.distanceTransform(np.pad(own, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = (int(v) for v in np.unravel_index(int(deep.argmax()), deep.shape))
        point = DecomposeOptions(point=((x, y),))
        out.append(Region(kind="point", layer=layer, options=point, wanted=(own, own | _on(owner, layer, area))))
    return out


def _on(owner: Any, layer: int, area: Any) -> Bool[np.ndarray, "h w"]:
    """Upper layers that lie within the outline of a layer."""
    outline: Any = cv2.findContours((owner == layer).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    filled = cv2.drawContours(np.zeros(owner.shape, np.uint8), outline, -1, 1, -1)
    within = np.bincount(owner[filled > 0], minlength=area.size)
    return np.isin(owner, [k for k in range(layer + 1, area.size) if area[k] and within[k] > WITHIN * area[k]])


def overlap(found: Bool[np.ndarray, "h w"], wanted: Sequence[Bool[np.ndarray, "H W"]]) -> float:
    """Intersection over union with the nearest of what may be wanted."""
    size = (found.shape[1], found.shape[0])
    masks = [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5 for mask in wanted]
    return max(float((found & mask).sum() / max((found | mask).sum(), 1)) for mask in masks)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--model", default="small")
    parser.add_argument("--limit", type=int)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args(argv)
    decomposer = Decomposer.load(args.model, device="cpu")
    rows: list[dict[str, Any]] = []
    for case in find(args.documents)[: args.limit]:
        try:
            document = open_document(case.path)
            picture = picture_of(document).rgba
            owner = owners([resize_rgba(c, picture.shape[1::-1]) for _, c in seen_layers(document)])
            coarse, working = decomposer.looker.look(picture, DecomposeOptions()), Working(picture)
            found = [(region, _asked(picture, coarse, working, region)) for region in regions(owner)]
        except LaminaError as error:
            print(f"{case.name}: {error}", file=sys.stderr)
            continue
        rows += [
            {"document": case.name, "kind": region.kind, "layer": region.layer, "overlap": got}
            | {"region": region.options.box or region.options.point}
            for region, got in found
        ]
        shown = {kind: [got for region, got in found if region.kind == kind] for kind in ("box", "point")}
        figures = (f"{kind} {np.mean(got):.3f}" for kind, got in shown.items() if got)
        print(f"{case.name[:50]:>50}  {len(found) // 2:2}  " + "  ".join(figures), flush=True)
    for kind in ("box", "point"):
        got = np.array([row["overlap"] for row in rows if row["kind"] == kind])
        if got.size:
            print(
                f"{kind:>6}: overlap {got.mean():.3f}, {(got >= GOOD).mean():.3f} of {got.size} at {GOOD} and more, "
                f"nothing found {(got == 0).mean():.3f}"
            )
    if args.output:
        args.output.write_text(json.dumps(rows, indent=1), "utf-8")
    return 0


def _asked(picture: Any, coarse: Any, working: Working, region: Region) -> float:
    steered = steer(picture, coarse, region.options, working=working).coarse
    if steered.label is None or not steered.pinned:
        return 0.0
    return overlap(steered.label == len(steered.visible) - 1, region.wanted)


if __name__ == "__main__":
    sys.exit(main())
