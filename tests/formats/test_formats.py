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
