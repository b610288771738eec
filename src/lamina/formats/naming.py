"""Names for files and ids for foreign layers, made from what a person called the layer.

Deterministic and without any knowledge of a format.
"""

import re
import unicodedata

__all__ = ["foreign_id", "slug", "xml_text"]

_LONGEST = 40
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def slug(name: str) -> str:
    """`name` in lower-case ASCII letters, digits and hyphens, safe in every file system; "layer" when none is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name)[:_LONGEST].strip("-") or "layer"


def foreign_id(order: int, name: str) -> str:
    """The id of the `order`-th layer or group (from 0, in walk order) of a file that carries no ids of ours."""
    return f"{order:02d}-{slug(name)}"


def xml_text(name: str) -> str:
    """`name` with what XML 1.0 cannot hold (control characters, lone surrogates) as U+FFFD."""
    return _NOT_XML.sub("\ufffd", name)
