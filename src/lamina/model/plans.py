"""Which weights lie where, for so much free memory: a pure choice, and the words that say what to expect of it.

Knows sizes, no devices. The sizes of the published model: 60 blocks of 226.6 million numbers without their modulations,
which are never on the device, and 40 million beside them.
"""

import math
from dataclasses import dataclass
from typing import Literal

from lamina.errors import DeviceError, InputError
from lamina.model.config import ModelConfig

__all__ = ["BUDGETS", "Plan", "Precision", "Preset", "choose_plan", "memory_budget", "next_smaller"]

BUDGETS = (40, 24, 16, 12, 8)
"""Gigabytes of device memory that a caller may name."""

Precision = Literal["bf16", "fp8", "int8", "int4"]
Preset = Literal["exact", "balanced", "fast", "few-step"]

_BYTES: dict[Precision, float] = {"bf16": 2.0, "fp8": 1.01, "int8": 1.01, "int4": 0.5625}
"""Bytes a number, scales included (int4: one scale and zero for 64)."""

_GB = 1e9
_ACTIVATIONS = 28
"""Bytes a token and channel: the widest moment of a block, in bfloat16 and not fused."""

_DECODED = 10
"""Feature maps of the VAE's full-size width that its decoder holds at a time, in bfloat16."""

_RESERVE = 0.6e9
"""Bytes left for the device's own library, fragments and the screen."""

_AHEAD = 2
"""Streamed blocks on the device at a time: the one at work and the one on its way (see `Streamed`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Where everything goes."""

    budget: float
    """Bytes of device memory that may be used."""
    precision: Precision
    """How the blocks' weights are held."""
    resident: int
    """Blocks that stay on the device; the others are streamed."""
    blocks: int
    frames: int
    """Layers that the VAE decodes at once; 0 is all."""
    peak: float
    """Bytes of device memory expected at most."""
    host: float
    """Bytes of host memory that streamed blocks take: pinned, of which a block's piece is a power of two."""
    tokens: int
    layers: int
    """What it was made for."""

    @property
    def streamed(self) -> int:
        """Blocks that are brought at every step."""
        return self.blocks - self.resident

    def fits(self, tokens: int, layers: int) -> bool:
        """Whether it serves for pictures of this size and count too."""
        return (layers + 2) * tokens <= (self.layers + 2) * self.tokens and layers * tokens <= self.layers * self.tokens

    def __str__(self) -> str:
        kept = "all on the device" if not self.streamed else f"{self.resident} of {self.blocks} on the device"
        words = [f"{self.precision} blocks, {kept}"]
        if self.streamed:
            words.append(f"{self.streamed} streamed at every step from {self.host / _GB:.1f} GB of host memory")
        if self.precision != "bf16":
            rounded = "weights and activations" if self.precision == "fp8" else "weights"
            words.append(f"rounded {rounded}: quality unmeasured on the released weights")
        return f"plan for {self.budget / _GB:.0f} GB: {', '.join(words)}; peak about {self.peak / _GB:.1f} GB"


def choose_plan(
    free: float, config: ModelConfig, *, tokens: int, layers: int, preset: Preset = "exact", fp8: bool = False
) -> Plan:
    """The plan for `free` bytes, for pictures of `tokens` a slot and so many layers.

    "exact" keeps bfloat16 and streams the blocks that have no place. The others hold them all, in 8 or 4 bits where
    they must, and stream only when 4 bits have no place either; where the device computes in `fp8`, "fast" does, with
    weights of 8 bits. Raises DeviceError when nothing fits.
    """
    sizes = _Sizes.of(config, tokens, layers)
    precisions: tuple[Precision, ...] = ("bf16",) if preset == "exact" else ("bf16", "int8", "int4")
    if preset == "fast" and fp8:
        precisions = ("fp8", "int4")
    for precision in precisions:
        for frames in (0, 1):
            plan = _fitted(free, sizes, precision, frames)
            if plan is not None and not plan.streamed:
                return plan
    if (plan := _fitted(free, sizes, precisions[-1], 1)) is not None:
        return plan
    least = sizes.around(1) + _AHEAD * sizes.block * _BYTES[precisions[-1]]
    raise DeviceError(
        f"{free / _GB:.1f} GB of device memory are free, at least {least / _GB:.1f} GB are needed for {layers} layers "
        f"at this size; close other programs, ask for fewer layers, or use --model small"
    )


def memory_budget(memory: str, free: float) -> float:
    """Bytes to use: "auto" all that are free, a number of gigabytes at most so many. Raises InputError."""
    if memory == "auto":
        return free
    try:
        asked = float(memory)
    except ValueError:
        asked = 0.0
    if not asked > 0:
        raise InputError(f"memory '{memory}' is not known; expected auto or gigabytes such as {_listed()}")
    return min(free, asked * _GB)


def next_smaller(plan: Plan) -> str:
    """What to try when a plan ran out of memory."""
    smaller = [budget for budget in BUDGETS if budget * _GB < plan.budget - 0.5 * _GB]
    if smaller:
        return f"run again with --memory {smaller[0]}"
    return "ask for fewer layers, close other programs, or use --model small"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sizes:
    block: float
    """Numbers of a block without its modulations."""
    blocks: int
    rest: float
    """Bytes of what always lies on the device: the network around the blocks, the VAE, a row of the table."""
    working: float
    """Bytes of activations of a block."""
    frame: float
    """Bytes that decoding one layer takes."""
    tokens: int
    layers: int

    @classmethod
    def of(cls, config: ModelConfig, tokens: int, layers: int) -> "_Sizes":
        width = config.mmdit.width
        block = 24 * width * width + 26 * width  # two streams of 4 + 8 squares, biases and norms
        around = width * (2 * width + 2 * config.mmdit.token_width + config.mmdit.text_width + 256 + width)
        row = 12 * width * config.mmdit.depth + width
        sequence = (layers + 2) * tokens + 512
        pixels = tokens * config.multiple**2
        return cls(
            block=block,
            blocks=config.mmdit.depth,
            rest=2.0 * (around + row + 45e6 * (config.vae.width / 96) ** 2),
            working=float(_ACTIVATIONS * sequence * width),
            frame=2.0 * _DECODED * pixels * config.vae.width,
            tokens=tokens,
            layers=layers,
        )

    def around(self, frames: int) -> float:
        """Bytes beside the blocks; sampling and decoding do not happen at the same time."""
        decoding = self.frame * (frames or self.layers)
        return self.rest + max(self.working, decoding) + _RESERVE


def _fitted(free: float, sizes: _Sizes, precision: Precision, frames: int) -> Plan | None:
    block, around = sizes.block * _BYTES[precision], sizes.around(frames)
    room = int((free - around) // block)
    resident = sizes.blocks if room >= sizes.blocks else room - _AHEAD
    if resident < 0:
        return None
    on_device = resident + (0 if resident == sizes.blocks else _AHEAD)
    return Plan(
        budget=free, precision=precision, resident=resident, blocks=sizes.blocks, frames=frames,
        peak=around + on_device * block, host=(sizes.blocks - resident) * 2.0 ** math.ceil(math.log2(block)),
        tokens=sizes.tokens, layers=sizes.layers,
    )  # fmt: skip


def _listed() -> str:
    return ", ".join(str(budget) for budget in BUDGETS)
