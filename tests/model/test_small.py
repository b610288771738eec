from dataclasses import replace

import pytest
import torch

from lamina.errors import CheckpointError
from lamina.model.config import from_json, to_json
from lamina.model.small import SmallConfig, SmallNet, SmallOutput, finer

TINY = SmallConfig(channels=(8, 8, 16), width=32, heads=2, depth=2, features=8)


def run(network: SmallNet, slots: torch.Tensor, seed: int = 0, size: tuple[int, int] = (48, 64)) -> SmallOutput:
    picture = torch.rand(len(slots), 3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    with torch.no_grad():
        return network(picture, slots.sum(1).float(), slots)


@pytest.fixture(scope="module", params=[0, 2], ids=["plain", "closer"])
def network(request: pytest.FixtureRequest) -> SmallNet:
    torch.manual_seed(0)
    network = SmallNet(replace(TINY, rounds=request.param))
    for parameter in network.closer.parameters():  # a new round says nothing
        torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.mark.parametrize("layers", [1, 2, 7, 20])
def test_one_network_serves_one_to_twenty_layers(network: SmallNet, layers: int) -> None:
    output = run(network, torch.ones(2, layers, dtype=torch.bool))
    assert output.visible.shape == output.alpha.shape == (2, layers, 24, 32)
    assert output.rgb.shape == (2, layers, 3, 24, 32)
    assert output.presence.shape == output.depth.shape == (2, layers)
    assert torch.isfinite(output.rgb).all()


def test_masked_slots_change_nothing_for_the_others(network: SmallNet) -> None:
    short = run(network, torch.ones(1, 3, dtype=torch.bool))
    padded = torch.zeros(1, 6, dtype=torch.bool)
    padded[:, :3] = True
    long = run(network, padded)
    for name in ("alpha", "rgb", "presence", "depth"):
        assert torch.allclose(getattr(short, name), getattr(long, name)[:, :3], atol=1e-5)
    assert long.visible.softmax(1)[:, 3:].max() == 0


def test_pictures_of_a_batch_do_not_see_each_other(network: SmallNet) -> None:
    slots = torch.ones(2, 4, dtype=torch.bool)
    picture = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        both = network(picture, torch.tensor([4.0, 0.0]), slots)
        alone = network(picture[1:], torch.tensor([0.0]), slots[1:])
    assert torch.allclose(both.visible[1:], alone.visible, atol=1e-4)


def test_number_asked_for_changes_the_answer(network: SmallNet) -> None:
    slots = torch.ones(1, 4, dtype=torch.bool)
    picture = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        asked = network(picture, torch.tensor([4.0]), slots)
        free = network(picture, torch.tensor([0.0]), slots)
    assert not torch.allclose(asked.visible, free.visible)


def test_config_survives_json_and_refuses_odd_heads() -> None:
    assert from_json(SmallConfig, to_json(TINY)) == TINY
    with pytest.raises(CheckpointError, match="width 30"):
        SmallConfig(width=30, heads=4)


def test_new_closer_looks_answer_as_before_and_then_learn() -> None:
    torch.manual_seed(0)
    before = SmallNet(TINY)
    after = SmallNet(replace(TINY, rounds=2))
    after.load_state_dict({**after.state_dict(), **before.state_dict()})
    slots = torch.ones(1, 4, dtype=torch.bool)
    answer = run(after, slots)
    assert torch.equal(answer.visible, run(before, slots).visible)
    assert answer.drafts is not None
    assert answer.drafts.shape == (1, 2, 4, 24, 32)
    after(torch.rand(1, 3, 32, 32), torch.tensor([4.0]), slots).visible.square().sum().backward()
    assert all(closer.look.to_out.weight.grad.abs().max() > 0 for closer in after.closer)


def test_finer_stem_answers_as_before_to_the_same_picture_twice_as_large() -> None:
    torch.manual_seed(0)
    before = SmallNet(TINY).eval()
    config = replace(TINY, area=4 * TINY.area, stem=4, cues=2)
    after = SmallNet(config).eval()
    after.load_state_dict(finer(before.state_dict(), TINY, config))
    picture = torch.rand(2, 5, 64, 96) * 2 - 1
    counts, slots = torch.tensor([0.0, 3.0]), torch.ones(2, 4, dtype=torch.bool)
    old = before(torch.nn.functional.avg_pool2d(picture[:, :3], 2), counts, slots)
    for got, want in zip(after(picture, counts, slots)[:5], old[:5], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(old.visible, after(-picture, counts, slots).visible)
    with pytest.raises(CheckpointError, match="only stem, cues and rounds may grow"):
        finer(before.state_dict(), TINY, replace(config, depth=TINY.depth + 1))
