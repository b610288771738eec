"""`lamina evaluate` from end to end, on tiny documents and a tiny VAE."""

import base64
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import lamina
from lamina.cli import main
from lamina.errors import InputError
from lamina.evaluate.dataset import stack
from lamina.model import checkpoint
from lamina.model.config import preset
from lamina.model.vae import Vae

SIZE = 64


def patch(colour, box=(0, 0, SIZE, SIZE)):
    layer = np.zeros((SIZE, SIZE, 4), np.uint8)
    left, top, right, bottom = box
    layer[top:bottom, left:right] = colour
    return layer


GROUND, SQUARE = patch((40, 160, 90, 255)), patch((220, 30, 30, 255), (12, 12, 52, 52))
FLAT = np.where(SQUARE[..., 3:] > 0, SQUARE, GROUND)


@pytest.fixture
def folder(tmp_path):
    """The same two layers twice: as numbered pictures and as a PSD."""
    (tmp_path / "true" / "one").mkdir(parents=True)
    for i, layer in enumerate((GROUND, SQUARE)):
        Image.fromarray(layer).save(tmp_path / "true" / "one" / f"{i:02}.png")
    lamina.write(stack([GROUND, SQUARE]), tmp_path / "true" / "two.psd")
    return tmp_path / "true"


@pytest.fixture
def predictions(tmp_path):
    """Perfect for one, moved for two."""
    (tmp_path / "pred").mkdir()
    lamina.write(stack([GROUND, SQUARE]), tmp_path / "pred" / "one.zip")
    lamina.write(stack([GROUND, np.roll(SQUARE, 20, axis=1)]), tmp_path / "pred" / "two.ora")
    return tmp_path / "pred"


def pictures_in(page):
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int) for data in found]


def test_predictions_become_a_table_json_and_a_page_worst_first(folder, predictions, tmp_path, capsys):
    report = tmp_path / "report"
    assert main(["evaluate", str(folder), "--pred", str(predictions), "-o", str(report)]) == 0
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["document", "two", "one", "mean", "coverage"]
    assert str(report / "report.html") in captured.err
    data = json.loads((report / "report.json").read_text())
    worst, best = data["documents"]
    assert (best["name"], best["scores"]["layer_f"], best["psnr"], best["seconds"]) == ("one", 1.0, 100.0, None)
    assert worst["iou"] == pytest.approx((1 + 1 / 3) / 2)
    assert data["mean"]["coverage"] == 1.0
    assert (data["layers"], data["limit"], data["predictions"]) == ("true", None, str(predictions))

    page = (report / "report.html").read_text()
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    two, one = (page.index(f"<h2>{name}</h2>") for name in ("two", "one"))
    assert two < one
    sections = pictures_in(page[two:one]), pictures_in(page[one:])
    for shown in sections:  # input, both grounds, two true and two predicted layers
        assert len(shown) == 7
        assert np.abs(shown[0] - FLAT[..., :3]).mean() < 4
        assert np.abs(shown[1] - GROUND[..., :3]).max() < 4
    moved = np.roll(SQUARE, 20, axis=1)
    inside = moved[..., 3] > 0
    assert np.abs(sections[0][6][inside] - moved[inside][:, :3]).mean() < 8
    assert np.abs(sections[1][6][inside] - moved[inside][:, :3]).mean() > 30


class FakeDecomposer:
    """Truth for a picture with a square, a refusal for anything else."""

    stages = ("squares",)
    asked: list[tuple[str, str, object]]

    def __init__(self, model, device):
        self.words = model, device

    def __call__(self, picture, options, on_step):
        FakeDecomposer.asked.append((*self.words, options.layers))
        if not np.array_equal(picture.rgba, FLAT):
            raise InputError("I see no square")
        return stack([GROUND, SQUARE])


def test_a_model_is_asked_and_its_refusal_is_a_failure(folder, tmp_path, capsys):
    Image.fromarray(GROUND).save(folder / "one" / "composite.png")
    FakeDecomposer.asked = []
    command = ["evaluate", str(folder), "--model", "good", "--device", "cpu", "-o", str(tmp_path / "r.json")]
    assert main(command, load_decomposer=FakeDecomposer) == 0
    captured = capsys.readouterr()
    assert FakeDecomposer.asked == [("good", "cpu", 2), ("good", "cpu", 2)]
    assert "lamina: one: I see no square" in captured.err
    assert "coverage 0.500 of 2 documents" in captured.out
    data = json.loads((tmp_path / "r.json").read_text())
    assert [row["error"] for row in data["documents"]] == ["I see no square", None]
    assert data["documents"][1]["seconds"] >= 0
    assert main([*command, "--layers", "auto", "--limit", "1"], load_decomposer=FakeDecomposer) == 0
    assert FakeDecomposer.asked[-1] == ("good", "cpu", "auto")
    assert len(json.loads((tmp_path / "r.json").read_text())["documents"]) == 1


