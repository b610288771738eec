"""The bed that measures soft edges: perfect for the truth, worse for what is shifted or hard."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def fidelity(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import fidelity

    return fidelity


@pytest.fixture
def truth(fidelity):
    return fidelity.soft.draw("glow", (160, 120))


def test_drawn_documents_are_the_same_every_time_and_soft(fidelity, truth):
    again = fidelity.soft.draw("glow", (160, 120))
    assert all(np.array_equal(one, other) for one, other in zip(truth, again, strict=True))
    assert (truth[0][..., 3] == 255).all()
    assert ((truth[1][..., 3] > 12) & (truth[1][..., 3] < 243)).mean() > 0.05


def test_the_truth_is_perfect(fidelity, truth):
    figures = fidelity.measure(truth, truth)
    assert figures["iou"] == pytest.approx(1)
    assert [figures[name] for name in ("edge", "band", "halo", "hidden")] == pytest.approx([0, 0, 0, 0])


def test_what_is_shifted_hard_or_keeps_the_old_ground_is_worse(fidelity, truth):
    hard = truth[1].copy()
    hard[..., 3] = np.where(hard[..., 3] > 127, 255, 0)
    stained = truth[1].copy()
    stained[..., :3] = fidelity.composite(truth)[..., :3]
    for layer, worse in ((np.roll(truth[1], 2, axis=1), "edge"), (hard, "iou"), (stained, "band"), (stained, "halo")):
        figures, best = fidelity.measure([truth[0], layer], truth), fidelity.measure(truth, truth)
        assert abs(figures[worse] - best[worse]) > (0.05 if worse == "iou" else 0.2)


def test_a_folder_is_measured_and_exact(fidelity, truth, tmp_path, capsys):
    folder = tmp_path / "documents" / "one"
    folder.mkdir(parents=True)
    for number, layer in enumerate(truth):
        fidelity.Image.fromarray(layer).save(folder / f"{number:02}.png")
    fidelity.main([str(tmp_path / "documents"), "--from", "true", "--json", str(tmp_path / "out.json")])
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("one"))
    assert row.split()[1] == "1.0000"
    assert float(row.split()[4]) > 0.5
    assert (tmp_path / "out.json").is_file()
