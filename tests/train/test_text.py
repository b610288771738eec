"""Captions as embeddings: the stand-in, and embeddings kept in a file."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from lamina.errors import InputError
from lamina.train.text import HashedText, StoredText, store_text


def test_hashed_words_are_always_the_same_and_told_apart() -> None:
    embeddings, mask = HashedText(24)(["red box", "", "Red"])
    assert mask.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    assert torch.equal(embeddings[0, 1], embeddings[2, 1])
    assert not torch.equal(embeddings[0, 1], embeddings[0, 2])
    assert torch.equal(embeddings[0, 0], embeddings[1, 0])
    assert not embeddings[~mask].any()
    assert torch.equal(HashedText(24)(["red box", "", "Red"])[0], embeddings)
    assert HashedText(24, longest=3)(["a b c d e"])[0].shape == (1, 3, 24)


def test_stored_embeddings_come_back(tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []

    def encoder(texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(texts)
        return HashedText(8)(texts)

    path = tmp_path / "text.safetensors"
    assert store_text(encoder, ["a fox", "a red fox", "a fox"], path) == 3
    assert asked == [[""], ["a fox"], ["a red fox"]]
    found, mask = StoredText(path)(["a red fox", ""])
    wanted, same = HashedText(8)(["a red fox", ""])
    assert torch.equal(mask, same)
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.01)
    assert [file.name for file in tmp_path.iterdir()] == ["text.safetensors"]
    with pytest.raises(InputError, match="no embedding of 'a wolf'"):
        StoredText(path)(["a wolf"])
    with pytest.raises(InputError, match="no file of text embeddings"):
        StoredText(tmp_path / "nowhere.safetensors")
