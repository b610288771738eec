"""The command line as its users and their scripts see it, with a decomposer that needs no weights."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lamina
from lamina.cli import main
from lamina.decompose import decomposer
from lamina.document.document import Document
from lamina.document.layer import Group, Layer
from lamina.errors import Cancelled, CheckpointError, InputError
from lamina.model import checkpoint
from lamina.options import DecomposeOptions
from lamina.pixels import Picture

Run = Callable[..., int]


class FakeDecomposer:
    """Does what `work` does, in one stage."""

    stages = ("squares",)

    def __init__(self, work: Callable[..., Document]) -> None:
        self.work = work

    def __call__(self, picture: Picture, options: DecomposeOptions, on_step: Callable[[int, int], None]) -> Document:
        document = self.work(picture, options)
        on_step(1, 1)
        return document


def squares(picture: Picture, options: DecomposeOptions) -> Document:
    """A ground and a square, from the picture's own pixels; refuses pictures under 16 px like the real one."""
    if min(picture.width, picture.height) < 16:
        raise InputError(f"the picture is {picture.width}x{picture.height}, expected at least 16 px each way")
    square = Layer(id="b", name="Square", rgba=picture.rgba[2:10, 4:12].copy(), x=4, y=2)
    layers = (Layer(id="a", name="Ground", rgba=picture.rgba), square)
    meta = {
        "source_sha256": picture.sha256,
        "options": {"seed": options.seed},
        "fidelity": {"exact_share": 1.0},
        "warnings": ["one layer holds everything"] if options.prompt else [],
    }
    return Document(
        width=picture.width, height=picture.height, layers=layers, meta=meta, dpi=picture.dpi, source=picture.rgba
    )


@pytest.fixture
def run() -> Run:
    def run(*argv: object, work: Callable[..., Document] = squares) -> int:
        return main([str(word) for word in argv], load_decomposer=lambda model, device: FakeDecomposer(work))

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "my.photo.png"
    pixels = np.random.default_rng(3).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, dpi=(300, 300))
    return path


def test_decompose_writes_a_bundle_beside_the_picture(run: Run, photo: Path, capsys: Any) -> None:
    assert run("decompose", photo) == 0
    assert capsys.readouterr().out == f"{photo.with_suffix('')}\n"
    document = lamina.read(photo.with_suffix(""))
    assert [layer.name for layer in document.layers] == ["Ground", "Square"]


@pytest.mark.parametrize("name", ["out/", "out", "out.zip", "out.psd", "out.ora", "out.png"])
def test_the_ending_of_out_decides_the_format(run: Run, photo: Path, tmp_path: Path, name: str) -> None:
    assert run("decompose", photo, "-o", f"{tmp_path}/{name}") == 0
    assert lamina.read(tmp_path / name).width == 32
    assert (tmp_path / name).is_dir() == ("." not in name)


def test_several_pictures_become_a_folder_of_bundles_or_of_files(run: Run, photo: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.png"
    second.write_bytes(photo.read_bytes())
    assert run("decompose", photo, second, "-o", tmp_path / "all") == 0
    assert lamina.read(tmp_path / "all" / "my.photo") == lamina.read(tmp_path / "all" / "second")
    assert run("decompose", photo, second, "-o", tmp_path / "files", "--format", "psd") == 0
    assert sorted(p.name for p in (tmp_path / "files").iterdir()) == ["my.photo.psd", "second.psd"]


def test_json_prints_one_object_per_picture_a_line_each(run: Run, photo: Path, tmp_path: Path, capsys: Any) -> None:
    second = tmp_path / "second.png"
    second.write_bytes(photo.read_bytes())
    assert run("decompose", photo, second, "--json", "--prompt", "a square") == 0
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["document"] for line in lines] == [str(photo.with_suffix("")), str(tmp_path / "second")]
    for line in lines:
        assert set(line) == {"document", "layers", "fidelity", "warnings", "seconds"}
        assert line["layers"][1]["box"] == [4, 2, 12, 10]
        assert {"id", "name", "box", "opacity", "visible"} <= set(line["layers"][0])
        assert line["fidelity"] == {"exact_share": 1.0}
        assert line["warnings"] == ["one layer holds everything"]
        assert {"read", "squares", "write", "total"} <= set(line["seconds"])
        assert line["seconds"]["total"] >= line["seconds"]["squares"] >= 0
    assert captured.err.count("lamina: warning: one layer holds everything") == 2


