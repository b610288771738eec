"""Photoshop documents (.psd, .psb): layers with names, boxes, groups, opacity, blend modes; profile and resolution.

Written through the record structures of psd-tools, 8-bit RGB with run-length packing and a merged composite. A group is
written with blend mode normal, not pass-through: ours are isolated. Ids, text and meta ride in a
plug-in resource (`psd_resources`); reading layers, foreign ones above all, is `psd_layers`.
Source: Adobe Photoshop File Formats Specification.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from psd_tools import PSDImage
from psd_tools.compression import compress
from psd_tools.constants import ChannelID, Compression, ProtectedFlags, SectionDivider, Tag
from psd_tools.psd import PSD
from psd_tools.psd.header import FileHeader
from psd_tools.psd.image_data import ImageData
from psd_tools.psd.layer_and_mask import (
    ChannelData,
    ChannelDataList,
    ChannelImageData,
    ChannelInfo,
    LayerAndMaskInformation,
    LayerInfo,
    LayerRecord,
    LayerRecords,
)

from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import Group, Layer, Node
from lamina.errors import FormatError, LaminaError
from lamina.formats.files import atomic_file
from lamina.formats.limits import PixelBudget
from lamina.formats.psd_layers import PSD_BLEND, LayerReader, reason
from lamina.formats.psd_resources import carried, dpi_of, profile_of, psd_name, resources
from lamina.formats.upright import upright
from lamina.pixels import over_flat

__all__ = ["read", "write"]

_LONGEST_PSD_SIDE = 30_000
_LONGEST_PSB_SIDE = 300_000
_LARGEST_PSD = 2**31  # bytes
_HEADER = 26  # bytes
_CHANNELS = (ChannelID.TRANSPARENCY_MASK, ChannelID.CHANNEL_0, ChannelID.CHANNEL_1, ChannelID.CHANNEL_2)

# psd-tools warns through logging; with no handler at all Python would print that on the user's terminal.
logging.getLogger("psd_tools").addHandler(logging.NullHandler())


def read(path: str | Path) -> Document:
    """The document in a PSD or PSB. Raises FormatError.

    Pixels keep their numbers and profile when they are RGB; other colour spaces become sRGB, 16 and 32 bits 8.
    What a document cannot hold is flattened, approximated or left out, and said in `meta["notes"]`.
    """
    path = Path(path)
    budget = PixelBudget()
    try:
        file = path.open("rb")
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
    with file:
        psd = _opened(file, path, budget)
    ours = carried(psd)
    reader = LayerReader(psd, budget, ours)
    layers = reader.layers()
    meta = dict(ours.meta) if ours else {}
    if reader.notes:
        meta["notes"] = reader.notes
    return Document(width=psd.width, height=psd.height, layers=layers, meta=meta, icc=profile_of(psd), dpi=dpi_of(psd))


def write(document: Document, path: str | Path) -> list[str]:
    """Write a PSD, a PSB where the ending or the size asks for one; the list says what was not kept.

    Raises InputError when the place cannot be written, FormatError when a PSB cannot be that large.
    """
    losses: list[str] = []
    placed = {node.id: upright(node, document.box, losses) for node in document.walk() if isinstance(node, Layer)}
    rasters = [layer.rgba for layer in placed.values()]
    longest = max(document.width, document.height, *(side for rgba in rasters for side in rgba.shape[:2]), 1)
    if longest > _LONGEST_PSB_SIDE:
        raise FormatError(f"a side of {longest} px is over the {_LONGEST_PSB_SIDE} px of a PSB")
    large = Path(path).suffix.lower() == ".psb"
    if not large and (longest > _LONGEST_PSD_SIDE or sum(rgba.nbytes for rgba in rasters) > _LARGEST_PSD):
        large = True
        losses.append(f"too large for a PSD, so {Path(path).name} holds a PSB, which most but not all programs open")
    if document.source is not None:
        losses.append("the source picture was left out")
    if any(isinstance(node, Layer) and node.text for node in document.walk()):
        losses.append("live text was written as pixels; only Lamina reads its words back")
    version = 2 if large else 1
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        _structure(document, placed, version).write(file)
    return losses


def _opened(file: IO[bytes], path: Path, budget: PixelBudget) -> Any:
    """The `PSDImage` in a file, once its canvas is known to be of a size that is read."""
    try:
        head = file.read(_HEADER)
        if len(head) < _HEADER or not head.startswith(b"8BPS"):
            raise FormatError(f"{path} is not a PSD or PSB file")
        budget.take(int.from_bytes(head[18:22]), int.from_bytes(head[14:18]), "the canvas")
        file.seek(0)
        return PSDImage.open(file)
    except LaminaError:
        raise
    except Exception as error:  # what a parser raises on arbitrary bytes has no end
        raise FormatError(f"{path} is a broken PSD: {reason(error)}") from error


def _structure(document: Document, placed: Mapping[str, Layer], version: int) -> PSD:
    flat = flatten(document)
    opaque = bool((flat[..., 3] == 255).all())
    header = FileHeader(version=version, channels=3 if opaque else 4, width=document.width, height=document.height)
    numbers = {node.id: number for number, node in enumerate(document.walk(), start=1)}
    pairs = list(_records(document.layers, placed, numbers, version))
    # A transparent composite is stored over white with its alpha beside it, announced by a negative count.
    merged = np.concatenate([over_flat(flat), flat[..., 3:]], axis=2)[..., : header.channels]
    planes = np.ascontiguousarray(np.moveaxis(merged, -1, 0)).tobytes()
    rows = document.height * header.channels
    return PSD(
        header=header,
        image_resources=resources(document, ((numbers[node.id], node) for node in document.walk())),
        layer_and_mask_information=LayerAndMaskInformation(
            LayerInfo(
                layer_count=len(pairs) if opaque else -len(pairs),
                layer_records=LayerRecords([record for record, _ in pairs]),
                channel_image_data=ChannelImageData([channels for _, channels in pairs]),
            )
        ),
        image_data=ImageData(Compression.RLE, compress(planes, Compression.RLE, document.width, rows, 8, version)),
    )


def _records(
    nodes: tuple[Node, ...], placed: Mapping[str, Layer], numbers: Mapping[str, int], version: int
) -> Iterator[tuple[LayerRecord, ChannelDataList]]:
    """Records bottom first; a group is a hidden divider, its children, and the folder that bears its name."""
    for node in nodes:
        if isinstance(node, Group):
            divider = _record("</Layer group>", 0)
            divider.tagged_blocks.set_data(Tag.SECTION_DIVIDER_SETTING, kind=SectionDivider.BOUNDING_SECTION_DIVIDER)
            yield divider, _no_pixels(divider)
            yield from _records(node.children, placed, numbers, version)
            folder = _record(node.name, numbers[node.id], node)
            folder.tagged_blocks.set_data(
                Tag.SECTION_DIVIDER_SETTING,
                kind=SectionDivider.OPEN_FOLDER,
                signature=b"8BIM",
                blend_mode=folder.blend_mode,
            )
            yield folder, _no_pixels(folder)
        else:
            layer = placed[node.id]
            record = _record(node.name, numbers[node.id], node)
            record.left, record.top, record.right, record.bottom = layer.box
            if max(map(abs, layer.box)) >= 2**31:
                raise FormatError(
                    f"layer '{node.name}' lies at {layer.box.left}, {layer.box.top}, too far out for a PSD"
                )
            record.blend_mode = PSD_BLEND[node.blend]
            if node.locked:
                record.flags.transparency_protected = True
                record.tagged_blocks.set_data(Tag.PROTECTED_SETTING, int(ProtectedFlags.COMPLETE))
            yield record, _pixels(layer.rgba, record, version)


def _record(name: str, number: int, node: Node | None = None) -> LayerRecord:
    record = LayerRecord(name=name.encode("mac_roman", "replace")[:255].decode("mac_roman"))
    record.tagged_blocks.set_data(Tag.UNICODE_LAYER_NAME, psd_name(name))
    if node is not None:
        record.tagged_blocks.set_data(Tag.LAYER_ID, number)
        record.opacity = round(node.opacity * 255)
        record.flags.visible = node.visible
    return record


def _no_pixels(record: LayerRecord) -> ChannelDataList:
    record.channel_info = [ChannelInfo(id=channel, length=2) for channel in _CHANNELS]
    return ChannelDataList([ChannelData(Compression.RAW, b"") for _ in _CHANNELS])


def _pixels(rgba: np.ndarray, record: LayerRecord, version: int) -> ChannelDataList:
    height, width = rgba.shape[:2]
    record.channel_info = [ChannelInfo(id=channel) for channel in _CHANNELS]
    return ChannelDataList(
        [
            ChannelData(Compression.RLE, compress(rgba[..., k].tobytes(), Compression.RLE, width, height, 8, version))
            for k in (3, 0, 1, 2)
        ]
    )
