"""Run a tabled MMDiT step by step: what depends on the timestep alone is computed once, each block is visited once.

The modulations of all blocks, a third of the published weights, are functions of the timestep: for a schedule they are
a table, and their weights are read one block at a time and dropped. Positions and the embedded text are the same
at every step. All prompts (with guidance: two) are taken through a block while it is there.
Knows the network and its weights, no sampler.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from lamina.model import checkpoint
from lamina.model.attention import preferred
from lamina.model.blocks import Blocks
from lamina.model.config import MMDiTConfig
from lamina.model.mmdit import MMDiT, Places, Shifts
from lamina.model.pace import Memo
from lamina.model.weights import Weights

__all__ = ["Branch", "Denoiser", "Row", "Stage", "Table", "Text", "embedded", "make_table", "tabled_network"]

_MODULATIONS = (".img_mod.1.", ".txt_mod.1.")


class Text(NamedTuple):
    """A batch of prompts as embeddings."""

    embedding: Float[Tensor, "b t e"]
    mask: Bool[Tensor, "b t"] | None = None
    """True on real tokens; None where all are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """What depends on the timestep alone, one row a timestep; in host memory, from where a step takes its row."""

    time: Float[Tensor, "k d"]
    """The time embedding."""
    img: Float[Tensor, "k n sixd"]
    """What the visual stream's modulations say, block by block."""
    txt: Float[Tensor, "k n sixd"]

    def row(self, number: int, device: torch.device) -> "Row":
        """One timestep's, on the device: 4.4 MB of the published network's."""
        return Row(*(values[number].to(device) for values in (self.time, self.img, self.txt)))


class Row(NamedTuple):
    """What depends on the timestep alone, at one timestep."""

    time: Float[Tensor, " d"]
    img: Float[Tensor, "n sixd"]
    txt: Float[Tensor, "n sixd"]

    def shifts(self, block: int) -> Shifts:
        """The modulations of one block, for a batch of any size."""
        return Shifts(self.img[block][None], self.txt[block][None])


class Branch(NamedTuple):
    """One prompt, ready for every step."""

    context: Float[Tensor, "b t d"]
    places: Places


class Stage(NamedTuple):
    """What a sampling run is about: the same at every step."""

    branches: tuple[Branch, ...]
    condition: Float[Tensor, "b s c"] | None
    """The clean picture's tokens."""


def tabled_network(config: MMDiTConfig, weights: Weights, dtype: torch.dtype) -> MMDiT:
    """The network without its modulations, holding its weights as `dtype`; mapped files stay mapped where they can.

    Raises CheckpointError unless names and shapes are the network's.
    """
    with torch.device("meta"):
        network = MMDiT(config, tabled=True)
    own = {name: lazy for name, lazy in weights.items() if not any(part in name for part in _MODULATIONS)}
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    checkpoint.require_shapes(own, expected, "the transformer without its modulations")
    network.load_state_dict({name: lazy.read().to(dtype) for name, lazy in own.items()}, assign=True)
    return network.eval().requires_grad_(False)


def make_table(
    network: MMDiT,
    weights: Weights,
    timesteps: Float[Tensor, " k"],
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Table:
    """The table of these timesteps; one block's modulations are read, used and dropped at a time.

    Every timestep is a call of its own, so that the numbers are those of the network run as it is.
    """
    depth = network.config.depth
    with torch.inference_mode():
        times = torch.cat([network.time_text_embed(t[None].to(device), None) for t in timesteps]).to(dtype)
        silu = F.silu(times)
        rows: dict[str, list[Tensor]] = {"img": [], "txt": []}
        for number in range(depth):
            for stream, found in rows.items():
                stem = f"transformer_blocks.{number}.{stream}_mod.1."
                weight, bias = (weights[stem + end].read().to(device, dtype) for end in ("weight", "bias"))
                found.append(torch.cat([F.linear(row[None], weight, bias) for row in silu]))
        img, txt = (torch.stack(found, dim=1).cpu() for found in rows.values())
    return Table(time=times.cpu(), img=img, txt=txt)


class Denoiser:
    """A tabled network with its blocks where they are, ready to say velocities."""

    def __init__(self, network: MMDiT, blocks: Blocks) -> None:
        self.network, self.blocks = network, blocks

    @torch.inference_mode()
    def stage(
        self,
        texts: Sequence[Text],
        condition: Float[Tensor, "b s c"] | None,
        count: int,
        grid: tuple[int, int],
    ) -> Stage:
        """What is the same at every step, for `count` slots of `grid` tokens."""
        network = self.network
        branches = [
            Branch(
                network.txt_in(network.txt_norm(text.embedding)),
                network.places(count, condition is not None, text.embedding, grid, text.mask),
            )
            for text in texts
        ]
        return Stage(tuple(branches), condition)

    @torch.inference_mode()
    def velocities(
        self,
        slots: Float[Tensor, "b n s c"],
        stage: Stage,
        table: Table,
        row: int,
        memos: Sequence[Memo] | None = None,
    ) -> list[Float[Tensor, "b n s c"]]:
        """What the network says of the noisy slots at the timestep of a row, for every branch.

        With `memos`, one a branch, the blocks after the first may be left out, where there are any.
        """
        memos = memos if len(self.blocks) > 1 else None
        network, count, now = self.network, slots.shape[1], table.row(row, slots.device)
        start = embedded(network, slots, stage)
        own = count * slots.shape[2]
        streams = [(start, branch.context) for branch in stage.branches]
        firsts: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            said = now.shifts(number)
            with preferred(slots.device):
                streams = [
                    block(visual, context, p.visual_rope, p.context_rope, said, p.text_mask, p.visual_mask, own)
                    for (visual, context), p in zip(streams, (branch.places for branch in stage.branches), strict=True)
                ]
            if number == 0 and memos is not None:
                firsts = [visual for visual, _ in streams]
                if all(memo.may_skip(start, first) for memo, first in zip(memos, firsts, strict=True)):
                    finals = [memo.take_over(first) for memo, first in zip(memos, firsts, strict=True)]
                    break
        else:
            finals = [visual[:, :own] for visual, _ in streams]
            if memos is not None:
                for memo, first, final in zip(memos, firsts, finals, strict=True):
                    memo.learn(start, first, final)
        found = [network.proj_out(network.norm_out(final, now.time[None])) for final in finals]
        return [rearrange(velocity, "b (n s) c -> b n s c", n=count) for velocity in found]


def embedded(network: MMDiT, slots: Float[Tensor, "b n s c"], stage: Stage) -> Float[Tensor, "b all d"]:
    """The visual stream before the first block: slots, then the condition.

    In one product, as the whole network does it: parted, its sums may be rounded otherwise.
    """
    tokens = rearrange(slots, "b n s c -> b (n s) c")
    return network.img_in(tokens if stage.condition is None else torch.cat([tokens, stage.condition], dim=1))
