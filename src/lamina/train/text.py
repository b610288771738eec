"""Captions as embeddings, for the stages that learn from text.

The full-size model reads Qwen2.5-VL embeddings: give a recipe its encoder by name, or embeddings computed beforehand
(`store_text`, `StoredText`). `HashedText` understands no language at all: the same word always becomes the same random
vector. It is for tests and for trying a recipe out.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lamina.errors import InputError

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["HashedText", "StoredText", "TextEncoder", "store_text"]


class TextEncoder(Protocol):
    """Texts to embeddings, without gradients; the empty text is what guidance is measured against."""

    def __call__(self, texts: Sequence[str]) -> tuple[Float[Tensor, "b t e"], Bool[Tensor, "b t"]]:
        """The embeddings, padded to the longest, and a mask that is true on real tokens; one or more a text."""
        ...


class HashedText:
    """A stand-in without any understanding: every word is a random vector drawn from its hash, after a first token
    that every text has."""

    def __init__(self, width: int, longest: int = 64) -> None:
        self.width, self.longest = width, longest

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """See TextEncoder; words past `longest` are cut."""
        words = [["", *text.lower().split()][: self.longest] for text in texts]
        return _padded([torch.stack([_vector(word, self.width) for word in text]) for text in words])


class StoredText:
    """Embeddings computed beforehand, in the file that `store_text` wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, "pt") as file:
                self.known = set(file.keys())
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} is no file of text embeddings: {error}") from error

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """See TextEncoder; raises InputError for a text that was not stored."""
        for text in texts:
            if _key(text) not in self.known:
                raise InputError(f"{self.path} has no embedding of {text[:60]!r}; store it, the empty text too")
        with safe_open(self.path, "pt") as file:
            return _padded([file.get_tensor(_key(text)).float() for text in texts])


def store_text(encoder: Callable[[Sequence[str]], tuple[Tensor, Tensor]], texts: Iterable[str], path: Path) -> int:
    """Write the embeddings of these texts and of the empty text, each once, as bfloat16; return how many."""
    found: dict[str, Tensor] = {}
    for text in ["", *texts]:
        if _key(text) not in found:
            embeddings, mask = encoder([text])
            found[_key(text)] = embeddings[0, mask[0]].to(torch.bfloat16).contiguous().cpu()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save_file(found, temporary)
    temporary.replace(path)
    return len(found)


def _padded(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), mask


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@functools.lru_cache(maxsize=4096)
def _vector(word: str, width: int) -> Tensor:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=7).digest(), "big")
    return torch.randn(width, generator=torch.Generator().manual_seed(seed))
