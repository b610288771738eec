"""The released model at work: a picture (or none) and prompts in, layers out, all at the model's own size.

Encodes the picture, makes the table of the schedule, samples with guidance, decodes the layers in one 2-D batch. The
published pipeline rounds timesteps and latents to the weights' type between steps; `rounding="reference"` does so too,
the default keeps both in float32. Source: Qwen-Image-Layered (arXiv 2512.15603) and its released scheduler. Knows no
files of pictures and no documents.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lamina.errors import InputError
from lamina.model import checkpoint
from lamina.model.denoise import Denoiser, Stage, Table, Text, make_table
from lamina.model.flow import guide
from lamina.model.layouts import Released
from lamina.model.pace import PACES, Pace, memos
from lamina.model.tokens import patchify, unpatchify
from lamina.model.vae import Vae, collapse

__all__ = ["OnStep", "ReleasedModel", "Rounding", "draw_noise", "load_vae"]

OnStep = Callable[[int, int], None]
Rounding = Literal["float32", "reference"]
"""How timesteps and latents are kept between steps; "reference" repeats the published pipeline, in its type."""


class ReleasedModel:
    """Networks in place, ready to make layers; batches are pictures of one size."""

    def __init__(
        self, released: Released, vae: Vae, denoiser: Denoiser, *, device: torch.device, frames: int = 0
    ) -> None:
        """`frames` layers are decoded at once, 0 is all."""
        self.released, self.vae, self.denoiser, self.device = released, vae, denoiser, device
        self.frames = frames
        self.dtype = denoiser.network.img_in.weight.dtype
        self._tables: dict[tuple[int, int, str], Table] = {}

    @torch.inference_mode()
    def layers(
        self,
        pictures: Float[Tensor, "b 4 h w"] | None,
        texts: Text,
        bare: Text | None,
        *,
        count: int,
        steps: int = 50,
        guidance: float = 4.0,
        rescale: bool = True,
        noise: Float[Tensor, "b n z y x"],
        rounding: Rounding = "float32",
        pace: Pace = PACES["exact"],
        on_step: OnStep | None = None,
    ) -> Float[Tensor, "b L 4 h w"]:
        """The layers of every picture, bottom first, straight RGBA -1..1.

        `pictures` are straight RGBA -1..1; None makes layers from the prompts alone, at the noise's size. `bare` is
        what guidance measures against, needed unless guidance is 1. `noise` is that of the slots 0..count (see
        `draw_noise`). `pace` may leave work out. `on_step(step, steps)` may raise to stop. Raises InputError where the
        parts do not fit together.
        """
        if noise.shape[1] != count + 1:
            raise InputError(f"noise for {noise.shape[1]} slots; {count} layers and the composite need {count + 1}")
        if guidance != 1 and bare is None:
            raise InputError(f"guidance {guidance:g} measures against an empty prompt, which was not given")
        patch = self.released.config.mmdit.patch
        grid = (noise.shape[-2] // patch, noise.shape[-1] // patch)
        kept = self.dtype if rounding == "reference" else torch.float32
        table, times = self.table(steps, grid[0] * grid[1], rounding)
        condition = None if pictures is None else patchify(self.encode(pictures), patch).to(self.dtype)
        if condition is not None and condition.shape[1] != grid[0] * grid[1]:
            raise InputError(f"the noise is for {noise.shape[-1]}x{noise.shape[-2]} latents, not the pictures' own")
        branches = [texts] if guidance == 1 or bare is None else [texts, bare]
        stage = self.denoiser.stage([self._here(text) for text in branches], condition, count + 1, grid)
        alone = Stage(stage.branches[:1], stage.condition)
        kinds = memos(pace, len(branches))
        x = patchify(noise.to(self.device, kept), patch)
        for step in range(steps):
            now = stage if pace.guides_at(float(times[step])) else alone
            own = None if kinds is None else kinds[: len(now.branches)]
            said = self.denoiser.velocities(x.to(self.dtype), now, table, step, own)
            said = [velocity.to(kept) for velocity in said]
            velocity = guide(said[0], said[1], guidance, rescale) if len(said) == 2 else said[0]
            x = _stepped(x, times[step + 1] - times[step], velocity)
            if on_step is not None:
                on_step(step + 1, steps)
        self.denoiser.blocks.rest()
        return self._decoded(x, grid)

    @torch.inference_mode()
    def encode(self, pictures: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b z y x"]:
        """The normalized latents of pictures."""
        return self.vae.encode(pictures.to(self.device, self._vae_dtype))

    def table(self, steps: int, tokens: int, rounding: Rounding = "float32") -> tuple[Table, Float[Tensor, " k"]]:
        """What depends on time alone, and the timesteps; kept for the next picture of this size."""
        times = self.released.schedule.timesteps(steps, tokens)
        key = (steps, tokens, rounding)
        if key not in self._tables:
            seen = times[:-1]
            if rounding == "reference":
                seen = (times[:-1] * 1000).to(self.dtype) / 1000
            self._tables.clear()  # one at a time: a table of 50 steps takes 222 MB
            self._tables[key] = make_table(
                self.denoiser.network, self.released.transformer, seen, device=self.device, dtype=self.dtype
            )
        return self._tables[key], times

    def _decoded(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """The pictures of sampled tokens; slot 0, the composite, is not wanted."""
        latents = unpatchify(x[:, 1:], grid, self.released.config.mmdit.patch)
        several = latents.flatten(0, 1).to(self._vae_dtype)
        count = self.frames or len(several)
        parts = [several[start : start + count].contiguous() for start in range(0, len(several), count)]
        flat = torch.cat([self.vae.decode(part).float() for part in parts])
        return rearrange(flat, "(b n) c h w -> b n c h w", b=len(x))

    @property
    def _vae_dtype(self) -> torch.dtype:
        return self.vae.quant_conv.weight.dtype

    def _here(self, text: Text) -> Text:
        mask = None if text.mask is None or bool(text.mask.all()) else text.mask.to(self.device)
        return Text(text.embedding.to(self.device, self.dtype), mask)


def _stepped(x: Tensor, difference: Tensor, velocity: Tensor) -> Tensor:
    """One Euler step, in float32 and back; the difference of the timesteps, a tensor without dimensions, is rounded to
    the velocity's type, as it is published."""
    return (x.float() + difference * velocity).to(x.dtype)


def load_vae(released: Released, *, device: torch.device, dtype: torch.dtype) -> Vae:
    """The 2-D VAE of the published weights."""
    with torch.device("meta"):
        vae = Vae(released.config.vae)
    state = collapse({name: lazy.read() for name, lazy in released.vae.items()}, released.config.vae)
    checkpoint.require_shapes(state, {name: tuple(t.shape) for name, t in vae.state_dict().items()}, "the VAE")
    vae.load_state_dict({name: _ordered(tensor.to(dtype)) for name, tensor in state.items()}, assign=True)
    return vae.to(device).eval().requires_grad_(False)


def _ordered(tensor: Tensor) -> Tensor:
    """A kernel with its channels last in memory, in which order convolutions are faster, and hand it on."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def draw_noise(
    seeds: Sequence[int], shape: tuple[int, int, int, int], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "b n z y x"]:
    """Noise of a batch, each picture from its own seed; `shape` is slots, latent channels, rows, columns.

    Drawn on the CPU, so that it is the same for every device.
    """
    return torch.cat(
        [torch.randn((1, *shape), generator=torch.Generator().manual_seed(seed), dtype=dtype) for seed in seeds]
    )
