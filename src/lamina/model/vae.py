"""The RGBA-VAE: straight RGBA pictures to latents and back, one picture at a time.

The released VAE is a causal 3-D network for video. On a single frame its causal padding puts two empty frames before
the picture, so that only the last time slice of a kernel meets it, and the convolutions over time are never reached.
What is left is this 2-D network; `collapse` makes its weights from the released ones, exactly. Knows tensors only.
Source: Qwen-Image-Layered (arXiv 2512.15603), section 3.1; parameter names are those of the released checkpoint.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from lamina.errors import CheckpointError, InputError
from lamina.model import checkpoint
from lamina.model.config import VaeConfig

__all__ = ["Vae", "collapse", "init_from_rgb", "published_shapes"]


class Vae(nn.Module):
    """Encoder and decoder; pictures are -1..1, straight alpha, and their sides divide by `config.stride`."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        latent = config.latent_channels
        self.encoder = _Encoder(config)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)
        self.decoder = _Decoder(config)

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z y x"]:
        """The normalized latent: the posterior's mode, shifted and scaled per channel.

        Raises InputError when a side does not divide by the stride.
        """
        mean, _ = self.posterior(images)
        shift, scale = self._statistics(mean)
        return (mean - shift) / scale

    def posterior(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b z y x"], Float[Tensor, "b z y x"]]:
        """Mean and log-variance of the raw latent."""
        stride, (height, width) = self.config.stride, images.shape[-2:]
        if height % stride or width % stride:
            raise InputError(f"a picture of {width}x{height} does not divide by the VAE's stride {stride}")
        mean, log_variance = self.quant_conv(self.encoder(images)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, latents: Float[Tensor, "b z y x"]) -> Float[Tensor, "b c h w"]:
        """The picture of a normalized latent, clamped to -1..1."""
        shift, scale = self._statistics(latents)
        return self.decoder(self.post_quant_conv(latents * scale + shift)).clamp(-1.0, 1.0)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        shift, scale = (like.new_tensor(values)[:, None, None] for values in (config.latent_mean, config.latent_std))
        return shift, scale


def collapse(state: Mapping[str, Tensor], config: VaeConfig) -> dict[str, Tensor]:
    """The weights of `Vae(config)` from those of the released 3-D layout.

    Raises CheckpointError unless the names and shapes are exactly the released ones for this config.
    """
    checkpoint.require_shapes(state, published_shapes(config), "the published 3-D layout of the VAE")
    flat: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if ".time_conv." in name:
            continue
        if tensor.ndim == 5:
            tensor = tensor[:, :, -1]
        elif name.endswith(".gamma"):
            tensor = tensor.reshape(-1, 1, 1)
        flat[name] = tensor.contiguous()
    return flat


def published_shapes(config: VaeConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the released 3-D layout: 194 tensors for the released config."""
    with torch.device("meta"):
        own = Vae(config).state_dict()
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in own.items():
        shape = tuple(tensor.shape)
        per_frame = ".resample." in name or ".attentions." in name
        if not per_frame and len(shape) == 4:
            shape = (*shape[:2], shape[-1], *shape[2:])
        elif not per_frame and name.endswith(".gamma"):
            shape = (*shape, 1)
        shapes[name] = shape
    return shapes | _time_convolutions(own)


def init_from_rgb(rgb: Vae) -> Vae:
    """An RGBA-VAE that starts as this RGB VAE: alpha is not read yet, and is opaque everywhere.

    The new input slice and output slice are 0, the new output bias is 1 (paper, section 3.1).
    """
    if rgb.config.image_channels != 3:
        raise CheckpointError(f"the VAE to start from has {rgb.config.image_channels} channels, expected 3 (RGB)")
    state = {name: tensor.clone() for name, tensor in rgb.state_dict().items()}
    first, last, bias = "encoder.conv_in.weight", "decoder.conv_out.weight", "decoder.conv_out.bias"
    state[first] = torch.cat([state[first], torch.zeros_like(state[first][:, :1])], dim=1)
    state[last] = torch.cat([state[last], torch.zeros_like(state[last][:1])])
    state[bias] = torch.cat([state[bias], torch.ones_like(state[bias][:1])])
    with torch.device("meta"):
        rgba = Vae(replace(rgb.config, image_channels=4))
    rgba.load_state_dict(state, assign=True)
    return rgba


class _Encoder(nn.Module):
    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * multiplier for multiplier in config.multipliers]
        blocks: list[nn.Module] = []
        before = config.width
        for scale, width in enumerate(widths):
            for _ in range(config.res_blocks):
                blocks.append(_Residual(before, width))
                before = width
            if scale + 1 < len(widths):
                blocks.append(_down(width))
        self.conv_in = nn.Conv2d(config.image_channels, config.width, 3, padding=1)
        self.down_blocks = nn.Sequential(*blocks)
        self.mid_block = _Middle(before)
        self.norm_out = _RmsNorm(before)
        self.conv_out = nn.Conv2d(before, 2 * config.latent_channels, 3, padding=1)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b z2 y x"]:
        features = self.mid_block(self.down_blocks(self.conv_in(images)))
        return self.conv_out(F.silu(self.norm_out(features)))


class _Decoder(nn.Module):
    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * multiplier for multiplier in reversed(config.multipliers)]
        blocks: list[nn.Module] = []
        before = widths[0]
        for scale, width in enumerate(widths):
            enlarge = scale + 1 < len(widths)
            blocks.append(_Up(before, width, config.res_blocks + 1, enlarge))
            before = width // 2 if enlarge else width
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = _Middle(widths[0])
        self.up_blocks = nn.Sequential(*blocks)
        self.norm_out = _RmsNorm(before)
        self.conv_out = nn.Conv2d(before, config.image_channels, 3, padding=1)

    def forward(self, latents: Float[Tensor, "b z y x"]) -> Float[Tensor, "b c h w"]:
        features = self.up_blocks(self.mid_block(self.conv_in(latents)))
        return self.conv_out(F.silu(self.norm_out(features)))


class _Up(nn.Module):
    """Residual blocks of one scale, then twice the size at half the channels."""

    def __init__(self, inside: int, outside: int, blocks: int, enlarge: bool) -> None:
        super().__init__()
        widths = [inside] + [outside] * blocks
        self.resnets = nn.Sequential(*(_Residual(a, b) for a, b in pairwise(widths)))
        self.upsamplers = nn.Sequential(*([_up(outside)] if enlarge else []))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        return self.upsamplers(self.resnets(x))


class _Middle(nn.Module):
    """Residual block, attention, residual block, at the latent's scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([_Residual(width, width), _Residual(width, width)])
        self.attentions = nn.ModuleList([_Attention(width)])

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class _Residual(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.norm1 = _RmsNorm(inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm2 = _RmsNorm(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.conv_shortcut = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        inner = self.conv1(F.silu(self.norm1(x)))
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(inner)))


class _Attention(nn.Module):
    """One head over all places of the picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _RmsNorm(width)
        self.to_qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj = nn.Conv2d(width, width, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        query, key, value = rearrange(self.to_qkv(self.norm(x)), "b (k c) h w -> k b 1 (h w) c", k=3)
        read = F.scaled_dot_product_attention(query, key, value)
        return x + self.proj(rearrange(read, "b 1 (h w) c -> b c h w", h=x.shape[2]))


class _RmsNorm(nn.Module):
    """Unit root mean square over channels, times a learned gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.normalize(x, dim=1) * len(self.gamma) ** 0.5 * self.gamma


def _down(width: int) -> nn.Module:
    return _resample(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))


def _up(width: int) -> nn.Module:
    return _resample(nn.Upsample(scale_factor=2, mode="nearest-exact"), nn.Conv2d(width, width // 2, 3, padding=1))


def _resample(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict(resample=nn.Sequential(*parts)))


def _time_convolutions(own: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The convolutions over time that a single frame never reaches: one at every resampling but the finest."""
    convolutions = {name: tensor for name, tensor in own.items() if name.endswith(".resample.1.weight")}
    down = [name for name in convolutions if name.startswith("encoder.")]
    up = [name for name in convolutions if name.startswith("decoder.")]
    shapes: dict[str, tuple[int, ...]] = {}
    for name in [*down[1:], *up[:-1]]:
        inside = convolutions[name].shape[1]
        outside = inside if name in down else 2 * inside
        stem = name.removesuffix("resample.1.weight") + "time_conv"
        shapes |= {f"{stem}.weight": (outside, inside, 3, 1, 1), f"{stem}.bias": (outside,)}
    return shapes
