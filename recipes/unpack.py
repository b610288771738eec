"""Sample shards as a folder of layered documents, to be measured: what `lamina data harvest` kept.

    python -m recipes.unpack SHARDS DOCUMENTS
    lamina evaluate DOCUMENTS --model small -o REPORT

Each sample becomes a folder with 00.png, 01.png, … (full canvas, bottom first) and composite.png; of two equal samples
the first.
"""

import argparse
import hashlib
from pathlib import Path

from PIL import Image

from lamina.data.shards import Shards

__all__ = ["unpack"]


def unpack(shards: Path, out: Path) -> int:
    """Write the samples under `out`, numbered as they lie; return how many."""
    seen: set[str] = set()
    samples = Shards(shards)
    for sample in (samples[k] for k in range(len(samples))):
        key = hashlib.sha256(sample.composite.tobytes() + sample.layers.tobytes()).hexdigest()
        if key in seen:
            continue
        folder = out / f"{len(seen):03d}"
        folder.mkdir(parents=True)
        for number, layer in enumerate(sample.layers):
            Image.fromarray(layer).save(folder / f"{number:02d}.png")
        Image.fromarray(sample.composite).save(folder / "composite.png")
        seen.add(key)
    return len(seen)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    print(f"{unpack(given.shards, given.out)} documents")
