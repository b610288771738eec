"""Sample shards as a folder of documents."""

from pathlib import Path

import numpy as np
import pytest

from lamina.data.sample import Sample
from lamina.data.shards import ShardWriter, pack
from lamina.evaluate.dataset import find, open_document, picture_of, seen_layers

ROOT = Path(__file__).resolve().parents[2]


def sample(seed: int) -> Sample:
    """A ground and one square on it."""
    layers = np.zeros((2, 24, 32, 4), np.uint8)
    layers[0] = (10 * seed, 90, 120, 255)
    layers[1, 6:14, 8:20] = (250, 200, 10 * seed, 255)
    composite = np.where(layers[1, ..., 3:] > 0, layers[1], layers[0])[..., :3]
    return Sample(composite=composite, layers=layers, kinds=("ground", "thing"), seed=seed, caption="", provenance={})


def test_samples_become_documents_and_equal_ones_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from recipes.unpack import unpack

    writer = ShardWriter(tmp_path / "shards")
    for key, seed in (("a", 1), ("b", 2), ("c", 1)):
        writer.add(key, pack(sample(seed)))
    writer.close()
    assert unpack(tmp_path / "shards", tmp_path / "documents") == 2
    cases = find(tmp_path / "documents")
    assert [case.name for case in cases] == ["000", "001"]
    for case, seed in zip(cases, (1, 2), strict=True):
        document = open_document(case.path)
        assert np.array_equal(picture_of(document).rgba[..., :3], sample(seed).composite)
        for (_, found), true in zip(seen_layers(document), sample(seed).layers, strict=True):
            assert np.array_equal(found, true)
