"""Photographs parted by a matting network, here by a stand-in that knows where the subject is."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lamina.data.shards import Shards

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def photograph() -> tuple[np.ndarray, np.ndarray]:
    """A red disc on a blue gradient, and its coverage 0-1."""
    y, x = np.mgrid[0:120, 0:160]
    inside = np.clip(30.5 - np.hypot(x - 80, y - 60), 0, 1)
    ground = np.stack([0 * x, 0 * x, 90 + x], axis=-1)
    return np.where(inside[..., None] > 0.5, (200, 20, 30), ground).astype(np.uint8), inside


def listed(packages: Path, name: str, kind: str, **more: Any) -> dict[str, Any]:
    content = (packages / "some+thing-1.0" / name).read_bytes()
    content = content[more.get("offset", 0) :][: more.get("length")]
    digest = hashlib.sha256(content).hexdigest()
    return {"package": "some/thing", "version": "1.0", "path": name, "sha256": digest, "kind": kind, **more}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages" / "some+thing-1.0"
    folder.mkdir(parents=True)
    rgb, inside = photograph()
    Image.fromarray(rgb).save(folder / "disc.png")
    content = (folder / "disc.png").read_bytes()
    (folder / "packed.rcc").write_bytes(b"head" + content + b"tail")
    Image.fromarray(255 - rgb).save(folder / "ground.png")
    Image.fromarray(np.dstack([rgb[:60], (255 * inside[:60]).astype(np.uint8)])).save(folder / "cut.png")
    return tmp_path / "packages"


def test_photographs_become_cut_outs_grounds_and_samples_that_composite_to_them(packages: Path, tmp_path: Path) -> None:
    from recipes.photos import gather

    rgb, inside = photograph()
    size = (packages / "some+thing-1.0/disc.png").stat().st_size
    entries = [
        listed(packages, "packed.rcc", "cutout", offset=4, length=size),
        listed(packages, "ground.png", "ground"),
        listed(packages, "cut.png", "cutout"),
        {**listed(packages, "ground.png", "ground"), "sha256": "0" * 64},
    ]
    calls: list[int] = []

    def matte(seen: np.ndarray) -> np.ndarray:
        calls.append(1)
        return inside.astype(np.float32)

    missing = gather(packages, matte, tmp_path / "out", entries)
    assert len(missing) == 1
    assert "another file" in missing[0]
    assert len(list((tmp_path / "out/photos/cutouts").iterdir())) == 2
    assert len(list((tmp_path / "out/photos/grounds").iterdir())) == 1
    cut = np.asarray(Image.open(tmp_path / "out/photos/cutouts" / f"{entries[0]['sha256'][:16]}.png"))
    assert max(cut.shape[:2]) < 70
    there = cut[..., 3] > 30
    assert np.abs(cut[there][:, :3].astype(int) - (200, 20, 30)).max() <= 2

    shards = Shards(tmp_path / "out/shards")
    assert len(shards) == 1
    sample = shards[0]
    assert np.array_equal(sample.composite, rgb)
    ground, subject = sample.layers
    assert np.abs(ground[40:80, 60:100, :3].astype(int) - photograph_ground()[40:80, 60:100]).max() <= 12
    share = subject[..., 3:] / 255
    flat = subject[..., :3] * share + ground[..., :3] * (1 - share)
    assert np.abs(flat - rgb).mean() < 1

    gather(packages, matte, tmp_path / "out", entries)
    assert len(calls) == 1
    assert len(Shards(tmp_path / "out/shards")) == 1


def photograph_ground() -> np.ndarray:
    x = np.mgrid[0:120, 0:160][1]
    return np.stack([0 * x, 0 * x, 90 + x], axis=-1)


def test_the_list_names_every_photograph_once_with_its_package() -> None:
    entries = [json.loads(line) for line in (ROOT / "recipes/photos.jsonl").read_text("utf-8").splitlines()]
    assert len({entry["sha256"] for entry in entries}) == len(entries) > 200
    assert all(entry["package"] and entry["version"] and entry["kind"] in ("cutout", "ground") for entry in entries)
