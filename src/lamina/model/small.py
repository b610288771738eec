"""The compact network for CPUs: one look at a flat picture, a mask, an alpha and hidden colours per layer slot.

A small U-Net reads the picture; at its coarsest scale picture tokens and a few tokens per layer slot go through the
same dual-stream blocks and Layer3D position ids as the paper's MMDiT (the picture is the condition, slot -1; layers
are slots 0..L-1); each slot's tokens become vectors that are read out against full-resolution picture features.
It differs openly from the released network: no latent, no noise (data prediction at t = 1, one step), no text
stream (the slot tokens take the context stream's place), and slots 1.. are a set: their depth is predicted, not
given by their index. Slot 0 is always the ground. Knows tensors only.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lamina.errors import CheckpointError
from lamina.model.backbone import Backbone
from lamina.model.closer import CloserRound, silent
from lamina.model.mmdit import DualStreamBlock
from lamina.model.tokens import rope

__all__ = ["SmallConfig", "SmallNet", "SmallOutput", "finer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallConfig:
    """Shape of the compact network."""

    area: int = 128 * 128
    """Pixels of the working picture; its sides keep the aspect and divide by `multiple`."""
    stem: int = 2
    """Side of the blocks of pixels that are read as one; masks are this many times smaller than the picture."""
    cues: int = 0
    """Channels beside RGB that say what colour tells of the ground (lamina.model.cues)."""
    backbone: bool = False
    """Whether a backbone that knows photographs looks at the picture too (lamina.model.backbone)."""
    channels: tuple[int, int, int] = (32, 64, 128)
    """Feature channels at strides 2, 4 and 8."""
    width: int = 192
    """Token width of the blocks."""
    heads: int = 6
    depth: int = 6
    slot_tokens: int = 2
    """Tokens per layer slot."""
    features: int = 48
    """Picture features that the slots are read out against."""
    rounds: int = 0
    """Closer looks (lamina.model.closer) that the slots take after the blocks."""
    max_layers: int = 20

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 8:
            raise CheckpointError(f"width {self.width} over {self.heads} heads is not a multiple of 8 per head")
        if self.backbone and self.stem != 4:
            raise CheckpointError(f"a stem of {self.stem} does not meet the backbone's features, which begin at 4")

    @property
    def multiple(self) -> int:
        """Sides of the working picture divide by this: the stride of the tokens."""
        return 8 * self.stem

    @property
    def rope_axes(self) -> tuple[int, int, int]:
        """Channels of a head for slot, row and column: a quarter and three eighths each."""
        head = self.width // self.heads
        return head // 4, head * 3 // 8, head * 3 // 8


class SmallOutput(NamedTuple):
    """What the network says; `h w` is the working size over the stem. Slot 0 is the ground, absent slots are masked."""

    visible: Float[Tensor, "b L h w"]
    """Logits over slots of who is seen at a pixel; softmax over slots gives visible weights."""
    alpha: Float[Tensor, "b L h w"]
    """Logits of coverage, hidden parts included; slot 0 is opaque by meaning."""
    rgb: Float[Tensor, "b L 3 h w"]
    """Straight colour -1..1, hidden parts included."""
    presence: Float[Tensor, "b L"]
    """Logit that the slot holds a layer at all."""
    depth: Float[Tensor, "b L"]
    """Larger is nearer to the viewer; only the order within a picture has meaning."""
    drafts: Float[Tensor, "b R L h w"] | None = None
    """What `visible` was before each closer look, for networks that take them."""


class SmallNet(nn.Module):
    """The compact network."""

    def __init__(self, config: SmallConfig) -> None:
        super().__init__()
        self.config = config
        c0, c1, c2 = config.channels
        width, features = config.width, config.features
        self.stem = nn.Conv2d(3 * config.stem**2 + config.cues, c0, 3, padding=1)
        self.down = nn.ModuleList(
            [_Down(c0, c1), _Down(c1, c2), nn.Sequential(nn.Conv2d(c2, width, 3, stride=2, padding=1))]
        )
        if config.backbone:
            self.backbone = Backbone()
            scales = zip(Backbone.channels, (*config.channels, width), strict=True)
            self.known = nn.ModuleList([silent(nn.Conv2d(found, wanted, 1)) for found, wanted in scales])
        self.queries = nn.Parameter(torch.randn(config.max_layers, config.slot_tokens, width) * 0.5)
        self.count = nn.Embedding(config.max_layers + 1, width)
        self.blocks = nn.ModuleList(
            [DualStreamBlock(width, config.heads, modulated=False) for _ in range(config.depth)]
        )
        self.token_norm = nn.LayerNorm(width)
        self.slot_norm = nn.LayerNorm(width * config.slot_tokens)
        self.up = nn.ModuleList([_Up(width, c2), _Up(c2, c1), _Up(c1, c0)])
        self.head = nn.Sequential(nn.GELU(), nn.Conv2d(c0, features, 1))
        self.closer = nn.ModuleList([CloserRound(width, config.heads, c1) for _ in range(config.rounds)])
        inner = width * config.slot_tokens
        self.slot_mlp = nn.Sequential(nn.Linear(inner, inner), nn.GELU(), nn.Linear(inner, 5 * (features + 1) + 2))
        nn.init.normal_(self.count.weight, std=0.02)

    def forward(
        self,
        picture_bchw_11: Float[Tensor, "b c H W"],
        counts: Float[Tensor, " b"],
        slots: Bool[Tensor, "b L"],
    ) -> SmallOutput:
        """Decompose a batch of working pictures.

        `counts` is the number of layers asked for, ground included, or 0 for "find out"; `slots` marks the slots in
        use of each picture, always from the first on. The channels are RGB and the cues, those -1..1 too; sides
        must divide by `config.multiple`.
        """
        config = self.config
        rgb, cues = picture_bchw_11[:, :3], picture_bchw_11[:, 3:]
        blocks = F.pixel_unshuffle(rgb, config.stem)
        detail = self.stem(torch.cat([blocks, F.avg_pool2d(cues, config.stem)], dim=1) if config.cues else blocks)
        known = self._known(rgb)
        scales = [detail := detail + known[0]]
        for down, more in zip(self.down, known[1:], strict=True):
            scales.append(down(F.gelu(scales[-1])) + more)
        rows, columns = scales[-1].shape[-2:]
        tokens = rearrange(scales[-1], "b d h w -> b (h w) d")

        length, absent = slots.shape[1], ~slots[..., None, None]
        queries = self.queries[:length] + self.count(counts.long())[:, None, None]
        context = rearrange(queries, "b l t d -> b (l t) d")
        mask = slots.repeat_interleave(config.slot_tokens, dim=1)
        picture_rope, slot_rope = self._ropes(rows, columns, length, tokens.device)
        for block in self.blocks:
            tokens, context = block(tokens, context, picture_rope, slot_rope, context_mask=mask)

        grid = rearrange(self.token_norm(tokens), "b (h w) d -> b d h w", h=rows)
        for up, skip in zip(self.up[:-1], reversed(scales[1:-1]), strict=True):
            grid = up(grid, skip)
        features = self.head(self.up[-1](grid, detail))
        drafts: list[Tensor] = []
        for closer in self.closer:
            drafts.append(_scores(self._read(context)[0][:, :, :1], features)[:, :, 0].masked_fill(absent, -1e4))
            seen = F.avg_pool2d(drafts[-1].detach().float().softmax(1), 2)
            context, grid = closer(context, grid, seen.repeat_interleave(config.slot_tokens, dim=1), mask)
        features = self.head(self.up[-1](grid, detail)) if drafts else features
        vectors, presence, depth = self._read(context)
        scores = _scores(vectors, features)
        visible = scores[:, :, 0].masked_fill(absent, -1e4)
        colours = scores[:, :, 2:] + F.avg_pool2d(rgb, config.stem)[:, None]
        earlier = torch.stack(drafts, dim=1) if drafts else None
        return SmallOutput(visible, scores[:, :, 1], colours, presence, depth, earlier)

    def _read(self, context: Float[Tensor, "b t d"]) -> tuple[Tensor, Tensor, Tensor]:
        """What slots say: five vectors to read features with (visible, alpha, colours), presence and depth."""
        joined = self.slot_norm(rearrange(context, "b (l t) d -> b l (t d)", t=self.config.slot_tokens))
        readout = self.slot_mlp(joined)
        vectors = rearrange(readout[..., :-2], "b l (k f) -> b l k f", k=5)
        return vectors, readout[..., -2], readout[..., -1]

    def _known(self, rgb: Float[Tensor, "b 3 H W"]) -> list[Tensor | float]:
        """What the backbone adds at each scale. It stays as it came: only what is read from it is learned."""
        if not self.config.backbone:
            return [0.0] * 4
        with torch.no_grad():
            features = [F.group_norm(found, 1) for found in self.backbone(rgb)]
        return [read(found) for read, found in zip(self.known, features, strict=True)]

    def _ropes(self, rows: int, columns: int, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Layer3D RoPE of the picture tokens (slot -1, centred rows and columns) and of the slot tokens (slot k)."""
        row = torch.arange(rows, device=device) - (rows - rows // 2)
        column = torch.arange(columns, device=device) - (columns - columns // 2)
        grid_row, grid_column = torch.meshgrid(row, column, indexing="ij")
        picture = torch.stack([torch.full_like(grid_row, -1), grid_row, grid_column], -1).reshape(-1, 3)
        slot = torch.arange(length, device=device).repeat_interleave(self.config.slot_tokens)
        middle = torch.zeros_like(slot)
        ids = torch.stack([slot, middle, middle], -1)
        axes = self.config.rope_axes
        return rope(picture, axes, 100.0), rope(ids, axes, 100.0)


def finer(state: dict[str, Tensor], before: SmallConfig, after: SmallConfig) -> dict[str, Tensor]:
    """Weights of a network with a finer stem, and with cues, that answers as the one before did to the same picture
    twice as large: every block's weight is spread evenly over the pixels it is now made of, the cues' are zero.

    Rounds may be added too; their weights are not in what is returned. Raises CheckpointError when the two differ in
    anything else than area, stem, cues and rounds.
    """
    grown = replace(before, area=after.area, stem=after.stem, cues=after.cues, rounds=max(before.rounds, after.rounds))
    if grown != after or after.stem % before.stem:
        may = "only stem, cues and rounds may grow"
        raise CheckpointError(f"weights for {before} cannot become weights for {after}: {may}")
    weight, times = state["stem.weight"], after.stem // before.stem
    blocks, old = weight[:, : 3 * before.stem**2], weight[:, 3 * before.stem**2 :]
    side = before.stem
    spread = rearrange(blocks, "o (c y x) h w -> o c y x h w", c=3, y=side, x=side) / times**2
    spread = repeat(spread, "o c y x h w -> o (c y p x q) h w", p=times, q=times)
    fresh = weight.new_zeros(weight.shape[0], after.cues - before.cues, *weight.shape[2:])
    return state | {"stem.weight": torch.cat([spread, old, fresh], dim=1)}


def _scores(vectors: Float[Tensor, "b l k f1"], features: Float[Tensor, "b f h w"]) -> Float[Tensor, "b l k h w"]:
    """Vectors, with an offset as their last number, read out against features."""
    scale = features.shape[1] ** -0.5
    return torch.einsum("blkf,bfhw->blkhw", vectors[..., :-1] * scale, features) + vectors[..., -1][..., None, None]


class _Down(nn.Module):
    """Halve the scale, then one residual convolution."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.shrink = nn.Conv2d(inside, outside, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(8, outside)
        self.conv = nn.Conv2d(outside, outside, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shrink(x)
        return x + self.conv(F.gelu(self.norm(x)))


class _Up(nn.Module):
    """Double the scale, add the encoder's features of that scale, then one residual convolution."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(inside, outside, 1)
        self.norm = nn.GroupNorm(8, outside)
        self.conv = nn.Conv2d(outside, outside, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(self.narrow(x), size=skip.shape[-2:], mode="bilinear", align_corners=False) + skip
        return x + self.conv(F.gelu(self.norm(x)))
