"""The whole path from a picture to a document, with a small network of random weights: what holds whatever it says."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from lamina.decompose.coarse import Coarse
from lamina.decompose.compact import Compact, back_to_front, told_apart
from lamina.decompose.decomposer import STAGES, Decomposer, device_named
from lamina.document.composite import flatten
from lamina.document.document import Document
from lamina.errors import Cancelled, CheckpointError, DeviceError, InputError
from lamina.model import checkpoint
from lamina.model.small import SmallConfig, SmallNet
from lamina.options import DecomposeOptions

TINY = SmallConfig(area=64 * 64, channels=(8, 8, 16), width=32, heads=2, depth=1, features=8, max_layers=6)


def untrained(seed: int = 0) -> SmallNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SmallNet(TINY)


@pytest.fixture(scope="module")
def decomposer() -> Decomposer:
    return Decomposer(untrained(), name="untrained")


class Stubborn:
    """Sees one layer, but for one of its looks: then the disc of `picture` too."""

    name, ignores, attempts, most_layers = "stubborn", (), 9, 20

    def __init__(self, good: int) -> None:
        self.good = good
        self.looks: list[int] = []

    def look(self, rgba: np.ndarray, options: DecomposeOptions, attempt: int = 0) -> Coarse:
        self.looks.append(attempt)
        rows, columns = np.mgrid[:24, :36]
        disc = ((rows - 11.5) ** 2 + (columns - 11.5) ** 2 < 36).astype(np.float32)
        visible = np.stack([1 - disc, disc]) if attempt == self.good else np.ones((1, 24, 36), np.float32)
        visible = visible[: options.max_layers]
        return Coarse(
            visible=visible,
            alpha=visible,
            rgb=np.full((*visible.shape, 3), 0.5, np.float32),
            confidence=np.full(len(visible), 0.9, np.float32),
        )


def picture(width: int = 90, height: int = 60, *, alpha: bool = False) -> np.ndarray:
    """A ramp with a disc and a bar; with `alpha`, a soft and a hard hole."""
    rows, columns = np.mgrid[:height, :width]
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., 0] = 255 * columns // width
    rgba[..., 1] = 255 * rows // height
    rgba[(rows - height / 2) ** 2 + (columns - width / 3) ** 2 < (height / 4) ** 2, :3] = (200, 30, 60)
    rgba[height // 4 : height // 2, width // 2 :, :3] = (20, 40, 220)
    if alpha:
        rgba[: height // 3, :, 3] = (255 * columns // width)[: height // 3]
        rgba[-height // 4 :, : width // 2, 3] = 0
    return rgba


def assert_composites_to(document: Document, rgba: np.ndarray) -> None:
    flat = flatten(document)
    assert np.array_equal(flat[..., 3], rgba[..., 3])
    shown = rgba[..., 3] > 0
    assert np.array_equal(flat[shown], rgba[shown])
    assert document.meta["fidelity"]["exact_share"] == 1.0


@pytest.mark.parametrize("layers", ["auto", 1, 2, 6])
@pytest.mark.parametrize("alpha", [False, True])
def test_the_composite_is_the_picture(decomposer: Decomposer, layers: int, alpha: bool) -> None:
    rgba = picture(alpha=alpha)
    assert_composites_to(decomposer(rgba, DecomposeOptions(layers=layers)), rgba)


@pytest.mark.parametrize("size", [(16, 16), (16, 400), (401, 17), (77, 133)])
def test_every_shape_composites_to_the_picture(decomposer: Decomposer, size: tuple[int, int]) -> None:
    assert_composites_to(decomposer(picture(*size)), picture(*size))


@pytest.mark.parametrize(
    "rgba",
    [
        np.full((20, 30, 4), 255, np.uint8),
        np.zeros((20, 30, 4), np.uint8),
        np.full((20, 30, 4), (10, 200, 90, 100), np.uint8),
        np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8),
    ],
    ids=["white", "transparent", "half-transparent", "noise"],
)
def test_pictures_that_show_nothing_composite_to_themselves(decomposer: Decomposer, rgba: np.ndarray) -> None:
    assert_composites_to(decomposer(rgba), rgba)


def test_what_is_transparent_is_so_in_every_layer(decomposer: Decomposer) -> None:
    rgba = picture(alpha=True)
    document = decomposer(rgba, DecomposeOptions(layers=6))
    for layer in document.layers:
        canvas = np.zeros(rgba.shape[:2], np.uint8)
        left, top, right, bottom = layer.box
        canvas[top:bottom, left:right] = layer.rgba[..., 3]
        assert canvas[rgba[..., 3] == 0].max() == 0


def test_the_same_picture_gives_the_same_document(decomposer: Decomposer) -> None:
    first = decomposer(picture(), DecomposeOptions(layers=4))
    again = Decomposer(untrained(), name="untrained")(picture(), DecomposeOptions(layers=4))
    assert first == again
    assert first.meta == again.meta


def test_ids_are_unique_and_those_of_another_picture_differ(decomposer: Decomposer) -> None:
    one, other = (decomposer(picture(width), DecomposeOptions(layers=6)) for width in (90, 92))
    ids = [layer.id for layer in (*one.layers, *other.layers)]
    assert len(one.layers) > 1
    assert len(set(ids)) == len(ids)
    assert set(one.meta["fidelity"]["confidence"]) == {layer.id for layer in one.layers}
    assert all(0 <= score <= 1 for score in one.meta["fidelity"]["confidence"].values())


@pytest.mark.parametrize("layers", [1, 3, 6])
def test_no_more_layers_than_asked_for_and_fewer_are_said(decomposer: Decomposer, layers: int) -> None:
    document = decomposer(picture(), DecomposeOptions(layers=layers))
    assert 1 <= len(document.layers) <= layers
    said = f"layers asked for: {layers}, found: {len(document.layers)}" in document.meta["warnings"]
    assert said == (len(document.layers) < layers)


def test_one_even_colour_has_fewer_layers_than_asked_for(decomposer: Decomposer) -> None:
    warnings = decomposer(np.full((20, 30, 3), 90, np.uint8), DecomposeOptions(layers=5)).meta["warnings"]
    assert any(words.startswith("layers asked for: 5, found: ") for words in warnings)


def test_auto_makes_at_most_max_layers(decomposer: Decomposer) -> None:
    assert len(decomposer(picture(), DecomposeOptions(max_layers=2)).layers) <= 2


def test_more_layers_than_the_network_has_slots_are_refused(decomposer: Decomposer) -> None:
    with pytest.raises(InputError, match="at most 6"):
        decomposer(picture(), DecomposeOptions(layers=7))
    assert decomposer(picture(), DecomposeOptions(max_layers=20)).layers


def test_on_step_counts_the_stages_and_stops_the_work(decomposer: Decomposer) -> None:
    steps: list[tuple[int, int]] = []
    Decomposer(Stubborn(good=0))(picture(), on_step=lambda step, total: steps.append((step, total)))
    assert steps == [(number, len(STAGES)) for number in range(1, len(STAGES) + 1)]

    def stop(step: int, total: int) -> None:
        steps.append((step, total))
        if step == 2:
            raise Cancelled("enough")

    steps.clear()
    with pytest.raises(Cancelled, match="enough"):
        decomposer(picture(), on_step=stop)
    assert [step for step, _ in steps] == [1, 2]


@pytest.mark.parametrize("size", [(15, 60), (60, 15), (1, 1)])
def test_tiny_pictures_are_refused(decomposer: Decomposer, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]} px; both sides must be at least 16"):
        decomposer(picture(*size))


def test_options_without_use_are_answered_with_one_warning(decomposer: Decomposer) -> None:
    asked = DecomposeOptions(prompt="a cat", guidance=4.0)
    said = [words for words in decomposer(picture(), asked).meta["warnings"] if "ignores" in words]
    assert said == ["the checkpoint 'untrained' ignores prompt, guidance"]
    assert not any("ignores" in words for words in decomposer(picture()).meta["warnings"])


@pytest.mark.parametrize("good", [1, 3])
def test_a_failed_picture_is_looked_at_again_and_the_better_look_is_taken(good: int) -> None:
    stubborn = Stubborn(good)
    steps: list[int] = []
    document = Decomposer(stubborn)(picture(), on_step=lambda step, total: steps.append(step))
    assert stubborn.looks == [0, 0, 1, 2, 3, good]
    assert len(document.layers) == 2
    assert document.meta["warnings"] == ["the first look at the picture failed; this is a further one"]
    assert_composites_to(document, picture())
    assert steps == sorted(steps), "never backwards"
    assert Decomposer(Stubborn(good))(picture()) == document


def test_further_looks_are_bounded_and_only_for_what_failed() -> None:
    hopeless, fine, plain = Stubborn(good=8), Stubborn(good=0), Stubborn(good=8)
    document = Decomposer(hopeless)(picture())
    assert hopeless.looks == [0, 0, 1, 2, 3]
    assert "not separated" in document.meta["warnings"][0]
    Decomposer(fine)(picture())
    assert fine.looks == [0]
    Decomposer(plain)(np.full((40, 40, 3), 90, np.uint8))
    assert plain.looks == [0], "nothing is there to be parted"


def test_layers_asked_for_are_filled_up_and_a_look_that_needs_as_many_more_as_it_found_counts_as_failed() -> None:
    rows, columns = np.mgrid[:240, :360]
    face = np.full((240, 360, 3), (90, 160, 90), np.uint8)
    for row, column, radius, colour in (
        (120, 120, 59, (200, 40, 40)),
        (110, 100, 12, (250, 250, 250)),
        (110, 140, 12, (250, 250, 250)),
        (150, 120, 10, (40, 40, 200)),
    ):
        face[np.hypot(rows - row, columns - column) < radius] = colour
    for layers, looks in ((3, [0]), (4, [0, 0, 1, 2, 3])):
        disc = Stubborn(good=0)
        document = Decomposer(disc)(face, DecomposeOptions(layers=layers))
        assert len(document.layers) == layers
        assert disc.looks == looks
        assert_composites_to(document, np.dstack([face, np.full((240, 360), 255, np.uint8)]))
    assert len(Decomposer(Stubborn(good=0))(face).layers) == 2, "left alone, parts stay"


class Bands(Compact):
    """Sees as many bands side by side as it is told; left alone, five, of which the last may waver."""

    name, ignores, attempts, most_layers = "bands", (), 1, 20

    def __init__(self, *, wavers: bool = False) -> None:
        """Needs no network."""
        self.wavers = wavers
        self.told: list[int] = []

    def _seen(self, rgba: np.ndarray, finer: int) -> torch.Tensor:
        return torch.zeros(())

    def _ask(self, picture: torch.Tensor, told: int, length: int) -> Coarse:
        count = told or min(5, length)
        if told:
            self.told.append(told)
        visible = (np.arange(20) * count // 20 == np.arange(count)[:, None, None]).astype(np.float32).repeat(9, axis=1)
        if self.wavers and not told:
            visible[3] += 0.8 * visible[4]
            visible[4] *= 0.2
        rgb = np.full((*visible.shape, 3), 0.5, np.float32)
        return Coarse(visible=visible, alpha=visible, rgb=rgb, confidence=np.ones(count, np.float32))


def test_detail_decides_how_finely_auto_cuts() -> None:
    def count(**asked: object) -> int:
        return len(Decomposer(Bands()).coarse(picture(), DecomposeOptions(**asked)).visible)  # type: ignore[arg-type]

    assert [count(detail=detail) for detail in ("coarse", "normal", "fine")] == [3, 5, 5]
    assert {count(layers=3, detail=detail) for detail in ("coarse", "fine")} == {3}
    assert count(layers=4, box=((9, 9, 40, 40),)) == 4, "boxes count toward the layers"


class OneLayer(Bands):
    """Sees a ground and all the rest as one layer."""

    def _ask(self, picture: torch.Tensor, told: int, length: int) -> Coarse:
        seen = (dots()[..., 0] > 0).astype(np.float32)
        visible = np.stack([1 - seen, seen])
        return Coarse(
            visible=visible,
            alpha=np.stack([seen * 0 + 1, seen]),
            rgb=np.dstack([visible[..., None]] * 3),
            confidence=np.ones(2, np.float32),
        )


def dots() -> np.ndarray:
    """Five dots far apart, the last one small."""
    canvas = np.zeros((240, 240, 3), np.uint8)
    for x, y, radius in ((50, 50, 40), (180, 60, 30), (60, 180, 25), (190, 190, 20), (120, 125, 5)):
        cv2.circle(canvas, (x, y), radius, (250, 200, 40), -1)
    return np.dstack([canvas, np.full(canvas.shape[:2], 255, np.uint8)])


def test_things_that_lie_apart_are_layers_as_far_as_the_options_let_them() -> None:
    def count(**asked: object) -> int:
        document = Decomposer(OneLayer())(dots(), DecomposeOptions(**asked))  # type: ignore[arg-type]
        assert_composites_to(document, dots())
        return len(document.layers)

    assert [count(detail=detail) for detail in ("coarse", "normal", "fine")] == [2, 5, 6]
    assert [count(max_layers=3), count(layers=3), count(layers=9)] == [3, 3, 6]
    assert count(layers=4, box=((10, 10, 95, 95),)) == 4, "boxes count toward the layers"


def test_a_number_asked_for_is_told_and_on_another_look_first_left_to_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bands, "attempts", 4)

    def asked(layers: int, attempt: int = 0) -> tuple[int, int, list[int]]:
        bands = Bands()
        found = bands.look(picture(), DecomposeOptions(layers=layers), attempt)
        return len(found.visible), int(found.visible.any(axis=(1, 2)).sum()), bands.told

    assert [asked(4), asked(8)] == [(4, 4, [4]), (8, 8, [8])]
    assert [asked(4, 3), asked(8, 3)] == [(4, 4, [4]), (5, 5, [])], "it finds five: too many, or too few"
    assert asked(5, 3) == (5, 5, []), "what it finds by itself is as many as asked for"


def test_a_network_that_wavers_is_told_how_many_it_can_tell_apart() -> None:
    def counts(detail: str) -> tuple[int, list[int]]:
        bands = Bands(wavers=True)
        found = Decomposer(bands).coarse(picture(), DecomposeOptions(detail=detail))  # type: ignore[arg-type]
        return len(found.visible), bands.told

    assert counts("normal") == (4, [4])
    assert counts("coarse") == (2, [2])
    assert counts("fine") == (5, [])


def test_the_document_remembers_its_source(decomposer: Decomposer, tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png", dpi=(300, 300))
    document = decomposer(tmp_path / "a.png", DecomposeOptions(layers=3, seed=5))
    assert document.source is not None
    assert np.array_equal(document.source, picture())
    assert document.dpi == pytest.approx((300, 300), abs=0.1)
    assert document.meta["options"]["seed"] == 5
    assert document.meta["model"] == "untrained"


def test_a_checkpoint_decomposes_like_the_network_it_holds(decomposer: Decomposer, tmp_path: Path) -> None:
    path = tmp_path / "untrained.safetensors"
    checkpoint.save(path, untrained().state_dict(), TINY, kind="small")
    assert Decomposer.load(path, device="cpu")(picture()) == decomposer(picture())


def test_a_checkpoint_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    with pytest.raises(CheckpointError, match=r"other\.safetensors does not exist"):
        Decomposer.load(path)
    with pytest.raises(CheckpointError, match=r"has no model_index\.json"):
        Decomposer.load(tmp_path)
    checkpoint.save(path, untrained().state_dict(), TINY, kind="vae")
    with pytest.raises(CheckpointError, match="'vae', expected 'small'"):
        Decomposer.load(path)
    checkpoint.save(path, untrained().state_dict(), replace(TINY, depth=2), kind="small")
    with pytest.raises(CheckpointError, match="missing"):
        Decomposer.load(path)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_named("auto") == torch.device("cpu")
    for name, words in (("cuda", "not available"), ("mps", "not available"), ("abacus", "not known")):
        with pytest.raises(DeviceError, match=words):
            device_named(name)


def test_a_layer_that_reaches_under_another_lies_below_it() -> None:
    visible, alpha = np.zeros((3, 8, 8), np.float32), np.zeros((3, 8, 8), np.float32)
    visible[1, 2:6, 4:7] = 1  # a smaller part is seen of the lower one, and it goes on under the upper one
    alpha[1, 2:6, 1:7] = 1
    visible[2, 2:6, 0:4] = alpha[2, 2:6, 0:4] = 1
    visible[0] = 1 - visible.sum(axis=0)
    alpha[0] = 1
    assert back_to_front(visible, alpha).tolist() == [0, 1, 2]
    swapped = [0, 2, 1]
    assert back_to_front(visible[swapped], alpha[swapped]).tolist() == [0, 2, 1]


def test_layers_between_which_the_network_wavers_count_as_one() -> None:
    visible = np.zeros((4, 8, 8), np.float32)
    visible[1, :, :4], visible[2, :, 2:4] = 0.8, 0.15  # what the second is, the first claims more
    visible[3, :, 5:7] = 0.9
    visible[0] = 1 - visible.sum(axis=0)
    before = visible.copy()
    assert told_apart(visible) == 3
    assert np.array_equal(visible, before)
    visible[2, :, 2:4], visible[1, :, 2:4] = 0.7, 0.25  # now it is its own
    assert told_apart(visible) == 4
    assert told_apart(visible[:2]) == 2
    assert told_apart(visible[:1]) == 1
