"""The stages of the variable-layers MMDiT: rectified flow on latents, from text, or from text and a picture.

x_t = (1 - t) data + t noise, the network says noise - data, t is logit-normal and warped towards noise as in sampling
(arXiv 2512.15603, section 3; the signs are the release's). Slot 0 is the composite, slots 1..L the layers; a picture to
take apart is the clean condition at slot -1. All that is drawn for a row comes from the row's seed, and the loss is the
mean of the rows', so that neither padding nor the number of processes changes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.errors import InputError
from lamina.model import flow
from lamina.model.tokens import patchify, unpatchify
from lamina.model.vae import Vae
from lamina.train.parallel import moved
from lamina.train.stacks import Stacks
from lamina.train.text import TextEncoder

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["FewStepObjective", "FlowObjective", "Prepared", "sample_frames"]


class Prepared(NamedTuple):
    """A batch as the network meets it, with what was drawn for it."""

    data: Tensor
    """float32, b n s c: the tokens of the slots, zero where there is none."""
    noise: Tensor
    """float32, b n s c."""
    condition: Tensor | None
    """float32, b s c."""
    text: Tensor
    """float32, b t e."""
    text_mask: Tensor
    present: Tensor | None
    """bool, b n; None where every picture has every slot."""
    rgb: Tensor
    grid: tuple[int, int]
    normal: Tensor
    """float32, b: a normal number, for the timestep."""
    uniform: Tensor
    """float32, b: a number 0-1, for a choice."""

    @property
    def shift(self) -> float:
        """The timestep shift of pictures of this size."""
        return flow.shift_for(self.grid[0] * self.grid[1])

    def velocity(self, network: Any, noisy: Tensor, t: Tensor) -> Tensor:
        """What the network says of the slots, in float32."""
        said = network(
            noisy, self.condition, self.text, t, self.grid,
            text_mask=self.text_mask, rgb=self.rgb, present=self.present,
        )  # fmt: skip
        return said.float()

    def mean(self, errors: Tensor) -> Tensor:
        """Mean over rows of each row's mean over the slots that it has; `errors` is b n s c."""
        by_slot = errors.mean((2, 3))
        if self.present is None:
            return by_slot.mean()
        return ((by_slot * self.present).sum(1) / self.present.sum(1)).mean()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FlowObjective:
    """The error of the velocity at one random timestep a row."""

    vae: Vae
    """Frozen; moved to where the batch is."""
    encoder: TextEncoder
    patch: int = 2
    """Side of a token, in latents; that of the network."""
    condition: bool
    """Whether the picture is given, at slot -1."""
    text_dropout: float = 0.1
    """Share of rows whose text is left empty, which guidance needs."""
    noise_share: float = 0.0
    """Share of rows at t = 1, pure noise: what a sampler of few steps needs most."""
    mean: float = 0.0
    deviation: float = 1.0
    """Of the normal number whose sigmoid is t."""

    def __call__(self, network: Any, batch: Stacks) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch; the network is an MMDiT."""
        ready = self.prepare(batch)
        t = flow.shift_timesteps(torch.sigmoid(self.mean + self.deviation * ready.normal), ready.shift)
        t = torch.where(ready.uniform < self.noise_share, torch.ones_like(t), t)
        noisy = flow.interpolate(ready.data, ready.noise, t)
        wanted = flow.velocity(ready.data, ready.noise)
        loss = ready.mean((ready.velocity(network, noisy, t) - wanted).square())
        return loss, {"loss": float(loss.detach()), "t": float(t.mean())}

    @torch.no_grad()
    def prepare(self, batch: Stacks) -> Prepared:
        """Encode the pictures and captions, and draw what is random."""
        place = batch.frames.device
        self.vae.to(place).eval()
        with torch.autocast(place.type, enabled=False):
            data = self._tokens(batch.frames[batch.present])
            condition = self._tokens(F.pad(batch.picture, (0, 0, 0, 0, 0, 1), value=255)) if self.condition else None
        slots = data.new_zeros(*batch.present.shape, *data.shape[1:])
        slots[batch.present] = data
        noise, normal, uniform, keeps = torch.zeros_like(slots), [], [], []
        for row, (seed, own) in enumerate(zip(batch.seeds.tolist(), batch.present.sum(1).tolist(), strict=True)):
            draw = torch.Generator().manual_seed(seed)
            normal.append(torch.randn((), generator=draw))
            chance = torch.rand(2, generator=draw)
            uniform.append(chance[0])
            keeps.append(float(chance[1]) >= self.text_dropout)
            noise[row, :own] = torch.randn(own, *data.shape[1:], generator=draw).to(place)
        captions = [text if keep else "" for text, keep in zip(batch.captions, keeps, strict=True)]
        text, text_mask = self._embed(captions, place)
        side = self.vae.config.stride * self.patch
        return Prepared(
            data=slots,
            noise=noise,
            condition=condition,
            text=text,
            text_mask=text_mask,
            present=None if bool(batch.present.all()) else batch.present,
            rgb=batch.rgb,
            grid=(batch.frames.shape[-2] // side, batch.frames.shape[-1] // side),
            normal=torch.stack(normal).to(place),
            uniform=torch.stack(uniform).to(place),
        )

    def told(self, ready: Prepared, captions: Sequence[str]) -> Prepared:
        """The same with these captions, none of them dropped; with empty ones, the other half of guidance."""
        text, text_mask = self._embed(captions, ready.data.device)
        return ready._replace(text=text, text_mask=text_mask)

    def _embed(self, captions: Sequence[str], place: torch.device) -> tuple[Tensor, Tensor]:
        text, mask = self.encoder(captions)
        return text.to(place), mask.to(place)

    def _tokens(self, rgba_u8: Tensor) -> Tensor:
        return patchify(self.vae.encode(rgba_u8.float() / 127.5 - 1), self.patch)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FewStepObjective:
    """Distillation into 1 to 4 steps: one step of the network goes as far as several guided steps of its teacher.

    The idea is that of progressive distillation (arXiv 2202.00512), here from the teacher's many steps to the few at
    once: of the student's schedule one step is drawn, its start is the data with that much noise, the teacher goes
    from there to the step's end by Euler steps, and the student is to say the mean velocity of that way. The first
    step is drawn more often, because at it nothing but noise is given. The student is then sampled without guidance
    with `flow.schedule(steps, shift)`.
    """

    flow: FlowObjective
    """How batches are made; its shares of timesteps are not used."""
    teacher: torch.nn.Module
    """Frozen; moved to where the batch is."""
    steps: int = 4
    teacher_steps: int = 8
    """Steps of the teacher for one of the student."""
    guidance: float = 4.0
    """Of the teacher; 1 is off."""
    first_share: float = 0.4
    """Share of rows at the first step."""

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 4:
            raise InputError(f"a student of {self.steps} steps; expected 1 to 4")
        if self.teacher_steps < 1:
            raise InputError(f"{self.teacher_steps} teacher steps; expected 1 or more")

    def __call__(self, network: Any, batch: Stacks) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch; the network is an MMDiT."""
        ready = self.flow.prepare(batch)
        times = flow.schedule(self.steps, ready.shift).to(ready.data)
        later = (ready.uniform - self.first_share) / max(1e-6, 1 - self.first_share)
        index = torch.where(later < 0, 0, 1 + (later * (self.steps - 1)).long()).clamp(0, self.steps - 1)
        start, end = times[index], times[index + 1]
        noisy = flow.interpolate(ready.data, ready.noise, start)
        arrived = self._teach(ready, noisy, start, end)
        wanted = (arrived - noisy) / (end - start)[:, None, None, None]
        loss = ready.mean((ready.velocity(network, noisy, start) - wanted).square())
        return loss, {"loss": float(loss.detach()), "t": float(start.mean())}

    @torch.no_grad()
    def _teach(self, ready: Prepared, x: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """Where the teacher gets from `x` at `start` (one a row) to `end`."""
        self.teacher.to(x.device).eval()
        bare = self.flow.told(ready, [""] * len(x)) if self.guidance != 1 else None
        for step in range(self.teacher_steps):
            now = start + (end - start) * step / self.teacher_steps
            velocity = ready.velocity(self.teacher, x, now)
            if bare is not None:
                velocity = flow.guide(velocity, bare.velocity(self.teacher, x, now), self.guidance)
            x = x + ((end - start) / self.teacher_steps)[:, None, None, None] * velocity
        return x


@torch.no_grad()
def sample_frames(
    network: Any, objective: FlowObjective, batch: Stacks, *, steps: int, guidance: float = 1.0
) -> Tensor:
    """What the network makes of a batch's pictures and captions: stored RGBA, uint8 b n 4 h w, as `batch.frames`.

    The noise is that of the rows' seeds; slots that a picture does not have come back empty.
    """
    batch = moved(batch, next(network.parameters()).device)
    ready = objective.prepare(batch)
    told = objective.told(ready, batch.captions)
    bare = objective.told(ready, [""] * len(batch.captions)) if guidance != 1 else None

    def velocity_at(x: Tensor, t: Tensor) -> Tensor:
        velocity = told.velocity(network, x, t)
        return velocity if bare is None else flow.guide(velocity, bare.velocity(network, x, t), guidance)

    tokens = flow.sample(velocity_at, ready.noise, flow.schedule(steps, ready.shift))
    latents = unpatchify(tokens[batch.present], ready.grid, objective.patch)
    with torch.autocast(latents.device.type, enabled=False):
        decoded = objective.vae.decode(latents.float())
    pictures = ((decoded + 1) * 127.5 + 0.5).floor().clamp(0, 255).to(torch.uint8)
    frames = torch.zeros_like(batch.frames)
    frames[batch.present] = pictures
    return frames
