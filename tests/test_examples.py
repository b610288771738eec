"""The examples do what they say."""

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lamina
from lamina.decompose.decomposer import Decomposer
from lamina.pixels import load_image

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(script: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")


def test_the_poster_is_what_its_script_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("draw_poster.py", monkeypatch, tmp_path / "poster.png")
    with Image.open(tmp_path / "poster.png") as drawn, Image.open(EXAMPLES / "poster.png") as kept:
        assert drawn.size == kept.size == (1024, 1280)
        difference = np.abs(np.asarray(drawn, int) - np.asarray(kept, int))
    assert (difference > 2).mean() < 0.001  # other versions of Pillow may round the rim of a letter otherwise


def test_the_first_steps_write_files_that_differ_from_the_poster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halves(image: Any, options: Any) -> lamina.Document:
        rgba = load_image(image).rgba
        lower = lamina.Layer(id="a", name="Ground", rgba=rgba)
        upper = lamina.Layer(id="b", name="Sun", rgba=rgba[360:760, 480:900].copy(), x=480, y=360)
        return lamina.Document(width=rgba.shape[1], height=rgba.shape[0], layers=(lower, upper))

    monkeypatch.setattr(Decomposer, "load", lambda *_, **__: halves)
    run("first_steps.py", monkeypatch, tmp_path)
    names = ["poster-changed.ora", "poster-changed.png", "poster-changed.psd"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    flat, poster = (load_image(path).rgba for path in (tmp_path / names[1], EXAMPLES / "poster.png"))
    assert (flat[:300] == poster[:300]).all()
    assert (flat[500, 700] != poster[500, 700]).any()