def test_an_interruption_is_clean_and_leaves_no_report(folder, tmp_path, capsys):
    def load(model, device):
        def interrupted(*_):
            raise KeyboardInterrupt

        return interrupted

    assert main(["evaluate", str(folder), "-o", str(tmp_path / "r")], load_decomposer=load) == 130
    assert list((tmp_path / "r").iterdir()) == []
    assert capsys.readouterr().err == "lamina: interrupted\n"


@pytest.mark.parametrize("model", ["random", "raw:random"])
def test_parts_of_the_pipeline_can_be_measured(folder, tmp_path, model):
    command = ["evaluate", str(folder), "--model", model, "--limit", "1", "-o", str(tmp_path / "r")]
    scores = []
    for _ in range(2):
        assert main(command) == 0
        data = json.loads((tmp_path / "r" / "report.json").read_text())
        assert data["documents"][0]["error"] is None
        scores.append(data["mean"]["layer_f"])
    assert scores[0] == scores[1]
    assert data["mean"]["exact_share"] == pytest.approx(1.0) if model == "random" else data["mean"]["exact_share"] < 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "-o", "r"], "no folder of documents"),
        (["true", "--pred", "nowhere", "-o", "r"], "no folder of predictions"),
        (["true", "--pred", "true", "--model", "small", "-o", "r"], "not allowed with"),
        (["true", "--limit", "0", "-o", "r"], "--limit is 0"),
        (["true", "--fid", "x", "-o", "r"], "name it with --vae"),
        (["true", "--vae", "nowhere", "-o", "r"], "nowhere does not exist"),
        (["true", "--vae", "x", "--side", "3", "-o", "r"], "--side is 3"),
        (["true", "-o", "nowhere/r.json"], "there is no folder"),
        (["true", "--model", "nowhere.safetensors", "-o", "r"], "does not exist"),
        (["true"], "-o"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(folder, monkeypatch, capsys, words, said):
    monkeypatch.chdir(folder.parent)
    assert main(["evaluate", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_a_vae_is_measured_with_the_weights_that_are_there(tmp_path, capsys):
    torch.manual_seed(3)
    config = preset("tiny").vae
    checkpoint.save(tmp_path / "vae.safetensors", Vae(config).state_dict(), config, kind="vae")
    (tmp_path / "pictures").mkdir()
    for name, picture in (("a.png", FLAT), ("b.png", SQUARE)):
        Image.fromarray(picture).save(tmp_path / "pictures" / name)
    convolutions = {0: (8, 3, 11), 3: (8, 8, 5), 6: (8, 8, 3), 8: (8, 8, 3), 10: (8, 8, 3)}
    alexnet = {f"features.{n}.weight": torch.randn(a, b, k, k) / k for n, (a, b, k) in convolutions.items()}
    save_file(alexnet | {f"features.{n}.bias": torch.zeros(8) for n in convolutions}, tmp_path / "alex.safetensors")
    save_file({f"lin{k}.model.1.weight": torch.rand(1, 8, 1, 1) for k in range(5)}, tmp_path / "lin.safetensors")
    command = ["evaluate", f"{tmp_path}/pictures", "--vae", f"{tmp_path}/vae.safetensors", "-o", f"{tmp_path}/r"]
    assert main([*command, "--lpips", f"{tmp_path}/alex.safetensors", f"{tmp_path}/lin.safetensors"]) == 0
    out = capsys.readouterr().out
    assert "rFID is absent" in out
    assert "LPIPS is absent" not in out
    data = json.loads((tmp_path / "r" / "report.json").read_text())
    assert all(value > 0 for value in data["mean"]["lpips"].values())
    assert data["mean"]["rfid"] is None
    assert {row["name"] for row in data["pictures"]} == {"a.png", "b.png"}
    shown = pictures_in((tmp_path / "r" / "report.html").read_text())
    assert len(shown) == 4
    originals = shown[0], shown[2]
    assert min(np.abs(picture - FLAT[..., :3]).mean() for picture in originals) < 4


def test_the_command_line_knows_it_without_loading_torch():
    code = "import sys; from lamina.cli import main; main(['evaluate', '--help']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "DATASET" in done.stdout


def test_a_released_model_is_measured_as_it_is_asked_to_run(folder, tmp_path, capsys, monkeypatch):
    asked = []

    def load(*place, **settings):
        asked.append((place, settings))
        raise InputError("no such model")

    monkeypatch.chdir(tmp_path)
    words = ["evaluate", str(folder), "-o", "report", "--preset", "few-step", "--lora", "a.safetensors"]
    assert main([*words, "--model", "dir"], load_decomposer=load) == 2
    assert asked == [(("dir", "auto"), {"preset": "few-step", "lora": (tmp_path / "a.safetensors",)})]
    capsys.readouterr()
    for other in (["--pred", "there"], ["--vae", "file"], ["--model", "raw:random"]):
        assert main([*words, *other], load_decomposer=load) == 2
        said = capsys.readouterr().err
        assert said == "lamina: --preset, --lora: for a released model alone; name it with --model\n"
    assert len(asked) == 1
