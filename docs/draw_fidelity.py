"""Draw the three pictures of fidelity.md: a soft-edged document of our own, taken apart simply and by `lift`.

    python docs/draw_fidelity.py [FOLDER]

From left to right, at 100 %: the picture; its upper layer over magenta when the small answers of a perfect network are
only enlarged; the same as `lamina.decompose.lift` makes it of the same answers; the true layer.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))

import fidelity  # noqa: E402
import oracle  # noqa: E402
import soft  # noqa: E402

SHOWN = {
    "hair-on-paper": (140, 40, 470, 300),
    "glow": (200, 240, 530, 500),
    "text-on-photo": (340, 190, 670, 450),
}
"""Document, and the part of it that is shown."""


def main() -> None:
    """Write `images/fidelity-NAME.png` for each."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "images"
    for name, (left, top, right, bottom) in SHOWN.items():
        truth = soft.draw(name)
        picture = fidelity.composite(truth)
        simple, lifted = (make(picture, truth)[1] for make in (oracle.enlarge, oracle.decompose))
        parts = [picture[..., :3], *(fidelity.on_magenta(layer) for layer in (simple, lifted, truth[1]))]
        parts = [np.floor(part[top:bottom, left:right] + 0.5).astype(np.uint8) for part in parts]
        gap = np.full((bottom - top, 6, 3), 255, np.uint8)
        row = np.concatenate([piece for part in parts for piece in (part, gap)][:-1], axis=1)
        Image.fromarray(row).save(folder / f"fidelity-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
