"""The flow stages: what is asked of the network, padding without influence, and that every stage can learn."""

from typing import Any

import pytest
import torch
from tiny_stacks import TINY, objective, some

from lamina.errors import InputError
from lamina.model import flow
from lamina.model.mmdit import MMDiT
from lamina.train.flow import FewStepObjective, FlowObjective, sample_frames
from lamina.train.loop import Objective
from lamina.train.stacks import Stacks, View


def network(seed: int = 0) -> MMDiT:
    torch.manual_seed(seed)
    return MMDiT(TINY.mmdit)


def uneven() -> Stacks:
    """A batch whose pictures have different numbers of layers."""
    batch = some()[1]
    assert len(set(batch.present.sum(1).tolist())) == 2
    return batch


def rows(batch: Stacks, index: int) -> Stacks:
    """One picture, with no more slots than it has."""
    own = int(batch.present[index].sum())
    one = Stacks(*(value[index : index + 1] for value in batch))
    return one._replace(frames=one.frames[:, :own], present=one.present[:, :own])


class Spy:
    """Stands for the network: remembers what it was given, answers with what it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.given = answer, ()

    def __call__(self, *given: Any, **named: Any) -> torch.Tensor:
        self.given, self.named = given, named
        return self.answer(*given)


def test_the_velocity_wanted_is_noise_minus_data_and_the_composite_is_slot_zero() -> None:
    batch, want = some()[0], objective(text_dropout=0.0)
    ready = want.prepare(batch)
    spy = Spy(lambda *_: ready.noise - ready.data)
    loss, parts = want(spy, batch)
    assert float(loss) == pytest.approx(0, abs=1e-9)
    noisy, condition, text, t, grid = spy.given
    assert grid == (batch.frames.shape[-2] // 8, batch.frames.shape[-1] // 8)
    torch.testing.assert_close(noisy, (1 - t)[:, None, None, None] * ready.data + t[:, None, None, None] * ready.noise)
    # these pictures have no wear, so what is seen is the composite
    torch.testing.assert_close(condition, ready.data[:, 0], atol=2e-2, rtol=0)
    assert parts["t"] == pytest.approx(float(t.mean()))
    assert text.shape[-1] == TINY.mmdit.text_width


def test_stage_without_a_picture_has_no_condition_and_tells_rgb_from_rgba() -> None:
    batch, want = some("picture", batch_size=8)[0], objective(condition=False)
    assert batch.frames.shape[1] == 1
    assert 0 < int(batch.rgb.sum()) < 8
    assert (batch.frames[batch.rgb][:, :, 3] == 255).all()
    spy = Spy(torch.zeros_like)
    spy.answer = lambda *given: torch.zeros_like(given[0])
    want(spy, batch)
    assert spy.given[1] is None
    assert torch.equal(spy.named["rgb"], batch.rgb)


@torch.no_grad()
def test_padded_layers_have_no_influence() -> None:
    batch, want, net = uneven(), objective(), network()
    loss, _ = want(net, batch)
    apart = [want(net, rows(batch, index))[0] for index in range(2)]
    assert float(loss) == pytest.approx(float(sum(apart)) / 2, rel=1e-5)

    ready = want.prepare(batch)
    assert ready.present is not None
    t = torch.tensor([0.3, 0.8])
    clean = ready.velocity(net, ready.noise, t)
    rubbish = torch.where(ready.present[..., None, None], ready.noise, 100.0)
    spoilt = ready.velocity(net, rubbish, t)
    assert torch.equal(clean[ready.present], spoilt[ready.present])
    seen = ready._replace(present=None).velocity(net, rubbish, t)
    assert not torch.allclose(clean[ready.present], seen[ready.present], atol=1e-3)


def test_padded_layers_give_no_gradient() -> None:
    batch, want, net = uneven(), objective(), network()
    want(net, batch)[0].backward()
    together = net.img_in.weight.grad
    other = network()
    (sum(want(other, rows(batch, index))[0] for index in range(2)) / 2).backward()
    torch.testing.assert_close(together, other.img_in.weight.grad, rtol=1e-3, atol=1e-6)


def test_text_is_dropped_by_share_and_row() -> None:
    batch = some(batch_size=16)[0]
    every, none = objective(text_dropout=0.0).prepare(batch), objective(text_dropout=1.0).prepare(batch)
    assert (every.text_mask.sum(1) > 1).all()
    assert (none.text_mask.sum(1) == 1).all()
    some_of_them = objective(text_dropout=0.5).prepare(batch).text_mask.sum(1)
    assert 0 < int((some_of_them == 1).sum()) < 16
    assert torch.equal(every.noise, none.noise)


def test_noise_share_moves_rows_to_pure_noise() -> None:
    batch = some(batch_size=16)[0]
    spy = Spy(lambda *given: torch.zeros_like(given[0]))
    objective(noise_share=0.0)(spy, batch)
    assert (spy.given[3] < 1).all()
    objective(noise_share=0.5)(spy, batch)
    assert 2 < int((spy.given[3] == 1).sum()) < 14


def falls(want: Objective, batch: Stacks, net: MMDiT, steps: int = 25, rate: float = 8e-3) -> tuple[float, float]:
    """Loss on one batch before and after learning it."""
    learner = torch.optim.AdamW(net.parameters(), lr=rate)
    first = float(want(net, batch)[0].detach())
    for _ in range(steps):
        learner.zero_grad()
        want(net, batch)[0].backward()
        learner.step()
    return first, float(want(net, batch)[0].detach())


@pytest.mark.parametrize(("view", "condition"), [("picture", False), ("layers", False), ("layers", True)])
def test_every_stage_learns_a_batch_by_heart(view: View, condition: bool) -> None:
    first, last = falls(objective(condition=condition), some(view)[1], network())
    assert last < 0.6 * first


def test_student_of_few_steps_goes_where_its_teacher_goes() -> None:
    batch, base = some()[1], objective(text_dropout=0.0)
    ready = base.prepare(batch)

    def straight(noisy: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return ready.noise - ready.data  # a teacher whose ways are straight: any number of steps arrives at the same

    teacher = torch.nn.Module()
    teacher.forward = straight  # type: ignore[method-assign]
    want = FewStepObjective(flow=base, teacher=teacher, steps=4, teacher_steps=3)
    spy = Spy(straight)
    assert float(want(spy, batch)[0]) == pytest.approx(0, abs=1e-7)
    times = flow.schedule(4, ready.shift)[:-1]
    assert all(any(torch.isclose(t, own) for own in times) for t in spy.given[3])


def test_student_learns_what_a_guided_teacher_does() -> None:
    batch, base, teacher = some()[1], objective(text_dropout=0.0), network(1).requires_grad_(False)
    want = FewStepObjective(flow=base, teacher=teacher, steps=2, teacher_steps=2, guidance=2.0)
    first, last = falls(want, batch, network(2), steps=20)
    assert last < 0.5 * first
    assert all(parameter.grad is None for parameter in teacher.parameters())
    unguided = FewStepObjective(flow=base, teacher=teacher, steps=2, teacher_steps=2, guidance=1.0)
    with torch.no_grad():
        assert float(want(network(2), batch)[0]) != pytest.approx(float(unguided(network(2), batch)[0]), rel=1e-4)


def test_student_has_one_to_four_steps() -> None:
    with pytest.raises(InputError, match="student of 5 steps"):
        FewStepObjective(flow=objective(), teacher=network(), steps=5)


@torch.no_grad()
def test_faultless_network_gives_back_the_pictures_in_one_step() -> None:
    batch, want = uneven(), objective(text_dropout=0.0)
    ready = want.prepare(batch)
    net = network()
    net.forward = lambda *_, **__: ready.noise - ready.data  # type: ignore[method-assign, assignment]
    made = sample_frames(net, want, batch, steps=1)
    codes = want.vae.encode(batch.frames[batch.present].float() / 127.5 - 1)
    pictures = (want.vae.decode(codes) + 1) * 127.5
    torch.testing.assert_close(made[batch.present].float(), pictures, atol=0.51, rtol=0)
    assert not made[~batch.present].any()


def test_objective_of_another_vae_size_is_refused() -> None:
    want: FlowObjective = objective()
    with pytest.raises(InputError, match="stride"):
        want(network(), some(sizes=((18, 16),))[0])
