"""The RGBA-VAE: its published layout, the collapse to two dimensions, the start from RGB."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lamina.errors import CheckpointError, InputError
from lamina.model.config import preset
from lamina.model.vae import Vae, collapse, init_from_rgb, published_shapes

TINY = preset("tiny").vae


def _pictures(channels: int, height: int = 16, width: int = 24) -> torch.Tensor:
    return torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_published_layout_has_the_published_size() -> None:
    shapes = published_shapes(preset("published").vae)
    assert len(shapes) == 194
    assert sum(math.prod(shape) for shape in shapes.values()) == 126_897_716
    assert shapes["encoder.conv_in.weight"] == (96, 4, 3, 3, 3)
    assert shapes["encoder.down_blocks.2.resample.1.weight"] == (96, 96, 3, 3)
    assert shapes["encoder.down_blocks.5.time_conv.weight"] == (192, 192, 3, 1, 1)
    assert shapes["encoder.mid_block.attentions.0.norm.gamma"] == (384, 1, 1)
    assert shapes["decoder.up_blocks.0.upsamplers.0.time_conv.weight"] == (768, 384, 3, 1, 1)
    assert shapes["decoder.norm_out.gamma"] == (96, 1, 1, 1)
    assert "decoder.up_blocks.2.upsamplers.0.time_conv.weight" not in shapes


def test_collapsing_keeps_the_last_time_slice_and_fits_the_network() -> None:
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=generator) for name, shape in published_shapes(TINY).items()}
    flat = collapse(state, TINY)
    Vae(TINY).load_state_dict(flat)
    assert torch.equal(flat["encoder.conv_in.weight"], state["encoder.conv_in.weight"][:, :, 2])
    assert torch.equal(flat["quant_conv.weight"], state["quant_conv.weight"][:, :, 0])


def test_a_causal_convolution_of_one_frame_is_its_last_time_slice() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, frame = torch.randn(5, 4, 3, 3, 3, generator=generator), torch.randn(1, 4, 6, 7, generator=generator)
    causal = F.conv3d(F.pad(frame[:, :, None], (1, 1, 1, 1, 2, 0)), weight)[:, :, 0]
    torch.testing.assert_close(F.conv2d(frame, weight[:, :, -1], padding=1), causal, atol=1e-5, rtol=0)


def test_collapsing_is_strict() -> None:
    state = {name: torch.zeros(shape) for name, shape in published_shapes(TINY).items()}
    del state["encoder.down_blocks.3.time_conv.bias"]
    state["decoder.conv_out.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"missing: encoder.down_blocks.3.time_conv.bias.*conv_out.bias \(3,\)"):
        collapse(state, TINY)


@torch.no_grad()
def test_shapes_and_ranges() -> None:
    torch.manual_seed(0)
    vae, pictures = Vae(TINY), _pictures(4)
    latents = vae.encode(pictures)
    assert latents.shape == (2, 4, 4, 6)
    vae.decoder.conv_out.weight.mul_(100)
    decoded = vae.decode(latents)
    assert decoded.shape == pictures.shape
    assert (decoded.min(), decoded.max()) == (-1, 1)


@torch.no_grad()
def test_the_normalized_latent_is_the_mode_shifted_and_scaled_and_decoding_undoes_it() -> None:
    torch.manual_seed(0)
    vae, pictures = Vae(TINY), _pictures(4)
    mean, _ = vae.posterior(pictures)
    plain = Vae(replace(TINY, latent_mean=(0.0,) * 4, latent_std=(1.0,) * 4))
    plain.load_state_dict(vae.state_dict())
    latents = vae.encode(pictures)
    expected = torch.stack([(mean[:, c] - TINY.latent_mean[c]) / TINY.latent_std[c] for c in range(4)], dim=1)
    torch.testing.assert_close(latents, expected)
    torch.testing.assert_close(vae.decode(latents), plain.decode(mean), atol=1e-5, rtol=0)


@torch.no_grad()
def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    vae, pictures = Vae(TINY), _pictures(4)
    latents = vae.encode(pictures)
    torch.testing.assert_close(latents[1:], vae.encode(pictures[1:]), atol=1e-5, rtol=0)
    torch.testing.assert_close(vae.decode(latents)[:1], vae.decode(latents[:1]), atol=1e-5, rtol=0)


def test_a_side_that_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match="18x16 does not divide by the VAE's stride 4"):
        Vae(TINY).encode(torch.zeros(1, 4, 16, 18))


@torch.no_grad()
def test_the_rgba_vae_starts_as_the_rgb_vae_with_opaque_alpha() -> None:
    torch.manual_seed(0)
    rgb = Vae(replace(TINY, image_channels=3))
    rgba = init_from_rgb(rgb)
    assert rgba.config == TINY
    pictures = _pictures(4)
    latents = rgba.encode(pictures)
    torch.testing.assert_close(latents, rgb.encode(pictures[:, :3]), atol=1e-5, rtol=0)
    decoded = rgba.decode(latents)
    torch.testing.assert_close(decoded[:, :3], rgb.decode(latents), atol=1e-5, rtol=0)
    assert torch.equal(decoded[:, 3], torch.ones_like(decoded[:, 3]))


def test_starting_from_rgb_leaves_the_rgb_vae_alone_and_can_be_trained() -> None:
    torch.manual_seed(0)
    rgb = Vae(replace(TINY, image_channels=3))
    before = {name: tensor.clone() for name, tensor in rgb.state_dict().items()}
    rgba = init_from_rgb(rgb)
    optimiser = torch.optim.SGD(rgba.parameters(), lr=0.1)
    pictures = _pictures(4)
    raw = rgba.decoder(rgba.post_quant_conv(rgba.posterior(pictures)[0]))
    F.mse_loss(raw, pictures).backward()
    optimiser.step()
    assert rgba.encoder.conv_in.weight[:, 3].abs().max() > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in rgb.state_dict().items())


def test_only_an_rgb_vae_can_be_started_from() -> None:
    with pytest.raises(CheckpointError, match="has 4 channels, expected 3"):
        init_from_rgb(Vae(TINY))
