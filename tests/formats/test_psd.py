"""PSD and PSB: what survives a round trip, what is reported, foreign files, bad input."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import BlendMode as PsdBlend
from psd_tools.constants import Tag
from psd_tools.psd.tagged_blocks import TaggedBlock
from sample_documents import built, noise, rich_document, sketches

from lamina.document.composite import flatten, rasterize
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Group, Layer, Text
from lamina.errors import FormatError, InputError
from lamina.formats import psd
from lamina.formats.profile import srgb_profile


def foreign(size: tuple[int, int] = (20, 20)) -> PSDImage:
    """An empty document as psd-tools, not we, makes it."""
    return PSDImage.new("RGB", size)


def saved(document: PSDImage, folder: Path) -> Path:
    document.save(folder / "foreign.psd")
    return folder / "foreign.psd"


def difference(document: Document, expected: np.ndarray) -> int:
    """Largest difference of premultiplied bytes."""
    ours, theirs = (
        rgba[..., :3] * (rgba[..., 3:] / 255.0) for rgba in (flatten(document).astype(float), expected.astype(float))
    )
    return int(np.ceil(abs(ours - theirs).max() - 1e-9))


@given(sketch=sketches(upright=True))
@settings(deadline=None, max_examples=25)
def test_upright_documents_come_back_whole(tmp_path_factory: pytest.TempPathFactory, sketch: dict[str, Any]):
    document = built(sketch)
    folder = tmp_path_factory.mktemp("psd")
    for name in ("d.psd", "d.psb"):
        losses = psd.write(document, folder / name)
        assert any("source" in loss for loss in losses) == (document.source is not None)
        assert psd.read(folder / name) == replace(document, source=None)


@given(sketch=sketches())
@settings(deadline=None, max_examples=15)
def test_placed_layers_are_rasterized_and_named_in_the_losses(
    tmp_path_factory: pytest.TempPathFactory, sketch: dict[str, Any]
):
    document = built(sketch)
    path = tmp_path_factory.mktemp("psd") / "d.psd"
    losses = psd.write(document, path)
    back = psd.read(path)
    assert [(n.id, n.name, n.opacity, n.visible) for n in back.walk()] == [
        (n.id, n.name, n.opacity, n.visible) for n in document.walk()
    ]
    placed = [node for node in document.walk() if isinstance(node, Layer) and not node.upright]
    assert sum("applied to its pixels" in loss for loss in losses) == len(placed)
    for node in document.walk():
        if isinstance(node, Layer):
            raster = rasterize(node)
            found = back.find(node.id)
            assert raster is not None
            assert isinstance(found, Layer)
            assert np.array_equal(found.rgba, raster[0])
            assert (found.x, found.y) == raster[1:]


def test_losses_say_what_was_applied(tmp_path: Path):
    layer = Layer(id="a", name="Ship", rgba=noise(4, 4, 0), scale=(2, 1), angle=90, text=Text(content="ahoy"))
    losses = psd.write(Document(width=9, height=9, layers=(layer,)), tmp_path / "d.psd")
    assert losses == [
        "layer 'Ship': scale and angle were applied to its pixels",
        "live text was written as pixels; only Lamina reads its words back",
    ]


def test_the_stored_preview_is_our_composite(tmp_path: Path):
    for document in (rich_document(), replace(rich_document(), layers=rich_document().layers[1:])):
        psd.write(document, tmp_path / "d.psd")
        preview = PSDImage.open(tmp_path / "d.psd").topil(apply_icc=False)
        assert preview is not None
        assert difference(document, np.asarray(preview.convert("RGBA"))) <= 1


def test_other_programs_see_names_groups_locks_profile_and_resolution(tmp_path: Path):
    psd.write(rich_document(), tmp_path / "d.psd")
    theirs = PSDImage.open(tmp_path / "d.psd")
    assert [layer.name for layer in theirs] == [
        "Ground",
        "Top normal",
        "Top multiply",
        "Top screen",
        "Hidden",
        "Äußere 漢字",
    ]
    assert [layer.name for layer in theirs[-1]] == ["Inner", "Label"]
    assert theirs[-1].blend_mode == PsdBlend.NORMAL
    assert theirs[-1][1].locks.complete
    assert theirs[-1][1].bbox == (40, -8, 70, 22)
    assert not theirs[4].visible
    assert theirs.image_resources.get_data(1005).horizontal == 300 * 65536
    assert theirs.image_resources.get_data(1039) == srgb_profile()


def test_a_psb_holds_a_canvas_wider_than_a_psd_can(tmp_path: Path):
    layer = Layer(id="w", name="Wide", rgba=noise(4, 30_001, 1))
    document = Document(width=30_001, height=4, layers=(layer,))
    assert psd.write(document, tmp_path / "d.psb") == []
    assert "holds a PSB" in psd.write(document, tmp_path / "d.psd")[0]
    for name in ("d.psb", "d.psd"):
        theirs = PSDImage.open(tmp_path / name)
        assert (theirs.version, theirs.size) == (2, (30_001, 4))
        assert psd.read(tmp_path / name) == document


def test_the_same_document_gives_the_same_bytes(tmp_path: Path):
    for name in ("one.psd", "two.psd"):
        psd.write(rich_document(), tmp_path / name)
    assert (tmp_path / "one.psd").read_bytes() == (tmp_path / "two.psd").read_bytes()


def test_ids_follow_order_and_name_once_another_program_renames(tmp_path: Path):
    psd.write(rich_document(), tmp_path / "d.psd")
    theirs = PSDImage.open(tmp_path / "d.psd")
    theirs[1].name = "Renamed!"
    back = psd.read(saved(theirs, tmp_path))
    assert [node.id for node in back.layers] == ["bg", "01-renamed", "top1", "top2", "h", "outer"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    psd.write(rich_document(), tmp_path / "d.psd")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(psd, "flatten", full)
    with pytest.raises(InputError, match="No space left"):
        psd.write(Document(width=1, height=1), tmp_path / "d.psd")
    monkeypatch.undo()
    assert psd.read(tmp_path / "d.psd") == rich_document()
    assert os.listdir(tmp_path) == ["d.psd"]


def test_a_layer_mask_becomes_alpha(tmp_path: Path):
    theirs = foreign()
    layer = theirs.create_pixel_layer(Image.new("RGB", (10, 8), (200, 100, 50)), name="Masked", left=3, top=2)
    mask = Image.fromarray(noise(8, 10, 5)[..., 0])
    layer.create_mask(mask)
    (back,) = psd.read(saved(theirs, tmp_path)).layers
    assert isinstance(back, Layer)
    assert back.box == (3, 2, 13, 10)
    assert np.array_equal(back.rgba[..., 3], np.asarray(mask))


def test_clipped_layers_are_merged_into_their_base(tmp_path: Path):
    theirs = foreign()
    base = theirs.create_pixel_layer(
        Image.fromarray(noise(10, 10, 1)[..., :3]), name="Base", left=2, top=2, opacity=128
    )
    base.create_mask(Image.new("L", (10, 10), 100))
    theirs.create_pixel_layer(Image.new("RGB", (6, 6), (0, 255, 0)), name="Clipped", left=0, top=0).clipping = True
    path = saved(theirs, tmp_path)
    back = psd.read(path)
    assert [layer.name for layer in back.layers] == ["Base"]
    assert any("clipped" in note for note in back.meta["notes"])
    expected = np.asarray(PSDImage.open(path).composite(force=True))
    assert difference(back, expected) <= 2


def pass_through(folder: Path, blend: PsdBlend, opacity: int = 255) -> Path:
    theirs = foreign()
    theirs.create_pixel_layer(Image.fromarray(noise(20, 20, 1)[..., :3]), name="Ground")
    group = theirs.create_group(name="Folder")
    for k in range(2):
        child = group.create_pixel_layer(
            Image.fromarray(noise(9, 9, k + 2)[..., :3]), name=f"Child {k}", left=3 * k, top=k
        )
        child.blend_mode = blend
        child.opacity = 180
    group.blend_mode = PsdBlend.PASS_THROUGH
    group.opacity = opacity
    return saved(theirs, folder)


@pytest.mark.parametrize("opacity", [255, 120])
def test_a_pass_through_group_of_normal_layers_is_read_as_a_group(tmp_path: Path, opacity: int):
    path = pass_through(tmp_path, PsdBlend.NORMAL, opacity)
    back = psd.read(path)
    assert isinstance(back.layers[1], Group)
    assert "notes" not in back.meta
    assert difference(back, np.asarray(PSDImage.open(path).composite(force=True))) <= 2


def test_a_pass_through_group_that_blends_with_the_ground_is_dissolved(tmp_path: Path):
    path = pass_through(tmp_path, PsdBlend.MULTIPLY)
    back = psd.read(path)
    assert [layer.name for layer in back.layers] == ["Ground", "Child 0", "Child 1"]
    assert "pass-through group 'Folder' was dissolved into its layers" in back.meta["notes"]
    assert difference(back, np.asarray(PSDImage.open(path).composite(force=True))) <= 2


def test_a_group_with_a_blend_mode_or_a_mask_is_flattened(tmp_path: Path):
    theirs = foreign()
    theirs.create_pixel_layer(Image.fromarray(noise(20, 20, 1)[..., :3]), name="Ground")
    group = theirs.create_group(name="Folder")
    group.create_pixel_layer(Image.fromarray(noise(9, 9, 2)[..., :3]), name="Child", left=3, top=4)
    group.blend_mode = PsdBlend.SCREEN
    path = saved(theirs, tmp_path)
    back = psd.read(path)
    assert isinstance(back.layers[1], Layer)
    assert (back.layers[1].name, back.layers[1].blend) == ("Folder", BlendMode.SCREEN)
    assert difference(back, np.asarray(PSDImage.open(path).composite(force=True))) <= 2


def test_fill_opacity_multiplies_and_unknown_blend_modes_become_normal(tmp_path: Path):
    theirs = foreign()
    layer = theirs.create_pixel_layer(Image.new("RGB", (4, 4)), name="Faint", opacity=102)
    layer.fill_opacity = 51
    layer.blend_mode = PsdBlend.VIVID_LIGHT
    back = psd.read(saved(theirs, tmp_path))
    (faint,) = back.layers
    assert isinstance(faint, Layer)
    assert faint.opacity == pytest.approx(0.4 * 0.2)
    assert faint.blend == BlendMode.NORMAL
    assert back.meta["notes"] == ["layer 'Faint': blend mode vivid_light was read as normal"]


def test_an_adjustment_layer_is_left_out_and_named(tmp_path: Path):
    theirs = foreign()
    theirs.create_pixel_layer(Image.new("RGB", (4, 4)), name="Ground")
    invert = theirs.create_pixel_layer(Image.new("RGB", (1, 1)), name="Negative")
    invert._record.tagged_blocks[Tag.INVERT] = TaggedBlock(key=Tag.INVERT, data=b"")
    back = psd.read(saved(theirs, tmp_path))
    assert [layer.name for layer in back.layers] == ["Ground"]
    assert "adjustment layer 'Negative' was left out" in back.meta["notes"]


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("depth", [8, 16])
def test_other_colour_modes_and_depths_become_srgb(tmp_path: Path, mode: str, depth: int):
    theirs = PSDImage.new(mode, (6, 5), depth=depth)
    picture = Image.fromarray(noise(5, 6, 3)[..., :3]).convert(mode)
    theirs.create_pixel_layer(picture, name="Colour")
    (back,) = psd.read(saved(theirs, tmp_path)).layers
    assert isinstance(back, Layer)
    assert abs(back.rgba[..., :3].astype(int) - np.asarray(picture.convert("RGB"))).max() <= 1


def test_a_flat_file_becomes_one_layer(tmp_path: Path):
    picture = Image.fromarray(noise(5, 6, 3)[..., :3])
    PSDImage.frompil(picture).save(tmp_path / "flat.psd")
    back = psd.read(tmp_path / "flat.psd")
    assert [layer.name for layer in back.layers] == ["Background"]
    assert np.array_equal(flatten(back)[..., :3], np.asarray(picture))


def test_a_canvas_or_layer_over_the_limit_is_refused(tmp_path: Path):
    psd.write(rich_document(), tmp_path / "d.psd")
    data = bytearray((tmp_path / "d.psd").read_bytes())
    data[14:22] = (30_000).to_bytes(4) * 2
    (tmp_path / "canvas.psd").write_bytes(data)
    with pytest.raises(FormatError, match="the canvas is 30000x30000, over the limit of 64 megapixels"):
        psd.read(tmp_path / "canvas.psd")
    theirs = PSDImage.open(tmp_path / "d.psd")
    record: Any = theirs[0]._record
    record.right = record.bottom = 20_000
    with (tmp_path / "layer.psd").open("wb") as file:
        theirs._record.write(file)
    with pytest.raises(FormatError, match="layer 'Ground' is 20000x20000"):
        psd.read(tmp_path / "layer.psd")


def test_missing_empty_and_other_files_are_format_errors(tmp_path: Path):
    (tmp_path / "empty.psd").touch()
    (tmp_path / "other.psd").write_bytes(b"\x89PNG\r\n\x1a\n" * 9)
    for name in ("none.psd", "empty.psd", "other.psd"):
        with pytest.raises(FormatError):
            psd.read(tmp_path / name)


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A small file with a bit of everything."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.psd"
        label = Layer(id="t", name="Text", rgba=noise(3, 3, 1), text=Text(content="hi"))
        group = Group(id="g", name="Group", children=(replace(label, id="u"),), opacity=0.5)
        psd.write(Document(width=8, height=7, layers=(label, group), dpi=(72, 72)), path)
        return path.read_bytes()


@given(
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
)
@settings(deadline=None, max_examples=150)
def test_a_cut_or_altered_file_reads_or_is_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, cut: float, flips: list[tuple[float, int]]
):
    data = bytearray(whole)
    for place, change in flips:
        data[int(place * len(data))] ^= change
    path = tmp_path_factory.getbasetemp() / "fuzz.psd"
    path.write_bytes(data[: round(cut * len(data))] if cut < 0.5 else data)
    with suppress(FormatError):
        psd.read(path)


def test_every_blend_mode_has_its_own_in_a_psd():
    assert len(set(psd.PSD_BLEND.values())) == len(BlendMode) == 16
