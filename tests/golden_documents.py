"""Small documents that every compositor of ours must show alike: the reference one, and the editor's canvas."""

from collections.abc import Callable

import numpy as np

from lamina.document.document import Document
from lamina.document.layer import BlendMode, Group, Layer, Node

__all__ = ["GOLDEN"]

WIDTH, HEIGHT = 96, 64


def ramp(width: int, height: int, seed: int, alpha: float | None = 1.0) -> np.ndarray:
    """A smooth picture; `alpha` None: soft towards the edges, down to nothing."""
    random = np.random.default_rng(seed)
    v, u = np.mgrid[0:height, 0:width] / max(width, height)
    phase, rate = random.uniform(0, 6, 3), random.uniform(2, 9, 3)
    rgb = 127.5 + 127.5 * np.sin(rate * u[..., None] + rate[::-1] * v[..., None] + phase)
    if alpha is None:
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        opaque = np.clip(1.4 - 1.4 * np.hypot(x, y), 0, 1)
    else:
        opaque = np.full((height, width), alpha)
    return np.rint(np.dstack([rgb, 255 * opaque])).astype(np.uint8)


def layer(name: str, rgba: np.ndarray, **fields: object) -> Layer:
    return Layer(id=name, name=name, rgba=rgba, **fields)  # type: ignore[arg-type]


def document(*nodes: Node) -> Document:
    return Document(width=WIDTH, height=HEIGHT, layers=nodes)


def ground() -> Layer:
    return layer("ground", ramp(WIDTH, HEIGHT, 0))


def blends() -> Document:
    """Every blend mode, over an opaque ground."""
    tiles = [
        layer(mode.value, ramp(22, 14, 1 + k, None if k % 2 else 0.8), x=k % 4 * 24 + 1, y=k // 4 * 16 + 1, blend=mode)
        for k, mode in enumerate(BlendMode)
    ]
    return document(ground(), *tiles)


def blends_over_nothing() -> Document:
    """Blend modes where what lies below is soft itself, and where nothing does."""
    modes = (BlendMode.MULTIPLY, BlendMode.SCREEN, BlendMode.OVERLAY, BlendMode.DIFFERENCE)
    tiles = [
        layer(mode.value, ramp(40, 40, 30 + k), x=20 * k - 5, y=8 * k - 4, blend=mode) for k, mode in enumerate(modes)
    ]
    return document(layer("soft", ramp(WIDTH, HEIGHT, 29, None)), *tiles)


def opacities() -> Document:
    """Layers of every degree of opacity, one over the other."""
    shares = (0.0, 0.05, 0.3, 0.5, 0.77, 1.0)
    return document(
        ground(),
        *(layer(f"o{k}", ramp(40, 50, 40 + k, None), x=11 * k, y=3 * k, opacity=o) for k, o in enumerate(shares)),
    )


def groups() -> Document:
    """Groups in groups: what blends within one does not reach what lies below it."""
    inner = Group(
        id="inner",
        name="Inner",
        opacity=0.6,
        children=(
            layer("a", ramp(50, 40, 50, None), x=10, y=8),
            layer("b", ramp(40, 40, 51, 0.7), x=24, y=12, blend=BlendMode.MULTIPLY),
        ),
    )
    over = layer("c", ramp(30, 20, 52), x=50, y=6, opacity=0.5)
    hidden = Group(id="hidden", name="Hidden", visible=False, children=(layer("d", ramp(60, 60, 53)),))
    return document(ground(), Group(id="outer", name="Outer", opacity=0.8, children=(inner, over)), hidden)


def offsets() -> Document:
    """Layers that reach beyond the canvas, lie outside it, are hidden, and are one pixel large."""
    return document(
        layer("beyond", ramp(150, 120, 60), x=-30, y=-41),
        layer("corner", ramp(40, 40, 61, None), x=-20, y=44),
        layer("outside", ramp(20, 20, 62), x=300, y=-90),
        layer("hidden", ramp(40, 40, 63), x=30, y=10, visible=False),
        layer("dot", ramp(1, 1, 64), x=95, y=63),
        layer("right", ramp(30, 30, 65, 0.4), x=80, y=20, locked=True),
    )


def quarter_turns() -> Document:
    """Layers turned by right angles, about middles on and between the pixels."""
    sizes = ((20, 20), (20, 12), (13, 20), (15, 15))
    turned: list[Node] = []
    for k, (w, h) in enumerate(sizes):
        half = (w + h) % 2 / 2  # so that it lies on whole pixels when it is turned
        rgba = ramp(w, h, 70 + k, 0.9)
        turned.append(layer(f"t{k}", rgba, x=6 + 22 * k + half, y=20 + half, angle=90.0 * (k + 1) % 360))
    return document(ground(), *turned)


GOLDEN: dict[str, Callable[[], Document]] = {
    made.__name__: made for made in (blends, blends_over_nothing, opacities, groups, offsets, quarter_turns)
}
