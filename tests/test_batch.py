"""Many pictures: found, taken apart, and taken up again where a run was cut off."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_decomposer import FakeDecomposer, load_fake
from PIL import Image
from server_pictures import png_bytes

import lamina
from lamina.batch import Batch, Report, find_pictures
from lamina.cli import main
from lamina.errors import InputError
from lamina.options import DecomposeOptions


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/a.png", "b.jpg"):
        (folder / name).write_bytes(png_bytes(seed=len(name), kind="JPEG" if name.endswith("jpg") else "PNG"))
    (folder / "notes.md").write_text("no picture")
    return folder


def run(folder: Path, output: Path, **changes: Any) -> Report:
    values = {"kind": "zip", "options": DecomposeOptions(), "model": "small", "device": "cpu", "load": load_fake}
    workers = changes.pop("workers", 1)
    batch = Batch(output=output, **{**values, **changes})
    return batch.run(find_pictures([str(folder)], output=output, kind=batch.kind), workers=workers)


def test_pictures_are_found_in_folders_globs_and_manifests_each_once(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def targets(*sources: object) -> list[str]:
        return [p.target for p in find_pictures([str(s) for s in sources], output=out, kind="psd")]

    folder = ["a.psd", "b.jpg.psd", "b.png.psd", "sub/a.psd"]
    assert targets(photos) == folder
    assert targets(photos, photos / "a.png", f"{photos}/*.png") == folder
    assert targets(f"{photos}/**/a.png") == ["a.png.psd", "a.png-2.psd"]
    assert targets(photos / "b.jpg") == ["b.psd"]
    (tmp_path / "list.txt").write_text("# these\nphotos/a.png\n\nphotos/sub/a.png\n")
    assert targets(tmp_path / "list.txt") == ["a.png.psd", "a.png-2.psd"]
    (tmp_path / "list.csv").write_text("image,layers,prompt\nphotos/a.png,3,7\nphotos/b.png,,\n")
    rows = find_pictures([str(tmp_path / "list.csv")], output=out, kind="psd")
    assert [dict(row.options) for row in rows] == [{"layers": 3, "prompt": "7"}, {}]
    (tmp_path / "list.jsonl").write_text('{"image": "photos/a.png", "layers": "auto"}\n')
    (row,) = find_pictures([str(tmp_path / "list.jsonl")], output=out, kind="psd")
    assert dict(row.options) == {"layers": "auto"}
    (photos / "out").mkdir()
    (photos / "out" / "c.png").write_bytes(png_bytes())
    assert [p.target for p in find_pictures([str(photos)], output=photos / "out", kind="psd")] == folder


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("x.csv", "picture\na.png\n", "no 'image'"),
        ("x.jsonl", '{"image": "."}', "no 'image'"),
        ("x.csv", "image,layer\na.png,3\n", "no option 'layer'"),
        ("x.jsonl", "{", "cannot read"),
        ("x.jsonl", "[]", "no object"),
        ("x.txt", "", "no pictures"),
        ("gone.txt", None, "cannot read"),
        ("gone", None, "no file or folder"),
    ],
)
def test_sources_that_hold_no_pictures_are_refused(tmp_path: Path, name: str, text: str | None, word: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=word):
        find_pictures([str(tmp_path / name)], output=tmp_path / "out", kind="psd")


@pytest.mark.parametrize("workers", [1, 2])
def test_one_bad_picture_stops_nothing_and_a_second_run_does_only_what_is_missing(
    photos: Path, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "out"
    (photos / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    first = run(photos, out, workers=workers)
    assert [row["target"] for row in first.done] == ["a.zip", "b.jpg.zip", "b.png.zip", "sub/a.zip"]
    assert [Path(row["image"]).name for row in first.failed] == ["bad.png"]
    assert [layer.name for layer in lamina.read(out / "sub" / "a.zip").layers] == ["Ground", "Square"]
    report = json.loads(first.path.read_text())
    assert (report["done"], report["skipped"], report["failed"]) == (4, 0, 1)

    (out / "b.png.zip").unlink()
    (photos / "sub" / "a.png").write_bytes(png_bytes(40, 40))
    (photos / "bad.png").write_bytes(png_bytes())
    before = (out / "a.zip").stat().st_mtime_ns
    with open(out / "batch.jsonl", "a") as log:
        log.write('{"half a li')  # a run that was killed
    second = run(photos, out, workers=workers)
    assert {row["target"] for row in second.done} == {"b.png.zip", "sub/a.zip", "bad.zip"}
    assert len(second.skipped) == 2
    assert (out / "a.zip").stat().st_mtime_ns == before
    assert len(run(photos, out, workers=workers).skipped) == 5
    assert len(run(photos, out, options=DecomposeOptions(layers=3)).done) == 5  # something else is asked for


def test_a_picture_that_ends_its_process_stops_nothing(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "image,prompt\nphotos/a.png,crash\nphotos/b.png,defect\nphotos/b.jpg,refuse\nphotos/sub/a.png,\n"
    )
    report = run(tmp_path / "list.csv", tmp_path / "out", workers=2)
    assert len(report.done) == 1
    assert [row["error"].split(":")[0] for row in report.failed] == ["crashed", "broken", "not this one"]


def test_the_command_says_what_failed_and_ends_with_2(photos: Path, tmp_path: Path, capsys: Any) -> None:
    (photos / "bad.png").write_bytes(b"no picture")
    words = ["batch", str(photos), "-o", str(tmp_path / "out"), "--format", "ora", "--layers", "2"]
    assert main(words, load_decomposer=lambda model, device: FakeDecomposer()) == 2
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out' / 'report.json'}\n"
    assert "bad.png" in said.err
    assert "done 4, skipped 0, failed 1 of 5 pictures" in said.err
    (photos / "bad.png").unlink()
    assert main(words, load_decomposer=lambda model, device: FakeDecomposer()) == 0
    assert main([*words, "--workers", "0"]) == 2
    assert main(["batch", "x", "-o", "y", "--format", "nonsense"]) == 2


def test_how_a_released_model_is_run_makes_other_documents(photos: Path, tmp_path: Path) -> None:
    """It reaches what loads the model, once for every process, and is a part of what was asked for."""
    loaded: list[dict[str, Any]] = []

    def load(model: str, device: str, **settings: Any) -> FakeDecomposer:
        loaded.append(settings)
        return FakeDecomposer(settings)

    lora = tmp_path / "a.safetensors"
    lora.write_bytes(b"one")
    out, fast = tmp_path / "out", {"preset": "fast", "lora": (lora,)}
    assert len(run(photos, out, load=load).done) == 4
    assert len(run(photos, out, load=load, model_settings=fast).done) == 4
    assert loaded == [{}, fast]
    again = run(photos, out, load=load, model_settings=dict(reversed(fast.items())))
    assert len(again.skipped) == 4
    kept = [[str(lora), 3, lora.stat().st_mtime_ns]]
    assert again.skipped[0]["model_settings"] == {"preset": "fast", "lora": kept}
    lora.write_bytes(b"another")  # trained anew, under the same name
    assert len(run(photos, out, load=load, model_settings=fast).done) == 4
    assert len(run(photos, out, load=load).done) == 4
    log = out / "batch.jsonl"
    log.write_text(log.read_text().replace('"model_settings": {}, ', ""))  # a record of before there were settings
    assert len(run(photos, out, load=load).skipped) == 4


def test_the_command_takes_how_a_released_model_is_run(
    photos: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def load(*place: str, **settings: Any) -> FakeDecomposer:
        asked.append((place, settings))
        return FakeDecomposer()

    monkeypatch.chdir(tmp_path)
    words = ["batch", str(photos), "-o", str(tmp_path / "out"), "--model", "dir", "--preset", "few-step"]
    assert main([*words, "--lora", "a.safetensors", "--memory", "12"], load_decomposer=load) == 0
    given = {"preset": "few-step", "memory": "12", "lora": (tmp_path / "a.safetensors",)}
    assert asked == [(("dir", "auto"), given)]
    capsys.readouterr()
    assert main(words, load_decomposer=load) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert len(asked) == 1


def test_a_catalogue_has_cut_outs_over_white_and_contact_sheets(photos: Path, tmp_path: Path) -> None:
    report = run(photos / "a.png", tmp_path / "out", catalogue=True)
    assert len(report.done) == 1
    with Image.open(tmp_path / "out" / "a-cutout.png") as image:
        cut = np.asarray(image.convert("RGB"))
    square = lamina.read(tmp_path / "out" / "a.zip").layers[1].rgba
    assert cut.shape[0] == cut.shape[1] == 9
    assert (cut[0] == 255).all()
    assert np.array_equal(cut[1:7, :8], square[..., :3])  # 8x6 in the middle
    assert (tmp_path / "out" / "a-sheet.png").is_file()
