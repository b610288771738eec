"""Perceptual hashes: near-duplicates are near, other pictures are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import lamina
from lamina.data.phash import NEAR, distances, hash_folder, phash, read_hashes, refuses, write_hashes
from lamina.document.document import Document
from lamina.document.layer import Layer
from lamina.errors import FormatError, InputError


def design(seed: int, size: tuple[int, int] = (240, 180)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rgb = np.empty((size[1], size[0], 3), np.uint8)
    rgb[...] = rng.integers(0, 256, 3)
    for _ in range(8):
        x, y = int(rng.integers(0, size[0])), int(rng.integers(0, size[1]))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.circle(rgb, (x, y), int(rng.integers(20, 70)), colour, -1)
    return rgb


def test_resized_compressed_and_brightened_pictures_stay_near():
    rgb = design(1)
    one = np.array([phash(rgb)], np.uint64)
    small = np.asarray(Image.fromarray(rgb).resize((97, 71), Image.Resampling.BICUBIC))
    jpeg = cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)
    bright = np.clip(rgb.astype(int) + 20, 0, 255).astype(np.uint8)
    for other in (small, jpeg, bright):
        assert int(distances(one, phash(np.ascontiguousarray(other)))[0]) <= NEAR


def test_different_pictures_are_far_apart():
    hashes = np.array([phash(design(seed)) for seed in range(12)], np.uint64)
    apart = [int(distances(np.delete(hashes, k), int(value)).min()) for k, value in enumerate(hashes)]
    assert min(apart) > NEAR + 4


def test_a_listed_picture_is_refused_also_when_mirrored(tmp_path: Path):
    hashes = np.array([phash(design(seed)) for seed in range(3)], np.uint64)
    assert refuses(hashes, design(2))
    assert refuses(hashes, np.ascontiguousarray(design(1)[:, ::-1]))
    assert not refuses(hashes, design(7))
    assert not refuses(np.zeros(0, np.uint64), design(2))


def test_a_folder_is_listed_by_pictures_layered_files_and_documents(tmp_path: Path):
    def document(seed: int) -> Document:
        rgba = np.dstack([design(seed), np.full((180, 240), 255, np.uint8)])
        return Document(width=240, height=180, layers=(Layer(id="a", name="a", rgba=rgba),))

    Image.fromarray(design(0)).save(tmp_path / "flat.jpg")
    (tmp_path / "doc").mkdir()
    Image.fromarray(design(1)).save(tmp_path / "doc" / "composite.png")
    Image.fromarray(design(9)).save(tmp_path / "doc" / "00.png")  # a layer, which is no picture of its own
    for seed, ending in enumerate(("psd", "ora", "zip"), start=2):
        lamina.write(document(seed), tmp_path / f"layered.{ending}")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    found = hash_folder(tmp_path)
    assert sorted(found) == ["doc/composite.png", "flat.jpg", "layered.ora", "layered.psd", "layered.zip"]
    write_hashes(found, tmp_path / "list.json")
    hashes = read_hashes(tmp_path / "list.json")
    assert all(refuses(hashes, design(seed)) for seed in range(5))
    assert not refuses(hashes, design(9))


def test_lists_that_are_none_are_told(tmp_path: Path):
    with pytest.raises(InputError, match="no picture that can be read"):
        read_hashes(tmp_path)
    (tmp_path / "list.json").write_text('{"schema": 1, "hashes": {"a": "xyz"}}')
    with pytest.raises(FormatError, match="no list of hashes"):
        read_hashes(tmp_path / "list.json")
