"""The one seam: a flat picture in, a Document out.

The package itself can be called: `lamina.decompose("poster.png", layers=4)` is the short way, `Decomposer` the long
one. A plain function of that name in `lamina` would be hidden as soon as this package is imported.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lamina.options import DecomposeOptions

if TYPE_CHECKING:
    from lamina.document.document import Document
    from lamina.pixels import PictureLike

__all__ = ["decompose", "split"]


def decompose(image: "PictureLike", *, model: str = "small", device: str = "auto", **options: Any) -> "Document":
    """Take one picture apart; `options` are the fields of DecomposeOptions.

    Loads the checkpoint every time: for many pictures, load a `Decomposer` once. Raises LaminaError.
    """
    from lamina.decompose.decomposer import Decomposer

    return Decomposer.load(model, device=device)(image, DecomposeOptions(**options))


def split(
    document: "Document", layer: str, *, model: str = "small", device: str = "auto", **options: Any
) -> "Document":
    """Take one layer of a document apart: a group of layers takes its place and looks exactly the same.

    `layer` is its id; `options` are the fields of DecomposeOptions. Loads the checkpoint every time; see
    `Decomposer.split`. Raises LaminaError.
    """
    from lamina.decompose.decomposer import Decomposer

    return Decomposer.load(model, device=device).split(document, layer, DecomposeOptions(**options))


class _CallablePackage(ModuleType):
    __call__ = staticmethod(decompose)


sys.modules[__name__].__class__ = _CallablePackage
