"""Lamina: a flat picture in, an editable stack of RGBA layers out.

The names listed here are the public API; other modules may change without notice. They load when first used, so that
`import lamina` is quick and loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    from lamina.decompose import decompose, split
    from lamina.decompose.decomposer import Decomposer
    from lamina.document import edits
    from lamina.document.apply import apply
    from lamina.document.document import Document
    from lamina.document.history import History
    from lamina.document.layer import BlendMode, Box, Group, Layer, Text
    from lamina.errors import LaminaError
    from lamina.formats import read, write
    from lamina.options import DecomposeOptions

__all__ = [
    "BlendMode",
    "Box",
    "DecomposeOptions",
    "Decomposer",
    "Document",
    "Group",
    "History",
    "LaminaError",
    "Layer",
    "Text",
    "__version__",
    "apply",
    "composite",
    "decompose",
    "edits",
    "read",
    "split",
    "write",
]

__version__ = "0.1.0"

_HOMES = {
    "BlendMode": "document.layer",
    "Box": "document.layer",
    "DecomposeOptions": "options",
    "Decomposer": "decompose.decomposer",
    "Document": "document.document",
    "Group": "document.layer",
    "History": "document.history",
    "LaminaError": "errors",
    "Layer": "document.layer",
    "Text": "document.layer",
    "apply": "document.apply",
    "read": "formats",
    "split": "decompose",
    "write": "formats",
}


def composite(document: "Document") -> "Image.Image":
    """Flatten a document to a Pillow image, mode RGBA, with the document's colour profile."""
    from lamina.document.composite import flatten
    from lamina.pixels import to_image

    image = to_image(flatten(document))
    if document.icc:
        image.info["icc_profile"] = document.icc
    return image


def __getattr__(name: str) -> Any:
    if name == "decompose":  # the package itself: it can be called
        return import_module("lamina.decompose")
    if name == "edits":
        return import_module("lamina.document.edits")
    if name not in _HOMES:
        raise AttributeError(f"module 'lamina' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(f"lamina.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
