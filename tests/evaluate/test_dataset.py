"""Documents found in a folder, whatever their form, and their layers as they are seen."""

import numpy as np
import pytest
from PIL import Image

import lamina
from lamina.document.document import Document
from lamina.document.layer import Group, Layer
from lamina.errors import FormatError, InputError
from lamina.evaluate.dataset import find, locate, open_document, picture_of, seen_layers, stack

RED, WHITE = (255, 0, 0, 255), (255, 255, 255, 255)


def canvas(colour=WHITE, box=(0, 0, 20, 16)):
    layer = np.zeros((16, 20, 4), np.uint8)
    left, top, right, bottom = box
    layer[top:bottom, left:right] = colour
    return layer


def numbered(folder, *layers, composite=None):
    folder.mkdir(parents=True)
    for i, layer in enumerate(layers):
        Image.fromarray(layer).save(folder / f"{i:02}.png")
    if composite is not None:
        Image.fromarray(composite).save(folder / "composite.png")


def test_a_folder_of_every_form_is_read_and_other_files_are_passed_over(tmp_path):
    document = stack([canvas(), canvas(RED, (2, 2, 9, 9))])
    numbered(tmp_path / "a.b", canvas(), canvas(RED, (2, 2, 9, 9)))
    for name in ("bundle/", "c.zip", "d.psd", "e.ora"):
        lamina.write(document, f"{tmp_path}/{name}")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty").mkdir()
    cases = find(tmp_path)
    assert [case.name for case in cases] == ["a.b", "bundle", "c", "d", "e"]
    for case in cases:
        layers = [pixels for _, pixels in seen_layers(open_document(case.path))]
        assert len(layers) == 2
        np.testing.assert_array_equal(layers[1], canvas(RED, (2, 2, 9, 9)))


def test_names_that_meet_keep_their_endings_and_a_prediction_is_found_in_any_form(tmp_path):
    document = stack([canvas(), canvas(RED, (2, 2, 9, 9))])
    lamina.write(document, tmp_path / "x.psd")
    lamina.write(document, tmp_path / "x.ora")
    assert [case.name for case in find(tmp_path)] == ["x.ora", "x.psd"]
    assert locate(tmp_path, "x.ora") == tmp_path / "x.ora"
    numbered(tmp_path / "pred" / "x.psd", canvas())
    assert locate(tmp_path / "pred", "x.psd").is_dir()
    with pytest.raises(InputError, match="no prediction for y"):
        locate(tmp_path / "pred", "y")


def test_one_document_is_a_data_set_and_none_is_refused(tmp_path):
    numbered(tmp_path / "one", canvas(), canvas(RED, (2, 2, 9, 9)))
    assert [case.name for case in find(tmp_path / "one")] == ["one"]
    (tmp_path / "none").mkdir()
    for folder, words in ((tmp_path / "none", "holds no documents"), (tmp_path / "nowhere", "no folder")):
        with pytest.raises(InputError, match=words):
            find(folder)


def test_a_model_is_shown_the_composite_that_lies_there_or_else_ours(tmp_path):
    kept = canvas((9, 9, 9, 255))[..., :3]
    numbered(tmp_path / "kept", canvas(), composite=kept)
    numbered(tmp_path / "made", canvas(), canvas(RED, (2, 2, 9, 9)))
    np.testing.assert_array_equal(picture_of(open_document(tmp_path / "kept")).rgba[..., :3], kept)
    made = picture_of(open_document(tmp_path / "made")).rgba
    assert tuple(made[3, 3]) == RED
    assert tuple(made[0, 0]) == WHITE


def test_layers_that_do_not_fit_their_canvas_are_refused(tmp_path):
    numbered(tmp_path / "layers", canvas(), canvas()[:9])
    numbered(tmp_path / "composite", canvas(), composite=canvas()[:9, :, :3])
    for name in ("layers", "composite"):
        with pytest.raises(FormatError):
            open_document(tmp_path / name)


def test_hidden_layers_are_left_out_and_groups_pass_their_opacity_on():
    dot = np.full((2, 2, 4), 200, np.uint8)
    inside = Layer(id="in", name="In", rgba=dot, x=-1, y=3, opacity=0.5)
    hidden = Layer(id="no", name="No", rgba=dot, visible=False)
    group = Group(
        id="o", name="O", opacity=0.5, children=(Group(id="g", name="G", opacity=0.5, children=(inside, hidden)),)
    )
    gone = Group(id="h", name="H", visible=False, children=(Layer(id="l", name="L", rgba=dot),))
    (layer,) = seen_layers(Document(width=8, height=6, layers=(group, gone)))
    assert layer[0] == "In"
    assert layer[1].shape == (6, 8, 4)
    assert tuple(layer[1][3, 0]) == (200, 200, 200, 25)
    assert int((layer[1][..., 3] > 0).sum()) == 2  # half of it lies off the canvas
