"""Which regions of a picture are its ground: a small graph network on regions and their common borders.

A region hears what its neighbours are, over longer borders more, and what the whole picture and its rim are, a few
times over (message passing, arXiv 1704.01212). It answers with what is to be added to what another network says of the
region; one that has learned nothing adds nothing. Knows tensors only.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["BORDER", "REGION", "GroundConfig", "GroundNet"]

# pyright: reportUnknownMemberType=false

REGION = 30
"""Numbers that a region comes with."""

BORDER = 5
"""Numbers that a border comes with; the first two are the same thing seen from both sides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundConfig:
    """Shape of the network."""

    width: int = 48
    rounds: int = 3
    dropout: float = 0.1
    """While training."""


class GroundNet(nn.Module):
    """The log odds to be added for each region."""

    def __init__(self, config: GroundConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.region = nn.Sequential(nn.Linear(REGION, width), nn.GELU(), nn.Linear(width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.rounds))
        self.messages = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * width + BORDER, width), nn.GELU()) for _ in range(config.rounds)
        )
        self.updates = nn.ModuleList(
            nn.Sequential(nn.Linear(4 * width, width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(width, width))
            for _ in range(config.rounds)
        )
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        for weights in self.answer[1].parameters():
            nn.init.zeros_(weights)

    def forward(
        self,
        region: Float[Tensor, "n 30"],
        area: Float[Tensor, " n"],
        rim: Float[Tensor, " n"],
        pairs: Int[Tensor, "2 m"],
        border: Float[Tensor, "m 5"],
        share: Float[Tensor, "2 m"],
    ) -> Float[Tensor, " n"]:
        """`area` and `rim` are each region's shares of the picture and of its rim, `pairs` the regions on both sides of
        a border, `share` what that is of all the border of each of the two."""
        here, there = pairs.flatten(), pairs.flip(0).flatten()
        seen = torch.cat([border, border[:, [1, 0, *range(2, BORDER)]]])
        weight = share.flatten()[:, None]
        rim = rim / rim.sum().clamp_min(1e-6)
        state = self.region(region)
        for norm, message, update in zip(self.norms, self.messages, self.updates, strict=True):
            now = norm(state)
            told = weight * message(torch.cat([now[here], now[there], seen], dim=1))
            heard = torch.zeros_like(now).index_add_(0, here, told)
            everywhere, outside = ((part[:, None] * now).sum(0, keepdim=True).expand_as(now) for part in (area, rim))
            state = state + update(torch.cat([now, heard, everywhere, outside], dim=1))
        return self.answer(state)[:, 0]
