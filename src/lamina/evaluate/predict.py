"""Who takes a picture apart while being measured: a folder of predictions, a checkpoint, or parts of the pipeline.

Only this module of the room knows networks.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from lamina.decompose.decomposer import Decomposer, device_named
from lamina.document.document import Document
from lamina.errors import InputError
from lamina.evaluate.dataset import Case, locate, open_document, stack
from lamina.model.small import SmallConfig, SmallNet
from lamina.options import DecomposeOptions
from lamina.pixels import Picture, round_u8

__all__ = ["Predict", "from_folder", "from_model"]

Predict = Callable[[Case, Picture, int | None], Document]
"""(case, flat picture, number of layers or None to choose) -> layers; raises where there is no prediction."""

_RAW = "raw:"


def from_folder(folder: str | os.PathLike[str]) -> Predict:
    """Predictions that lie in a folder under the names of the documents, in any form that `dataset` reads."""
    if not os.path.isdir(folder):
        raise InputError(f"{os.fspath(folder)} is no folder of predictions")

    def predict(case: Case, picture: Picture, layers: int | None) -> Document:
        return open_document(locate(folder, case.name))

    return predict


def from_model(model: str, load: Callable[[str], Any] | None = None, *, device: str = "auto") -> Predict:
    """A checkpoint by name or path; `random`, the same pipeline with an untrained network; `raw:` before any of these:
    the network alone, its layers only enlarged.

    `load` stands in for `Decomposer.load` of names and paths. Raises CheckpointError and DeviceError.
    """
    name = model.removeprefix(_RAW)
    if name == "random":
        decomposer: Any = _random(device)
    else:
        decomposer = load(name) if load else Decomposer.load(name, device=device)

    def predict(case: Case, picture: Picture, layers: int | None) -> Document:
        options = DecomposeOptions(layers=layers or "auto")
        if model.startswith(_RAW):
            return _raw(decomposer, picture.rgba, options)
        return decomposer(picture, options, _silent)

    return predict


def _silent(step: int, total: int) -> None:
    """Steps within one document are not shown."""


def _random(device: str) -> Decomposer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallNet(SmallConfig())
    return Decomposer(network, name="random", device=device_named(device))


def _raw(decomposer: Decomposer, rgba: UInt8[np.ndarray, "h w 4"], options: DecomposeOptions) -> Document:
    """The network's own alphas and colours, enlarged bilinearly; seen colours are the picture's."""
    coarse = decomposer.coarse(rgba, options)
    size = (rgba.shape[1], rgba.shape[0])

    def enlarged(values: Any) -> Any:
        return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)

    layers: list[np.ndarray] = []
    for visible, alpha, colour in zip(coarse.visible, coarse.alpha, coarse.rgb, strict=True):
        seen = enlarged(visible)[..., None]
        blended = rgba[..., :3] * seen + enlarged(colour) * 255 * (1 - seen)
        layers.append(round_u8(np.dstack([blended, enlarged(alpha) * 255])))
    return stack(layers)
