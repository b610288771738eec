"""Rectified flow: the path, its schedule, guidance and the sampler."""

import pytest
import torch

from lamina.errors import Cancelled, InputError
from lamina.model import flow


def _pair() -> tuple[torch.Tensor, torch.Tensor]:
    data, noise = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    return data, noise


def test_the_path_goes_from_data_to_noise_at_constant_velocity() -> None:
    data, noise = _pair()
    t = torch.tensor([0.0, 1.0, 0.25])
    at = flow.interpolate(data, noise, t)
    assert torch.equal(at[0], data[0])
    assert torch.equal(at[1], noise[1])
    later = flow.interpolate(data, noise, t + 0.5)
    torch.testing.assert_close((later - at) / 0.5, flow.velocity(data, noise), atol=1e-5, rtol=0)


def test_a_prediction_of_the_data_implies_the_velocity() -> None:
    data, noise = _pair()
    t = torch.tensor([0.05, 0.5, 1.0])
    implied = flow.velocity_from_data(flow.interpolate(data, noise, t), data, t)
    torch.testing.assert_close(implied, flow.velocity(data, noise), atol=1e-5, rtol=0)


def test_the_shift_of_the_published_sizes() -> None:
    assert flow.shift_for(40 * 40) == 2.5
    assert flow.shift_for(64 * 64) == 4.0


def test_the_schedule_is_the_linear_shift_of_equal_steps() -> None:
    steps, shift = 4, 2.5
    expected = [shift * u / (1 + (shift - 1) * u) for u in (1.0, 0.75, 0.5, 0.25)] + [0.0]
    assert flow.schedule(steps, shift).tolist() == pytest.approx(expected, abs=1e-6)
    assert flow.schedule(4).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    with pytest.raises(InputError, match="0 sampling steps"):
        flow.schedule(0)


def test_guidance_one_is_off_and_zero_is_unconditional() -> None:
    conditional, unconditional = _pair()
    torch.testing.assert_close(flow.guide(conditional, unconditional, 1.0), conditional)
    torch.testing.assert_close(flow.guide(conditional, unconditional, 0.0), unconditional)
    expected = 4 * conditional - 3 * unconditional
    torch.testing.assert_close(flow.guide(conditional, unconditional, 4.0), expected, atol=1e-5, rtol=0)


def test_rescaled_guidance_keeps_the_direction_and_the_length_of_the_condition() -> None:
    conditional, unconditional = _pair()
    plain = flow.guide(conditional, unconditional, 4.0)
    rescaled = flow.guide(conditional, unconditional, 4.0, rescale=True)
    torch.testing.assert_close(rescaled.norm(dim=-1), conditional.norm(dim=-1))
    torch.testing.assert_close(torch.cosine_similarity(rescaled, plain, dim=-1), torch.ones(3, 4))
    assert torch.equal(flow.guide(torch.zeros(1, 2), torch.zeros(1, 2), 4.0, rescale=True), torch.zeros(1, 2))


@pytest.mark.parametrize("shift", [1.0, 2.5])
def test_the_sampler_follows_a_straight_path_exactly(shift: float) -> None:
    data, noise = _pair()
    for steps in (1, 7):
        found = flow.sample(lambda x, t: flow.velocity_from_data(x, data, t), noise, flow.schedule(steps, shift))
        torch.testing.assert_close(found, data, atol=1e-5, rtol=0)


def test_the_sampler_asks_at_every_timestep_but_the_last_and_tells_its_progress() -> None:
    asked: list[torch.Tensor] = []
    told: list[tuple[int, int]] = []

    def velocity_at(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        asked.append(t)
        return torch.zeros_like(x)

    timesteps = flow.schedule(3, 2.5)
    flow.sample(velocity_at, torch.zeros(2, 4, 5), timesteps, lambda step, total: told.append((step, total)))
    assert torch.equal(torch.stack(asked), timesteps[:-1, None].expand(-1, 2))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_raised_cancellation_stops_the_sampler() -> None:
    def on_step(step: int, total: int) -> None:
        raise Cancelled(f"stopped at {step} of {total}")

    with pytest.raises(Cancelled, match="1 of 3"):
        flow.sample(lambda x, t: x, torch.zeros(1, 2, 2), flow.schedule(3), on_step)


def test_the_sampler_keeps_the_precision_of_the_noise() -> None:
    found = flow.sample(lambda x, t: x.bfloat16(), torch.ones(1, 2, 2), flow.schedule(3))
    assert found.dtype == torch.float32


def test_training_timesteps_are_logit_normal_and_shifted_as_in_sampling() -> None:
    drawn = flow.draw_timesteps(20_000, torch.Generator().manual_seed(0), mean=0.3, deviation=0.8)
    logits = torch.logit(drawn.double())
    assert logits.mean().item() == pytest.approx(0.3, abs=0.02)
    assert logits.std().item() == pytest.approx(0.8, abs=0.02)
    again = flow.draw_timesteps(20_000, torch.Generator().manual_seed(0), mean=0.3, deviation=0.8, shift=2.5)
    torch.testing.assert_close(again, flow.shift_timesteps(drawn, 2.5))
    assert (again > drawn).all()
