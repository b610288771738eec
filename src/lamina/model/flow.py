"""Rectified flow: the straight path from data to noise, its schedule, guidance and sampler.

t is 1 at noise and 0 at data; the velocity is noise - data. Knows no network: whatever gives a velocity can be
sampled. Source: Qwen-Image-Layered (arXiv 2512.15603), section 3.2, and the released scheduler's linear shift;
logit-normal timesteps from arXiv 2403.03206, section 3.1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lamina.errors import InputError

__all__ = [
    "Schedule",
    "draw_timesteps",
    "guide",
    "interpolate",
    "sample",
    "schedule",
    "shift_for",
    "shift_timesteps",
    "velocity",
    "velocity_from_data",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """The schedule of a released scheduler config."""

    kind: Literal["linear", "exponential"] = "linear"
    """How the shift warps t: "linear" by the shift itself (the release's), "exponential" by e^shift (Qwen-Image's)."""
    terminal: float | None = None
    """The last timestep before 0, if the schedule is stretched to end there."""

    def timesteps(self, steps: int, tokens: int) -> Float[Tensor, " k"]:
        """The steps + 1 timesteps from 1 to 0 for a picture of so many tokens a slot.

        In float32 and in the published order of operations, so that timesteps rounded to bfloat16 are the same.
        Raises InputError without a step.
        """
        if steps < 1:
            raise InputError(f"{steps} sampling steps; expected 1 or more")
        shift = shift_for(tokens)
        warp = torch.tensor(
            shift if self.kind == "linear" else math.exp(shift)
        )  # a tensor: it is divided, not inverted
        even = torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1].float()
        t = warp / (warp + (1 / even - 1))
        if self.terminal is not None and steps > 1:
            done = 1 - t
            t = 1 - done / (done[-1] / (1 - self.terminal))
        return torch.cat([t, t.new_zeros(1)])


def interpolate(
    data: Float[Tensor, "b *n c"], noise: Float[Tensor, "b *n c"], t: Float[Tensor, " b"]
) -> Float[Tensor, "b *n c"]:
    """x_t = (1 - t) data + t noise."""
    t = _broadcast(t, data)
    return (1 - t) * data + t * noise


def velocity(data: Float[Tensor, "b *n c"], noise: Float[Tensor, "b *n c"]) -> Float[Tensor, "b *n c"]:
    """dx_t / dt = noise - data, what a network is trained to say."""
    return noise - data


def velocity_from_data(
    noisy: Float[Tensor, "b *n c"], data: Float[Tensor, "b *n c"], t: Float[Tensor, " b"]
) -> Float[Tensor, "b *n c"]:
    """The velocity (x_t - data) / t that a prediction of the data implies; t must be above 0."""
    return (noisy - data) / _broadcast(t, data)


def shift_for(tokens: int) -> float:
    """Timestep shift for a picture of so many tokens a slot: sqrt(tokens / 256), which is 2.5 at 640x640 pixels."""
    return math.sqrt(tokens / 256)


def shift_timesteps(t: Float[Tensor, " k"], shift: float) -> Float[Tensor, " k"]:
    """Warp t towards noise, shift t / (1 + (shift - 1) t): large pictures need more noise to hide as much."""
    return shift * t / (1 + (shift - 1) * t)


def schedule(steps: int, shift: float = 1.0) -> Float[Tensor, " k"]:
    """The steps + 1 timesteps from 1 to 0 between which `sample` goes. Raises InputError without a step."""
    if steps < 1:
        raise InputError(f"{steps} sampling steps; expected 1 or more")
    return shift_timesteps(torch.linspace(1, 0, steps + 1), shift)


def draw_timesteps(
    count: int, generator: torch.Generator, *, mean: float = 0.0, deviation: float = 1.0, shift: float = 1.0
) -> Float[Tensor, " b"]:
    """Timesteps to train at: the sigmoid of normal numbers, warped as in sampling."""
    normal = torch.randn(count, generator=generator, device=generator.device)
    return shift_timesteps(torch.sigmoid(mean + deviation * normal), shift)


def guide(
    conditional: Float[Tensor, "*n c"], unconditional: Float[Tensor, "*n c"], guidance: float, rescale: bool = False
) -> Float[Tensor, "*n c"]:
    """v_u + guidance (v_c - v_u); 1 is off. `rescale` gives each token the length that it has in v_c."""
    guided = unconditional + guidance * (conditional - unconditional)
    if not rescale:
        return guided
    wanted, own = _length(conditional), _length(guided)
    return guided * (wanted / own.clamp_min(1e-12))


def sample(
    velocity_at: Callable[[Tensor, Tensor], Tensor],
    noise: Float[Tensor, "b *n c"],
    timesteps: Float[Tensor, " k"],
    on_step: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "b *n c"]:
    """Go from noise to data by Euler steps along `timesteps`, in the dtype of `noise` (float32 for quality).

    `velocity_at(x, t)` gets t as one value a batch item; `on_step(step, total)` is called after every step and may
    raise to stop.
    """
    x, total = noise, len(timesteps) - 1
    for step in range(total):
        now, then = float(timesteps[step]), float(timesteps[step + 1])
        t = torch.full((len(x),), now, device=x.device)
        x = x + (then - now) * velocity_at(x, t).to(x.dtype)
        if on_step is not None:
            on_step(step + 1, total)
    return x


def _broadcast(t: Tensor, like: Tensor) -> Tensor:
    return t.to(like).reshape(-1, *[1] * (like.ndim - 1))


def _length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # pyright: ignore
