"""A decomposer that needs no weights, whose pictures can be told to go wrong, and a service of it as a process.

    python tests/fake_decomposer.py HOME PORT

The prompt says what happens: "slow" takes ten steps of 0.1 s, "refuse" and "defect" raise, "crash" ends the process,
"wait" goes on until it is cancelled.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lamina.document.document import Document
from lamina.document.layer import Group, Layer
from lamina.errors import InputError
from lamina.options import DecomposeOptions
from lamina.pixels import Picture

__all__ = ["FakeDecomposer", "load_fake", "squares"]


class FakeDecomposer:
    """Stands in for `lamina.Decomposer`."""

    stages = ("squares",)

    def __init__(self, settings: Mapping[str, object] | None = None) -> None:
        self.settings = dict(settings or {})

    def __call__(self, picture: Picture, options: DecomposeOptions, on_step: Callable[[int, int], None]) -> Document:
        return squares(picture, options, on_step)

    def split(
        self, document: Document, layer: str, options: DecomposeOptions, on_step: Callable[[int, int], None]
    ) -> Document:
        """The layer becomes a group of its two halves."""
        on_step(1, 2)
        whole = document.find(layer)
        assert isinstance(whole, Layer)
        middle = whole.width // 2
        halves = (
            replace(whole, id=f"{layer}-1", rgba=whole.rgba[:, :middle].copy()),
            replace(whole, id=f"{layer}-2", rgba=whole.rgba[:, middle:].copy(), x=whole.x + middle),
        )
        group = Group(id=layer, name=whole.name, children=halves)
        return replace(document, layers=tuple(group if node is whole else node for node in document.layers))


def squares(picture: Picture, options: DecomposeOptions, on_step: Callable[[int, int], None]) -> Document:
    """A ground and a square of the picture's own pixels."""
    match options.prompt:
        case "slow":
            for step in range(10):
                on_step(step, 10)
                time.sleep(0.1)
        case "wait":
            while True:
                on_step(1, 2)
                time.sleep(0.02)
        case "refuse":
            raise InputError("not this one")
        case "defect":
            raise ZeroDivisionError("by nothing")
        case "crash":
            os._exit(3)
        case _:
            on_step(1, 2)
    height, width = picture.rgba.shape[:2]
    square = picture.rgba[height // 4 : height // 2, width // 4 : width // 2].copy()
    layers = (
        Layer(id="ground", name="Ground", rgba=picture.rgba),
        Layer(id="square", name="Square", rgba=square, x=width // 4, y=height // 4),
    )
    meta = {
        "source_sha256": picture.sha256,
        "regions": [list(numbers) for numbers in (*options.box, *options.point)],
        "fidelity": {"exact_share": 1.0, "max_error": 0, "psnr_db": None},
        "warnings": ["layers asked for: 9, found: 2"] if options.layers == 9 else [],
    }
    return Document(width=width, height=height, layers=layers, meta=meta, dpi=picture.dpi, source=picture.rgba)


def load_fake(model: str, device: str, **settings: object) -> FakeDecomposer:
    """Stands in for `Decomposer.load`."""
    return FakeDecomposer(settings)


if __name__ == "__main__":
    import uvicorn

    from lamina.server.app import create_app
    from lamina.server.settings import Settings

    fake = FakeDecomposer()
    app = create_app(fake, settings=Settings(home=Path(sys.argv[1])), split=fake.split)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
