"""The art bank: cut-outs, grounds and fonts gathered once from unpacked packages into one compact file.

Knows where packages keep their art and under which licence; knows nothing of scenes. Source of the package list and
licences: the Debian and npm packages named in SOURCES, each with its own copyright file. Only trained weights are
published, never the art.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageFont

from lamina.errors import InputError
from lamina.pixels import trim_box

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

__all__ = ["SOURCES", "Bank", "Source", "build_bank"]

_CUTOUT_SIDE = 224
_GROUND_SIDE = 448
_MIN_SIDE = 48
_MOST_PIXELS = 16_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One package of art: where its pictures lie, what they are, how often they are drawn, under which licence."""

    package: str
    glob: str
    kind: str
    """"photo" or "paint" (cut-outs), "ground-photo" or "ground-paint", "font"."""
    licence: str
    weight: float = 1.0
    keep: int = 10_000
    """At most this many files, chosen by hash of the path."""
    permissive: bool = False


SOURCES: tuple[Source, ...] = (
    Source(
        package="openclipart-png",
        glob="**/png/**/*.png",
        kind="paint",
        licence="public domain",
        permissive=True,
        keep=4000,
    ),
    Source(package="tuxpaint-stamps-default", glob="**/stamps/**/*.png", kind="photo", licence="GPL-2+", weight=6.0),
    Source(
        package="wesnoth-1.16-data",
        glob="**/portraits/**/*.webp",
        kind="paint",
        licence="GPL-2+, CC-BY-SA-4.0",
        weight=3.0,
    ),
    Source(
        package="wesnoth-1.16-data",
        glob="**/portraits/**/*.png",
        kind="paint",
        licence="GPL-2+, CC-BY-SA-4.0",
        weight=3.0,
    ),
    Source(
        package="wesnoth-1.16-data",
        glob="**/images/items/**/*.png",
        kind="paint",
        licence="GPL-2+, CC-BY-SA-4.0",
        keep=200,
    ),
    Source(
        package="wesnoth-1.16-data",
        glob="**/images/scenery/**/*.png",
        kind="paint",
        licence="GPL-2+, CC-BY-SA-4.0",
        keep=200,
    ),
    Source(package="endless-sky-data", glob="**/images/ship/*.png", kind="paint", licence="CC-BY-SA-4.0", keep=250),
    Source(package="endless-sky-data", glob="**/images/outfit/*.png", kind="paint", licence="CC-BY-SA-4.0", keep=200),
    Source(package="endless-sky-data", glob="**/images/planet/*.png", kind="paint", licence="CC-BY-SA-4.0", keep=60),
    Source(
        package="endless-sky-data", glob="**/images/land/*.jpg", kind="ground-photo", licence="public domain, CC-BY-SA"
    ),
    Source(package="fluent", glob="**/assets/*.webp", kind="paint", licence="MIT", permissive=True, keep=1800),
    Source(
        package="oxygen-icon-theme", glob="**/128x128/**/*.png", kind="paint", licence="LGPL-3+", keep=700, weight=0.7
    ),
    Source(package="naev-data", glob="**/gfx/portraits/**/*.webp", kind="paint", licence="GPL-3, CC-BY-SA", keep=200),
    Source(package="naev-data", glob="**/gfx/**/*.png", kind="paint", licence="GPL-3, CC-BY-SA", keep=300),
    Source(
        package="unknown-horizons",
        glob="**/gfx/buildings/**/*.png",
        kind="paint",
        licence="GPL-2+, CC-BY-SA-3.0",
        keep=400,
    ),
    Source(
        package="mate-backgrounds", glob="**/nature/*.jpg", kind="ground-photo", licence="GPL-2+, CC-BY-SA", weight=2.0
    ),
    Source(
        package="plasma-workspace-wallpapers",
        glob="**/contents/images/*.*",
        kind="ground-paint",
        licence="GPL-2+",
        keep=60,
    ),
    Source(package="gnome-backgrounds", glob="**/backgrounds/gnome/*.*", kind="ground-paint", licence="CC-BY-SA-3.0"),
    Source(package="ukui-wallpapers", glob="**/backgrounds/**/*.jpg", kind="ground-photo", licence="CC-BY-SA-4.0"),
    Source(package="photos", glob="cutouts/*.png", kind="photo", licence="recipes/photos.jsonl names it", weight=8.0),
    Source(package="photos", glob="grounds/*.png", kind="ground-photo", licence="recipes/photos.jsonl names it"),
    Source(
        package="fonts-*",
        glob="**/*.[to]tf",
        kind="font",
        licence="OFL, Apache-2.0, GPL with font exception",
        permissive=True,
    ),
)

_FOREIGN_FONTS = (
    "symbol",
    "dingbat",
    "emoji",
    "standardsymbols",
    "d050000l",
    "ornament",
    "music",
    "math",
    "codepoint",
    "initials",
)


