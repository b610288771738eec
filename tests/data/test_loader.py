import torch

from lamina.data.art import Bank
from lamina.data.loader import SceneBatches, batches
from lamina.data.scenes import SceneMaker


def some(bank: Bank, **changes: float) -> SceneBatches:
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
