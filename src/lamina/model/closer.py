"""A closer look of the compact network's slots: they read finer features where they believe themselves seen.

The tokens of the joint blocks stand 32 pixels apart, which is coarse for a line of text. In a round of this decoder
every slot attends to the features at a quarter of that distance, drawn to where its own mask says it is (masked
attention, after Mask2Former, arXiv 2112.01527), the slots attend to one another, and the features attend to the slots,
so that pixels learn who claims them. A new round says nothing until it has learned to. Knows tensors only.
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

# pyright: reportUnknownMemberType=false

__all__ = ["CloserRound", "silent"]

_FLOOR = 0.01
"""Share of a pixel below which a slot counts as not seen there at all."""


class CloserRound(nn.Module):
    """One round: slots read features, slots read slots, features read slots."""

    def __init__(self, width: int, heads: int, channels: int, *, mlp_ratio: int = 2) -> None:
        super().__init__()
        self.look_norm, self.grid_norm = nn.LayerNorm(width), nn.GroupNorm(1, channels)
        self.look = _Attention(width, channels + 2, width, heads)
        self.drawn = nn.Parameter(torch.linspace(0, 1, heads))
        self.talk_norm = nn.LayerNorm(width)
        self.talk = _Attention(width, width, width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        lift, lower = nn.Linear(width, mlp_ratio * width), nn.Linear(mlp_ratio * width, width)
        self.mlp = nn.Sequential(lift, nn.GELU(), silent(lower))
        self.told_norm = nn.LayerNorm(width)
        self.told = _Attention(channels, width, width, heads)

    def forward(
        self,
        context: Float[Tensor, "b t d"],
        grid: Float[Tensor, "b c h w"],
        seen_01: Float[Tensor, "b t h w"],
        mask: Bool[Tensor, "b t"],
    ) -> tuple[Float[Tensor, "b t d"], Float[Tensor, "b c h w"]]:
        """Slot tokens and features after the round; `seen_01` is each token's slot's share of every cell so far, `mask`
        true on tokens of slots in use."""
        rows, columns = grid.shape[-2:]
        places = _places(rows, columns, grid)
        cells = rearrange(self.grid_norm(grid), "b c h w -> b (h w) c")
        there = seen_01.flatten(2).clamp_min(_FLOOR).log()
        bias = self.drawn[:, None, None] * there[:, None]
        placed = torch.cat([cells, places.expand(len(cells), -1, -1).to(cells.dtype)], dim=-1)
        context = context + self.look(self.look_norm(context), placed, bias)
        absent = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, -1e4)[:, None, None]
        quiet = self.talk_norm(context)
        context = context + self.talk(quiet, quiet, absent)
        context = context + self.mlp(self.mlp_norm(context))
        told = self.told(cells, self.told_norm(context), absent)
        return context, grid + rearrange(told, "b (h w) c -> b c h w", h=rows)


class _Attention(nn.Module):
    """Queries of one width read another; silent at first."""

    def __init__(self, asking: int, asked: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_kv = nn.Linear(asking, width), nn.Linear(asked, 2 * width)
        self.to_out = silent(nn.Linear(width, asking))

    def forward(
        self, asking: Float[Tensor, "b q c"], asked: Float[Tensor, "b k e"], bias: Float[Tensor, "b _ _ k"]
    ) -> Float[Tensor, "b q c"]:
        query = rearrange(self.to_q(asking), "b s (h e) -> b h s e", h=self.heads)
        key, value = rearrange(self.to_kv(asked), "b s (n h e) -> n b h s e", n=2, h=self.heads)
        scores = (query * query.shape[-1] ** -0.5) @ key.mT + bias
        read = scores.softmax(-1).to(value.dtype) @ value
        return self.to_out(rearrange(read, "b h s e -> b s (h e)"))


def silent(layer: nn.Module) -> nn.Module:
    """A layer that says nothing until it has learned to."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _places(rows: int, columns: int, like: Tensor) -> Float[Tensor, "1 n 2"]:
    """Row and column of every cell, -1..1 from edge to edge."""
    row, column = (torch.arange(n, device=like.device) * 2 + 1 - n for n in (rows, columns))
    grid = torch.meshgrid(row / rows, column / columns, indexing="ij")
    return torch.stack(grid, -1).reshape(1, -1, 2)
