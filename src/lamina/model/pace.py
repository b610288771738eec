"""How much work a sampling run does: all of it, or less at the price of other layers than the exact ones.

Guidance only in an interval of timesteps (arXiv 2404.07724); steps whose first block moves little take the further
blocks' part from the step before; few steps without guidance where a LoRA was made for them. What this does to quality
is unmeasured on the released weights. Knows tensors only.
"""

from dataclasses import dataclass, field

from torch import Tensor

from lamina.model.plans import Preset

__all__ = ["PACES", "Memo", "Pace", "memos"]

_LENIENT = 3
"""Steps in a row that may be taken over at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What is left out."""

    steps: int = 50
    """Sampling steps where none are asked for."""
    guidance: float = 4.0
    """How strongly the prompt pulls where nothing is asked for; 1 is off, and half the work."""
    guided: tuple[float, float] = (0.0, 1.0)
    """Timesteps between which guidance is computed; outside, the prompt alone is followed."""
    reuse: float = 0.0
    """Relative change of the first block's work up to which the further blocks' is taken over; 0 never."""

    def guides_at(self, t: float) -> bool:
        """Whether guidance is computed at this timestep."""
        return self.guided[0] <= t <= self.guided[1]


PACES: dict[Preset, Pace] = {
    "exact": Pace(),
    "balanced": Pace(reuse=0.06),
    "fast": Pace(steps=20, guided=(0.2, 0.95), reuse=0.12),
    "few-step": Pace(steps=8, guidance=1.0),
}


@dataclass(kw_only=True, slots=True)
class Memo:
    """What one prompt's further blocks did when they last ran."""

    reuse: float
    taken: int = 0
    """Steps taken over since the further blocks ran."""
    _first: Tensor | None = field(default=None)
    _rest: Tensor | None = field(default=None)

    def may_skip(self, before: Tensor, after: Tensor) -> bool:
        """Whether the further blocks may be left out, told from what the first did to the visual stream."""
        known = self._first
        if known is None or self._rest is None or self.taken >= _LENIENT:
            return False
        change = (after - before - known).abs().mean() / known.abs().mean().clamp_min(1e-12)
        return bool(change < self.reuse)

    def take_over(self, visual: Tensor) -> Tensor:
        """What the further blocks would give of the tokens that are read after them, as they did it last."""
        assert self._rest is not None
        self.taken += 1
        return visual[:, : self._rest.shape[1]] + self._rest

    def learn(self, before: Tensor, after: Tensor, final: Tensor) -> None:
        """Keep what the first block (`after` - `before`) and the further ones (`final` - `after`) did to the visual
        stream; `final` may end before the tokens that nothing reads."""
        self.taken = 0
        self._first = after - before
        self._rest = final - after[:, : final.shape[1]]


def memos(pace: Pace, count: int) -> list[Memo] | None:
    """One for every prompt; None where nothing is taken over."""
    return [Memo(reuse=pace.reuse) for _ in range(count)] if pace.reuse > 0 else None
