"""Decomposer: load a checkpoint once, then turn flat pictures into Documents.

Only this room knows both networks and documents. The path is coarse (network) -> lift -> exact -> tidy; each stage
is a module of its own. Deterministic: same device, picture and options give the same bytes.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from lamina.decompose.exact import make_exact
from lamina.decompose.lift import Coarse, lift
from lamina.decompose.tidy import tidy
from lamina.document.document import Document
from lamina.errors import DeviceError, InputError
from lamina.model import checkpoint
from lamina.model.config import from_json
from lamina.model.small import SmallConfig, SmallNet, SmallOutput
from lamina.options import DecomposeOptions
from lamina.pixels import Picture, PictureLike, load_image, model_size, over_flat, to_model

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["STAGES", "Decomposer", "back_to_front", "device_named", "embedded"]

_log = logging.getLogger(__name__)

STAGES = ("read", "model", "lift", "exact", "tidy")
"""What a call does, in order; `on_step(k, len(STAGES))` says that the first k are done."""

_LEAST_SIDE = 16
_IGNORED = {"prompt": "", "steps": None, "guidance": None}
"""Options the compact network has no use for, with the value that asks for nothing."""

_SPARE = 2
"""Slots more than layers asked for, when the network is first left to find by itself how many there are."""

_UNDER, _LARGER = 3.0, 0.34
"""What hidden parts and visible areas say about depth; see `back_to_front`."""


class Decomposer:
    """A network, ready to decompose pictures."""

    stages: ClassVar[tuple[str, ...]] = STAGES
    ignores: ClassVar[tuple[str, ...]] = tuple(_IGNORED)
    """Options that the network has no use for; one that is given becomes a warning."""

    def __init__(self, network: SmallNet, *, name: str, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device).eval()
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.name = name

    @classmethod
    def load(cls, name_or_path: str | Path = "small", *, device: str = "auto") -> "Decomposer":
        """Load a checkpoint: "small" (in the package) or the path of a safetensors file.

        `device` is auto, cpu, cuda or mps. Raises CheckpointError and DeviceError.
        """
        path = embedded() if str(name_or_path) == "small" else Path(name_or_path)
        config, state = checkpoint.load(path, kind="small")
        network = SmallNet(from_json(SmallConfig, config))
        checkpoint.fill(network, state)
        name = "small" if str(name_or_path) == "small" else path.stem
        return cls(network, name=name, device=device_named(device))

    def __call__(
        self,
        image: PictureLike,
        options: DecomposeOptions | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Document:
        """Decompose one picture.

        The composite of the result equals the picture at every pixel. `on_step(done, total)` counts STAGES; an
        exception it raises (Cancelled) stops the work. Raises InputError for an unusable picture.
        """
        options = options or DecomposeOptions()

        def done(stage: str) -> None:
            if on_step:
                on_step(STAGES.index(stage) + 1, len(STAGES))

        picture = load_image(image)
        if min(picture.width, picture.height) < _LEAST_SIDE:
            raise InputError(
                f"the picture is {picture.width}x{picture.height} px; both sides must be at least {_LEAST_SIDE} px"
            )
        done("read")
        coarse = self.coarse(picture.rgba, options)
        done("model")
        layers = lift(picture.rgba, coarse, use_all=options.layers != "auto")
        done("lift")
        layers, fidelity = make_exact(picture.rgba, layers)
        done("exact")
        document = self._document(picture, options, layers, coarse, fidelity)
        done("tidy")
        return document

    def coarse(self, rgba: UInt8[np.ndarray, "h w 4"], options: DecomposeOptions) -> Coarse:
        """What the network says of a picture, back to front, at half its working size.

        Asked for a number, it is first left to find the layers by itself; where it finds two or more, but no more than
        that, the rest stay empty for `lift` to fill, else it is told the number. Told at once, it cuts things up.

        Raises InputError when more layers are asked for than it has slots; auto makes do with those it has.
        """
        config = self.network.config
        size = model_size(rgba.shape[1], rgba.shape[0], area=config.area, multiple=config.multiple)
        picture = to_model(cv2.resize(_opaque(rgba), size, interpolation=cv2.INTER_AREA))[None].to(self.device)
        asked = 0 if options.layers == "auto" else options.layers
        if asked > config.max_layers:
            raise InputError(f"layers {asked}: the checkpoint '{self.name}' makes at most {config.max_layers}")
        if asked:
            found = self._look(picture, 0, min(asked + _SPARE, config.max_layers))
            if 1 < len(found.visible) <= asked:
                return _filled(found, asked)
            return self._look(picture, asked, asked)
        return self._look(picture, 0, min(options.max_layers, config.max_layers))

    def _look(self, picture: torch.Tensor, asked: int, length: int) -> Coarse:
        """What the network says when asked for so many layers (0: as many as it finds) in `length` slots."""
        with torch.inference_mode():
            output: SmallOutput = self.network(
                picture.contiguous(memory_format=torch.channels_last),
                torch.tensor([float(asked)], device=self.device),
                torch.ones(1, length, dtype=torch.bool, device=self.device),
            )
        return _to_coarse(output, drop_absent=not asked)

    def _document(
        self, picture: Picture, options: DecomposeOptions, layers: Any, coarse: Coarse, fidelity: Any
    ) -> Document:
        tidied = tidy(picture.rgba, layers, coarse.confidence, key=f"{picture.sha256}:{options}:{self.name}")
        warnings = list(tidied.warnings) if options.layers != 1 else []
        ignored = [name for name, nothing in _IGNORED.items() if getattr(options, name) != nothing]
        if ignored:
            warnings.append(f"the checkpoint '{self.name}' ignores {', '.join(ignored)}")
        if options.layers != "auto" and len(tidied.layers) < options.layers:
            warnings.append(f"layers asked for: {options.layers}, found: {len(tidied.layers)}")
        scores = {layer.id: round(score, 3) for layer, score in zip(tidied.layers, tidied.confidence, strict=True)}
        return Document(
            width=picture.width,
            height=picture.height,
            layers=tuple(tidied.layers),
            meta={
                "source_sha256": picture.sha256,
                "model": self.name,
                "options": asdict(options),
                "fidelity": {**asdict(fidelity), "confidence": scores},
                "warnings": warnings,
                "notes": list(picture.notes),
            },
            dpi=picture.dpi,
            source=picture.rgba,
        )


def _filled(coarse: Coarse, count: int) -> Coarse:
    """With layers on top that are seen nowhere, up to `count`."""
    missing = count - len(coarse.visible)

    def fill(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])

    return Coarse(
        visible=fill(coarse.visible),
        alpha=fill(coarse.alpha),
        rgb=fill(coarse.rgb),
        confidence=fill(coarse.confidence),
    )


def embedded() -> Path:
    """Where the checkpoint of the package lies."""
    return Path(__file__).resolve().parent.parent / "weights" / "small.safetensors"


def device_named(name: str) -> torch.device:
    """The torch device for auto, cpu, cuda or mps; raises DeviceError when it is not there."""
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if here[kind]))
    if name not in here:
        raise DeviceError(f"device '{name}' is not known; expected auto, cpu, cuda or mps")
    if not here[name]:
        raise DeviceError(f"device '{name}' is not available on this computer; use --device auto or cpu")
    return torch.device(name)


def back_to_front(visible: Float[np.ndarray, "L h w"], alpha: Float[np.ndarray, "L h w"]) -> Int[np.ndarray, " L"]:
    """Order of the layers by who reaches under whom; the first stays at the bottom.

    i lies below j as far as its alpha goes on where j is seen, more than the other way round, and as far as more is
    seen of it: s_ij = 3.0 (m_ij - m_ji) + 0.34 log(area_i / area_j), m_ij the mean alpha of i over j's visible weight.
    Sorted by the sum over j of sigmoid(s_ij). Fitted on 764 touching pairs of generated validation scenes (.69 right).
    """
    seen, cover = visible.reshape(len(visible), -1), alpha.reshape(len(alpha), -1)
    area = np.maximum(seen.sum(axis=1), 1e-3)
    under = cover @ seen.T / area
    area_ratio = np.log(area[:, None] / area)
    below = 1 / (1 + np.exp(-_UNDER * (under - under.T) - _LARGER * area_ratio))
    score = below.sum(axis=1)
    score[0] = np.inf
    return np.argsort(-score, kind="stable")


def _opaque(rgba: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture over white, or over dark grey when what is visible is itself nearly white."""
    alpha = rgba[..., 3]
    if (alpha == 255).all():
        return np.ascontiguousarray(rgba[..., :3])
    visible = rgba[alpha > 127][:, :3]
    bright = visible.size and float(visible.mean()) > 200
    return over_flat(rgba, (40, 40, 40) if bright else (255, 255, 255))


def _to_coarse(output: SmallOutput, *, drop_absent: bool) -> Coarse:
    """Order the slots back to front, ground first; absent ones go where the number was not asked for."""
    presence = output.presence[0].sigmoid().float().cpu().numpy()
    presence[0] = 1.0
    keep = np.flatnonzero((presence > 0.5) | (not drop_absent))
    visible = output.visible[0][keep.tolist()].float().softmax(0).cpu().numpy()
    alpha = output.alpha[0][keep.tolist()].float().sigmoid().cpu().numpy()
    order = back_to_front(visible, alpha)
    visible, alpha, keep = visible[order], alpha[order], keep[order]
    alpha[0] = 1.0
    rgb = (output.rgb[0][keep.tolist()].float().permute(0, 2, 3, 1).cpu().numpy() + 1) / 2
    sure = (visible * visible).sum((1, 2)) / np.maximum(visible.sum((1, 2)), 1e-6)
    return Coarse(
        visible=visible.astype(np.float32),
        alpha=alpha.astype(np.float32),
        rgb=np.clip(rgb, 0, 1).astype(np.float32),
        confidence=(sure * presence[keep]).astype(np.float32),
    )
