"""The RGBA-VAE's stage: a loss that knows what alpha means.

Two pictures are as far apart as they look, over any ground: with straight colour C and coverage a, over a ground b they
show C a + b (1 - a), so the squared difference, averaged over grounds, is
dC^2 - 2 E[b] dC da + E[b^2] da^2 with dC = C a - C' a' and da = a - a'. Source: AlphaVAE (arXiv 2507.09308) with its
means of natural grounds; perceptual and KL weights are its too. Knows tensors only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lamina.model.vae import Vae
from lamina.train.stacks import Stacks

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

__all__ = ["Perceptual", "TrainedVae", "VaeObjective", "alpha_aware_error"]

_GROUND_MEAN = (-0.0357, -0.0811, -0.1797)
_GROUND_SQUARE = (0.3163, 0.3060, 0.3634)
"""E[b] and E[b^2] per channel, for grounds in -1..1."""

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""(b 3 h w, b 3 h w) in -1..1 -> b: how different two opaque pictures look."""


class TrainedVae(Vae):
    """A Vae with the one call that training needs; the same weights under the same names."""

    def forward(
        self, images: Float[Tensor, "b c h w"], noise: Float[Tensor, "b z y x"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b z y x"], Float[Tensor, "b z y x"]]:
        """The pictures again, by way of a draw from the posterior, with its mean and log-variance.

        Not clamped: a value past the end of the range must still be pulled back.
        """
        mean, log_variance = self.posterior(images)
        latent = mean + torch.exp(0.5 * log_variance) * noise
        return self.decoder(self.post_quant_conv(latent)), mean, log_variance


def alpha_aware_error(got: Float[Tensor, "b 4 h w"], want: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The squared difference over a random ground, by channel; straight RGBA in -1..1."""
    cover_got, cover = (got[:, 3:] + 1) / 2, (want[:, 3:] + 1) / 2
    colour = want[:, :3] * cover - got[:, :3] * cover_got
    alpha = cover - cover_got
    mean, square = (want.new_tensor(values)[:, None, None] for values in (_GROUND_MEAN, _GROUND_SQUARE))
    return colour.square() - 2 * mean * colour * alpha + square * alpha.square()


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeObjective:
    """Reconstruction over random grounds, KL to a unit normal, and how it looks over black and white."""

    kl_weight: float = 1e-6
    perceptual: Perceptual | None = None
    """LPIPS or the like; without it the loss has no such term."""
    perceptual_weight: float = 0.5

    def __call__(self, network: Any, batch: Stacks) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch of the view "picture"; the network is a TrainedVae."""
        images = batch.frames[:, 0].float() / 127.5 - 1
        config, (height, width) = network.config, images.shape[-2:]
        shape = (config.latent_channels, height // config.stride, width // config.stride)
        noise = torch.stack([torch.randn(shape, generator=_generator(seed)) for seed in batch.seeds])
        got, mean, log_variance = (x.float() for x in network(images, noise.to(images.device)))

        error = alpha_aware_error(got, images).mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum((1, 2, 3)).mean()
        loss = error + self.kl_weight * kl
        parts = {"error": error, "kl": kl}
        if self.perceptual is not None:
            looks = torch.stack([self.perceptual(_over(got, g), _over(images, g)).mean() for g in (-1.0, 1.0)]).mean()
            loss = loss + self.perceptual_weight * looks
            parts["perceptual"] = looks
        parts = {"loss": loss, **parts}
        return loss, {name: float(value.detach()) for name, value in parts.items()}


def _over(image: Tensor, ground: float) -> Tensor:
    cover = (image[:, 3:] + 1) / 2
    return image[:, :3] * cover + ground * (1 - cover)


def _generator(seed: Tensor) -> torch.Generator:
    return torch.Generator().manual_seed(int(seed))
