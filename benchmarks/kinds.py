"""How often a layer's kind is told right: every visible layer of PSD files, live text against all else.

    python benchmarks/kinds.py FOLDER

FOLDER holds PSD files at any depth, for instance the documents that `python -m recipes.documents CLONES OUT` writes.
Layers are looked at as they are drawn, without their text. Lettering that was drawn or turned into pixels counts as
"other": what is called Text among those is mostly that.
"""

import argparse
import collections
import json
from pathlib import Path

import numpy as np
from psd_tools import PSDImage

from lamina.decompose.naming import kind_of
from lamina.document.layer import Layer

LEAST, MOST, FEW = 4, 9_000_000, 4
"""Sides and pixels of the layers looked at; text of fewer letters is counted apart."""


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for file in sorted(parser.parse_args().folder.rglob("*.psd")):
        for what, rgba in layers_of(file):
            counts[what][kind_of(Layer(id="a", name="", rgba=rgba)).value] += 1
    print(json.dumps({what: dict(kinds.most_common()) for what, kinds in sorted(counts.items())}, indent=1))


def layers_of(file: Path):
    """What each visible layer is and its pixels."""
    for layer in PSDImage.open(file).descendants():
        sides = (layer.width, layer.height)
        if layer.is_group() or not layer.is_visible() or min(sides) < LEAST or sides[0] * sides[1] > MOST:
            continue
        image = layer.topil()
        if image is None or not np.asarray(image.convert("RGBA"))[..., 3].any():
            continue
        letters = len("".join(layer.text.split())) if layer.kind == "type" else 0
        what = "other" if not letters else "text" if letters >= FEW else f"text of fewer than {FEW} letters"
        yield what, np.ascontiguousarray(image.convert("RGBA"))


if __name__ == "__main__":
    main()