@dataclass(frozen=True, slots=True)
class Bank:
    """Read-only art; rows of `cutouts` and `grounds` are (offset, height, width, channels, weight, photo)."""

    pixels: np.ndarray
    cutouts: np.ndarray
    grounds: np.ndarray
    fonts: tuple[str, ...]

    @staticmethod
    def load(folder: Path, *, split: str) -> "Bank":
        """Open the bank that `build_bank` wrote; `split` is "train" or "validation" (one file in twelve, by hash)."""
        try:
            index: dict[str, Any] = json.loads((folder / "bank.json").read_text())
        except OSError as error:
            raise InputError(
                f"no art bank in {folder}; make one with: python -m recipes.bank ART_FOLDER {folder}"
            ) from error
        pixels = np.load(folder / "bank.npy", mmap_mode="r")
        held = split == "validation"

        def rows(kind: str) -> np.ndarray:
            return np.array([row[:6] for row in index[kind] if row[6] == held], dtype=np.float64).reshape(-1, 6)

        fonts = tuple(path for path, font_held in index["fonts"] if font_held == held)
        return Bank(pixels, rows("cutouts"), rows("grounds"), fonts)

    def picture(self, row: np.ndarray) -> np.ndarray:
        """The stored pixels of one row of `cutouts` (RGBA) or `grounds` (RGB)."""
        offset, height, width, channels = (int(value) for value in row[:4])
        return np.asarray(self.pixels[offset : offset + height * width * channels]).reshape(height, width, channels)


def build_bank(
    art: Path, out: Path, *, permissive: bool = False, on_step: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Shrink all usable art under `art` (one folder per unpacked package) into `out`; return counts per package.

    A cut-out is kept when its alpha really varies, covers 4-97 % and its sides are at least 48 px; byte duplicates
    go. `permissive` keeps only sources whose licence allows anything. Raises InputError when nothing is usable.
    """
    out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    chunks: list[np.ndarray] = []
    index: dict[str, list[Any]] = {"cutouts": [], "grounds": [], "fonts": []}
    counts: dict[str, int] = {}
    seen: set[bytes] = set()
    offset = 0
    files = list(_files(art, permissive))
    for step, (source, path) in enumerate(files):
        if on_step:
            on_step(step, len(files))
        held = _hash(path, art) % 12 == 0
        if source.kind == "font":
            if not any(word in path.name.lower() for word in _FOREIGN_FONTS) and _opens(path):
                index["fonts"].append((str(path), held))
                counts[source.package] = counts.get(source.package, 0) + 1
            continue
        ground = source.kind.startswith("ground")
        pixels = _ground(path) if ground else _cutout(path)
        if pixels is None:
            continue
        digest = hashlib.sha256(pixels.tobytes()).digest()
        if digest in seen:
            continue
        seen.add(digest)
        height, width, channels = pixels.shape
        row = (offset, height, width, channels, source.weight, float(source.kind.endswith("photo")), held)
        index["grounds" if ground else "cutouts"].append(row)
        chunks.append(pixels.reshape(-1))
        offset += pixels.size
        counts[source.package] = counts.get(source.package, 0) + 1
    if not chunks:
        raise InputError(f"no usable art under {art}; expected one folder per unpacked package, named as in SOURCES")
    np.save(out / "bank.npy", np.concatenate(chunks))
    (out / "bank.json").write_text(json.dumps(index))
    return counts


def _files(art: Path, permissive: bool) -> Iterator[tuple[Source, Path]]:
    for source in SOURCES:
        if permissive and not source.permissive:
            continue
        paths = [path for folder in sorted(art.glob(source.package)) for path in folder.glob(source.glob)]
        for path in sorted(paths, key=lambda path: _hash(path, art))[: source.keep]:
            yield source, path


def _opens(path: Path) -> bool:
    try:
        return ImageFont.truetype(str(path), 12).getlength("Aa") > 0
    except OSError:
        return False


def _hash(path: Path, art: Path) -> int:
    """The same wherever the art lies."""
    return int.from_bytes(hashlib.sha256(str(path.relative_to(art)).encode()).digest()[:6], "big")


def _cutout(path: Path) -> np.ndarray | None:
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MOST_PIXELS or min(image.size) < _MIN_SIDE:
                return None
            rgba = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    box = trim_box(rgba[..., 3] > 8)
    if box is None:
        return None
    rgba = rgba[box[1] : box[3], box[0] : box[2]]
    height, width = rgba.shape[:2]
    coverage = float((rgba[..., 3] > 127).mean())
    if min(height, width) < _MIN_SIDE or not 0.04 < coverage < 0.97 or max(height, width) > 6 * min(height, width):
        return None
    return _shrink(rgba, _CUTOUT_SIDE)


def _ground(path: Path) -> np.ndarray | None:
    try:
        with Image.open(path) as image:
            image.draft("RGB", (900, 900))
            if min(image.size) < 200:
                return None
            rgb = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return _shrink(rgb, _GROUND_SIDE)


def _shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Area-shrink to a long side, premultiplied where there is alpha; never enlarges."""
    height, width, channels = pixels.shape
    factor = side / max(height, width)
    if factor >= 1:
        return np.ascontiguousarray(pixels)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if channels == 3:
        return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    working = pixels.astype(np.float32)
    working[..., :3] *= working[..., 3:] / 255.0
    working = cv2.resize(working, size, interpolation=cv2.INTER_AREA)
    working[..., :3] /= np.maximum(working[..., 3:], 1.0) / 255.0
    return np.clip(working + 0.5, 0, 255).astype(np.uint8)
