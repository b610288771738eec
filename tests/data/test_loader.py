from typing import Any

import numpy as np
import torch

from lamina.data.art import Bank
from lamina.data.loader import (
    SceneBatches,
    _shrunk,  # pyright: ignore[reportPrivateUsage]
    _twin,  # pyright: ignore[reportPrivateUsage]
    batches,
)
from lamina.data.scenes import SceneMaker
from lamina.data.windows import flatten
from lamina.pixels import premultiply


def some(bank: Bank, **changes: Any) -> SceneBatches:
    return SceneBatches(SceneMaker(bank, max_layers=6), 2, ((64, 64), (48, 80)), 5, **changes)


def test_batch_is_a_pure_function_of_its_index(bank: Bank) -> None:
    data, again = some(bank), some(bank)
    forward = [data[index] for index in range(10)]
    backward = [again[index] for index in reversed(range(10))][::-1]
    for left, right in zip(forward, backward, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_stream_from_the_middle_equals_the_tail_of_the_whole(bank: Bank) -> None:
    whole = list(batches(some(bank), 0, 6, workers=0))
    tail = list(batches(some(bank), 4, 6, workers=0))
    assert torch.equal(whole[4].picture, tail[0].picture)
    assert torch.equal(whole[5].layers, tail[1].layers)


def test_counts_and_slots_follow_the_shares(bank: Bank) -> None:
    asked = some(bank, auto_share=0.0, excess_share=0.0)[0]
    assert torch.equal(asked.counts.long(), asked.truth)
    assert torch.equal(asked.slots.sum(1), asked.truth)
    free = some(bank, auto_share=1.0, excess_share=0.0)[0]
    assert (free.counts == 0).all()
    assert (free.slots.sum(1) >= free.truth).all()


def test_padding_is_empty_and_truth_says_how_many(bank: Bank) -> None:
    for index in range(8):
        batch = some(bank)[index]
        for row, count in enumerate(batch.truth.tolist()):
            assert not batch.layers[row, count:].any()
            assert batch.layers[row, count - 1, 3].any()


def test_picture_is_finer_than_its_layers_and_brings_its_cues(bank: Bank) -> None:
    coarse, fine = some(bank), some(bank, zoom=2, cues=True)
    batch = fine[0]
    assert batch.picture.shape[1] == 5
    assert batch.picture.shape[-2:] == tuple(2 * side for side in batch.layers.shape[-2:])
    assert batch.layers.shape[-2:] == coarse[0].layers.shape[-2:]
    assert set(batch.picture[:, 3:].unique().tolist()) <= {0, 255}
    # the ground's own cue covers more of the ground than of the rest
    ground = torch.nn.functional.interpolate((batch.layers[:, 1:, 3].amax(1) < 128).float()[:, None], scale_factor=2)
    reached = (batch.picture[:, 3:4] > 0).float()
    assert (reached * ground).sum() / ground.sum() > (reached * (1 - ground)).sum() / (1 - ground).sum()


def test_small_layers_are_premultiplied_means(bank: Bank) -> None:
    for layer in SceneMaker(bank)(9, (64, 48)).layers:
        small = premultiply(_shrunk(layer, (32, 24)))
        wanted = premultiply(layer).reshape(24, 2, 32, 2, 4).mean(axis=(1, 3))
        assert np.abs(small - wanted).max() < 1.01 / 255


def test_twins_are_new_pictures_whose_truth_stays_true(bank: Bank) -> None:
    scenes = SceneMaker(bank, worn_share=0.0)
    for seed in range(4):
        sample = scenes(seed, (64, 48))
        twin = _twin(np.random.default_rng(seed), sample)
        assert np.abs(flatten(twin.layers)[..., :3].astype(int) - twin.composite).max() <= 2
        alpha = sample.layers[..., 3]
        assert np.array_equal(twin.layers[..., 3], alpha) or np.array_equal(twin.layers[..., 3], alpha[:, :, ::-1])
    twins = [_twin(np.random.default_rng(seed), sample).composite.tobytes() for seed in range(9)]
    assert len(set(twins)) > 5
    assert not torch.equal(some(bank, twins=1)[0].picture, some(bank)[0].picture)
