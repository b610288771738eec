"""Make a network round where the published implementation does, to compare with it bit by bit in low precision.

Of no use but for such comparisons: it is slower, and not better. Knows the network's modules.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lamina.model.mmdit import DualStreamBlock, MMDiT

__all__ = ["unfuse"]


def unfuse(network: MMDiT) -> MMDiT:
    """Norms that round before their gain, and a last block that computes what nothing reads; return the network."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.RMSNorm):
                setattr(module, name, _RoundedNorm(child))
        if isinstance(module, DualStreamBlock):
            module.context_out = True
    return network


class _RoundedNorm(nn.Module):
    """Unit root mean square in float32, rounded to the weights' type, then times the gain."""

    def __init__(self, norm: nn.RMSNorm) -> None:
        super().__init__()
        self.weight, self.eps = norm.weight, norm.eps or 0.0

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
        inverse = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + self.eps)
        return (x * inverse).to(self.weight.dtype) * self.weight
