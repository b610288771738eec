"""The layers of a PSD, foreign ones above all, as layers and groups of ours.

What a document cannot hold becomes pixels where that composites the same (masks, clipped layers, groups with a blend
mode), is approximated where psd-tools can draw it (fills and shapes without stored pixels), or is left out
(adjustments, effects); each in a note. Knows nothing of writing.
Source: Adobe Photoshop File Formats Specification; psd-tools for the parsing.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from psd_tools.api.layers import AdjustmentLayer, FillLayer, ShapeLayer
from psd_tools.api.layers import Group as PsdGroup
from psd_tools.compression import decode_prediction, decode_rle
from psd_tools.constants import BlendMode as PsdBlend
from psd_tools.constants import ChannelID, ColorMode, Compression, Resource, Tag

from lamina.document.composite import flatten_nodes
from lamina.document.layer import BlendMode, Box, Group, Layer, Node
from lamina.errors import FormatError, LaminaError
from lamina.formats.limits import PixelBudget
from lamina.formats.naming import foreign_id
from lamina.formats.profile import to_srgb
from lamina.formats.psd_resources import Carried
from lamina.pixels import round_u8

__all__ = ["PSD_BLEND", "LayerReader", "reason"]

PSD_BLEND = {mode: PsdBlend[mode.name] for mode in BlendMode}
"""Our blend modes as PSD names them; every one exists there."""

_OUR_BLEND = {theirs: ours for ours, theirs in PSD_BLEND.items()}
_LAYERED_MODES = (ColorMode.RGB, ColorMode.GRAYSCALE, ColorMode.CMYK, ColorMode.LAB, ColorMode.DUOTONE)
_BROKEN = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError),
    *(OSError, RecursionError, struct.error, zlib.error),
)
"""What decoding, and psd-tools on the parts it reads late, raise on broken bytes."""


class LayerReader:
    """Reads one opened `PSDImage`, collecting `notes` on what could not be kept."""

    def __init__(self, psd: Any, budget: PixelBudget, ours: Carried | None) -> None:
        self.notes: list[str] = []
        self._psd = psd
        self._budget = budget
        self._own_file = ours is not None
        self._carried = ours or Carried()
        self._canvas = Box(0, 0, psd.width, psd.height)
        self._count = 0
        self._ids: set[str] = set()

    def layers(self) -> tuple[Node, ...]:
        """Every layer and group, bottom first; a file without any gives its flat picture. Raises FormatError."""
        try:
            if not len(self._psd):
                return () if self._own_file else (self._flat(),)
            if self._psd.color_mode not in _LAYERED_MODES:
                raise FormatError(f"layers in colour mode {self._psd.color_mode.name} cannot be read")
            if self._psd.color_mode != ColorMode.RGB:
                self.notes.append(f"{self._psd.color_mode.name} pixels were converted to sRGB")
            if self._psd.depth != 8:
                self.notes.append(f"{self._psd.depth} bits a channel were rounded to 8")
            return tuple(self._nodes(self._psd))
        except LaminaError:
            raise
        except _BROKEN as error:
            raise FormatError(f"the PSD is broken: {reason(error)}") from error

    def _flat(self) -> Layer:
        self.notes.append("the file has no layers; its flat picture became one")
        rgb = self._psd.color_mode == ColorMode.RGB
        image = self._psd.topil(apply_icc=not rgb)
        if image is None:
            raise FormatError("the PSD holds neither layers nor a picture")
        return Layer(id=self._id(0, "Background"), name="Background", rgba=np.array(image.convert("RGBA")))

    def _nodes(self, sources: Iterable[Any]) -> list[Node]:
        """Children of a group or file; layers clipped to the one below are merged into it."""
        out: list[Node] = []
        runs: list[tuple[Any, list[Any]]] = []
        for source in sources:
            if source.clipping and runs:
                runs[-1][1].append(source)
            else:
                runs.append((source, []))
        for base, clipped in runs:
            nodes = self._base(base)
            if clipped and len(nodes) == 1:
                nodes = [self._clip(nodes[0], self._nodes_unclipped(clipped))]
            elif clipped:
                self.notes.append(f"{len(clipped)} layers clipped to '{base.name}' were left out")
            out += nodes
        return out

    def _nodes_unclipped(self, sources: Iterable[Any]) -> list[Node]:
        return [node for source in sources for node in self._base(source)]

    def _base(self, source: Any) -> list[Node]:
        if source.has_effects():
            self.notes.append(f"layer '{source.name}': its effects were left out")
        if isinstance(source, PsdGroup):
            return self._group(source)
        if isinstance(source, AdjustmentLayer):
            self.notes.append(f"adjustment layer '{source.name}' was left out")
            return []
        layer = self._layer(source)
        return [layer] if layer is not None else []

    def _group(self, source: Any) -> list[Node]:
        name, visible, opacity = source.name, source._record.flags.visible, self._opacity(source)
        node_id = self._id(source.layer_id, name)
        children = self._nodes(source)
        passing = source.blend_mode == PsdBlend.PASS_THROUGH
        masked = any(mask is not None and not mask.disabled for mask in (source.mask, source.vector_mask))
        if passing and not masked and not _isolable(children):
            exactly = "" if opacity == 1 else ", its opacity given to each, which is not quite the same"
            self.notes.append(f"pass-through group '{name}' was dissolved into its layers{exactly}")
            return [
                replace(child, opacity=child.opacity * opacity, visible=child.visible and visible) for child in children
            ]
        blend = BlendMode.NORMAL if passing else self._blend(source)
        if blend == BlendMode.NORMAL and not masked:
            return [Group(id=node_id, name=name, children=tuple(children), opacity=opacity, visible=visible)]
        why = "its mask" if masked else f"its blend mode {blend.value}"
        self.notes.append(f"group '{name}' was flattened into one layer for {why}")
        group = Group(id=node_id, name=name, children=tuple(children))
        box = group.box.intersect(self._canvas)
        if box.empty:
            return []
        rgba = self._masked(flatten_nodes(group.children, box), source, box)
        return [
            Layer(
                id=node_id, name=name, rgba=rgba, x=box.left, y=box.top, opacity=opacity, blend=blend, visible=visible
            )
        ]

    def _clip(self, base: Node, clipped: Sequence[Node]) -> Node:
        """Clipped layers paint on the base's colour, within its alpha, and go where it goes."""
        self.notes.append(f"layer '{base.name}': {len(clipped)} layers clipped to it were merged into it")
        if isinstance(base, Group):
            box = base.box.intersect(self._canvas)
            if box.empty:
                return base
            rgba = flatten_nodes(base.children, box)
            base = Layer(
                id=base.id,
                name=base.name,
                rgba=rgba,
                x=box.left,
                y=box.top,
                opacity=base.opacity,
                visible=base.visible,
            )
        alpha = base.rgba[..., 3:]
        ground = np.concatenate([base.rgba[..., :3], np.full_like(alpha, 255)], axis=2)
        below = replace(base, rgba=ground, opacity=1.0, blend=BlendMode.NORMAL, visible=True)
        painted = flatten_nodes([below, *clipped], base.box)
        return replace(base, rgba=np.concatenate([painted[..., :3], alpha], axis=2))

    def _layer(self, source: Any) -> Layer | None:
        name = source.name
        node_id = self._id(source.layer_id, name)
        record = source._record
        box, opacity = Box(record.left, record.top, record.right, record.bottom), self._opacity(source)
        if source.has_pixels() and not box.empty:
            self._budget.take(box.width, box.height, f"layer '{name}'")
            rgba = self._masked(self._pixels(source, box), source, box)
        elif isinstance(source, FillLayer | ShapeLayer):
            rgba, opacity = self._drawn(source), 1.0  # drawn with its opacity in it
            if rgba is None:
                self.notes.append(f"layer '{name}' has no stored pixels, could not be drawn and was left out")
                return None
            self.notes.append(f"layer '{name}' has no stored pixels and was drawn, perhaps not exactly")
            box = self._canvas
        else:
            rgba = np.zeros((1, 1, 4), np.uint8)
        locks = source.locks
        return Layer(
            id=node_id,
            name=name,
            rgba=rgba,
            x=box.left,
            y=box.top,
            opacity=opacity,
            blend=self._blend(source),
            visible=record.flags.visible,
            locked=locks is not None
            and (locks.complete or (locks.transparency and locks.composite and locks.position)),
            text=self._carried.text(source.layer_id, name),
        )

    def _pixels(self, source: Any, box: Box) -> np.ndarray:
        planes = {
            int(info.id): data
            for info, data in zip(source._record.channel_info, source._channels, strict=False)
            if data.data
        }
        count = {ColorMode.RGB: 3, ColorMode.LAB: 3, ColorMode.CMYK: 4}.get(self._psd.color_mode, 1)
        colour = np.stack([self._plane(planes[k], box.width, box.height) for k in range(count)], axis=-1)
        rgba = np.full((box.height, box.width, 4), 255, np.uint8)
        rgba[..., :3] = self._rgb(colour)
        if int(ChannelID.TRANSPARENCY_MASK) in planes:
            rgba[..., 3] = self._plane(planes[int(ChannelID.TRANSPARENCY_MASK)], box.width, box.height, light=False)
        return rgba

    def _plane(self, channel: Any, width: int, height: int, *, light: bool = True) -> np.ndarray:
        """One channel as 8 bits; `light` is False for coverage, which is never gamma-encoded."""
        depth = self._psd.depth
        size = width * height * depth // 8
        match channel.compression:
            case Compression.RAW:
                data = channel.data
            case Compression.RLE:
                data = decode_rle(channel.data, width, height, depth, self._psd.version)
            case _:
                data = zlib.decompressobj().decompress(channel.data, size)
                if channel.compression == Compression.ZIP_WITH_PREDICTION:
                    data = decode_prediction(data, width, height, depth)
        if len(data) < size:
            raise FormatError(f"a channel holds {len(data)} bytes, expected {size}; the PSD is cut or altered")
        values = np.frombuffer(data[:size], {8: "u1", 16: ">u2", 32: ">f4"}[depth]).reshape(height, width)
        if depth == 16:
            return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        if depth == 32:  # linear light
            linear = np.clip(np.nan_to_num(values.astype(np.float64)), 0, 1)
            encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
            return round_u8((encoded if light else linear) * 255)
        return values

    def _rgb(self, colour: np.ndarray) -> np.ndarray:
        icc = self._psd.image_resources.get_data(Resource.ICC_PROFILE)
        match self._psd.color_mode:
            case ColorMode.RGB:
                return colour
            case ColorMode.CMYK:  # a PSD stores how much light is left, an image how much ink there is
                return np.asarray(to_srgb(Image.fromarray(255 - colour, "CMYK"), icc))
            case ColorMode.LAB:
                from skimage.color import lab2rgb

                lab = colour.astype(np.float64) - (0, 128, 128)
                return round_u8(lab2rgb(lab * (100 / 255, 1, 1)) * 255)
            case _:
                return np.asarray(to_srgb(Image.fromarray(colour[..., 0], "L"), icc))

    def _masked(self, rgba: np.ndarray, source: Any, box: Box) -> np.ndarray:
        mask = self._mask(source, box)
        if mask is None:
            return rgba
        return np.concatenate([rgba[..., :3], round_u8(rgba[..., 3:] * mask[..., None])], axis=2)

    def _mask(self, source: Any, box: Box) -> np.ndarray | None:
        """Coverage 0-1 of a layer's masks within a box; None when it has none."""
        coverage = None
        mask = source.mask
        if mask is not None and not mask.disabled:
            kind = ChannelID.REAL_USER_LAYER_MASK if mask.has_real() else ChannelID.USER_LAYER_MASK
            coverage = np.full((box.height, box.width), mask.background_color / 255)
            area = Box(mask.left, mask.top, mask.right, mask.bottom)
            part = area.intersect(box)
            for info, data in zip(source._record.channel_info, source._channels, strict=False):
                if info.id == kind and data.data and not part.empty:
                    self._budget.take(area.width, area.height, f"the mask of layer '{source.name}'")
                    plane = self._plane(data, area.width, area.height, light=False)
                    coverage[_rows(part, box)] = plane[_rows(part, area)] / 255
            density = mask.parameters.user_mask_density if mask.parameters else None
            if density is not None:
                coverage = 1 - (1 - coverage) * density / 255
            if mask.parameters and mask.parameters.user_mask_feather:
                self.notes.append(f"layer '{source.name}': the feather of its mask was left out")
        vector = source.vector_mask
        stored = source.has_pixels() and (mask is None or mask.has_real() or _filled(source))
        if vector is not None and not vector.disabled and not stored:
            from psd_tools.composite.vector import draw_vector_mask

            path = np.asarray(draw_vector_mask(source, box)).reshape(box.height, box.width)
            coverage = path if coverage is None else coverage * path
        return coverage

    def _drawn(self, source: Any) -> np.ndarray | None:
        """A fill or shape as psd-tools draws it on the canvas, its masks and opacity applied."""
        self._budget.take(self._canvas.width, self._canvas.height, f"layer '{source.name}'")
        rgb = self._psd.color_mode == ColorMode.RGB

        def alone(layer: Any) -> bool:
            return layer is source

        try:
            image = source.composite(viewport=tuple(self._canvas), force=True, layer_filter=alone, apply_icc=not rgb)
        except (*_BROKEN, ImportError):
            return None
        return None if image is None else np.array(image.convert("RGBA"))

    def _opacity(self, source: Any) -> float:
        """Opacity times fill opacity; the exact number of ours while it still rounds to the stored byte."""
        exact = self._carried.find(source.layer_id, source.name).get("opacity")
        if isinstance(exact, int | float) and 0 <= exact <= 1 and round(exact * 255) == source.opacity:
            return float(exact)
        fill = source.tagged_blocks.get_data(Tag.BLEND_FILL_OPACITY, 255)
        return source.opacity / 255 * (fill / 255)

    def _blend(self, source: Any) -> BlendMode:
        mode = _OUR_BLEND.get(source.blend_mode)
        if mode is None:
            self.notes.append(f"layer '{source.name}': blend mode {source.blend_mode.name.lower()} was read as normal")
        return mode or BlendMode.NORMAL

    def _id(self, number: int, name: str) -> str:
        carried = self._carried.find(number, name).get("id")
        node_id = carried if isinstance(carried, str) else foreign_id(self._count, name)
        while node_id in self._ids:
            node_id += "-"
        self._count += 1
        self._ids.add(node_id)
        return node_id


def reason(error: Exception) -> str:
    """The gist of a foreign error in part of a line; psd-tools hangs whole records on some of its own."""
    gist = str(error.args[0] if error.args else "").partition("\n")[0][:120]
    return gist or type(error).__name__


def _isolable(nodes: Sequence[Node]) -> bool:
    """True when nodes composite the same on a ground of their own: every visible one blends normally."""
    return all(isinstance(node, Group) or node.blend == BlendMode.NORMAL for node in nodes if node.visible)


def _filled(source: Any) -> bool:
    """True for a shape or fill, whose stored pixels already end at its path."""
    return isinstance(source, FillLayer | ShapeLayer)


def _rows(part: Box, whole: Box) -> tuple[slice, slice]:
    """Index of `part` in an array that covers `whole`."""
    return (
        slice(part.top - whole.top, part.bottom - whole.top),
        slice(part.left - whole.left, part.right - whole.left),
    )
