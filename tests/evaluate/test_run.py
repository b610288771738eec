"""A run over documents: what each row holds, that nothing stops it, and how rows become reports."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lamina
from lamina.document.document import Document
from lamina.errors import Cancelled, InputError
from lamina.evaluate import report
from lamina.evaluate.dataset import find, open_document, seen_layers, stack
from lamina.evaluate.predict import from_folder
from lamina.evaluate.run import run, summarize

EVAL = Path(os.environ.get("LAMINA_EVAL", Path(__file__).parents[3] / "shared" / "eval"))
SIZE = 64
GREEN = (40, 160, 90, 255)


def patch(colour, box=(0, 0, SIZE, SIZE)):
    layer = np.zeros((SIZE, SIZE, 4), np.uint8)
    left, top, right, bottom = box
    layer[top:bottom, left:right] = colour
    return layer


GROUND, SQUARE = patch(GREEN), patch((220, 30, 30, 255), (12, 12, 52, 52))
BAR = patch((30, 30, 220, 255), (20, 28, 44, 36))


@pytest.fixture
def folder(tmp_path):
    """Documents of a green ground under a red square, and under the square with a blue bar on it."""
    for name, layers in {"one": [GROUND, SQUARE], "two": [GROUND, SQUARE, BAR]}.items():
        document = tmp_path / "true" / name
        document.mkdir(parents=True)
        for i, layer in enumerate(layers):
            Image.fromarray(layer).save(document / f"{i:02}.png")
    return tmp_path / "true"


def truth(case, picture, layers):
    return open_document(case.path)


def test_the_truth_is_perfect_in_every_figure_and_the_true_number_is_asked_for(folder):
    asked = []

    def predict(case, picture, layers):
        asked.append(layers)
        return truth(case, picture, layers)

    measured = run(find(folder), predict)
    assert asked == [2, 3]
    for row in measured.rows:
        assert (row.scores.layer_f, row.scores.ground, row.iou, row.hidden) == (1.0, 0.0, 1.0, 0.0)
        assert (row.psnr, row.exact_share, row.group_error, row.covered, row.error) == (100.0, 1.0, 0, True, None)
        assert row.layers_pred == row.layers_true
    mean = summarize(measured.rows)
    assert (mean["coverage"], mean["within_one"], mean["hidden"]) == (1.0, 1.0, 0.0)


def test_auto_leaves_the_number_open_and_counts_groups(folder):
    asked = []

    def predict(case, picture, layers):
        asked.append(layers)
        extra = [patch((9, 9, k, 255), (k, k, SIZE - k, SIZE - k)) for k in (14, 16, 18, 20)]
        return stack([GROUND, SQUARE, *extra[: 4 if case.name == "one" else 1]])

    measured = run(find(folder), predict, auto=True)
    assert asked == [None, None]
    assert [row.group_error for row in measured.rows] == [4, 0]
    mean = summarize(measured.rows)
    assert (mean["within_one"], mean["group_error"]) == (0.5, 2.0)


def fails(case, picture, layers):
    raise ZeroDivisionError("a defect")


def refuses(case, picture, layers):
    raise InputError("no")


def one_layer(case, picture, layers):
    return stack([picture.rgba])


def no_layers(case, picture, layers):
    return Document(width=picture.width, height=picture.height)


def another_size(case, picture, layers):
    return stack([GROUND[:32], SQUARE[:32]])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (fails, "ZeroDivisionError: a defect"),
        (refuses, "no"),
        (one_layer, "1 visible layers"),
        (no_layers, "0 visible layers"),
        (another_size, "64x32 px, expected 64x64"),
    ],
)
def test_a_failure_counts_with_the_worst_figures_and_stops_nothing(folder, bad, words):
    measured = run(find(folder), lambda case, *rest: (bad if case.name == "one" else truth)(case, *rest))
    row, good = measured.rows
    assert words in row.error
    assert (row.covered, row.scores.layer_f, row.scores.ground, row.iou, row.hidden) == (False, 0.0, 1.0, 0.0, 1.0)
    assert (row.psnr, row.exact_share, row.scores.rgb_l1, row.scores.alpha_iou) == (0.0, 0.0, (1.0,) * 6, (0.0,) * 6)
    assert good.covered
    mean = summarize(measured.rows)
    assert (mean["coverage"], mean["layer_f"], mean["documents"]) == (0.5, 0.5, 2)


def test_a_missing_prediction_is_a_failure_and_any_form_of_a_prediction_is_read(folder, tmp_path):
    (tmp_path / "pred").mkdir()
    lamina.write(stack([GROUND, SQUARE, BAR]), tmp_path / "pred" / "two.psd")
    measured = run(find(folder), from_folder(tmp_path / "pred"), timed=False)
    assert [row.covered for row in measured.rows] == [False, True]
    assert "no prediction for one" in measured.rows[0].error
    assert measured.rows[1].scores.layer_f == 1.0
    assert summarize(measured.rows)["seconds"] is None
    with pytest.raises(InputError, match="no folder of predictions"):
        from_folder(tmp_path / "nowhere")


def test_a_document_that_is_no_truth_is_set_aside_and_named(folder):
    (folder / "broken.psd").write_bytes(b"8BPS nothing")
    (folder / "flat").mkdir()
    Image.fromarray(GROUND).save(folder / "flat" / "00.png")
    measured = run(find(folder), truth)
    assert [row.name for row in measured.rows] == ["one", "two"]
    assert set(measured.unusable) == {"broken", "flat"}
    assert "two or more" in measured.unusable["flat"]
    assert "not measured: flat" in report.table(measured)
    with pytest.raises(InputError, match="no document can be measured against"):
        run([case for case in find(folder) if case.name == "flat"], truth)


def test_steps_are_told_and_can_stop_the_run(folder):
    steps = []
    run(find(folder), truth, on_step=lambda done, total: steps.append((done, total)))
    assert steps == [(0, 2), (1, 2), (2, 2)]

    def stop(done, total):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        run(find(folder), truth, on_step=stop)

    def cancelled(case, picture, layers):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        run(find(folder), cancelled)


def test_what_is_shown_names_every_predicted_layers_partner(folder):
    shown = {}
    odd = stack([GROUND, SQUARE, patch((9, 9, 9, 255), (0, 0, 4, 4))], names=["ground", "square", "speck"])
    run(find(folder)[:1], lambda *_: odd, on_row=lambda row, pictures: shown.update({row.name: pictures}))
    pictures = shown["one"]
    assert [view.words for view in pictures.true] == ["0 00", "1 01"]
    assert [view.words for view in pictures.predicted] == [
        "ground: 1.00 of 0",
        "square: 1.00 of 1",
        "speck: no partner",
    ]
    np.testing.assert_array_equal(pictures.ground_true, GROUND)
    np.testing.assert_array_equal(pictures.picture, np.where(SQUARE[..., 3:] > 0, SQUARE, GROUND))


def shifted(case, picture, layers):
    found = open_document(case.path)
    moved = [np.roll(patch((1, 2, 3, 255), (12, 12, 52, 52)), 20, axis=1)]
    return stack([GROUND, *moved]) if case.name == "two" else found


def test_table_and_json_are_worst_first_with_the_means_last(folder):
    measured = run(find(folder), shifted)
    lines = report.table(measured).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["document", "two", "one", "mean"]
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[4].startswith("coverage 1.000 of 2 documents")
    data = json.loads(json.dumps(report.to_json(measured, {"model": "shifted"})))
    assert [row["name"] for row in data["documents"]] == ["two", "one"]
    assert data["model"] == "shifted"
    assert data["mean"]["layer_f"] == pytest.approx(np.mean([row["scores"]["layer_f"] for row in data["documents"]]))
    assert all(math.isfinite(row["psnr"]) for row in data["documents"])


def test_reports_go_to_a_folder_or_to_one_file(folder, tmp_path):
    measured = run(find(folder), truth)
    data = report.to_json(measured, {})
    assert [p.name for p in report.write(tmp_path / "a" / "b", data, "<html>")] == ["report.json", "report.html"]
    assert report.write(tmp_path / "x.html", data, "<html>") == [tmp_path / "x.html"]
    assert (tmp_path / "x.html").read_text() == "<html>"
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["report.html", "report.json"]
    with pytest.raises(InputError, match="no folder"):
        report.check_place(tmp_path / "nowhere" / "x.json")
    with pytest.raises(InputError, match="cannot write"):
        report.check_place(tmp_path / "x.html" / "under")


@pytest.mark.skipif(not EVAL.exists(), reason="set LAMINA_EVAL to a folder of documents with their reference.json")
@pytest.mark.slow
def test_a_run_over_real_documents_gives_the_published_reference_figures():
    """The reference prediction: all layers but the bottom moved by 8 px, the two topmost of three and more merged."""
    reference = json.loads((EVAL / "reference.json").read_text())["documents"]

    def predict(case, picture, layers):
        bottom, *upper = (canvas for _, canvas in seen_layers(open_document(case.path)))
        stack_of = [bottom]
        for layer in upper:
            moved = np.zeros_like(layer)
            moved[:, 8:] = layer[:, :-8]
            stack_of.append(moved)
        if len(stack_of) > 2:
            top, below = Image.fromarray(stack_of.pop()), Image.fromarray(stack_of.pop())
            stack_of.append(np.asarray(Image.alpha_composite(below, top)))
        return stack(stack_of)

    names = ("psd-demo-8a3bb", "design-mobile-71d11")
    measured = run([case for case in find(EVAL / "documents") if case.name in names], predict)
    assert len(measured.rows) == len(names)
    for row in measured.rows:
        expected = reference[row.name]
        assert row.scores.layer_f == pytest.approx(expected["layer_f"], abs=2e-6)
        assert row.scores.rgb_l1 == pytest.approx(expected["rgb_l1"], abs=2e-6)
        assert row.scores.alpha_iou == pytest.approx(expected["alpha_iou"], abs=2e-6)
        assert row.scores.ground == (expected["ground"] and pytest.approx(expected["ground"], abs=2e-6))
