"""The optimiser, its learning-rate schedule, and the EMA of the weights."""

import math

import torch
from torch import Tensor, nn

from lamina.train.config import OptimConfig
from lamina.train.parallel import full, local

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Ema", "Optimiser", "rate", "trained"]


def rate(step: int, steps: int, config: OptimConfig) -> float:
    """Learning-rate factor at `step` of `steps`: linear warm-up, flat, cosine tail to 0."""
    tail = max(1, round(steps * config.decay_share))
    up = min(1.0, (step + 1) / max(1, config.warmup))
    left = min(1.0, max(0, steps - step) / tail)
    return up * (0.5 - 0.5 * math.cos(math.pi * left))


def trained(network: nn.Module) -> dict[str, Tensor]:
    """The state of a network without its frozen parameters: what a run changes, averages and saves."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in network.state_dict().items() if name not in frozen}


class Optimiser:
    """AdamW over one network's unfrozen parameters, with clipping and a state that fits in safetensors."""

    def __init__(self, network: nn.Module, config: OptimConfig) -> None:
        self.config = config
        self.named = {name: p for name, p in network.named_parameters() if p.requires_grad}
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
        return float(full(norm))

    def state(self) -> dict[str, Tensor]:
        """Every state tensor, under its parameter's name: `name.exp_avg` and so on."""
        return {
            f"{name}.{key}": torch.as_tensor(value)
            for name, parameter in self.named.items()
            for key, value in self.inner.state[parameter].items()
        }

    def load(self, flat: dict[str, Tensor]) -> None:
        """Take back what `state` gave, as this process holds it.

        Each tensor is laid out in memory as its parameter: the fused step needs that.
        """
        for full_name, value in flat.items():
            name, key = full_name.rsplit(".", 1)
            parameter = self.named[name]
            if key == "step":
                self.inner.state[parameter][key] = value.to(local(parameter).device)
                continue
            laid = torch.empty_like(parameter.detach())
            local(laid).copy_(value)
            self.inner.state[parameter][key] = laid


class Ema:
    """Exponential moving average of what is trained, with the early average kept short."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in trained(network).items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in trained(network).items():
            self.values[name].lerp_(value.detach(), 1 - decay)
