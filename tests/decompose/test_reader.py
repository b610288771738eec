from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamina.decompose.coarse import Coarse, seen_labels, visible_weights
from lamina.decompose.decomposer import Decomposer, embedded
from lamina.decompose.reader import GroundReader
from lamina.decompose.working import Working
from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.groundnet import GroundConfig, GroundNet


def page(size: tuple[int, int] = (240, 320), colour: tuple[int, int, int] = (250, 250, 250)) -> Any:
    return np.full((*size, 4), (*colour, 255), np.uint8)


def answer(thing: Any, ground: float) -> Coarse:
    """A network that says of a thing that it is ground with this weight."""
    small = np.ascontiguousarray(thing[::4, ::4])
    seen = np.where(small, 1 - ground, 0.05).astype(np.float32)
    visible = np.stack([1 - seen, seen])
    return Coarse(visible=visible, alpha=visible, rgb=np.zeros((*visible.shape, 3)), confidence=np.ones(2))


def card() -> tuple[Any, Any]:
    """A picture of a card that is hardly darker than its page, with three lines on it, and where it is."""
    rgba, thing = page(), np.zeros((240, 320), bool)
    thing[60:200, 150:300] = True
    rgba[thing] = (244, 244, 244, 255)
    for top in (80, 110, 140):
        rgba[top : top + 8, 170:270] = (40, 60, 90, 255)
    return rgba, thing


def always(added: float) -> GroundReader:
    net = GroundNet(GroundConfig(width=8))
    torch.nn.init.constant_(net.answer[1].bias, added)
    return GroundReader(net)


def test_one_that_has_learned_nothing_leaves_the_network_its_say_where_colour_disagrees() -> None:
    rgba, thing = card()
    told = answer(thing, 0.3)
    read = always(0.0).read(Working(rgba), told)
    assert read.odds is not None
    assert read.odds[70, 220] == pytest.approx(1)
    assert np.allclose(visible_weights(Working(rgba), read)[0, 70, 220], 0.3, atol=0.01)


def test_what_is_read_is_added_and_bounded() -> None:
    rgba, thing = card()
    told = answer(thing, 0.5)
    some, much = (always(added).read(Working(rgba), told).odds for added in (1.0, 50.0))
    assert some is not None
    assert much is not None
    assert some[70, 220] == pytest.approx(np.e, rel=0.01)
    assert much[70, 220] == pytest.approx(np.exp(4.5), rel=0.05)


def test_pictures_with_alpha_and_single_layers_stay_as_they_are() -> None:
    rgba, thing = card()
    told = answer(thing, 0.5)
    rgba[:5, :5, 3] = 0
    assert always(1.0).read(Working(rgba), told) is told
    one = Coarse(visible=told.visible[:1], alpha=told.alpha[:1], rgb=told.rgb[:1], confidence=np.ones(1))
    assert always(1.0).read(Working(page()), one) is one


def test_where_colour_agrees_and_is_surer_it_has_its_say() -> None:
    rgba, thing = card()
    rgba[thing] = (40, 60, 90, 255)
    rgba[120:, :40, :3] = 200  # so that it is no page
    told = answer(thing, 0.4)
    read = always(0.2).read(Working(rgba), told)
    assert read.odds is not None
    assert read.odds[70, 220] == pytest.approx(1 / np.e, rel=0.02)
    assert read.odds[10, 10] == pytest.approx(np.e, rel=0.02)


def test_colour_keeps_a_thing_but_makes_no_ground_where_it_is_surer() -> None:
    rgba, thing = card()
    told = answer(thing, 0.3)
    read = always(0.72).read(Working(rgba), told)  # -0.8 said, 0.2 by colour, -0.08 read
    assert read.odds is not None
    assert read.odds[70, 220] == pytest.approx(np.exp(0.72), rel=0.02)
    rgba[thing] = (40, 60, 90, 255)
    kept = always(1.0).read(Working(rgba), told)  # -1.85 by colour, 0.15 read
    assert kept.odds is not None
    assert kept.odds[70, 220] == pytest.approx(1 / np.e, rel=0.05)


def test_a_picture_that_would_be_left_without_ground_stays_as_it_is() -> None:
    rgba, thing = card()
    told = answer(thing, 0.5)
    assert always(-50.0).read(Working(rgba), told) is told


def test_the_embedded_one_finds_a_card_that_is_hardly_darker_than_its_page() -> None:
    rgba, thing = card()
    told = answer(thing, 0.3)
    by_colour = seen_labels(Working(rgba), told)
    read = seen_labels(Working(rgba), GroundReader.load(embedded("ground")).read(Working(rgba), told))
    assert (by_colour[thing] == 0).mean() > 0.5
    assert (read[thing] > 0).mean() > 0.95
    assert (read[~thing] == 0).mean() > 0.95


def test_decomposers_of_the_package_read() -> None:
    assert Decomposer.load("small", device="cpu").reader is not None


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="kind 'small'"):
        GroundReader.load(embedded())
    net = GroundNet(GroundConfig(width=8))
    checkpoint.save(tmp_path / "ground.safetensors", net.state_dict(), GroundConfig(width=16), kind="ground")
    with pytest.raises(CheckpointError):
        GroundReader.load(tmp_path / "ground.safetensors")
