"""Write the predictions of rivals to a folder that `lamina evaluate DOCUMENTS --pred FOLDER` measures.

    python benchmarks/rivals.py DOCUMENTS classical|oracle|oracle-raw -o FOLDER [--limit N]

`classical` is the baseline without a network; `oracle` the package's read-out of perfect coarse answers, `oracle-raw`
those answers only enlarged. All are given the true number of layers, the oracles the truth as well.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import classical
import numpy as np
import oracle
from PIL import Image

from lamina.errors import LaminaError
from lamina.evaluate.dataset import find, open_document, picture_of, seen_layers

__all__ = ["RIVALS", "main", "predict"]

Layers = Sequence[np.ndarray]

RIVALS: dict[str, Callable[[np.ndarray, Layers], Layers]] = {
    "classical": lambda rgba, true: classical.decompose(np.ascontiguousarray(rgba[..., :3]), len(true)),
    "oracle": oracle.decompose,
    "oracle-raw": oracle.enlarge,
}
"""Name -> (opaque picture, true layers) to full-canvas layers, both bottom first."""


def predict(documents: Path, rival: str, out: Path, limit: int | None = None) -> int:
    """Write one folder of 00.png, 01.png, … a document; returns how many. One that fails is said, and left out."""
    written = 0
    for case in find(documents)[:limit]:
        try:
            document = open_document(case.path)
            true = [canvas for _, canvas in seen_layers(document) if canvas[..., 3].any()]
            layers = RIVALS[rival](picture_of(document).rgba, true)
        except LaminaError as error:
            print(f"{case.name}: {error}", file=sys.stderr)
            continue
        folder = out / case.name
        folder.mkdir(parents=True, exist_ok=True)
        for number, layer in enumerate(layers):
            Image.fromarray(layer).save(folder / f"{number:02}.png", compress_level=1)
        written += 1
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and write the predictions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path, help="folder of layered documents")
    parser.add_argument("rival", choices=list(RIVALS))
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where predictions go")
    parser.add_argument("--limit", type=int, help="only the first N documents")
    options = parser.parse_args(arguments)
    written = predict(options.documents, options.rival, options.output, options.limit)
    print(f"{written} predictions in {options.output}")


if __name__ == "__main__":
    main()
