"""The reader of grounds learns from layered documents."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _recipes(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.syspath_prepend(str(ROOT))


def document(folder: Path, colour: tuple[int, int, int]) -> None:
    """A ground and one square on it."""
    layers = np.zeros((2, 64, 80, 4), np.uint8)
    layers[0] = (230, 225, 220, 255)
    layers[1, 16:48, 20:60] = (*colour, 255)
    folder.mkdir(parents=True)
    for number, layer in enumerate(layers):
        Image.fromarray(layer).save(folder / f"{number:02}.png")
    composite = np.where(layers[1, ..., 3:] > 0, layers[1], layers[0])
    Image.fromarray(composite[..., :3]).save(folder / "composite.png")


def test_documents_become_samples_once(tmp_path: Path) -> None:
    from recipes.ground import gather

    document(tmp_path / "documents" / "one", (20, 60, 200))
    document(tmp_path / "documents" / "two", (200, 60, 20))
    paths = gather(tmp_path / "documents", tmp_path / "graphs", workers=1)
    assert len(paths) == 2
    looks = torch.load(paths[0])
    assert len(looks) == 3
    true, area = looks[0]["true"], looks[0]["inputs"][1]
    assert float((area * true).sum()) == pytest.approx(1 - 32 * 40 / (64 * 80), abs=0.02)
    written = paths[0].stat().st_mtime_ns
    assert gather(tmp_path / "documents", tmp_path / "graphs", workers=1) == paths
    assert paths[0].stat().st_mtime_ns == written


def test_it_learns_where_the_network_is_wrong() -> None:
    from recipes.ground import Sample, fit, measure

    rng = np.random.default_rng(0)
    samples: list[Sample] = []
    for _ in range(40):
        region = torch.from_numpy(rng.normal(size=(12, 30)).astype(np.float32))
        area, rim = (torch.from_numpy(rng.dirichlet(np.ones(12)).astype(np.float32)) for _ in range(2))
        pairs = torch.from_numpy(rng.integers(0, 12, (2, 20)))
        inputs = (region, area, rim, pairs, torch.zeros(20, 5), torch.full((2, 20), 0.2))
        samples.append(Sample(inputs, region[:, 0], (region[:, 4] > 0).float()))
    before = measure(None, samples)
    after = measure(fit([samples], steps=200), samples)
    assert before["right"] < 0.7
    assert after["right"] > 0.9
    assert after["iou"] > before["iou"]
