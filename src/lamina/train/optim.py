"""The optimiser, its learning-rate schedule, and the EMA of the weights."""

import math

import torch
from torch import Tensor, nn

from lamina.train.config import OptimConfig

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Ema", "Optimiser", "rate"]


def rate(step: int, steps: int, config: OptimConfig) -> float:
    """Learning-rate factor at `step` of `steps`: linear warm-up, flat, cosine tail to 0."""
    tail = max(1, round(steps * config.decay_share))
    up = min(1.0, (step + 1) / max(1, config.warmup))
    left = min(1.0, max(0, steps - step) / tail)
    return up * (0.5 - 0.5 * math.cos(math.pi * left))


class Optimiser:
    """AdamW over one network, with clipping and a state that fits in safetensors."""

    def __init__(self, network: nn.Module, config: OptimConfig) -> None:
        self.config = config
        self.named = dict(network.named_parameters())
        matrices = [p for p in self.named.values() if p.ndim >= 2]
        rest = [p for p in self.named.values() if p.ndim < 2]
        self.inner = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}],
            lr=config.lr,
            betas=(0.9, 0.98),
            fused=True,
        )

    def step(self, factor: float) -> float:
        """Clip, step with the rate times `factor`, clear the gradients; return the gradient norm."""
        norm = nn.utils.clip_grad_norm_(self.named.values(), self.config.clip)
        for group in self.inner.param_groups:
            group["lr"] = self.config.lr * factor
        self.inner.step()
        self.inner.zero_grad(set_to_none=True)
        return float(norm)

    def state(self) -> dict[str, Tensor]:
        """Every state tensor, under its parameter's name: `name.exp_avg` and so on."""
        return {
            f"{name}.{key}": torch.as_tensor(value)
            for name, parameter in self.named.items()
            for key, value in self.inner.state[parameter].items()
        }

    def load(self, flat: dict[str, Tensor]) -> None:
        """Take back what `state` gave, each tensor laid out in memory as its parameter: the fused step needs that."""
        for full, value in flat.items():
            name, key = full.rsplit(".", 1)
            parameter = self.named[name]
            laid = torch.empty_like(parameter).copy_(value) if key != "step" else value
            self.inner.state[parameter][key] = laid.detach()


class Ema:
    """Exponential moving average of the parameters, with the early average kept short."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            self.values[name].lerp_(value.detach(), 1 - decay)
