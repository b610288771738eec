"""The harvest: what a file shows is what the sample's layers give; bad files stop nothing; no file is done twice."""

import json
import shutil
import zipfile
from pathlib import Path

import harvest_gates
import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import BlendMode as PsdBlend
from psd_tools.constants import Tag
from psd_tools.psd.tagged_blocks import TaggedBlock

import lamina
from lamina.data.harvest import Extract, extract, harvest
from lamina.data.options import HarvestOptions
from lamina.data.phash import phash
from lamina.data.sample import Sample
from lamina.data.shards import Shards, unpack
from lamina.document.document import Document
from lamina.document.layer import BlendMode, Group, Layer
from lamina.errors import FormatError, InputError
from lamina.formats import png

WIDTH, HEIGHT = 160, 120


def block(colour: tuple[int, ...], width: int, height: int) -> np.ndarray:
    rgba = np.empty((height, width, 4), np.uint8)
    rgba[...] = (*colour, 255)[:4]
    return rgba


def ground(seed: int) -> np.ndarray:
    """An opaque, blurry picture that is like no other seed's; its top left pixel is neither red nor blue."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    small[0, 0] = (40, 90, 60)
    rgb = np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return np.dstack([rgb, np.full((HEIGHT, WIDTH), 255, np.uint8)])


def document(*layers: Layer | Group, seed: int = 0) -> Document:
    base = Layer(id="ground", name="Ground", rgba=ground(seed))
    return Document(width=WIDTH, height=HEIGHT, layers=(base, *layers))


def box(name: str, colour: tuple[int, ...], at: tuple[int, int, int, int], **values: object) -> Layer:
    x, y, width, height = at
    return Layer(id=name, name=name, rgba=block(colour, width, height), x=x, y=y, **values)  # type: ignore[arg-type]


def taken(path: Path, **options: object) -> Sample:
    made = extract(path, HarvestOptions(**options), source=path.name)  # type: ignore[arg-type]
    assert made.packed is not None, made
    return unpack(dict(made.packed))


def refused(path: Path, **options: object) -> Extract:
    made = extract(path, HarvestOptions(**options))  # type: ignore[arg-type]
    assert made.packed is None
    return made


def over(layers: np.ndarray) -> np.ndarray:
    """Plain source-over, written out again here."""
    shown = np.zeros(layers.shape[1:3] + (3,))
    for rgba in layers.astype(np.float64) / 255:
        shown = rgba[..., :3] * rgba[..., 3:] + shown * (1 - rgba[..., 3:])
    return shown * 255


def flat(path: Path) -> np.ndarray:
    return np.asarray(lamina.composite(lamina.read(path)).convert("RGB"))


def assert_shows(sample: Sample, picture: np.ndarray) -> None:
    """The stored layers give the stored composite, and that is the picture."""
    assert np.abs(over(sample.layers) - sample.composite).max() <= 0.51
    assert np.abs(sample.composite.astype(int) - picture).max() <= 2
    assert (sample.layers[0, ..., 3] == 255).all()


@pytest.mark.parametrize("ending", ["psd", "psb", "ora", "zip", ""])
def test_groups_opacity_and_blend_modes_become_plain_layers_and_useless_ones_go(tmp_path: Path, ending: str):
    red, shade = box("red", (200, 30, 20), (10, 10, 60, 50)), box("shade", (90, 90, 90), (40, 30, 60, 60))
    made = document(
        box("covered", (1, 2, 3), (15, 15, 30, 30)),
        Group(id="g", name="Folder", opacity=0.5, children=(box("blue", (20, 40, 220), (100, 10, 40, 40)),)),
        Layer(**{**{f: getattr(red, f) for f in ("id", "name", "rgba", "x", "y")}}),
        Layer(id="s", name="shade", rgba=shade.rgba, x=40, y=30, blend=BlendMode.MULTIPLY, opacity=0.8),
        box("hidden", (255, 255, 0), (0, 60, 80, 60), visible=False),
        box("twin", (200, 30, 20), (12, 12, 10, 10)),
    )
    path = tmp_path / (f"design.{ending}" if ending else "design")
    lamina.write(made, path)
    sample = taken(path)
    assert_shows(sample, flat(path))
    about = sample.provenance["layers"]
    assert [each["from"][0]["name"] for each in about] == ["Ground", "blue", "red", "shade"]
    assert about[1]["from"][0]["group"] == "Folder"
    assert about[3]["from"][0] == {"name": "shade", "blend": "multiply", "opacity": 0.8}
    assert about[3]["baked"]
    assert not about[2]["baked"]
    assert sorted(sample.provenance["layers_dropped"]) == [["covered", "changes nothing"], ["twin", "changes nothing"]]
    shadow = sample.layers[3, 60:80, 80:95]  # grey multiplied is black of some alpha, whatever lies below
    assert shadow[..., :3].max() <= 6
    assert np.ptp(shadow[..., 3].astype(int)) <= 4
    assert sample.layers[2, 20, 20].tolist() == [200, 30, 20, 255]
    assert sample.layers[1, 20, 120, 3] in (127, 128)


def foreign(path: Path, *, spoil: bool = False) -> Path:
    """A PSD by psd-tools: a masked layer, a clipped one and a vivid adjustment over a ground."""
    theirs = PSDImage.new("RGB", (WIDTH, HEIGHT))
    theirs.create_pixel_layer(Image.fromarray(ground(5)[..., :3]), name="Ground")
    base = theirs.create_pixel_layer(Image.new("RGB", (80, 60), (210, 60, 40)), name="Base", left=20, top=20)
    mask = np.zeros((60, 80), np.uint8)
    mask[:, :40], mask[:, 40:60] = 255, 128
    base.create_mask(Image.fromarray(mask))
    theirs.create_pixel_layer(
        Image.new("RGB", (40, 30), (30, 200, 60)), name="Clipped", left=30, top=40
    ).clipping = True
    if spoil:
        negative = theirs.create_pixel_layer(Image.new("RGB", (1, 1)), name="Negative")
        negative._record.tagged_blocks[Tag.INVERT] = TaggedBlock(key=Tag.INVERT, data=b"")
    theirs.save(path)
    return path


def test_masks_and_clipped_layers_of_a_foreign_psd_are_applied(tmp_path: Path):
    path = foreign(tmp_path / "theirs.psd")
    sample = taken(path)
    assert_shows(sample, np.asarray(PSDImage.open(path).topil().convert("RGB")))
    assert len(sample.layers) == 2
    assert sample.layers[1, 30, 25].tolist() == [210, 60, 40, 255]
    assert sample.layers[1, 50, 50].tolist() == [30, 200, 60, 255]
    assert sample.layers[1, 50, 90, 3] == 0
    assert 126 <= sample.layers[1, 30, 70, 3] <= 129


def test_an_adjustment_layer_changes_the_layers_below_it(tmp_path: Path):
    path = foreign(tmp_path / "theirs.psd", spoil=True)
    back = PSDImage.open(path)
    assert [layer.kind for layer in back][-1] == "invert"
    shown = 255 - np.asarray(PSDImage.open(foreign(tmp_path / "plain.psd")).topil().convert("RGB")).astype(int)
    planes = [np.ascontiguousarray(shown[..., k].astype(np.uint8)).tobytes() for k in range(3)]
    back._record.image_data.set_data(planes, back._record.header)
    with path.open("wb") as file:
        back._record.write(file)
    sample = taken(path)
    assert sample.provenance["drawn_by"] == "psd-tools"
    assert_shows(sample, shown)
    assert sample.layers[1, 30, 25].tolist() == [45, 195, 215, 255]


def test_blend_modes_that_only_psds_have_are_baked_too(tmp_path: Path):
    theirs = PSDImage.new("RGB", (WIDTH, HEIGHT))
    theirs.create_pixel_layer(Image.fromarray(ground(6)[..., :3]), name="Ground")
    vivid = theirs.create_pixel_layer(Image.new("RGB", (120, 90), (240, 10, 100)), name="Vivid", left=10, top=10)
    vivid.blend_mode = PsdBlend.VIVID_LIGHT
    theirs.save(tmp_path / "vivid.psd")
    sample = taken(tmp_path / "vivid.psd")
    assert_shows(sample, np.asarray(PSDImage.open(tmp_path / "vivid.psd").topil().convert("RGB")))
    assert sample.provenance["layers"][1]["from"][0]["blend"] == "vivid-light"
    assert np.abs(flat(tmp_path / "vivid.psd").astype(int) - sample.composite).max() > 30  # read as normal


def test_a_file_whose_layers_do_not_give_its_preview_is_rejected(tmp_path: Path):
    path = tmp_path / "a.ora"
    lamina.write(document(box("red", (200, 30, 20), (10, 10, 60, 50))), path)
    assert len(taken(path).layers) == 2
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.ora", "w") as new:
        for name in old.namelist():
            spoilt = png.encode(ground(3)) if name == "mergedimage.png" else old.read(name)
            new.writestr(name, spoilt)
    assert refused(tmp_path / "b.ora").reason == "differs from its preview"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "c.ora", "w") as new:
        for name in old.namelist():
            if name != "mergedimage.png":
                new.writestr(name, old.read(name))
    assert refused(tmp_path / "c.ora").reason == "no preview"


def test_a_transparent_document_gets_a_white_ground_and_a_large_one_is_shrunk(tmp_path: Path):
    blob = np.zeros((2 * HEIGHT, 2 * WIDTH, 4), np.uint8)
    blob[60:180, 80:220] = (200, 60, 10, 200)
    top = box("top", (20, 60, 200), (121, 101, 60, 60))
    made = Document(width=2 * WIDTH, height=2 * HEIGHT, layers=(Layer(id="b", name="Blob", rgba=blob), top))
    lamina.write(made, tmp_path / "a.psd")
    sample = taken(tmp_path / "a.psd", max_side=WIDTH)
    assert sample.provenance["ground"] == "added"
    assert sample.composite.shape == (HEIGHT, WIDTH, 3)
    assert (sample.layers[0] == 255).all()
    assert sample.layers[1, 60, 48].tolist() == [200, 60, 10, 200]
    assert sample.layers[1, 60, 38, 3] == 0
    assert sample.layers[2, 70, 70].tolist() == [20, 60, 200, 255]
    assert 100 < sample.layers[2, 70, 60, 3] < 155  # an odd edge falls on half a pixel
    assert np.abs(over(sample.layers) - sample.composite).max() <= 0.51


def test_many_layers_merge_to_at_most_twenty_and_still_show_the_same(tmp_path: Path):
    rng = np.random.default_rng(0)
    dots = [
        box(f"dot{k}", tuple(rng.integers(0, 256, 3)), (12 * (k % 12) + 4, 14 * (k // 12) + 4, 18, 9))
        for k in range(36)
    ]
    path = tmp_path / "dots.zip"
    lamina.write(document(*dots), path)
    for options in ({}, {"merge": "always"}, {"max_layers": 2}):
        sample = taken(path, **options)
        assert_shows(sample, flat(path))
        assert len(sample.layers) == options.get("max_layers", 20 if not options else len(sample.layers)) <= 20
        assert sum(len(each["from"]) for each in sample.provenance["layers"][1:]) == 36


def test_layers_that_show_too_little_are_dropped_and_named(tmp_path: Path):
    speck = box("speck", (255, 255, 255), (140, 100, 2, 2))
    lamina.write(document(box("red", (200, 30, 20), (10, 10, 60, 50)), speck), tmp_path / "a.ora")
    sample = taken(tmp_path / "a.ora", min_area=0.001)
    assert sample.provenance["layers_dropped"] == [["speck", "too small"]]
    assert len(sample.layers) == 2
    assert len(taken(tmp_path / "a.ora", min_area=0.0001).layers) == 3


def test_gates_drop_what_teaches_nothing(tmp_path: Path):
    lamina.write(document(), tmp_path / "one.ora")
    assert refused(tmp_path / "one.ora").reason == "gate one_holds_all"
    veiled = document(Layer(id="v", name="veil", rgba=ground(4)))
    lamina.write(veiled, tmp_path / "all.ora")
    assert refused(tmp_path / "all.ora").reason == "gate one_holds_all"
    tiny = Document(
        width=40, height=90, layers=(box("a", (9, 9, 9), (0, 0, 40, 90)), box("b", (200, 9, 9), (9, 9, 9, 9)))
    )
    lamina.write(tiny, tmp_path / "tiny.ora")
    assert refused(tmp_path / "tiny.ora").reason == "gate too_small"
    pale = Document(
        width=160, height=120, layers=(box("a", (9, 9, 9), (0, 0, 160, 120)), box("b", (14, 9, 9), (9, 9, 9, 9)))
    )
    lamina.write(pale, tmp_path / "pale.ora")
    assert refused(tmp_path / "pale.ora").reason == "gate nearly_uniform"


def test_colours_of_another_profile_become_srgb(tmp_path: Path):
    from PIL import ImageCms

    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = swapped.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    plain = document(box("red", (220, 20, 30), (10, 10, 60, 50)))
    lamina.write(Document(width=WIDTH, height=HEIGHT, layers=plain.layers, icc=swapped), tmp_path / "a.ora")
    sample = taken(tmp_path / "a.ora")
    assert sample.layers[1, 20, 20, 2] > 180 > 80 > sample.layers[1, 20, 20, 0]


def fill(folder: Path) -> None:
    """Ten files: three good ones, an exact copy, a near copy, one of one layer, one broken, one that kills its
    process, one that hangs it, and one that looks like a refused picture."""
    folder.mkdir()
    red = box("red", (200, 30, 20), (40, 30, 60, 50))
    lamina.write(document(red, seed=1), folder / "a.psd")
    lamina.write(document(red, seed=2), folder / "b.ora")
    lamina.write(document(red, seed=3), folder / "k.zip")
    shutil.copy(folder / "a.psd", folder / "copy-of-a.psd")
    near = box("red", (196, 34, 24), (40, 30, 60, 50))
    lamina.write(document(near, seed=1), folder / "like-a.psd")
    lamina.write(document(seed=8), folder / "one.ora")
    (folder / "broken.psd").write_bytes((folder / "a.psd").read_bytes()[:900])
    for name, colour in (("crash", (255, 0, 0)), ("hang", (0, 0, 255))):
        corner = box("corner", colour, (0, 0, 90, 70))
        lamina.write(document(corner, seed=9), folder / f"{name}.ora")
    lamina.write(document(red, seed=12), folder / "refused.ora")


def test_a_harvest_survives_its_files_reports_them_and_does_nothing_twice(tmp_path: Path):
    source = tmp_path / "source"
    fill(source)
    gates = (harvest_gates.crash_on_red, harvest_gates.hang_on_blue)
    wanted = np.array([phash(flat(source / "refused.ora"))], np.uint64)

    def run(out: Path, workers: int, captioned: bool = True) -> dict[str, object]:
        report = harvest(
            [source],
            out,
            gates=gates,
            refused=wanted,
            captioner=harvest_gates.mean_colour if captioned else None,
            licence="CC0-1.0",
            origin="drawn by a test",
            workers=workers,
            time_limit=8,
        )
        return {"tried": report.tried, "kept": report.kept, **report.dropped}

    expected = {
        "tried": 10,
        "kept": 3,
        **{"cannot be read": 1, "crashed": 1, "gate one_holds_all": 1, "near-duplicate": 1, "refused": 1},
        **{"same file twice": 1, "timed out": 1},
    }
    assert run(tmp_path / "two", 2) == expected
    lines = [json.loads(line) for line in (tmp_path / "two" / "harvest.jsonl").read_text().splitlines()]
    why = {entry["path"]: entry.get("reason") for entry in lines}
    assert why["crash.ora"] == "crashed"
    assert why["hang.ora"] == "timed out"
    assert why["like-a.psd"] == "near-duplicate"
    assert "a.psd" in next(entry for entry in lines if entry["path"] == "like-a.psd")["detail"]
    samples = list(Shards(tmp_path / "two"))
    assert [sample.provenance["source"]["path"] for sample in samples] == ["a.psd", "b.ora", "k.zip"]
    assert all(sample.caption.startswith("mean ") for sample in samples)
    assert samples[0].provenance["licence"] == "CC0-1.0"
    before = {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    steps: list[tuple[int, int]] = []
    harvest([source], tmp_path / "two", gates=gates, on_step=lambda *step: steps.append(step), time_limit=0.001)
    assert {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()} == before
    assert steps[-1] == (10, 10)
    with pytest.raises(InputError, match="another max_error"):
        harvest([source], tmp_path / "two", HarvestOptions(max_error=3), gates=gates)


class Stop(Exception):
    pass


def test_a_stopped_harvest_goes_on_to_the_same_shards(tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    for seed in range(4):
        lamina.write(document(box("red", (200, 30, 20), (40, 30, 60, 50)), seed=seed + 1), source / f"{seed}.ora")
    harvest([source], tmp_path / "whole", per_shard=2)

    def stop(step: int, total: int) -> None:
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        harvest([source], tmp_path / "broken", per_shard=2, on_step=stop)
    with (tmp_path / "broken" / "harvest.jsonl").open("a") as file:
        file.write('{"path": "3.or')  # cut short, as by a power failure
    report = harvest([source], tmp_path / "broken", per_shard=2)
    assert (report.tried, report.kept) == (4, 4)
    for name in ("index.json", "shard-00000.zip", "shard-00001.zip"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes()


def test_places_without_layered_files_are_told(tmp_path: Path):
    with pytest.raises(InputError, match="no layered file"):
        harvest([tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match="does not exist"):
        harvest([tmp_path / "none"], tmp_path / "out")
    (tmp_path / "x.psd").write_bytes(b"8BPS")
    with pytest.raises(FormatError):
        extract(tmp_path / "x.psd", HarvestOptions())
    with pytest.raises(InputError, match="max_layers 1 is outside 2-20"):
        HarvestOptions(max_layers=1)
