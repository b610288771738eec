"""The documents of docs/quality.md: drawn layers composite to the picture beside them, and each one shows something."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.document.composite import flatten
from lamina.evaluate.dataset import find, open_document, seen_layers
from lamina.pixels import load_image

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS))
    import draw_quality

    return draw_quality


@pytest.fixture
def small(drawing: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Documents are drawn at a quarter of their size."""
    draw = drawing.quality_documents.draw
    monkeypatch.setattr(drawing.quality_documents, "draw", lambda name: draw(name, 0.25))
    return drawing.quality_documents.draw


def test_all_eight_are_whole_stacks_of_which_everything_is_seen(drawing: Any) -> None:
    documents = drawing.quality_documents
    assert len(documents.DOCUMENTS) == 8
    for name in documents.DOCUMENTS:
        names, layers = zip(*documents.draw(name, 0.25), strict=True)
        assert len({*names}) == len(layers) > 3
        assert (layers[0][..., 3] == 255).all(), f"the ground of {name} has holes"
        covered = np.zeros(layers[0].shape[:2], bool)
        for word, rgba in zip(reversed(names), reversed(layers), strict=True):
            shows = rgba[..., 3] / 255 * ~covered
            assert shows.mean() > 0.001, f"{word} of {name} does not show"
            covered |= rgba[..., 3] == 255


def test_folders_are_as_evaluate_reads_them_and_the_same_at_every_call(
    drawing: Any, small: Any, tmp_path: Path
) -> None:
    for out in ("one", "two"):
        drawing.main([str(tmp_path / out), "--only", "emblem", "--only", "prints"])
    files = sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert [file.name for file in files[:6]] == ["00.png", "01.png", "02.png", "03.png", "04.png", "composite.png"]
    assert all(
        file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes() for file in files
    )
    for case, count in zip(find(tmp_path / "one"), (5, 6), strict=True):
        document = open_document(case.path)
        assert document.source is not None
        assert (flatten(document) == document.source).all()
        assert len([rgba for _, rgba in seen_layers(document) if rgba[..., 3].any()]) == count


def test_sheets_show_both_answers_and_stay_small(
    drawing: Any, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = [rgba for _, rgba in small("prints")]
    asked: list[object] = []

    def decompose(picture: Any, layers: int | str) -> list[Any]:
        asked.append(layers)
        return truth if layers == 6 else truth[:3]

    monkeypatch.setattr(drawing, "decomposer", lambda model: decompose)
    drawing.main([str(tmp_path / "documents"), "--only", "prints", "--sheets", str(tmp_path)])
    assert asked == [6, "auto"]
    path = tmp_path / "quality-prints.png"
    assert path.stat().st_size <= drawing.LARGEST
    kept = load_image(path).rgba
    picture = flatten(open_document(tmp_path / "documents" / "prints"))
    whole = drawing.sheet(picture, truth, {"asked for 6 layers": truth, "number of layers found by itself": truth[:3]})
    assert kept.shape[1::-1] == whole.size == (drawing.WIDTH, kept.shape[0])
    assert np.abs(kept[..., :3].astype(int) - np.asarray(whole)).mean() < 6
    assert drawing.figures(truth, truth).startswith("Layer-F 1.000  ·  ground 0.000")
    assert not drawing.figures(truth[:3], truth).startswith("Layer-F 1.000")
