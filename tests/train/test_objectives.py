import numpy as np
import pytest
import torch

from lamina.data.art import Bank
from lamina.data.loader import Batch, SceneBatches
from lamina.data.scenes import SceneMaker
from lamina.model.small import SmallOutput
from lamina.train.objectives import match, small_objective, visible_weights


def perfect(batch: Batch, order: list[int]) -> SmallOutput:
    """What a faultless network says of a batch of one picture, with upper layers in the slots of `order`."""
    layers = torch.nn.functional.avg_pool2d((batch.layers.float() / 255).flatten(1, 2), 2).unflatten(1, (-1, 4))
    seen = visible_weights(batch.layers[:, :, 3].float() / 255)
    seen = torch.nn.functional.avg_pool2d(seen, 2)
    slots = batch.slots.shape[1]
    visible = torch.full((1, slots, *seen.shape[-2:]), 1e-7)
    visible[:, order] = seen.clamp_min(1e-7)
    alpha = torch.full_like(visible, -9.0)
    alpha[:, order] = torch.logit(layers[:, :, 3].clamp(1e-4, 1 - 1e-4))
    rgb = torch.zeros(1, slots, 3, *seen.shape[-2:])
    presence = torch.full((1, slots), -9.0)
    presence[:, order] = 9.0
    depth = torch.zeros(1, slots)
    depth[:, order] = torch.arange(len(order)).float() * 20
    return SmallOutput(visible.log(), alpha, rgb, presence, depth)


@pytest.fixture
def batch(bank: Bank) -> Batch:
    data = SceneBatches(SceneMaker(bank, worn_share=0.0), 1, ((64, 64),), 11, auto_share=1.0)

    def overlaps(item: Batch) -> bool:
        covered = item.layers[0, 1:, 3] > 127
        return bool((covered.sum(0) > 1).sum() > 40)

    return next(item for item in (data[index] for index in range(80)) if int(item.truth[0]) >= 4 and overlaps(item))


def test_visible_weights_sum_to_one_over_an_opaque_ground() -> None:
    alpha = torch.rand(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    alpha[:, 0] = 1
    weights = visible_weights(alpha)
    assert torch.allclose(weights.sum(1), torch.ones(2, 5, 6))
    assert torch.allclose(weights[:, 3], alpha[:, 3])


def test_match_finds_the_slots_wherever_the_upper_layers_are(batch: Batch) -> None:
    count = int(batch.truth[0])
    order = [0, *reversed(range(1, count))]
    output = perfect(batch, order)
    seen = torch.nn.functional.avg_pool2d(visible_weights(batch.layers[:, :, 3].float() / 255), 2)
    assert match(output, seen, batch.truth)[0, :count].tolist() == order


def test_faultless_answer_costs_less_than_any_spoilt_one(batch: Batch) -> None:
    count = int(batch.truth[0])
    right = perfect(batch, list(range(count)))

    def cost(output: SmallOutput) -> dict[str, float]:
        return small_objective(lambda *_: output, batch)[1]

    best = cost(right)
    swapped = right._replace(depth=-right.depth)
    absent = right._replace(presence=-right.presence)
    blurred = right._replace(visible=right.visible * 0.2)
    thin = right._replace(alpha=right.alpha - 3)
    assert cost(swapped)["order"] > best["order"] + 1
    assert cost(absent)["presence"] > best["presence"] + 1
    assert cost(blurred)["cross"] > best["cross"]
    assert cost(blurred)["dice"] > best["dice"]
    assert cost(thin)["alpha"] > best["alpha"]
    drafted = right._replace(drafts=torch.stack([right.visible, blurred.visible], dim=1))
    assert best["draft"] == 0
    assert cost(drafted)["draft"] == pytest.approx(
        (best["cross"] + best["dice"] + cost(blurred)["cross"] + cost(blurred)["dice"]) / 2, rel=1e-4
    )
    assert np.isfinite(best["loss"])
