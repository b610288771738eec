"""Images as tokens: patches, position ids (slot, row, column) and Layer3D RoPE.

Knows slots and grids, no network. Source: Qwen-Image-Layered (arXiv 2512.15603), section 3.2; the order of channels
inside a patch and the start of the text positions are those of the released weights.
"""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from lamina.errors import InputError

__all__ = ["CONDITION", "apply_rope", "grid_ids", "patchify", "rope", "text_ids", "unpatchify"]

CONDITION = -1
"""Slot of the condition picture; 0 is the composite, 1..L are the layers bottom to top."""


def patchify(images: Float[Tensor, "*n c h w"], patch: int = 2) -> Float[Tensor, "*n s d"]:
    """Cut images into tokens, row by row; inside a token the order is (channel, row, column).

    Raises InputError when a side does not divide by `patch`.
    """
    height, width = images.shape[-2:]
    if height % patch or width % patch:
        raise InputError(f"{width}x{height} does not divide into patches of {patch}x{patch}")
    return rearrange(images, "... c (h p) (w q) -> ... (h w) (c p q)", p=patch, q=patch)


def unpatchify(tokens: Float[Tensor, "*n s d"], grid: tuple[int, int], patch: int = 2) -> Float[Tensor, "*n c h w"]:
    """The images of `patchify`; `grid` is (rows, columns) of tokens."""
    return rearrange(tokens, "... (h w) (c p q) -> ... c (h p) (w q)", h=grid[0], w=grid[1], p=patch, q=patch)


def grid_ids(slots: Int[Tensor, " n"], grid: tuple[int, int]) -> Int[Tensor, "s 3"]:
    """Positions (slot, row, column) of the tokens of `slots`, slot by slot and row by row.

    `grid` is (rows, columns) of tokens. Rows and columns are centred, -ceil(H / 2) .. floor(H / 2) - 1, so that a
    larger picture adds positions on all sides instead of moving the old ones.
    """
    axes = [torch.arange(side, device=slots.device) - (side - side // 2) for side in grid]
    return torch.cartesian_prod(slots.long(), *axes)


def text_ids(length: int, slots: int, grid: tuple[int, int], device: torch.device | None = None) -> Int[Tensor, "t 3"]:
    """Positions of text tokens: one integer on all three axes, from past the grid and the slots on.

    `slots` counts the slots 0..L, without the condition.
    """
    start = max(grid[0] // 2, grid[1] // 2, slots)
    return torch.arange(start, start + length, device=device)[:, None].expand(-1, 3)


def rope(ids: Int[Tensor, "s axes"], axes: tuple[int, ...], theta: float) -> Float[Tensor, "s k 2"]:
    """Cosine and sine of every token's angles: position / theta^(2 i / width), axis after axis.

    `axes` are the channels of a head that each position axis turns; their sum is 2k, the head's width.
    """
    angles: list[Tensor] = []
    for axis, width in enumerate(axes):
        exponents = torch.arange(0, width, 2, dtype=torch.float32, device=ids.device) / width
        angles.append(ids[:, axis, None].float() * (1.0 / theta**exponents))
    turn = torch.cat(angles, dim=-1)
    return torch.stack([turn.cos(), turn.sin()], dim=-1)


def apply_rope(x: Float[Tensor, "b heads s e"], turns: Float[Tensor, "*n s k 2"]) -> Float[Tensor, "b heads s e"]:
    """Turn neighbouring channel pairs (0, 1), (2, 3), ... as complex numbers, in float32.

    `turns` are those of `rope`, for all pictures the same or, as "b 1 s k 2", each its own.
    """
    real, imaginary = x.float().reshape(*x.shape[:-1], -1, 2).unbind(-1)
    cos, sin = turns.unbind(-1)
    turned = torch.stack([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=-1)
    return turned.flatten(-2).to(x.dtype)
