"""How well an RGBA-VAE reproduces pictures: PSNR, SSIM, LPIPS and rFID on black, mid-grey and white grounds.

Both pictures are laid over each ground and rounded to 8 bits; every figure is of those. Protocol: one solid ground at
a time, as AlphaVAE's public pipeline does, which Qwen-Image-Layered (arXiv 2512.15603, table 3) follows; SSIM as Wang
et al. 2004 define it. Knows the VAE, not how a report looks.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import UInt8
from skimage.metrics import structural_similarity

from lamina.errors import Cancelled, CheckpointError, InputError, LaminaError
from lamina.evaluate.layers import psnr
from lamina.evaluate.perceptual import Inception, Lpips, frechet
from lamina.model import checkpoint
from lamina.model.config import VaeConfig, from_json
from lamina.model.vae import Vae
from lamina.pixels import bleed, from_model, load_image, over_flat, resize_rgba, to_model

__all__ = ["GROUNDS", "VaeMeasured", "VaeRow", "find_pictures", "load_vae", "reconstruct", "vae_scores"]

GROUNDS = {"black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255)}
"""The solid colours, 0-255, that pictures are laid over."""

_ENDINGS = (".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".avif", ".qoi")
_LEAST_SIDE = 32  # px; the poolings of the networks for LPIPS leave nothing of smaller pictures

_Show = Callable[["VaeRow", UInt8[np.ndarray, "h w 4"], UInt8[np.ndarray, "h w 4"]], None]
"""(row, original, reconstruction), as measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeRow:
    """One picture's figures, each by ground."""

    name: str
    width: int
    height: int
    psnr: dict[str, float]
    """In dB, at most 100."""
    ssim: dict[str, float]
    """1 for equal pictures."""
    lpips: dict[str, float] | None
    """None without weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeMeasured:
    """Everything that one run found."""

    rows: tuple[VaeRow, ...]
    unusable: dict[str, str]
    """Pictures that could not be measured -> why."""
    mean: dict[str, Any]
    """By figure, then by ground: psnr, ssim, lpips, rfid; the last two None without weights."""
    notes: tuple[str, ...]
    """What was not measured, and why, in words."""


def load_vae(path: str | Path, device: torch.device) -> Vae:
    """The RGBA-VAE of a checkpoint; raises CheckpointError when it is none."""
    config, state = checkpoint.load(Path(path), kind="vae")
    vae = Vae(from_json(VaeConfig, config))
    if vae.config.image_channels != 4:
        raise CheckpointError(f"{path} is a VAE of {vae.config.image_channels} channels, expected 4 (RGBA)")
    checkpoint.fill(vae, state)
    return vae.to(device).eval()


def find_pictures(folder: str | Path) -> list[Path]:
    """Picture files under a folder, at any depth, sorted; raises InputError when there is none."""
    root = Path(folder)
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file()) if root.is_dir() else []
    if not found:
        raise InputError(f"{root} holds no pictures; expected files ending in {', '.join(_ENDINGS)}")
    return found


def vae_scores(
    vae: Vae,
    pictures: Sequence[tuple[str, Path]],
    *,
    side: int,
    lpips: Lpips | None = None,
    inception: Inception | None = None,
    on_step: Callable[[int, int], None] | None = None,
    on_row: _Show | None = None,
) -> VaeMeasured:
    """Send pictures (name, file) through the VAE and back, and compare; one that fails is set aside and named.

    Pictures whose longer side is over `side` are first reduced to it. rFID is the Fréchet distance between the
    features of all originals and all reconstructions. Raises InputError when no picture can be measured.
    """
    rows: list[VaeRow] = []
    unusable: dict[str, str] = {}
    features: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {name: ([], []) for name in GROUNDS}
    for number, (name, path) in enumerate(pictures):
        if on_step:
            on_step(number, len(pictures))
        try:
            original = _fitted(load_image(path).rgba, side)
            copy = reconstruct(vae, original)
        except Cancelled:
            raise
        except LaminaError as error:
            unusable[name] = str(error)
            continue
        row = _row(name, original, copy, lpips)
        rows.append(row)
        if inception:
            for ground, colour in GROUNDS.items():
                for kept, rgba in zip(features[ground], (original, copy), strict=True):
                    kept.append(inception(_unit_range(over_flat(rgba, colour))))
        if on_row:
            on_row(row, original, copy)
    if on_step:
        on_step(len(pictures), len(pictures))
    if not rows:
        name, reason = next(iter(unusable.items()), ("none", "there are no pictures"))
        raise InputError(f"no picture can be measured; {name}: {reason}")
    notes: list[str] = []
    rfid = None
    if inception is None:
        notes.append("rFID is absent: no weights were given for it (--fid)")
    elif len(rows) < 2:
        notes.append("rFID is absent: it needs two or more pictures")
    else:
        rfid = {g: frechet(np.concatenate(ours), np.concatenate(theirs)) for g, (ours, theirs) in features.items()}
        wide = features["black"][0][0].shape[1]
        if len(rows) < wide:
            notes.append(f"rFID of {len(rows)} pictures is biased: with {wide} features it asks for thousands")
    if lpips is None:
        notes.append("LPIPS is absent: no weights were given for it (--lpips)")
    mean: dict[str, Any] = {"pictures": len(rows), "psnr": _mean(rows, "psnr"), "ssim": _mean(rows, "ssim")}
    mean |= {"lpips": _mean(rows, "lpips") if lpips else None, "rfid": rfid}
    return VaeMeasured(rows=tuple(rows), unusable=unusable, mean=mean, notes=tuple(notes))


def reconstruct(vae: Vae, rgba: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 4"]:
    """Encode (the posterior's mode) and decode one picture.

    Colour under alpha 0 is the nearest visible one; sides are continued to the VAE's stride and cut again.
    """
    height, width = rgba.shape[:2]
    stride = vae.config.stride
    padded = np.pad(bleed(rgba), ((0, -height % stride), (0, -width % stride), (0, 0)), mode="edge")
    device = next(vae.parameters()).device
    with torch.inference_mode():
        decoded = vae.decode(vae.encode(to_model(padded)[None].to(device)))[0]
    return from_model(decoded.float().cpu())[:height, :width]


def _fitted(rgba: UInt8[np.ndarray, "h w 4"], side: int) -> UInt8[np.ndarray, "H W 4"]:
    height, width = rgba.shape[:2]
    scale = min(1.0, side / max(height, width))
    fitted = resize_rgba(rgba, (max(1, round(width * scale)), max(1, round(height * scale))))
    if min(fitted.shape[:2]) < _LEAST_SIDE:
        raise InputError(
            f"the picture is {fitted.shape[1]}x{fitted.shape[0]} px, expected {_LEAST_SIDE} or more each way"
        )
    return fitted


def _row(name: str, original: np.ndarray, copy: np.ndarray, lpips: Lpips | None) -> VaeRow:
    pairs = {g: (over_flat(original, colour), over_flat(copy, colour)) for g, colour in GROUNDS.items()}
    distance = None
    if lpips:
        ours, theirs = (torch.cat([_unit_range(pair[k]) for pair in pairs.values()]) * 2 - 1 for k in (0, 1))
        distance = dict(zip(pairs, lpips(ours, theirs), strict=True))
    return VaeRow(
        name=name,
        width=original.shape[1],
        height=original.shape[0],
        psnr={ground: psnr(a, b) for ground, (a, b) in pairs.items()},
        ssim={ground: _ssim(a, b) for ground, (a, b) in pairs.items()},
        lpips=distance,
    )


def _ssim(one: UInt8[np.ndarray, "h w 3"], other: UInt8[np.ndarray, "h w 3"]) -> float:
    """Gaussian window of deviation 1.5, K1 = .01, K2 = .03; mean over the channels."""
    found = cast(Any, structural_similarity)(
        one, other, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(found)


def _unit_range(rgb: UInt8[np.ndarray, "h w 3"]) -> torch.Tensor:
    """One picture as a batch of floats 0-1."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255


def _mean(rows: Sequence[VaeRow], figure: str) -> dict[str, float]:
    return {ground: float(np.mean([getattr(row, figure)[ground] for row in rows])) for ground in GROUNDS}
