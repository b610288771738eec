"""Bundles: lossless round trip, the layout of the contract, whole or nothing, bad input."""

import json
import os
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_documents import built, noise, rich_document, sketches

from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.document.layer import Group, Layer
from lamina.errors import FormatError, InputError
from lamina.formats import bundle, png


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def repacked(path: Path, replace: dict[str, bytes | None]) -> Path:
    """The zip at `path` with some entries replaced, None: removed."""
    out = path.with_name("altered.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = replace.get(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name in replace.keys() - set(old.namelist()):
            new.writestr(name, replace[name] or b"")
    return out


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    path = tmp_path / "document.zip"
    bundle.write(rich_document(), path)
    return path


@given(sketch=sketches())
@settings(deadline=None, max_examples=25)
def test_read_of_write_is_the_same_document(tmp_path_factory: pytest.TempPathFactory, sketch: dict[str, Any]):
    document = built(sketch)
    folder = tmp_path_factory.mktemp("bundle")
    for name in ("b.zip", "b"):
        assert bundle.write(document, folder / name) == []
        assert bundle.read(folder / name) == document


def test_layout_is_the_one_of_the_contract(tmp_path: Path):
    layers = (
        Layer(id="1", name="Hintergrund", rgba=noise(4, 4, 1)),
        Group(id="2", name="Group", children=(Layer(id="3", name="Grüße, Welt!", rgba=noise(2, 2, 2)),)),
        Layer(id="4", name="漢字", rgba=noise(2, 2, 3)),
        Layer(id="5", name="../../etc/passwd", rgba=noise(2, 2, 4)),
    )
    document = Document(width=5, height=6, layers=layers, source=noise(6, 5, 9))
    bundle.write(document, tmp_path / "b")
    assert sorted(tree(tmp_path / "b")) == [
        "composite.png",
        "document.json",
        "layers/00-hintergrund.png",
        "layers/01-grue-welt.png",
        "layers/02-layer.png",
        "layers/03-etc-passwd.png",
        "source.png",
    ]
    data = json.loads((tmp_path / "b/document.json").read_text(encoding="utf-8"))
    assert data["schema"] == 1
    assert data["layers"][1]["children"][0]["file"] == "layers/01-grue-welt.png"
    composite = png.decode((tmp_path / "b/composite.png").read_bytes(), "composite")
    assert np.array_equal(composite.rgba, flatten(document))


def test_the_same_document_gives_the_same_bytes(tmp_path: Path):
    for name in ("one.zip", "two.zip"):
        bundle.write(rich_document(), tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_name_with_a_lone_surrogate_survives(tmp_path: Path):
    document = Document(width=2, height=2, layers=(Layer(id="\udc80", name="a\ud800", rgba=noise(2, 2, 0)),))
    bundle.write(document, tmp_path / "b.zip")
    assert bundle.read(tmp_path / "b.zip") == document


def test_an_existing_bundle_is_replaced_and_foreign_files_in_it_stay(tmp_path: Path):
    target = tmp_path / "b"
    bundle.write(Document(width=9, height=9, layers=(Layer(id="x", name="x", rgba=noise(3, 3, 1)),)), target)
    (target / "notes.txt").write_text("mine")
    bundle.write(rich_document(), target)
    assert bundle.read(target) == rich_document()
    assert (target / "notes.txt").read_text() == "mine"
    assert os.listdir(tmp_path) == ["b"]


@pytest.mark.parametrize("ending", ["b", "b.zip"])
def test_a_failed_write_leaves_the_old_bundle_and_nothing_else(tmp_path: Path, ending: str, monkeypatch):
    target = tmp_path / ending
    bundle.write(rich_document(), target)

    def full(document: Document) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "flatten", full)
    with pytest.raises(InputError, match="No space left"):
        bundle.write(Document(width=1, height=1), target)
    monkeypatch.undo()
    assert bundle.read(target) == rich_document()
    assert os.listdir(tmp_path) == [ending]


def test_a_folder_whose_replacement_fails_is_rolled_back(tmp_path: Path, monkeypatch):
    target = tmp_path / "b"
    bundle.write(rich_document(), target)
    rename = Path.rename

    def refuse_the_new(self: Path, to: Path) -> Path:
        if to == target and not self.name.endswith("-old"):
            raise OSError(5, "Input/output error")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    with pytest.raises(InputError, match="Input/output"):
        bundle.write(Document(width=1, height=1), target)
    monkeypatch.undo()
    assert bundle.read(target) == rich_document()
    assert os.listdir(tmp_path) == ["b"]


def test_a_folder_that_is_no_bundle_is_refused_and_untouched(tmp_path: Path):
    target = tmp_path / "holiday"
    target.mkdir()
    (target / "photo.jpg").write_bytes(b"dear")
    with pytest.raises(InputError, match="no bundle"):
        bundle.write(rich_document(), target)
    assert tree(tmp_path) == {"holiday/photo.jpg": b"dear"}


def test_a_place_that_does_not_exist_is_an_input_error(tmp_path: Path):
    for name in ("none/b", "none/b.zip"):
        with pytest.raises(InputError, match="cannot write"):
            bundle.write(rich_document(), tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("file", ["../secret.png", "/etc/secret.png", "layers/../../secret.png", "layers\\x.png", 7])
def test_a_layer_file_outside_the_bundle_is_refused(tmp_path: Path, zipped: Path, file: object):
    data = json.loads(zipfile.ZipFile(zipped).read("document.json"))
    data["layers"][0]["file"] = file
    (tmp_path / "secret.png").write_bytes(png.encode(noise(80, 96, 0)))
    folder = tmp_path / "b"
    bundle.write(rich_document(), folder)
    (folder / "document.json").write_text(json.dumps(data))
    for path in (folder, repacked(zipped, {"document.json": json.dumps(data).encode()})):
        with pytest.raises(FormatError, match=r"expected layers/NAME\.png"):
            bundle.read(path)


def test_a_link_out_of_the_bundle_is_refused(tmp_path: Path):
    bundle.write(rich_document(), tmp_path / "b")
    layer = next((tmp_path / "b/layers").iterdir())
    layer.rename(tmp_path / "outside.png")
    layer.symlink_to(tmp_path / "outside.png")
    with pytest.raises(FormatError, match="leads out"):
        bundle.read(tmp_path / "b")


@pytest.mark.parametrize(
    ("entry", "content", "words"),
    [
        ("document.json", None, "no document.json"),
        ("document.json", b"{", "malformed"),
        ("document.json", b"[" * 100_000, "malformed"),
        ("document.json", b"[]", "malformed"),
        ("document.json", b'{"schema": 2, "width": 1, "height": 1, "layers": []}', "schema 2"),
        ("document.json", b'{"schema": 1, "width": Infinity, "height": 1, "layers": []}', "malformed"),
        ("document.json", b'{"schema": 1, "width": 100000, "height": 100000, "layers": []}', "megapixels"),
        ("layers/00-ground.png", None, "lacks layers/00-ground.png"),
        ("layers/00-ground.png", b"GIF89a", "not a PNG"),
        ("layers/00-ground.png", png.encode(noise(3, 3, 0)), "document.json says"),
    ],
)
def test_a_broken_bundle_is_a_format_error_in_one_line(zipped: Path, entry: str, content: bytes | None, words: str):
    with pytest.raises(FormatError, match=words) as caught:
        bundle.read(repacked(zipped, {entry: content}))
    assert "\n" not in str(caught.value)


@given(
    cut=st.floats(0, 1), flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=3)
)
@settings(deadline=None, max_examples=80)
def test_a_cut_or_altered_zip_reads_or_is_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, cut: float, flips: list[tuple[float, int]]
):
    path = tmp_path_factory.mktemp("fuzz") / "b.zip"
    bundle.write(Document(width=6, height=5, layers=(Layer(id="a", name="a", rgba=noise(5, 6, 1)),)), path)
    data = bytearray(path.read_bytes())
    for place, change in flips:
        data[int(place * len(data))] ^= change
    path.write_bytes(data[: round(cut * len(data))] if cut < 0.5 else data)
    with suppress(FormatError):
        bundle.read(path)


def test_a_missing_bundle_is_a_format_error(tmp_path: Path):
    for name in ("none", "none.zip"):
        with pytest.raises(FormatError):
            bundle.read(tmp_path / name)


def test_a_png_that_declares_too_much_is_refused_before_it_is_decoded(zipped: Path):
    data = bytearray(png.encode(noise(1, 1, 0)))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(FormatError, match="64 megapixels"):
        bundle.read(repacked(zipped, {"layers/00-ground.png": bytes(data)}))
