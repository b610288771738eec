"""decompose with boxes, split and inspect as their users see them, with a network that needs no weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lamina
from lamina.cli import main
from lamina.decompose.coarse import Coarse
from lamina.decompose.decomposer import Decomposer
from lamina.document.composite import flatten
from lamina.document.layer import Group
from lamina.options import DecomposeOptions

Run = Callable[..., int]


class Halves:
    """Sees two layers: the right half upon the ground; told a number, the rest is empty."""

    name, ignores, attempts, most_layers = "halves", (), 1, 20

    def look(self, rgba: np.ndarray, options: DecomposeOptions, attempt: int = 0) -> Coarse:
        count = min(2, options.max_layers) if options.layers == "auto" else options.layers
        visible = np.zeros((count, 8, 8), np.float32)
        visible[0] = 1
        if count > 1:
            visible[0, :, 4:], visible[1, :, 4:] = 0, 1
        alpha = visible.copy()
        alpha[0] = 1
        rgb = np.full((count, 8, 8, 3), 0.5, np.float32)
        return Coarse(visible=visible, alpha=alpha, rgb=rgb, confidence=np.full(count, 0.6, np.float32))


@pytest.fixture
def run() -> Run:
    return lambda *argv: main([str(word) for word in argv], load_decomposer=lambda model, device: Decomposer(Halves()))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Two halves, darker below, and a yellow square on the left one."""
    rgb = np.zeros((60, 80, 3), np.uint8)
    rgb[:, :40], rgb[:, 40:] = (200, 60, 40), (40, 80, 190)
    rgb -= np.linspace(0, 30, 60).astype(np.uint8)[:, None, None]
    rgb[20:40, 10:30] = (240, 220, 60)
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_boxes_and_points_are_given_several_times(run: Run, photo: Path, capsys: Any) -> None:
    assert run("decompose", photo, "--box", "6,16,34,44", "--box=-5,-5,4,4", "--point", "60,30", "--json") == 0
    captured = capsys.readouterr()
    made = json.loads(captured.out)
    assert [10, 20, 30, 40] in [layer["box"] for layer in made["layers"]]
    options = lamina.read(photo.with_suffix("")).meta["options"]
    assert (options["box"], options["point"]) == ([[6, 16, 34, 44], [-5, -5, 4, 4]], [[60, 30]])
    assert "box -5,-5,4,4 shows nothing above its ground" in captured.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--box", "34,16,6,44"], "box 34,16,6,44 is reversed"),
        (["--box", "1,2,3"], "box '1,2,3' is not left,top,right,bottom in whole pixels"),
        (["--box", "100,0,120,9"], "box 100,0,120,9 lies outside the picture, which is 80x60 px"),
        (["--point", "80,0"], "point 80,0 lies outside the picture"),
        (["--layers", "2", "--box", "0,0,9,9", "--point", "5,5"], "ask for at least 3"),
        (["--detail", "finest"], "expected coarse or normal or fine"),
    ],
)
def test_places_that_cannot_be_are_one_line_and_leave_nothing(
    run: Run, photo: Path, capsys: Any, flags: list[str], words: str
) -> None:
    assert run("decompose", photo, *flags) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not photo.with_suffix("").exists()


@pytest.fixture
def bundle(run: Run, photo: Path, capsys: Any) -> Path:
    assert run("decompose", photo) == 0
    capsys.readouterr()
    return photo.with_suffix("")


def test_split_replaces_a_bundle_and_can_be_repeated(run: Run, bundle: Path, capsys: Any) -> None:
    before = lamina.read(bundle)
    ground, right = before.layers
    assert run("split", bundle, "--layer", ground.id, "--layers", 2, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["document"], told["id"], told["kind"], len(told["layers"])) == (str(bundle), ground.id, "group", 2)
    assert told["fidelity"]["exact_share"] == 1.0
    after = lamina.read(bundle)
    assert np.array_equal(flatten(after), flatten(before))
    assert (after.find(right.id), after.find(ground.id).name) == (right, ground.name)
    assert run("split", bundle, "--layer", told["layers"][0]["id"], "--layers", 2) == 0
    deeper = lamina.read(bundle)
    assert np.array_equal(flatten(deeper), flatten(before))
    assert isinstance(deeper.find(told["layers"][0]["id"]), Group)


def test_a_split_of_another_file_goes_beside_it_or_where_it_is_told(
    run: Run, bundle: Path, tmp_path: Path, capsys: Any
) -> None:
    flat = flatten(lamina.read(bundle))
    psd = tmp_path / "file.psd"
    lamina.write(lamina.read(bundle), psd)
    content = psd.read_bytes()
    ground = lamina.read(psd).layers[0].id
    assert run("split", psd, "--layer", ground) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'file'}\n"
    assert run("split", psd, "--layer", ground, "-o", tmp_path / "other.ora") == 0
    assert psd.read_bytes() == content
    for made in (tmp_path / "file", tmp_path / "other.ora"):
        document = lamina.read(made)
        assert np.array_equal(flatten(document), flat)
        assert any(isinstance(node, Group) for node in document.layers)


def test_a_split_that_cannot_be_leaves_everything_as_it_was(run: Run, bundle: Path, capsys: Any) -> None:
    before = (bundle / "document.json").read_bytes()
    assert run("split", bundle, "--layer", "nobody") == 2
    assert "no layer with id 'nobody'; there are:" in capsys.readouterr().err
    assert run("split", bundle, "--layer", lamina.read(bundle).layers[0].id, "--layers", 1) == 2
    assert "at least 2 layers" in capsys.readouterr().err
    assert (bundle / "document.json").read_bytes() == before


def test_inspect_as_json_suggests_edits_and_tells_the_order(run: Run, bundle: Path, capsys: Any) -> None:
    ground = lamina.read(bundle).layers[0].id
    assert run("split", bundle, "--layer", ground, "--layers", 2) == 0
    capsys.readouterr()
    assert run("inspect", bundle, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    group, right = told["layers"]
    assert [group["z"], right["z"], *(child["z"] for child in group["layers"])] == [0, 1, 0, 1]
    assert group["layers"][0]["suggested"][0] == {"edit": "replace", "for": "another ground"}
    assert {"recolor", "move"} <= {entry["edit"] for entry in right["suggested"]}
    assert told["meta"]["splits"][ground]["model"] == "halves"
    assert run("inspect", bundle) == 0
    assert "splits: " in capsys.readouterr().out


def test_lamina_split_is_public(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decomposer, "load", classmethod(lambda cls, name, device: cls(Halves())))
    document = lamina.read(bundle)
    after = lamina.split(document, document.layers[0].id, layers=2)
    assert isinstance(after.layers[0], Group)
    assert after.layers[1] is document.layers[1]
