"""The variable-layers multimodal diffusion transformer: tokens of slots, condition and text in, velocity out.

Knows tensors only: no files, no sampler, no VAE. Source: Qwen-Image-Layered (arXiv 2512.15603), section 3.2, on the
backbone of Qwen-Image (arXiv 2508.02324). Parameter names are those of the released checkpoint, which therefore
loads as it is.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lamina.errors import InputError
from lamina.model.config import MMDiTConfig
from lamina.model.tokens import CONDITION, apply_rope, grid_ids, rope, text_ids

__all__ = ["DualStreamBlock", "MMDiT", "Places", "Shifts"]

_EPS = 1e-6


class Shifts(NamedTuple):
    """What a block's two modulations say at one timestep: shift, scale, gate of the attention, then of the MLP."""

    img: Float[Tensor, "b sixd"]
    txt: Float[Tensor, "b sixd"]


class Places(NamedTuple):
    """Where tokens are and which may be attended to: the same at every timestep."""

    visual_rope: Float[Tensor, "s k 2"]
    context_rope: Float[Tensor, "b 1 t k 2"]
    text_mask: Bool[Tensor, "b t"] | None
    visual_mask: Bool[Tensor, "b s"] | None


class MMDiT(nn.Module):
    """The network; one set of weights serves any number of layers.

    `tabled=True` leaves out the blocks' modulations, a third of all weights: `lamina.model.denoise` runs such a network
    with a table of what they say.
    """

    def __init__(self, config: MMDiTConfig, *, tabled: bool = False) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.img_in = nn.Linear(config.token_width, width)
        self.txt_norm = nn.RMSNorm(config.text_width, eps=_EPS)
        self.txt_in = nn.Linear(config.text_width, width)
        self.time_text_embed = _TimeEmbedding(width)
        # Nothing reads the context or the condition after the last block, so they have no way out of it.
        self.transformer_blocks = nn.ModuleList(
            [
                DualStreamBlock(width, config.heads, context_out=i + 1 < config.depth, tabled=tabled)
                for i in range(config.depth)
            ]
        )
        self.norm_out = _FinalNorm(width)
        self.proj_out = nn.Linear(width, config.token_width)

    def forward(
        self,
        slots: Float[Tensor, "b n s c"],
        condition: Float[Tensor, "b s c"] | None,
        text: Float[Tensor, "b t e"],
        timestep: Float[Tensor, " b"],
        grid: tuple[int, int],
        text_mask: Bool[Tensor, "b t"] | None = None,
        rgb: Bool[Tensor, " b"] | None = None,
        present: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n s c"]:
        """The velocity of the noisy `slots`: the composite (0) and the layers 1..L, bottom to top, so n = L + 1.

        `condition` is the clean picture's tokens, None to make layers from text alone; `timestep` 1 is noise, 0 data;
        `grid` is (rows, columns) of tokens; `text_mask` is true on real text tokens; `rgb` asks for opaque pictures
        instead of RGBA. `present` is true on slots that a picture has, from the first on: the others fill up a batch of
        pictures of different layer counts, nothing attends to them, and what comes back for them means nothing.
        Raises InputError when the grid is not that of the tokens.
        """
        count, per_slot = slots.shape[1], slots.shape[2]
        if grid[0] * grid[1] != per_slot:
            raise InputError(f"a grid of {grid[0]}x{grid[1]} has {grid[0] * grid[1]} tokens, got {per_slot} per slot")
        places = self.places(count, condition is not None, text, grid, text_mask, present)

        sequence = rearrange(slots, "b n s c -> b (n s) c")
        if condition is not None:
            sequence = torch.cat([sequence, condition], dim=1)
        visual, context = self.img_in(sequence), self.txt_in(self.txt_norm(text))
        modulation, own = self.time_text_embed(timestep, rgb), count * per_slot
        for block in self.transformer_blocks:
            visual, context = block(
                visual,
                context,
                places.visual_rope,
                places.context_rope,
                modulation,
                places.text_mask,
                places.visual_mask,
                own,
            )
        velocity = self.proj_out(self.norm_out(visual[:, :own], modulation))
        return rearrange(velocity, "b (n s) c -> b n s c", n=count)

    def places(
        self,
        count: int,
        conditioned: bool,
        text: Float[Tensor, "b t e"],
        grid: tuple[int, int],
        text_mask: Bool[Tensor, "b t"] | None = None,
        present: Bool[Tensor, "b n"] | None = None,
    ) -> Places:
        """The positions of `count` slots, of the condition if there is one, and of the text; see `forward`."""
        device, per_slot = text.device, grid[0] * grid[1]
        order = list(range(count)) + ([CONDITION] if conditioned else [])
        axes, theta = self.config.rope_axes, self.config.theta
        visual_rope = rope(grid_ids(torch.tensor(order, device=device), grid), axes, theta)
        # The text starts past the slots that a picture has, not past those that it was padded to.
        counts = [count] if present is None else [int(own) for own in present.sum(1)]
        starts = [text_ids(text.shape[1], own, grid, device) for own in counts]
        text_rope = torch.stack([rope(ids, axes, theta) for ids in starts])[:, None]
        visual_mask = None
        if present is not None:
            padded = F.pad(present, (0, len(order) - count), value=True)
            visual_mask = padded.repeat_interleave(per_slot, dim=1)
        return Places(visual_rope, text_rope, text_mask, visual_mask)


class DualStreamBlock(nn.Module):
    """A transformer block with its own parameters for the visual and the context stream and one joint attention.

    `modulated`: norms have no weights of their own but are shifted, scaled and gated by the time embedding; else plain
    norms and residuals, for networks of one step. `context_out=False` is for the last block, after which nothing reads
    the context: it comes back as it was, at no cost. The parameters are the same either way. `tabled`: without the
    modulations' own weights; what they say is given as Shifts.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        mlp_ratio: int = 4,
        modulated: bool = True,
        context_out: bool = True,
        tabled: bool = False,
    ) -> None:
        super().__init__()
        self.context_out = context_out
        self.img_mod = _modulation(width) if modulated and not tabled else None
        self.txt_mod = _modulation(width) if modulated and not tabled else None
        self.img_norm1 = nn.LayerNorm(width, eps=_EPS, elementwise_affine=not modulated)
        self.img_norm2 = nn.LayerNorm(width, eps=_EPS, elementwise_affine=not modulated)
        self.txt_norm1 = nn.LayerNorm(width, eps=_EPS, elementwise_affine=not modulated)
        self.txt_norm2 = nn.LayerNorm(width, eps=_EPS, elementwise_affine=not modulated)
        self.attn = _JointAttention(width, heads)
        self.img_mlp = _mlp(width, mlp_ratio)
        self.txt_mlp = _mlp(width, mlp_ratio)

    def forward(
        self,
        visual: Float[Tensor, "b s d"],
        context: Float[Tensor, "b t d"],
        visual_rope: Float[Tensor, "s k 2"],
        context_rope: Float[Tensor, "*n t k 2"],
        modulation: Float[Tensor, "b d"] | Shifts | None = None,
        context_mask: Bool[Tensor, "b t"] | None = None,
        visual_mask: Bool[Tensor, "b s"] | None = None,
        own: int | None = None,
    ) -> tuple[Float[Tensor, "b own d"], Float[Tensor, "b t d"]]:
        """Both streams after attention and MLP.

        `modulation` is the time embedding, or what the modulations say of it, for a modulated block only;
        `context_mask` and `visual_mask` are true on tokens that may be attended to. A rope of a picture's own,
        "b 1 t k 2", turns every picture differently. `own` is how many of the first visual tokens are read after the
        last block: a block without `context_out` gives these alone, and the others are only attended to.
        """
        own = visual.shape[1] if own is None or self.context_out else min(own, visual.shape[1])
        said = modulation if isinstance(modulation, Shifts) else self.shifts(modulation)
        img, txt = (_six(stream) for stream in (said or (None, None)))
        seen, read = self.attn(
            _shifted(self.img_norm1(visual), img[:2]),
            _shifted(self.txt_norm1(context), txt[:2]),
            visual_rope,
            context_rope,
            _joint_mask(context, visual, context_mask, visual_mask),
            self.context_out,
            own,
        )
        visual = visual[:, :own] + _gated(seen, img[2])
        visual = visual + _gated(self.img_mlp(_shifted(self.img_norm2(visual), img[3:5])), img[5])
        if read is None:
            return visual, context
        context = context + _gated(read, txt[2])
        context = context + _gated(self.txt_mlp(_shifted(self.txt_norm2(context), txt[3:5])), txt[5])
        return visual, context

    def fuse(self) -> None:
        """Make queries, keys and values in one product a stream: for running, as the names of the weights change.

        A block without `context_out` stays as it is: of most of its queries nothing is read.
        """
        if self.context_out:
            self.attn.fuse()

    def shifts(self, modulation: Float[Tensor, "b d"] | None) -> Shifts | None:
        """What the modulations say of a time embedding; None for a block that is not modulated."""
        if self.img_mod is None or self.txt_mod is None or modulation is None:
            return None
        return Shifts(self.img_mod(modulation), self.txt_mod(modulation))


class _JointAttention(nn.Module):
    """Attention over [context, visual], each with its own projections; queries and keys are RMS-normed per head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.add_q_proj, self.add_k_proj, self.add_v_proj = (nn.Linear(width, width) for _ in range(3))
        self.norm_q, self.norm_k = (nn.RMSNorm(width // heads, eps=_EPS) for _ in range(2))
        self.norm_added_q, self.norm_added_k = (nn.RMSNorm(width // heads, eps=_EPS) for _ in range(2))
        self.to_qkv: nn.Linear | None = None
        """Queries, keys and values of the visual stream in one product; None while they are three."""
        self.add_qkv_proj: nn.Linear | None = None
        self.gather: Callable[[Tensor], Tensor] | None = None
        """Brings the visual keys and values, "b heads s e", of all processes together where each has a part of them."""
        self.to_out = nn.Sequential(nn.Linear(width, width))
        self.to_add_out = nn.Linear(width, width)

    def forward(
        self,
        visual: Float[Tensor, "b s d"],
        context: Float[Tensor, "b t d"],
        visual_rope: Float[Tensor, "s k 2"],
        context_rope: Float[Tensor, "*n t k 2"],
        mask: Bool[Tensor, "b 1 1 all"] | None,
        context_out: bool,
        own: int,
    ) -> tuple[Float[Tensor, "b own d"], Float[Tensor, "b t d"] | None]:
        """What the first `own` visual tokens and the context read; None for a context that asks nothing."""
        asks, named, told = self._visual(visual, own)
        query = apply_rope(self.norm_q(self._split(asks)), visual_rope[:own])
        key = apply_rope(self.norm_k(self._split(named)), visual_rope)
        seen = self._split(told)
        if self.gather is not None:
            key, seen = self.gather(key), self.gather(seen)
        asks, named, told = self._context(context, context_out)
        context_key = apply_rope(self.norm_added_k(self._split(named)), context_rope)
        value = torch.cat([self._split(told), seen], dim=2)
        key = torch.cat([context_key, key], dim=2)
        if asks is not None:
            asked = apply_rope(self.norm_added_q(self._split(asks)), context_rope)
            query = torch.cat([asked, query], dim=2)
        joint = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        joint = rearrange(joint, "b h s e -> b s (h e)")
        if not context_out:
            return self.to_out(joint), None
        length = context.shape[1]
        return self.to_out(joint[:, length:]), self.to_add_out(joint[:, :length])

    def fuse(self) -> None:
        """Make queries, keys and values of a stream in one product from now on; the numbers are the same."""
        if self.to_qkv is not None:
            return
        self.to_qkv = _joined(self.to_q, self.to_k, self.to_v)
        self.add_qkv_proj = _joined(self.add_q_proj, self.add_k_proj, self.add_v_proj)
        del self.to_q, self.to_k, self.to_v, self.add_q_proj, self.add_k_proj, self.add_v_proj

    def _visual(self, x: Tensor, own: int) -> tuple[Tensor, ...]:
        """Queries of the first `own` tokens, keys and values of all."""
        if self.to_qkv is None:
            return self.to_q(x[:, :own]), self.to_k(x), self.to_v(x)
        query, key, value = self.to_qkv(x).chunk(3, dim=-1)
        return query[:, :own], key, value

    def _context(self, x: Tensor, asking: bool) -> tuple[Tensor | None, Tensor, Tensor]:
        """Queries unless nothing is asked, keys and values."""
        if self.add_qkv_proj is None:
            return self.add_q_proj(x) if asking else None, self.add_k_proj(x), self.add_v_proj(x)
        query, key, value = self.add_qkv_proj(x).chunk(3, dim=-1)
        return query if asking else None, key, value

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "b s (h e) -> b h s e", h=self.heads)


class _TimeEmbedding(nn.Module):
    """Sinusoid of 1000 t, cosines first, through a two-layer MLP; plus one of two learned rows (RGBA, RGB)."""

    def __init__(self, width: int, waves: int = 128) -> None:
        super().__init__()
        self.waves = waves
        self.timestep_embedder = _chain(
            linear_1=nn.Linear(2 * waves, width), act=nn.SiLU(), linear_2=nn.Linear(width, width)
        )
        self.addition_t_embedding = nn.Embedding(2, width)

    def forward(self, timestep: Float[Tensor, " b"], rgb: Bool[Tensor, " b"] | None) -> Float[Tensor, "b d"]:
        rows = self.addition_t_embedding.weight
        index = torch.arange(self.waves, dtype=torch.float32, device=timestep.device)
        frequencies = torch.exp(-math.log(10_000.0) * index / self.waves)
        # In this order, because float32 rounds angles of hundreds of radians, and the weights learned with it.
        angles = 1000.0 * (timestep.float()[:, None] * frequencies)
        embedded = self.timestep_embedder(torch.cat([angles.cos(), angles.sin()], dim=-1).to(rows.dtype))
        return embedded + (rows[0] if rgb is None else rows[rgb.long()])


class _FinalNorm(nn.Module):
    """LayerNorm scaled and shifted by the time embedding: here the scale comes first, unlike in the blocks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width, eps=_EPS, elementwise_affine=False)

    def forward(self, x: Float[Tensor, "b s d"], modulation: Float[Tensor, "#b d"]) -> Float[Tensor, "b s d"]:
        scale, shift = self.linear(F.silu(modulation))[:, None].chunk(2, dim=-1)
        return _shifted(self.norm(x), (shift, scale))


def _modulation(width: int) -> nn.Module:
    return nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))


def _mlp(width: int, ratio: int) -> nn.Module:
    lift = _chain(proj=nn.Linear(width, ratio * width), gelu=nn.GELU("tanh"))
    return _chain(net=_chain(**{"0": lift, "2": nn.Linear(ratio * width, width)}))


def _chain(**modules: nn.Module) -> nn.Sequential:
    """A Sequential whose parts have the published names."""
    return nn.Sequential(OrderedDict(modules))


def _joined(*parts: nn.Linear) -> nn.Linear:
    """One linear layer that gives what several give, one after the other."""
    with torch.device("meta"):
        joined = nn.Linear(parts[0].in_features, sum(part.out_features for part in parts))
    state = {name: torch.cat([part.state_dict()[name] for part in parts]) for name in ("weight", "bias")}
    joined.load_state_dict(state, assign=True)
    return joined.requires_grad_(parts[0].weight.requires_grad).train(parts[0].training)


def _joint_mask(
    context: Tensor, visual: Tensor, context_mask: Tensor | None, visual_mask: Tensor | None
) -> Tensor | None:
    """Which tokens of [context, visual] may be attended to, one row a picture; None where all may."""
    if context_mask is None and visual_mask is None:
        return None
    masks = [
        torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        for x, mask in ((context, context_mask), (visual, visual_mask))
    ]
    return torch.cat(masks, dim=1)[:, None, None]


def _six(said: Tensor | None) -> tuple[Tensor | None, ...]:
    """Shift, scale, gate of the attention, then of the MLP."""
    return (None,) * 6 if said is None else said[:, None].chunk(6, dim=-1)


def _shifted(x: Tensor, by: tuple[Tensor | None, ...]) -> Tensor:
    shift, scale = by
    return x if shift is None or scale is None else x * (1 + scale) + shift


def _gated(x: Tensor, gate: Tensor | None) -> Tensor:
    return x if gate is None else gate * x
