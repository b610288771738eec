"""The table of formats: the right module by ending, and clear words for everything else."""

import os
from pathlib import Path

import numpy as np
import pytest
from sample_documents import rich_document

from lamina import formats
from lamina.document.composite import flatten
from lamina.errors import FormatError, InputError


@pytest.mark.parametrize("name", ["b/", "b", "b.zip", "b.ZIP", "b.psd", "b.psb", "b.ora", "b.png"])
def test_every_readable_format_composites_to_the_same(tmp_path: Path, name: str):
    formats.write(rich_document(), os.path.join(tmp_path, name))
    back = formats.read(os.path.join(tmp_path, name))
    difference = np.abs(flatten(back).astype(int) - flatten(rich_document()))
    assert difference.max() <= 1
    assert [p.name for p in tmp_path.iterdir()] == [name.rstrip("/")]


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path):
    for call in (lambda p: formats.write(rich_document(), p), formats.read):
        with pytest.raises(InputError, match=r"'\.xcf'.*\.psd, \.psb, \.ora"):
            call(tmp_path / "b.xcf")


@pytest.mark.parametrize("ending", formats.FORMATS)
def test_reading_what_is_not_there_is_a_format_error(tmp_path: Path, ending: str):
    with pytest.raises(FormatError, match="no such file"):
        formats.read(str(tmp_path / "none") + ending)


def test_a_presentation_is_written_but_not_read(tmp_path: Path):
    (tmp_path / "b.pptx").write_bytes(b"PK")
    with pytest.raises(FormatError, match="written, not read"):
        formats.read(tmp_path / "b.pptx")


def test_a_folder_with_any_name_is_a_bundle(tmp_path: Path):
    formats.write(rich_document(), f"{tmp_path / 'b.v2'}/")
    assert formats.read(tmp_path / "b.v2") == rich_document()


def test_a_closing_slash_makes_a_folder_whatever_the_name_ends_in(tmp_path: Path):
    formats.write(rich_document(), f"{tmp_path / 'b.zip'}/")
    assert (tmp_path / "b.zip").is_dir()
    assert formats.read(tmp_path / "b.zip") == rich_document()


@pytest.mark.parametrize("ending", formats.FORMATS)
def test_what_never_ends_is_not_read(tmp_path: Path, ending: str):
    (tmp_path / f"endless{ending.rstrip('/')}").symlink_to("/dev/zero")
    with pytest.raises(FormatError, match="device or pipe"):
        formats.read(tmp_path / f"endless{ending.rstrip('/')}")


@pytest.mark.parametrize("ending", [".zip", ".psd", ".ora", ".png"])
def test_a_file_larger_than_memory_is_not_read(tmp_path: Path, ending: str):
    with (tmp_path / f"huge{ending}").open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    with pytest.raises(FormatError, match="over 2 GB"):
        formats.read(tmp_path / f"huge{ending}")


@pytest.mark.parametrize("ending", formats.FORMATS)
def test_a_name_no_file_can_have_is_a_clear_error(tmp_path: Path, ending: str):
    name = f"{tmp_path}/{'n' * 300}{ending}"
    with pytest.raises(InputError, match="name too long"):
        formats.write(rich_document(), name)
    with pytest.raises(InputError, match="name too long"):
        formats.check_target(name)
    with pytest.raises(FormatError, match="name too long"):
        formats.read(name)


@pytest.mark.parametrize("ending", formats.FORMATS)
def test_the_longest_name_a_file_can_have_is_written(tmp_path: Path, ending: str):
    name = "n" * (255 - len(ending.rstrip("/"))) + ending
    formats.write(rich_document(), f"{tmp_path}/{name}")
    assert [p.name for p in tmp_path.iterdir()] == [name.rstrip("/")]


def test_a_place_that_will_be_refused_is_known_before_the_work(tmp_path: Path):
    (tmp_path / "folder.psd").mkdir()
    (tmp_path / "plain").write_text("a file")
    (tmp_path / "device.png").symlink_to("/dev/null")
    for name, words in {"folder.psd": "no bundle", "plain": "a file", "device.png": "no ordinary file"}.items():
        with pytest.raises(InputError, match=words):
            formats.check_target(tmp_path / name)
        with pytest.raises(InputError, match=words):
            formats.write(rich_document(), tmp_path / name)
    formats.check_target(tmp_path / "new.psd")
