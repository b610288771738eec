"""Sample sheets of a run: what the network makes of a few pictures, a row each, on a checkerboard.

A sheet is a callable on the network, as `lamina.train.loop.train` takes it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lamina.data.loader import Batch
from lamina.data.windows import flatten
from lamina.train.flow import FlowObjective, sample_frames
from lamina.train.parallel import moved
from lamina.train.stacks import Stacks

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Cell", "Sheet", "draw", "flow_sheet", "small_sheet", "vae_sheet"]

Cell = tuple[str, np.ndarray]
"""What a picture is, and the picture: stored RGB or RGBA."""
Sheet = Callable[[Any], Image.Image]

_GAP, _LABEL, _SQUARE, _LEAST = 8, 16, 8, 96
_PAPER, _INK = (247, 247, 249), (28, 28, 33)


def draw(rows: Sequence[Sequence[Cell]]) -> Image.Image:
    """The sheet, RGB; every picture is enlarged by the whole factor that fits."""
    height, width = np.array([cell.shape[:2] for row in rows for _, cell in row]).max(0)
    most = max(int(height), int(width))
    side = most * max(1, _LEAST // most)
    across, down = int(width) * side // most + _GAP, int(height) * side // most + _GAP + _LABEL
    sheet = Image.new("RGB", (_GAP + across * max(len(row) for row in rows), _GAP + down * len(rows)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        for c, (label, cell) in enumerate(row):
            place = (_GAP + c * across, _GAP + r * down)
            pen.text(place, label, fill=_INK, font=ImageFont.load_default(11))
            sheet.paste(_shown(cell, side // max(cell.shape[:2])), (place[0], place[1] + _LABEL))
    return sheet


def flow_sheet(objective: FlowObjective, batch: Stacks, *, steps: int, guidance: float = 1.0) -> Sheet:
    """Input (or what the text asked for), the slots that the network makes, and its layers composited."""

    def sheet(network: Any) -> Image.Image:
        made = sample_frames(network, objective, batch, steps=steps, guidance=guidance)
        rows: list[list[Cell]] = []
        for index, count in enumerate(batch.present.sum(1).tolist()):
            frames = _pictures(made[index, :count])
            row = [("input" if objective.condition else "wanted", _pictures(batch.picture[index]))]
            row += [(f"layer {i}" if i else "slot 0", frame) for i, frame in enumerate(frames)]
            if count > 1:
                row.append(("composite", flatten(frames[1:])))
            rows.append(row)
        return draw(rows)

    return sheet


def vae_sheet(batch: Stacks) -> Sheet:
    """Each picture and its reconstruction from the posterior's mean."""

    def sheet(network: Any) -> Image.Image:
        place, config = next(network.parameters()).device, network.config
        images = batch.frames[:, 0].to(place).float() / 127.5 - 1
        shape = (len(images), config.latent_channels, *(side // config.stride for side in images.shape[-2:]))
        got = network(images, images.new_zeros(shape))[0]
        stored = _pictures(((got.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
        inputs = _pictures(batch.frames[:, 0])
        return draw([[("input", a), ("reconstruction", b)] for a, b in zip(inputs, stored, strict=True)])

    return sheet


def small_sheet(batch: Batch) -> Sheet:
    """Input, the slots that the small network thinks are layers, nearest last, and their composite."""

    def sheet(network: Any) -> Image.Image:
        here = moved(batch, next(network.parameters()).device)
        output = network(here.picture.float() / 127.5 - 1, here.counts, here.slots)
        alpha = output.alpha.sigmoid()
        alpha[:, 0] = 1
        rgba = torch.cat([(output.rgb + 1) / 2, alpha[:, :, None]], dim=2).clamp(0, 1)
        rows: list[list[Cell]] = []
        for index, slots in enumerate(batch.slots.tolist()):
            held = [slot for slot, used in enumerate(slots) if used and (not slot or output.presence[index, slot] > 0)]
            held = held[:1] + sorted(held[1:], key=lambda slot: float(output.depth[index, slot]))
            layers = _pictures((rgba[index, held] * 255).round().to(torch.uint8))
            row: list[Cell] = [("input", _pictures(batch.picture[index, :3]))]
            row += [(f"slot {slot}", layer) for slot, layer in zip(held, layers, strict=True)]
            rows.append([*row, ("composite", flatten(layers))])
        return draw(rows)

    return sheet


def _pictures(stored: Tensor) -> np.ndarray:
    """uint8 ... c h w to ... h w c."""
    return np.moveaxis(stored.cpu().numpy(), -3, -1)


def _shown(picture: np.ndarray, factor: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGBA")
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    rows, columns = np.ogrid[: image.height, : image.width]
    light = (rows // _SQUARE + columns // _SQUARE) % 2
    ground = Image.fromarray(np.where(light[..., None], 204, 176).astype(np.uint8).repeat(3, axis=2)).convert("RGBA")
    ground.alpha_composite(image)
    return ground.convert("RGB")
