"""Other compositors agree about a real decomposition, within the contract: 2/255, and 1/255 on 99.9 % of the pixels."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamina import formats
from lamina.decompose.decomposer import Decomposer, embedded
from lamina.document.document import Document
from lamina.document.layer import Layer

POSTER = Path(__file__).parents[2] / "examples" / "poster.png"

MARK = Layer(id="mark", name="Mark", rgba=np.full((4, 4, 4), (255, 0, 255, 255), np.uint8))

pytestmark = pytest.mark.skipif(not embedded().is_file(), reason="no checkpoint is in the package yet")


@pytest.fixture(scope="module")
def decomposed() -> tuple[np.ndarray, Document]:
    with Image.open(POSTER) as poster:
        poster.thumbnail((384, 384))
        rgba = np.asarray(poster.convert("RGBA"))
    return rgba, Decomposer.load(device="cpu")(rgba)


def assert_agrees(theirs: np.ndarray, picture: np.ndarray) -> None:
    difference = np.abs(theirs.astype(int) - picture).max(axis=2)
    assert difference.max() <= 2
    assert (difference > 1).mean() <= 0.001


def test_pillow_agrees(decomposed: tuple[np.ndarray, Document]) -> None:
    picture, document = decomposed
    canvas = Image.new("RGBA", (document.width, document.height))
    for layer in document.layers:
        assert isinstance(layer, Layer)
        canvas.alpha_composite(Image.fromarray(layer.rgba), (int(layer.x), int(layer.y)))
    assert_agrees(np.asarray(canvas), picture)
    assert sum(((layer.rgba[..., 3] > 0) & (layer.rgba[..., 3] < 255)).sum() for layer in document.layers) > 500


@pytest.mark.peer
def test_gimp_agrees(decomposed: tuple[np.ndarray, Document], require_program, tmp_path: Path) -> None:
    picture, document = decomposed
    program, path, out = require_program("gimp"), tmp_path / "a.psd", tmp_path / "a.png"
    formats.write(replace(document, layers=(*document.layers, MARK)), path)
    script = (
        f'(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "{path}" "{path}")))'
        " (flat (car (gimp-image-merge-visible-layers image CLIP-TO-IMAGE))))"
        " (gimp-layer-add-alpha flat) (gimp-layer-resize-to-image-size flat)"
        f' (file-png-save RUN-NONINTERACTIVE image flat "{out}" "{out}" 0 1 0 0 0 0 0))'
    )
    subprocess.run(
        [program, "--no-interface", "--no-data", "--no-fonts", "-b", script, "-b", "(gimp-quit 0)"],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        timeout=300,
        check=True,
    )
    theirs = np.asarray(Image.open(out).convert("RGBA")).copy()
    # A mark that is in the layers alone shows that they were flattened.
    assert np.array_equal(theirs[:4, :4], MARK.rgba)
    theirs[:4, :4] = picture[:4, :4]
    assert_agrees(theirs, picture)
