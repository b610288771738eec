"""The checkpoint in the package, on the picture that the README shows."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lamina.decompose.decomposer import Decomposer, embedded
from lamina.document.composite import flatten

POSTER = Path(__file__).parents[2] / "examples" / "poster.png"


@pytest.mark.skipif(not embedded().is_file(), reason="no checkpoint is in the package yet")
def test_the_example_poster_comes_apart_exactly() -> None:
    with Image.open(POSTER) as poster:
        poster.thumbnail((256, 256))
        rgba = np.asarray(poster.convert("RGBA"))
    document = Decomposer.load(device="cpu")(rgba)
    assert len(document.layers) >= 2
    assert np.array_equal(flatten(document), rgba)
