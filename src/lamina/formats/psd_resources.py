"""What a PSD says about the whole picture: profile, resolution, and what of our document other programs pass over.

Ids, exact opacities, text and meta travel as JSON in a plug-in resource, tied to each layer by its PSD layer number and
name, so a file that another program has rearranged gives them back only where they still fit. Knows no pixels.
Source: Adobe Photoshop File Formats Specification, "Image Resources" (plug-in resources: 4000-4999).
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from psd_tools.constants import Resource
from psd_tools.psd.image_resources import ImageResource, ImageResources, ResoulutionInfo, VersionInfo

from lamina.document.document import Document
from lamina.document.layer import Box, Layer, Node, Text
from lamina.formats.profile import is_rgb, is_srgb, srgb_profile

__all__ = ["Carried", "carried", "dpi_of", "profile_of", "psd_name", "resources"]

_FIXED = 65536  # 16.16 fixed point
_OURS = 4613
"""Our plug-in resource. Not XMP: GIMP complains to the user about every XMP namespace it does not know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """What a PSD of ours brings along: JSON data by PSD layer number, and the document's meta."""

    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def find(self, number: int, name: str) -> Mapping[str, Any]:
        """The data of the layer of this number, empty when there is none or the name is not the same any more."""
        entry = self.layers.get(str(number))
        return entry if isinstance(entry, dict) and entry.get("name") == name else {}

    def text(self, number: int, name: str) -> Text | None:
        """The text of a layer, None where none, or none that can be understood, was carried."""
        data = self.find(number, name).get("text")
        try:
            fields: dict[str, Any] = {**data, "box": Box(*data["box"]) if data["box"] else None} if data else {}
            return Text(**fields) if fields else None
        except (TypeError, KeyError):
            return None


def resources(document: Document, numbered: Iterable[tuple[int, Node]]) -> Any:
    """The image resources of a document whose nodes have these PSD layer numbers."""
    entries: dict[str, Any] = {}
    for number, node in numbered:
        entry: dict[str, Any] = {"id": node.id, "name": psd_name(node.name), "opacity": node.opacity}
        if isinstance(node, Layer) and node.text is not None:
            entry["text"] = asdict(node.text)
        entries[str(number)] = entry
    ours = json.dumps({"lamina": 1, "layers": entries, "meta": dict(document.meta)}).encode("ascii")
    values: list[tuple[int, Any]] = [
        (Resource.ICC_PROFILE, document.icc or srgb_profile()),
        (Resource.VERSION_INFO, VersionInfo(version=1, has_composite=True, writer="Lamina", reader="Lamina")),
        (_OURS, ours),
    ]
    if document.dpi is not None:
        across, down = (min(max(round(d * _FIXED), 0), 2**32 - 1) for d in document.dpi)
        values.insert(0, (Resource.RESOLUTION_INFO, ResoulutionInfo(across, 1, 1, down, 1, 1)))
    return ImageResources([(key, ImageResource(key=key, data=value)) for key, value in values])


def carried(psd: Any) -> Carried | None:
    """What a PSD of ours brings along; None for any other file."""
    try:
        data = json.loads(psd.image_resources.get_data(_OURS, b""))
    except (ValueError, TypeError, RecursionError):
        return None
    if (
        not isinstance(data, dict)
        or data.get("lamina") != 1
        or not all(isinstance(data.get(key), dict) for key in ("layers", "meta"))
    ):
        return None
    return Carried(layers=data["layers"], meta=data["meta"])


def profile_of(psd: Any) -> bytes | None:
    """The RGB profile of the pixels; None when it is sRGB, absent or of another colour space."""
    icc = psd.image_resources.get_data(Resource.ICC_PROFILE)
    return bytes(icc) if icc and is_rgb(icc) and not is_srgb(icc) else None


def dpi_of(psd: Any) -> tuple[float, float] | None:
    """Dots per inch, to the precision of the file."""
    info = psd.image_resources.get_data(Resource.RESOLUTION_INFO)
    if not isinstance(info, ResoulutionInfo) or not info.horizontal or not info.vertical:
        return None
    return round(info.horizontal / _FIXED, 4), round(info.vertical / _FIXED, 4)


def psd_name(name: str) -> str:
    """`name` as UTF-16 can hold it."""
    return name.encode("utf-16", "replace").decode("utf-16")
