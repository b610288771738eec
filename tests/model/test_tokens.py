"""Patches, position ids and RoPE against formulas written out in numpy."""

import numpy as np
import pytest
import torch

from lamina.errors import InputError
from lamina.model.tokens import CONDITION, apply_rope, grid_ids, patchify, rope, text_ids, unpatchify


@pytest.mark.parametrize("shape", [(4, 6, 4), (2, 3, 8, 2), (2, 5, 16, 4, 6)])
def test_unpatchify_undoes_patchify(shape: tuple[int, ...]) -> None:
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    tokens = patchify(images)
    assert tokens.shape[-2:] == (shape[-2] * shape[-1] // 4, 4 * shape[-3])
    assert torch.equal(unpatchify(tokens, (shape[-2] // 2, shape[-1] // 2)), images)


def test_a_token_holds_channel_then_row_then_column() -> None:
    image = torch.arange(2 * 4 * 6, dtype=torch.float32).reshape(2, 4, 6)
    token = patchify(image)[1 * 3 + 2]  # second row of tokens, third column
    assert token.tolist() == [image[c, 2 + p, 4 + q].item() for c in (0, 1) for p in (0, 1) for q in (0, 1)]


def test_a_side_that_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match="5x4 does not divide into patches of 2x2"):
        patchify(torch.zeros(1, 4, 5))


def test_rows_and_columns_are_centred_and_the_condition_is_slot_minus_one() -> None:
    ids = grid_ids(torch.tensor([0, 1, CONDITION]), (3, 4)).reshape(3, 3, 4, 3)
    assert ids[:, 0, 0, 0].tolist() == [0, 1, -1]
    assert ids[0, :, 0, 1].tolist() == [-2, -1, 0]
    assert ids[2, 1, :, 2].tolist() == [-2, -1, 0, 1]


def test_text_lies_on_the_diagonal_past_the_grid_and_the_slots() -> None:
    assert text_ids(3, 5, (40, 40)).tolist() == [[20] * 3, [21] * 3, [22] * 3]
    assert text_ids(1, 5, (64, 30)).tolist() == [[32] * 3]
    assert text_ids(1, 21, (4, 7)).tolist() == [[21] * 3]


def test_rope_is_the_rotation_of_the_formula() -> None:
    generator = np.random.default_rng(0)
    ids, axes, theta = generator.integers(-20, 40, (7, 3)), (4, 6, 6), 10_000.0
    x = generator.standard_normal((2, 3, 7, 16))
    expected = np.empty_like(x)
    for token in range(7):
        channel = 0
        for axis, width in enumerate(axes):
            for pair in range(width // 2):
                angle = ids[token, axis] * theta ** (-2 * pair / width)
                turned = (x[..., token, channel] + 1j * x[..., token, channel + 1]) * np.exp(1j * angle)
                expected[..., token, channel], expected[..., token, channel + 1] = turned.real, turned.imag
                channel += 2
    turns = rope(torch.from_numpy(ids), axes, theta)
    assert turns.shape == (7, 8, 2)
    np.testing.assert_allclose(apply_rope(torch.from_numpy(x).float(), turns).numpy(), expected, atol=2e-5)


def test_attention_scores_see_only_differences_of_position() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 1, 6, 16, generator=generator)
    ids = grid_ids(torch.tensor([0]), (2, 3))

    def scores(shift: int) -> torch.Tensor:
        turns = rope(ids + shift, (4, 6, 6), 100.0)
        return apply_rope(query, turns) @ apply_rope(key, turns).mT

    torch.testing.assert_close(scores(0), scores(5), atol=1e-4, rtol=0)
    assert not torch.allclose(scores(0), query @ key.mT, atol=0.1)


def test_rope_turns_in_float32_and_gives_back_the_dtype_it_got() -> None:
    x = torch.randn(1, 1, 2, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    turns = rope(torch.tensor([[1000, 7, 3], [999, 7, 3]]), (4, 6, 6), 10_000.0)
    assert turns.dtype == torch.float32
    turned = apply_rope(x, turns)
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, apply_rope(x.float(), turns).bfloat16())
