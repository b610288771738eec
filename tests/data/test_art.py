import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamina.data.art import SOURCES, Bank, build_bank
from lamina.errors import InputError


def clip_art(path: Path, alpha: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rgba = np.full((*alpha.shape, 4), 90, np.uint8)
    rgba[..., 0] = ord(path.name[0])
    rgba[..., 3] = alpha
    Image.fromarray(rgba, "RGBA").save(path)


def test_bank_keeps_cutouts_trimmed_and_shrunk_and_drops_the_useless(tmp_path: Path) -> None:
    folder = tmp_path / "art" / "openclipart-png" / "png"
    disc = np.zeros((400, 500), np.uint8)
    disc[100:300, 50:450] = 255
    disc[:100, 200:210] = 255
    clip_art(folder / "good.png", disc)
    clip_art(folder / "opaque.png", np.full((100, 100), 255, np.uint8))
    clip_art(folder / "tiny.png", disc[::20, ::20])
    (folder / "broken.png").write_bytes((folder / "good.png").read_bytes()[:200])
    (folder / "copy.png").write_bytes((folder / "good.png").read_bytes())
    counts = build_bank(tmp_path / "art", tmp_path / "bank")
    assert counts == {"openclipart-png": 1}
    held = [Bank.load(tmp_path / "bank", split=split) for split in ("train", "validation")]
    rows = [(bank, row) for bank in held for row in bank.cutouts]
    assert len(rows) == 1
    picture = rows[0][0].picture(rows[0][1])
    assert picture.shape == (168, 224, 4)
    assert picture[-1, 0, 3] == 255


def test_permissive_bank_takes_only_art_of_permissive_licence(tmp_path: Path) -> None:
    disc = np.zeros((100, 100), np.uint8)
    disc[:60, :80] = 255
    disc[60:, :40] = 255
    clip_art(tmp_path / "art" / "openclipart-png" / "png" / "a.png", disc)
    clip_art(tmp_path / "art" / "tuxpaint-stamps-default" / "stamps" / "b.png", disc)
    assert set(build_bank(tmp_path / "art", tmp_path / "all")) == {"openclipart-png", "tuxpaint-stamps-default"}
    assert set(build_bank(tmp_path / "art", tmp_path / "free", permissive=True)) == {"openclipart-png"}


def test_where_the_art_lies_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(replace(source, keep=3) for source in SOURCES)
    monkeypatch.setattr("lamina.data.art.SOURCES", few)
    disc = np.zeros((100, 100), np.uint8)
    disc[:60, :80] = 255
    disc[60:, :40] = 255
    banks: list[str] = []
    for where in ("here", "there"):
        for name in "abcdefghijkl":
            clip_art(tmp_path / where / "openclipart-png" / "png" / f"{name}.png", disc)
        build_bank(tmp_path / where, tmp_path / f"bank-{where}")
        banks.append(hashlib.sha256((tmp_path / f"bank-{where}" / "bank.npy").read_bytes()).hexdigest())
    assert banks[0] == banks[1]


def test_art_folder_without_art_is_refused(tmp_path: Path) -> None:
    (tmp_path / "art").mkdir()
    with pytest.raises(InputError, match="no usable art"):
        build_bank(tmp_path / "art", tmp_path / "bank")


def test_missing_bank_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recipes\.bank"):
        Bank.load(tmp_path / "nowhere", split="train")
    assert not os.listdir(tmp_path)
