"""The RGBA-VAE's stage: it starts as the RGB VAE, its loss is the mean over grounds, and it learns alpha."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_stacks import TINY, some, write_rgb_vae

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.vae import Vae
from lamina.train import networks
from lamina.train.autoencode import _GROUND_MEAN, _GROUND_SQUARE, TrainedVae, VaeObjective, alpha_aware_error


def images(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 4, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_at_step_zero_it_is_the_rgb_vae_with_opaque_alpha(tmp_path: Path) -> None:
    path = write_rgb_vae(tmp_path / "rgb.safetensors")
    rgb, rgba = networks.load(path, "vae"), networks.build(TINY.vae)
    assert isinstance(rgba, TrainedVae)
    networks.start_from(path, rgba, TINY.vae)
    noise = torch.randn(2, TINY.vae.latent_channels, 4, 6, generator=torch.Generator().manual_seed(2))
    ours, theirs = rgba(images(), noise), rgb(images()[:, :3], noise)
    assert torch.equal(ours[0][:, :3], theirs[0])
    assert (ours[0][:, 3] == 1).all()
    assert torch.equal(ours[1], theirs[1])
    assert torch.equal(ours[2], theirs[2])


def test_rgb_vae_of_another_shape_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    other = replace(TINY.vae, image_channels=3, width=4)
    checkpoint.save(tmp_path / "other.safetensors", Vae(other).state_dict(), other, kind="vae")
    with pytest.raises(CheckpointError, match="another shape"):
        networks.start_from(tmp_path / "other.safetensors", networks.build(TINY.vae), TINY.vae)


def test_error_is_the_mean_squared_difference_over_grounds() -> None:
    """Over grounds of exactly the moments that the formula knows: mean plus and minus one deviation."""
    got, want = images(4)[:2], images(4)[2:]
    mean, square = (torch.tensor(values)[:, None, None] for values in (_GROUND_MEAN, _GROUND_SQUARE))
    deviation = (square - mean.square()).sqrt()

    def shown(image: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
        cover = (image[:, 3:] + 1) / 2
        return image[:, :3] * cover + ground * (1 - cover)

    by_hand = sum((shown(got, mean + s * deviation) - shown(want, mean + s * deviation)).square() for s in (-1, 1)) / 2
    torch.testing.assert_close(alpha_aware_error(got, want), by_hand)


def test_colour_where_nothing_shows_costs_nothing_and_a_missing_alpha_does() -> None:
    clear = images()
    clear[:, 3] = -1
    other = clear.clone()
    other[:, :3] = 0.3
    assert float(alpha_aware_error(other, clear).abs().max()) == 0
    opaque = clear.clone()
    opaque[:, 3] = 1
    assert float(alpha_aware_error(opaque, clear).mean()) > 0.1


def test_it_learns_a_batch_by_heart_alpha_included() -> None:
    batch, want = some("picture", rgb_share=0.0)[1], VaeObjective()
    assert (batch.frames[:, 0, 3] == 0).any()
    torch.manual_seed(0)
    network = TrainedVae(TINY.vae)
    learner = torch.optim.AdamW(network.parameters(), lr=1e-2)
    first = want(network, batch)[1]["error"]
    for _ in range(30):
        learner.zero_grad()
        want(network, batch)[0].backward()
        learner.step()
    assert want(network, batch)[1]["error"] < 0.2 * first


def test_value_past_the_range_is_pulled_back() -> None:
    """Where the decoder says alpha 1.5 and there is nothing, the loss must still have a slope."""
    torch.manual_seed(0)
    network = TrainedVae(TINY.vae)
    with torch.no_grad():
        network.decoder.conv_out.weight[3] = 0
        network.decoder.conv_out.bias[3] = 1.5  # type: ignore[index]
    batch = some("picture")[0]
    batch.frames[:, :, 3] = 0
    VaeObjective()(network, batch)[0].backward()
    assert float(network.decoder.conv_out.bias.grad[3]) > 0  # type: ignore[index]


def test_kl_and_the_perceptual_term_count_by_their_weights() -> None:
    torch.manual_seed(0)
    network, batch = TrainedVae(TINY.vae), some("picture")[0]
    plain = VaeObjective()(network, batch)[1]
    grounds: list[float] = []

    def perceptual(got: torch.Tensor, want: torch.Tensor) -> torch.Tensor:
        grounds.append(float(want[batch.frames[:, 0, 3:].expand(-1, 3, -1, -1) == 0].mean()))
        return (got - want).abs().mean((1, 2, 3))

    batch.frames[0, 0, :, :4] = 0
    seen = VaeObjective(kl_weight=0.5, perceptual=perceptual, perceptual_weight=2.0)(network, batch)[1]
    assert grounds == [-1.0, 1.0]
    assert seen["loss"] == pytest.approx(seen["error"] + 0.5 * seen["kl"] + 2 * seen["perceptual"], rel=1e-5)
    assert plain["kl"] > 0


def test_checkpoint_of_the_stage_is_an_ordinary_vae(tmp_path: Path) -> None:
    network = TrainedVae(TINY.vae)
    checkpoint.save(tmp_path / "vae.safetensors", network.state_dict(), TINY.vae, kind="vae")
    checkpoint.fill(Vae(TINY.vae), load_file(tmp_path / "vae.safetensors"))