def test_options_reach_the_decomposer(run: Run, photo: Path) -> None:
    seen: list[DecomposeOptions] = []

    def remember(picture: Picture, options: DecomposeOptions) -> Document:
        seen.append(options)
        return squares(picture, options)

    flags = [
        "--layers",
        "4",
        "--max-layers",
        "12",
        "--prompt",
        "cat",
        "--steps",
        "8",
        "--guidance",
        "4.5",
        "--seed",
        "7",
    ]
    assert run("decompose", photo, *flags, work=remember) == 0
    assert run("decompose", photo, "--layers", "auto", work=remember) == 0
    assert seen[0] == DecomposeOptions(layers=4, max_layers=12, prompt="cat", steps=8, guidance=4.5, seed=7)
    assert seen[1] == DecomposeOptions()


def test_the_same_seed_gives_the_same_bytes(run: Run, photo: Path, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        assert run("decompose", photo, "-o", tmp_path / name) == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_an_animation_is_said(run: Run, tmp_path: Path, capsys: Any) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert run("decompose", tmp_path / "moving.gif") == 0
    assert "moving.gif holds 2 frames; the first one is used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["decompose", "missing.png"], "missing.png does not exist"),
        (["decompose", "empty.png"], "is empty"),
        (["decompose", "words.png"], "not a picture"),
        (["decompose", "."], "is a folder"),
        (["decompose", "tiny.png"], "at least 16 px"),
        (["decompose", "good.png", "--layers", "40"], "layers 40 is outside 1-20"),
        (["decompose", "good.png", "--layers", "x"], "expected a whole number or auto"),
        (["decompose", "good.png", "--laye", "3"], "unrecognized arguments"),
        (["decompose", "good.png", "--device", "abacus"], "abacus"),
        (["decompose", "good.png", "-o", "out.xyz"], "unknown ending '.xyz'"),
        (["decompose", "good.png", "--format", "xyz"], "format 'xyz' is unknown"),
        (["decompose", "good.png", "-o", "nowhere/out.psd"], "there is no folder"),
        (["decompose", "good.png", "-o", "good.png"], "replaced by its own layers"),
        (["decompose", "good.png", "-o", "folder"], "folder"),
        (["decompose", "good.png", "again/good.png", "-o", "out"], "both be written"),
        (["edit", "missing.psd", "edits.json", "-o", "out.psd"], "missing.psd"),
        (["edit", "good.png", "missing.json", "-o", "out.psd"], "missing.json"),
        (["edit", "good.png", "words.png", "-o", "out.psd"], "is not JSON"),
        (["edit", "good.png", "edits.json", "-o", "out.psd"], "no-such-layer"),
        (["edit", "good.png", "edits.json"], "-o"),
        (["composite", "good.png", "-o", "out.psd"], "written as .png"),
        (["preview", "good.png", "-o", "out.psd"], "written as .png"),
        (["convert", "good.png", "out.xyz"], "unknown ending"),
        (["convert", "broken.psd", "out.png"], "broken.psd"),
        (["inspect", "words.png"], "words.png"),
        (["paint"], "invalid choice: 'paint'"),
        ([], "required"),
    ],
)
def test_a_mistake_is_one_line_exit_2_and_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, argv: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.png").touch()
    (tmp_path / "words.png").write_text("not a picture at all")
    (tmp_path / "broken.psd").write_bytes(b"8BPS\0\1" + bytes(30))
    Image.new("RGB", (8, 8)).save("tiny.png")
    Image.new("RGB", (20, 20)).save("good.png")
    (tmp_path / "again").mkdir()
    Image.new("RGB", (20, 20)).save("again/good.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious.txt").write_text("keep me")
    (tmp_path / "edits.json").write_text('[{"edit": "delete", "layer": "no-such-layer"}]')
    (tmp_path / "out").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert run(*argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("lamina: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert sorted(tmp_path.rglob("*")) == before


def test_one_bad_picture_does_not_stop_the_others(run: Run, photo: Path, tmp_path: Path, capsys: Any) -> None:
    assert run("decompose", tmp_path / "missing.png", photo, "-o", tmp_path / "all") == 2
    assert "missing.png does not exist" in capsys.readouterr().err
    assert lamina.read(tmp_path / "all" / "my.photo").width == 32


def test_of_several_pictures_the_bad_one_is_named(run: Run, photo: Path, tmp_path: Path, capsys: Any) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    assert run("decompose", tmp_path / "tiny.png", photo, "-o", tmp_path / "all") == 2
    assert f"lamina: {tmp_path / 'tiny.png'}: the picture is 8x8" in capsys.readouterr().err


def test_an_interruption_while_modules_load_is_as_clean_as_any(photo: Path) -> None:
    # A module that numpy loads is interrupted; numpy itself would make an ImportError of it.
    program = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "numpy._core._multiarray_umath":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from lamina.cli import main
sys.exit(main(sys.argv[1:]))
"""
    done = subprocess.run([sys.executable, "-c", program, "decompose", str(photo)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "lamina: interrupted\n")
    assert list(photo.parent.iterdir()) == [photo]


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "lamina", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "lamina", "")


def test_edits_that_never_end_are_refused(
    run: Run, layered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("lamina.cli.pictures._LARGEST_EDITS", 2**20)
    assert run("edit", layered, "/dev/zero", "-o", tmp_path / "new.zip") == 2
    assert "over 1 MB" in capsys.readouterr().err


def test_weights_that_cannot_be_loaded_stop_everything(photo: Path, capsys: Any) -> None:
    def load(model: str, device: str) -> Any:
        raise CheckpointError(f"no checkpoint '{model}' for {device}")

    assert main(["decompose", str(photo), str(photo), "--format", "zip", "-o", str(photo.parent)]) == 2
    assert main(["decompose", str(photo), "--model", "huge"], load_decomposer=load) == 2
    assert "lamina: no checkpoint 'huge' for auto" in capsys.readouterr().err


def test_an_interruption_exits_130_and_a_defect_keeps_its_traceback(run: Run, photo: Path) -> None:
    def raising(error: BaseException) -> Any:
        def work(*_: object) -> Document:
            raise error

        return work

    assert run("decompose", photo, work=raising(KeyboardInterrupt())) == 130
    assert run("decompose", photo, work=raising(Cancelled("stopped"))) == 130
    with pytest.raises(ZeroDivisionError):
        run("decompose", photo, work=raising(ZeroDivisionError()))
    assert not photo.with_suffix("").exists()


@pytest.fixture
def layered(tmp_path: Path) -> Path:
    red = np.zeros((10, 10, 4), np.uint8)
    red[...] = (255, 0, 0, 255)
    ground = np.full((40, 60, 4), 255, np.uint8)
    group = Group(id="g", name="Things", children=(Layer(id="dot", name="Dot\n", rgba=red, x=5, y=5, opacity=0.5),))
    document = Document(
        width=60, height=40, layers=(Layer(id="ground", name="Ground", rgba=ground), group), dpi=(300, 300)
    )
    lamina.write(document, tmp_path / "doc.zip")
    return tmp_path / "doc.zip"


def test_edit_applies_all_or_nothing(run: Run, layered: Path, tmp_path: Path) -> None:
    edits = tmp_path / "edits.json"
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "blue.png")
    moves = [
        {"edit": "move", "layer": "dot", "dx": 20, "dy": 3},
        {"edit": "insert", "image": str(tmp_path / "blue.png")},
    ]
    edits.write_text(json.dumps(moves))
    assert run("edit", layered, edits, "-o", tmp_path / "new.zip") == 0
    after = lamina.read(tmp_path / "new.zip")
    assert (after.find("dot").x, after.find("dot").y) == (25, 8)
    assert len(after.layers) == 3
    edits.write_text(json.dumps([*moves, {"edit": "delete", "layer": "nobody"}]))
    assert run("edit", layered, edits, "-o", tmp_path / "newer.zip") == 2
    assert not (tmp_path / "newer.zip").exists()


def test_composite_flattens_with_resolution(run: Run, layered: Path, tmp_path: Path, capsys: Any) -> None:
    assert run("composite", layered, "-o", tmp_path / "flat.png") == 0
    with Image.open(tmp_path / "flat.png") as flat:
        assert flat.getpixel((6, 6)) == (255, 127, 127, 255)  # the group is rounded before it is placed
        assert flat.getpixel((0, 0)) == (255, 255, 255, 255)
        assert flat.info["dpi"] == pytest.approx((300, 300), abs=0.02)
    assert capsys.readouterr().out == f"{tmp_path / 'flat.png'}\n"


def test_convert_goes_by_the_endings_and_says_what_was_lost(
    run: Run, layered: Path, tmp_path: Path, capsys: Any
) -> None:
    assert run("convert", layered, tmp_path / "doc.psd") == 0
    assert capsys.readouterr().err == ""
    assert [node.name for node in lamina.read(tmp_path / "doc.psd").layers] == ["Ground", "Things"]
    assert run("convert", layered, tmp_path / "doc.png") == 0
    assert "lamina: warning:" in capsys.readouterr().err


def test_inspect_shows_the_tree_top_first(run: Run, layered: Path, capsys: Any) -> None:
    assert run("inspect", layered) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "60x40 px" in lines[0]
    assert lines[1].startswith('  "Things"  [g]')
    assert lines[2] == '    "Dot\\n"  [dot]  5,5 to 15,15  opacity 0.5'
    assert lines[3] == '  "Ground"  [ground]  0,0 to 60,40'


def test_inspect_as_json_keeps_the_order_of_the_document(run: Run, layered: Path, capsys: Any) -> None:
    assert run("inspect", layered, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"], facts["dpi"]) == (60, 40, [300.0, 300.0])
    assert [layer["kind"] for layer in facts["layers"]] == ["layer", "group"]
    assert facts["layers"][1]["layers"][0]["opacity"] == 0.5


def test_preview_draws_a_sheet(run: Run, layered: Path, tmp_path: Path) -> None:
    assert run("preview", layered, "-o", tmp_path / "sheet.png") == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 40


def test_models_tells_which_options_a_checkpoint_uses(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    weights = tmp_path / "small.safetensors"
    checkpoint.save(weights, {"a": torch.zeros(2)}, DecomposeOptions(), kind="small", extra={"steps_trained": "7"})
    monkeypatch.setattr(decomposer, "embedded", lambda: weights)
    assert run("models") == 0
    assert (
        "uses --layers, --max-layers, --detail, --box, --point, --seed; ignores --prompt, --steps, --guidance"
        in capsys.readouterr().out
    )
    assert run("models", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["name"], facts["steps_trained"]) == ("small", "7")
    assert facts["ignores"] == ["prompt", "steps", "guidance"]
    assert {"prompt", "guidance", "memory", "preset", "lora"} <= set(facts["published"]["uses"])
    weights.unlink()
    assert run("models") == 2


def test_on_a_terminal_progress_is_one_line_that_is_wiped(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("decompose", photo) == 0
    before, _, after = capsys.readouterr().err.rpartition("\r\x1b[K")
    assert "writing" in before
    assert "\n" not in before
    assert after.startswith("lamina: ")


@pytest.mark.parametrize(
    ("does", "code", "last"),
    [
        ("return 3", 3, "done"),
        ("raise ValueError", 1, "ValueError"),
        ("return int(bool(threading.Thread(target=print, args=['thread']).start()))", 0, "done"),
    ],
)
def test_the_program_ends_whole(does: str, code: int, last: str) -> None:
    program = f"""
import atexit, sys, threading
import lamina.cli
def main():
    atexit.register(print, "done", file=sys.stderr)
    print("shown", end="")
    {does}
lamina.cli.main = main
lamina.cli.run()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stdout.startswith("shown")
    assert "done" in done.stderr
    assert last in done.stderr


def test_a_reader_that_stops_early_is_no_error(layered: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "lamina",
        "inspect",
        str(layered),
    ]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
