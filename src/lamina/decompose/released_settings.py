"""How a released model is run: device, memory, preset, size, language of captions, adapters.

Knows values, no networks and no torch, so that flags can be made from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lamina.errors import InputError
from lamina.model.plans import Preset, memory_budget

__all__ = ["Settings"]

_Language = Literal["en", "zh"]

_SIDES = (640, 1024)
"""Sides of the square whose area the network was trained at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Raises InputError for a preset, language or memory that there is not, few steps without a LoRA, or a resolution
    without training."""

    device: str = "auto"
    memory: str = "auto"
    """Device memory that a released model may use: auto, which is all that is free, or gigabytes."""
    preset: Preset = "exact"
    """How much a released model may leave out: exact nothing; the others round weights where memory is short; balanced
    and fast take steps over; few-step makes 8 steps without guidance, for a LoRA made for that; what this does to the
    layers is unmeasured."""
    resolution: int = 640
    """At which size a released model works: 640 or 1024, the side of the square of the same area."""
    language: _Language = "en"
    """Language of the caption that a released model writes where no prompt is given."""
    lora: tuple[Path, ...] = ()
    """LoRA files, merged into the weights in this order."""
    on_plan: Callable[[str], None] | None = None
    """Hears, in words, which plan was picked for the device's memory and what to expect of it."""

    def __post_init__(self) -> None:
        for name, known in (("preset", get_args(Preset)), ("language", get_args(_Language))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} '{getattr(self, name)}' is not known; expected {' or '.join(known)}")
        memory_budget(self.memory, 0.0)
        if self.preset == "few-step" and not self.lora:
            raise InputError("preset 'few-step' needs a LoRA made for few steps; name its file with --lora")
        if self.resolution not in _SIDES:
            raise InputError(f"resolution {self.resolution}: expected 640 or 1024, at which the network was trained")
