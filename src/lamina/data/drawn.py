"""The leaves of a PSD drawn by psd-tools, with what our own reader leaves out: effects and adjustment layers.

Overlays and strokes are psd-tools' own; shadows and glows are drawn here, blurred by a Gaussian of half their size,
which comes near Photoshop's; satin and bevel are left out. An adjustment changes the colours of every leaf below it,
which is exact where these are opaque. Whatever is only near shows in the harvest's check. Only RGB files.
Source: psd-tools for the parsing and its formulas; Adobe Photoshop File Formats Specification for the fields.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float
from psd_tools.api.layers import AdjustmentLayer
from psd_tools.api.layers import Group as PsdGroup
from psd_tools.composite import composite
from psd_tools.composite.adjustments import ADJUSTMENT_FUNC
from psd_tools.constants import BlendMode as PsdBlend
from psd_tools.constants import ColorMode, Tag
from psd_tools.psd.descriptor import Bool, Descriptor, List

from lamina.data.leaves import FOREIGN, Leaf, cut
from lamina.document.blend import mix
from lamina.document.layer import BlendMode, Box
from lamina.errors import FormatError
from lamina.pixels import round_u8

__all__ = ["drawn_leaves", "kinds_of", "needs_drawing"]

_OUR_BLEND = {PsdBlend[mode.name]: mode for mode in BlendMode}
_BLEND: dict[Any, str] = {**_OUR_BLEND, **{PsdBlend[name.upper().replace("-", "_")]: name for name in FOREIGN}}
_KINDS = {"type": "text", "shape": "shape", "group": "group", "artboard": "group", "pixel": "pixels"}
_DRAWN_EFFECTS = ("coloroverlay", "gradientoverlay", "patternoverlay", "stroke")  # by psd-tools
_OUTSIDE = ("dropshadow", "outerglow")
_INSIDE = ("innershadow", "innerglow")
_EFFECT_TAGS = (
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO,
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO_V0,
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO_V1,
)
_SWITCH = b"masterFXSwitch"
_WIDEST = 250.0  # px; the largest size and stroke that Photoshop writes
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, ImportError, OSError)


def needs_drawing(psd: Any) -> bool:
    """True when a file shows what our own reader leaves out: effects, adjustment layers, blend modes of FOREIGN."""

    _complete(psd)

    def beyond(layer: Any) -> bool:
        foreign = _BLEND.get(layer.blend_mode) in FOREIGN
        return layer.is_visible() and bool(foreign or isinstance(layer, AdjustmentLayer) or _effects(layer))

    return psd.color_mode == ColorMode.RGB and any(map(beyond, psd.descendants()))


def kinds_of(psd: Any) -> dict[str, str]:
    """What the layers are ("text", "shape", "pixels", …), by name, where that is told by the name alone."""
    found: dict[str, str] = {}
    for layer in psd.descendants():
        kind = _KINDS.get(layer.kind, "fill" if "fill" in layer.kind else "pixels")
        found[layer.name] = kind if found.get(layer.name, kind) == kind else "pixels"
    return found


def drawn_leaves(psd: Any) -> tuple[list[Leaf], list[str]]:
    """What is shown in an open `PSDImage`, bottom first, and notes on what could not be drawn. Raises FormatError."""
    if psd.color_mode != ColorMode.RGB:
        raise FormatError(f"effects and adjustments are drawn in RGB files only, this one is {psd.color_mode.name}")
    _complete(psd)
    drawer = _Drawer(psd, Box(0, 0, psd.width, psd.height))
    try:
        drawer.walk(psd, (), 0)
    except _BROKEN as error:
        raise FormatError(f"its layers cannot be drawn: {type(error).__name__}") from error
    return drawer.leaves, drawer.notes


class _Drawing(NamedTuple):
    colour: Float[np.ndarray, "h w 3"]
    shape: Float[np.ndarray, "h w"]
    """Coverage without any opacity: what effects are measured on."""
    alpha: Float[np.ndarray, "h w"]


@dataclass
class _Drawer:
    psd: Any
    canvas: Box
    leaves: list[Leaf] = field(default_factory=list[Leaf])
    notes: list[str] = field(default_factory=list[str])

    def walk(self, container: Any, groups: tuple[str, ...], floor: int) -> None:
        """Draw what is in a container; its adjustments reach down to the leaf of index `floor`."""
        for layer in container:
            if not layer.visible or (layer.clipping and layer is not container[0]):
                continue  # clipped layers come with the one that they are clipped to
            if isinstance(layer, AdjustmentLayer):
                self.adjust(layer, floor)
            elif isinstance(layer, PsdGroup) and _dissolves(layer):
                passing = layer.blend_mode == PsdBlend.PASS_THROUGH
                self.walk(layer, (*groups, layer.name), floor if passing else len(self.leaves))
            else:
                self.draw(layer, groups)

    def draw(self, layer: Any, groups: tuple[str, ...]) -> None:
        """One layer, or a group as one: its outer effects as leaves of their own below it."""
        reach = _reach(layer)
        box = Box(*layer.bbox)
        box = Box(box.left - reach, box.top - reach, box.right + reach, box.bottom + reach)
        # Beyond the canvas only what an effect may bring back in is drawn.
        box = box.intersect(Box(-reach, -reach, self.canvas.right + reach, self.canvas.bottom + reach))
        if box.empty or box.intersect(self.canvas).empty:
            return
        colour, shape, alpha = composite(
            layer, viewport=(box.left, box.top, box.right, box.bottom), alpha=0.0, color=1.0
        )
        if colour.shape[2] == 1:
            colour = np.repeat(colour, 3, axis=2)
        drawing = _Drawing(np.asarray(colour)[..., :3], np.asarray(shape)[..., 0], np.asarray(alpha)[..., 0])
        about: dict[str, Any] = {
            "name": layer.name,
            "blend": layer.blend_mode.name.lower().replace("_", "-"),
            "opacity": round(layer.opacity / 255, 4),
        }
        if groups:
            about["group"] = "/".join(groups)
        effects = _effects(layer)
        if effects:
            about["effects"] = sorted({effect.name.lower() for effect in effects})
        for effect in effects:
            self.outside(effect, layer, drawing, box, about)
        inner = any(effect.name.lower() in _INSIDE for effect in effects)
        bare = _bare_shape(layer, box) if inner else drawing.shape
        for effect in effects:
            drawing = self.inside(effect, layer, drawing, bare)
        kind = _KINDS.get(layer.kind, "fill" if "fill" in layer.kind else "pixels")
        rgba = np.concatenate([drawing.colour, drawing.alpha[..., None]], axis=2)
        self.add(Leaf(name=layer.name, rgba=_bytes(rgba), x=box.left, y=box.top, kind=kind, found=(about,)), layer)

    def add(self, leaf: Leaf, blended: Any) -> None:
        mode = _BLEND.get(blended.blend_mode)
        if mode is None and blended.blend_mode != PsdBlend.PASS_THROUGH:
            self.notes.append(f"layer '{leaf.name}': blend mode {blended.blend_mode.name.lower()} was read as normal")
        kept = cut(replace(leaf, blend=mode or BlendMode.NORMAL), self.canvas)
        if kept is not None:
            self.leaves.append(kept)

    def outside(self, effect: Any, layer: Any, drawing: _Drawing, box: Box, about: dict[str, Any]) -> None:
        """A drop shadow or outer glow, as a leaf of its own."""
        name = effect.name.lower()
        if name not in _OUTSIDE:
            return
        cover = _spread(_shifted(drawing.shape, *_offset(effect)), *_softness(effect))
        cover *= effect.opacity / 100 * layer.opacity / 255
        if getattr(effect, "layer_knocks_out", True):  # it does not show through a translucent layer
            cover = cover * (1 - drawing.shape)
        colour = _colour(effect)
        if colour is None:
            self.notes.append(f"layer '{layer.name}': its {name} has a gradient and was left out")
            return
        rgba = np.empty((*cover.shape, 4), np.float32)
        rgba[..., :3], rgba[..., 3] = colour, cover
        kind = "shadow" if name == "dropshadow" else "glow"
        found = {**about, "effect": name}
        self.add(
            Leaf(name=f"{layer.name} {kind}", rgba=_bytes(rgba), x=box.left, y=box.top, kind=kind, found=(found,)),
            effect,
        )

    def inside(self, effect: Any, layer: Any, drawing: _Drawing, bare: np.ndarray) -> _Drawing:
        """An inner shadow or glow, painted on the layer's colour within its own shape, which strokes do not widen;
        notes what is neither drawn here nor elsewhere."""
        name = effect.name.lower()
        if name in _OUTSIDE + _DRAWN_EFFECTS:
            return drawing
        colour = _colour(effect) if name in _INSIDE else None
        if colour is None:
            self.notes.append(f"layer '{layer.name}': its {name} was left out")
            return drawing
        cover = _spread(1 - _shifted(bare, *_offset(effect)), *_softness(effect)) * bare * effect.opacity / 100
        full = np.broadcast_to(np.asarray(colour, np.float32), drawing.colour.shape)
        mode = _OUR_BLEND.get(effect.blend_mode, BlendMode.NORMAL)
        painted = mix(np.clip(drawing.colour, 0, 1).astype(np.float32), np.ascontiguousarray(full), mode)
        return drawing._replace(colour=drawing.colour + (painted - drawing.colour) * cover[..., None])

    def adjust(self, layer: Any, floor: int) -> None:
        """Change the colours of the leaves below an adjustment layer."""
        change = ADJUSTMENT_FUNC.get(layer.kind)
        mode = _OUR_BLEND.get(layer.blend_mode)
        if change is None or mode is None or layer._data is None:
            self.notes.append(f"adjustment layer '{layer.name}' ({layer.kind}) was left out")
            return
        opacity = layer.opacity / 255 * layer.tagged_blocks.get_data(Tag.BLEND_FILL_OPACITY, 255) / 255
        about = {"adjusted": layer.name}
        for index in range(floor, len(self.leaves)):
            leaf = self.leaves[index]
            mask = _mask(layer, leaf.box) * opacity
            if not mask.any():
                continue
            before = leaf.rgba[..., :3].astype(np.float32) / np.float32(255)
            after = np.clip(change(before, ColorMode.RGB, layer), 0, 1).astype(np.float32)
            if mode is not BlendMode.NORMAL:
                after = mix(before, after, mode)
            rgb = round_u8((before + (after - before) * mask[..., None]) * 255)
            found = tuple({**each, **about} for each in leaf.found)
            self.leaves[index] = replace(leaf, rgba=np.concatenate([rgb, leaf.rgba[..., 3:]], axis=2), found=found)


def _complete(psd: Any) -> None:
    """Mark as present the effects of files from before Photoshop wrote whether they are; psd-tools passes over them."""
    for layer in psd.descendants():
        for tag in _EFFECT_TAGS:
            try:
                entries = [e for value in (layer.tagged_blocks.get_data(tag) or {}).values() for e in _listed(value)]
            except _BROKEN:
                continue
            for entry in entries:
                if b"present" not in entry:
                    entry[b"present"] = Bool(True)


def _bare_shape(layer: Any, box: Box) -> Float[np.ndarray, "h w"]:
    """Coverage 0-1 of a layer within a box as it is without any effect."""
    switched = [data for tag in _EFFECT_TAGS if (data := layer.tagged_blocks.get_data(tag)) is not None]
    before = [data.get(_SWITCH) for data in switched]
    for data in switched:
        data[_SWITCH] = Bool(False)
    try:
        _, shape, _ = composite(layer, viewport=(box.left, box.top, box.right, box.bottom), alpha=0.0, color=1.0)
    finally:
        for data, value in zip(switched, before, strict=True):
            data[_SWITCH] = Bool(True) if value is None else value
    return np.asarray(shape)[..., 0]


def _listed(value: Any) -> list[Any]:
    """The effect descriptors in an entry: the one that it is, those in the list that it is, or none."""
    return [each for each in (value if isinstance(value, List) else [value]) if isinstance(each, Descriptor)]


def _effects(layer: Any) -> list[Any]:
    try:
        return [effect for effect in layer.effects if effect.enabled] if layer.has_effects() else []
    except _BROKEN:
        return []


def _dissolves(group: Any) -> bool:
    """True when a group may give its layers one by one."""
    if group.opacity != 255 or _effects(group) or group.has_clip_layers():
        return False
    if any(mask is not None and not mask.disabled for mask in (group.mask, group.vector_mask)):
        return False
    if group.blend_mode == PsdBlend.PASS_THROUGH:
        return True
    blends = (PsdBlend.NORMAL, PsdBlend.PASS_THROUGH)
    return group.blend_mode == PsdBlend.NORMAL and all(
        layer.blend_mode in blends or layer.clipping or not layer.visible for layer in group.descendants()
    )


def _reach(layer: Any) -> int:
    """How far beyond its box a layer may paint, in px."""
    reach = 2.0
    for effect in _effects(layer):
        if effect.name.lower() in (*_OUTSIDE, *_INSIDE):
            size, _ = _softness(effect)
            reach = max(reach, 1.5 * size + math.hypot(*_offset(effect)) + 2)
        elif effect.name.lower() == "stroke":
            reach = max(reach, min(float(effect.size), _WIDEST) + 2)
    if getattr(layer, "stroke", None) is not None:
        reach = max(reach, min(float(layer.stroke.line_width), _WIDEST) + 2)
    if layer.is_group():
        reach = max([reach, *(_reach(child) for child in layer.descendants() if not child.is_group())])
    return math.ceil(reach)


def _softness(effect: Any) -> tuple[float, float]:
    """Size of the blur in px, and the share 0-1 of it that is spread instead."""
    size = min(max(float(effect.size or 0), 0.0), _WIDEST)
    choke = getattr(effect, "spread", None)
    choke = effect.choke if choke is None else choke
    return size, min(max(float(choke or 0) / 100, 0.0), 1.0)


def _offset(effect: Any) -> tuple[float, float]:
    """Where the shadow falls, in px right and down; light comes from the angle, counted from the right upwards."""
    distance = min(float(getattr(effect, "distance", 0) or 0), 30_000.0)
    angle = math.radians(float(effect.angle)) if distance else 0.0
    return -distance * math.cos(angle), distance * math.sin(angle)


def _colour(effect: Any) -> tuple[float, float, float] | None:
    """Straight RGB 0-1 of an effect; None when it is no plain RGB colour."""
    try:
        red, green, blue = (float(value) / 255 for value in list(effect.color.values())[:3])
    except _BROKEN:
        return None
    return red, green, blue


def _shifted(plane: np.ndarray, dx: float, dy: float) -> np.ndarray:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (plane.shape[1], plane.shape[0])
    return np.asarray(cv2.warpAffine(plane.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR))


def _spread(plane: np.ndarray, size: float, choke: float) -> np.ndarray:
    """Coverage grown by the choked part of `size` and blurred by the rest."""
    grown = round(size * choke)
    if grown >= 1:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grown + 1, 2 * grown + 1))
        plane = np.asarray(cv2.dilate(plane, kernel))
    sigma = size * (1 - choke) / 2
    if sigma >= 0.3:
        plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))
    return np.clip(plane, 0, 1)


def _mask(layer: Any, box: Box) -> np.ndarray:
    """Coverage 0-1 of a layer's masks within a box."""
    cover = np.ones((box.height, box.width), np.float32)
    mask = layer.mask
    if mask is not None and not mask.disabled:
        cover[...] = mask.background_color / 255
        area = Box(*mask.bbox)
        part = area.intersect(box)
        image = None if part.empty else mask.topil()
        if image is not None:
            plane = np.asarray(image.convert("L"), np.float32) / 255
            cover[part.top - box.top : part.bottom - box.top, part.left - box.left : part.right - box.left] = plane[
                part.top - area.top : part.bottom - area.top, part.left - area.left : part.right - area.left
            ]
    vector = layer.vector_mask
    if vector is not None and not vector.disabled:
        from psd_tools.composite.vector import draw_vector_mask

        cover *= np.asarray(draw_vector_mask(layer, box), np.float32).reshape(cover.shape)
    return cover


def _bytes(rgba: np.ndarray) -> np.ndarray:
    return round_u8(np.clip(np.nan_to_num(rgba), 0, 1) * 255)
