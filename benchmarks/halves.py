"""What it would be worth to get one half of an answer right: the ground, or the parting of all the rest.

    python benchmarks/halves.py DOCUMENTS [--limit N] [--by-colour]

The small network is told the true number of layers; each half of what it says is replaced by the truth in turn, then
both, and the answer is lifted. Prints Layer-F and ground error of each, means over the documents, as JSON. With
`--by-colour` the ground is not read but only helped by colour, as for networks of other kinds.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import oracle
from jaxtyping import Float, UInt8

from lamina.decompose.apart import fill_up, set_apart
from lamina.decompose.coarse import Coarse, resized, visible_weights
from lamina.decompose.decomposer import Decomposer
from lamina.decompose.lift import lift
from lamina.decompose.working import Working
from lamina.document.composite import flatten_nodes
from lamina.document.layer import Box
from lamina.evaluate.dataset import find, open_document, picture_of, seen_layers
from lamina.evaluate.metrics import reduce_stack, score_reduced
from lamina.options import DecomposeOptions

__all__ = ["answers", "main", "measure"]

_AREA = 256 * 256
"""Of the picture that the truth is seen in, as in `oracle`."""

_MOST = 20


def answers(said: Coarse, true: Coarse, size: tuple[int, int]) -> dict[str, Coarse]:
    """`said`, and with its ground, its parting or both out of the truth; `size` is (width, height) of the working
    picture, on which the ground of `said` has been read already."""
    ground, rest = _halves(said.visible, size)
    true_ground, true_rest = _halves(true.visible, size)
    nowhere = true_ground > 0.5
    if nowhere.any() and not nowhere.all():
        true_rest = _continued(true_rest, ~nowhere)
    full = np.ones(size[::-1], np.float32)
    return {
        "said": replace(said, odds=full),
        "ground": replace(said, visible=_joined(true_ground, rest), odds=full),
        "parting": replace(true, visible=_joined(ground, true_rest), odds=full),
        "both": replace(true, odds=full),
    }


def _halves(visible: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """Weight of the ground, and what each upper layer has of the rest."""
    weights = np.stack([resized(weight, size) for weight in visible.astype(np.float32)])
    rest = weights[1:] + 1e-4
    return weights[0], rest / rest.sum(axis=0)


def _joined(ground: Float[np.ndarray, "h w"], rest: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "l h w"]:
    return np.concatenate([ground[None], rest * (1 - ground)])


def _continued(rest: Any, known: Any) -> Any:
    """Everywhere what the nearest known place has."""
    _, number = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    where = np.zeros(number.max() + 1, np.int64)
    where[number[known]] = np.flatnonzero(known)
    return rest.reshape(len(rest), -1)[:, where[number]]


def measure(documents: Path, limit: int | None = None, *, by_colour: bool = False) -> dict[str, dict[str, float]]:
    """Mean Layer-F and ground error by what is true."""
    network = Decomposer.load("small", device="cpu")
    scores: dict[str, list[Any]] = {}
    for case in find(documents)[:limit]:
        document = open_document(case.path)
        rgba = picture_of(document).rgba
        layers = [canvas for _, canvas in seen_layers(document)]
        truth, working = reduce_stack(layers), Working(rgba)
        said = network.looker.look(rgba, DecomposeOptions(layers=min(_MOST, len(layers))))
        if network.reader is not None and not by_colour:
            said = network.reader.read(working, said)
        said = replace(said, visible=visible_weights(working, said))
        size = (working.rgb.shape[1], working.rgb.shape[0])
        for name, answer in answers(said, oracle.coarse(layers, area=_AREA), size).items():
            told = fill_up(working, set_apart(working, answer, len(layers), fine=True), len(layers))
            stack = _stack(rgba, told, working)
            scores.setdefault(name, []).append(score_reduced(reduce_stack(stack), truth))
    return {
        name: {
            "layer_f": round(float(np.mean([score.layer_f for score in found])), 4),
            "ground": round(float(np.mean([score.ground for score in found if score.ground is not None])), 4),
        }
        for name, found in scores.items()
    }


def _stack(rgba: UInt8[np.ndarray, "h w 4"], answer: Coarse, working: Working) -> list[UInt8[np.ndarray, "h w 4"]]:
    box = Box(0, 0, rgba.shape[1], rgba.shape[0])
    return [flatten_nodes([layer], box) for layer in lift(rgba, answer, working=working)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path, help="folder of layered documents")
    parser.add_argument("--limit", type=int, help="only the first N documents")
    parser.add_argument("--by-colour", action="store_true", help="do not read the ground")
    options = parser.parse_args(arguments)
    found = measure(options.documents, options.limit, by_colour=options.by_colour)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
