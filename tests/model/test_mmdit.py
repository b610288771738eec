"""The MMDiT: published layout, symmetries of the blocks, any number of layers, and that it learns."""

import pytest
import torch
import torch.nn.functional as F

from lamina.errors import InputError
from lamina.model import flow
from lamina.model.config import preset
from lamina.model.mmdit import DualStreamBlock, MMDiT
from lamina.model.tokens import grid_ids, rope, text_ids

TINY = preset("tiny").mmdit
GRID = (2, 3)
CLOSE = {"atol": 2e-5, "rtol": 0.0}


def _network(seed: int = 0) -> MMDiT:
    torch.manual_seed(seed)
    return MMDiT(TINY).eval()


def _inputs(layers: int = 2, batch: int = 2, text: int = 5) -> tuple[torch.Tensor, ...]:
    """Slots, condition, text and timestep."""
    generator = torch.Generator().manual_seed(1)
    area = GRID[0] * GRID[1]
    return (
        torch.randn(batch, layers + 1, area, TINY.token_width, generator=generator),
        torch.randn(batch, area, TINY.token_width, generator=generator),
        torch.randn(batch, text, TINY.text_width, generator=generator),
        torch.rand(batch, generator=generator),
    )


def _block(**options: bool) -> tuple[DualStreamBlock, tuple[torch.Tensor, ...]]:
    """A block of random norms and gates, and streams, ropes and time embedding for it."""
    torch.manual_seed(0)
    block = DualStreamBlock(64, 4, **options)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    visual_rope = rope(grid_ids(torch.tensor([0, 1]), GRID), (4, 6, 6), 100.0)
    context_rope = rope(text_ids(5, 2, GRID), (4, 6, 6), 100.0)
    return block, (torch.randn(3, 12, 64), torch.randn(3, 5, 64), visual_rope, context_rope, torch.randn(3, 64))


def test_the_published_network_has_the_published_tensors() -> None:
    with torch.device("meta"):
        state = MMDiT(preset("published").mmdit).state_dict()
    assert len(state) == 1934
    assert sum(tensor.numel() for tensor in state.values()) == 20_430_407_232
    block = {name.removeprefix("transformer_blocks.59.") for name in state if name.startswith("transformer_blocks.59.")}
    projections = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
    linear = [f"attn.{name}" for name in projections]
    linear += [f"{stream}_{part}" for stream in ("img", "txt") for part in ("mod.1", "mlp.net.0.proj", "mlp.net.2")]
    norms = {f"attn.norm_{name}.weight" for name in ("q", "k", "added_q", "added_k")}
    assert block == norms | {f"{name}.{kind}" for name in linear for kind in ("weight", "bias")}
    assert {name for name in state if not name.startswith("transformer_blocks.")} == {
        "txt_norm.weight",
        "time_text_embed.addition_t_embedding.weight",
        *(
            f"{name}.{kind}"
            for name in (
                "img_in",
                "txt_in",
                "time_text_embed.timestep_embedder.linear_1",
                "time_text_embed.timestep_embedder.linear_2",
                "norm_out.linear",
                "proj_out",
            )
            for kind in ("weight", "bias")
        ),
    }


@torch.no_grad()
@pytest.mark.parametrize("modulated", [True, False])
def test_a_block_does_not_know_the_order_of_its_tokens_only_their_positions(modulated: bool) -> None:
    block, (visual, context, visual_rope, context_rope, time) = _block(modulated=modulated)
    time = time if modulated else None
    seen, read = block(visual, context, visual_rope, context_rope, time)
    a, b = torch.randperm(12), torch.randperm(5)
    seen_too, read_too = block(visual[:, a], context[:, b], visual_rope[a], context_rope[b], time)
    torch.testing.assert_close(seen_too, seen[:, a], **CLOSE)
    torch.testing.assert_close(read_too, read[:, b], **CLOSE)
    moved, _ = block(visual, context, visual_rope[a], context_rope, time)
    assert not torch.allclose(moved, seen, atol=1e-3)


@torch.no_grad()
def test_a_block_sees_only_differences_of_position_across_both_streams() -> None:
    block, (visual, context, _, _, time) = _block()

    def run(visual_shift: int, context_shift: int) -> tuple[torch.Tensor, torch.Tensor]:
        visual_ids = grid_ids(torch.tensor([0, 1]), GRID) + visual_shift
        context_ids = text_ids(5, 2, GRID) + context_shift
        return block(visual, context, *(rope(ids, (4, 6, 6), 100.0) for ids in (visual_ids, context_ids)), time)

    for here, there, apart in zip(run(0, 0), run(7, 7), run(0, 7), strict=True):
        torch.testing.assert_close(there, here, atol=1e-4, rtol=0)
        assert not torch.allclose(apart, here, atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("modulated", [True, False])
def test_items_of_a_batch_do_not_see_each_other(modulated: bool) -> None:
    block, (visual, context, *ropes, time) = _block(modulated=modulated)
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]).bool()
    whole = block(visual, context, *ropes, time if modulated else None, mask)
    for item in range(3):
        one = slice(item, item + 1)
        alone = block(visual[one], context[one], *ropes, time[one] if modulated else None, mask[one])
        for a, b in zip(alone, whole, strict=True):
            torch.testing.assert_close(a, b[one], **CLOSE)


@torch.no_grad()
def test_masked_context_is_as_if_it_were_not_there() -> None:
    block, (visual, context, visual_rope, context_rope, time) = _block()
    mask = torch.tensor([True, True, False, True, False]).expand(3, 5)
    seen, read = block(visual, context, visual_rope, context_rope, time, mask)
    kept = mask[0]
    seen_too, read_too = block(visual, context[:, kept], visual_rope, context_rope[kept], time)
    torch.testing.assert_close(seen, seen_too, **CLOSE)
    torch.testing.assert_close(read[:, kept], read_too, **CLOSE)


@torch.no_grad()
def test_the_streams_have_their_own_parameters() -> None:
    block, inputs = _block(modulated=False)
    seen, read = block(*inputs[:4])
    block.txt_mlp.net[1].weight.zero_()
    block.attn.to_add_out.weight.zero_()
    seen_too, read_too = block(*inputs[:4])
    assert torch.equal(seen, seen_too)
    assert not torch.allclose(read, read_too, atol=1e-3)


@torch.no_grad()
def test_a_block_is_the_formula_written_out() -> None:
    """One head, with the joint order [context, visual], by matrices alone; the turns are none (angle 0)."""
    torch.manual_seed(0)
    block, width = DualStreamBlock(8, 1), 8
    for parameter in block.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    visual, context, time = torch.randn(3, width), torch.randn(2, width), torch.randn(width)

    def norm(x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-6).sqrt()

    def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight

    attn, silu = block.attn, time * time.sigmoid()
    img, txt = (mod[1](silu).reshape(6, width) for mod in (block.img_mod, block.txt_mod))
    v, c = norm(visual) * (1 + img[1]) + img[0], norm(context) * (1 + txt[1]) + txt[0]
    query = torch.cat([rms(attn.add_q_proj(c), attn.norm_added_q.weight), rms(attn.to_q(v), attn.norm_q.weight)])
    key = torch.cat([rms(attn.add_k_proj(c), attn.norm_added_k.weight), rms(attn.to_k(v), attn.norm_k.weight)])
    value = torch.cat([attn.add_v_proj(c), attn.to_v(v)])
    joint = (query @ key.T / width**0.5).softmax(-1) @ value
    visual_out = visual + img[2] * attn.to_out[0](joint[2:])
    context_out = context + txt[2] * attn.to_add_out(joint[:2])

    def mlp(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        inner = net[0].proj(x)
        return net[1](0.5 * inner * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (inner + 0.044715 * inner**3))))

    visual_out = visual_out + img[5] * mlp(block.img_mlp.net, norm(visual_out) * (1 + img[4]) + img[3])
    context_out = context_out + txt[5] * mlp(block.txt_mlp.net, norm(context_out) * (1 + txt[4]) + txt[3])

    still = [torch.tensor([1.0, 0.0]).expand(length, width // 2, 2) for length in (3, 2)]
    seen, read = block(visual[None], context[None], *still, time[None])
    torch.testing.assert_close(seen[0], visual_out, **CLOSE)
    torch.testing.assert_close(read[0], context_out, **CLOSE)


@torch.no_grad()
def test_a_block_without_context_out_sees_the_same_and_leaves_the_context() -> None:
    block, inputs = _block()
    last, _ = _block(context_out=False)
    last.load_state_dict(block.state_dict())
    seen, read = last(*inputs)
    torch.testing.assert_close(seen, block(*inputs)[0], **CLOSE)
    assert torch.equal(read, inputs[1])
    part, _ = last(*inputs, own=7)
    torch.testing.assert_close(part, seen[:, :7], **CLOSE)
    whole, _ = block(*inputs, own=7)  # further blocks read what this one gives: all of it
    assert whole.shape == seen.shape


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_one_network_serves_any_number_of_layers(layers: int) -> None:
    network, (slots, condition, text, timestep) = _network(), _inputs(layers)
    velocity = network(slots, condition, text, timestep, GRID)
    assert velocity.shape == slots.shape
    # Joint attention: a layer's answer depends on every other slot, on the condition and on the text.
    for changed in (
        (torch.cat([slots[:, :1] + 1, slots[:, 1:]], dim=1), condition, text, timestep),
        (slots, condition.flip(1), text, timestep),
        (slots, None, text, timestep),
        (slots, condition, text.flip(1), timestep),
        (slots, condition, text, 1 - timestep),
    ):
        assert not torch.allclose(network(*changed, GRID)[:, -1], velocity[:, -1], atol=1e-4)


@torch.no_grad()
def test_slots_are_told_apart_by_their_index() -> None:
    network, (slots, condition, text, timestep) = _network(), _inputs(layers=2)
    velocity = network(slots, condition, text, timestep, GRID)
    swapped = network(slots[:, [0, 2, 1]], condition, text, timestep, GRID)
    assert not torch.allclose(swapped[:, [0, 2, 1]], velocity, atol=1e-4)


@torch.no_grad()
def test_padding_of_the_text_changes_nothing() -> None:
    network, (slots, condition, text, timestep) = _network(), _inputs(text=3)
    padded = torch.cat([text, torch.full_like(text, 9.0)], dim=1)
    mask = torch.tensor([[True] * 3 + [False] * 3] * 2)
    torch.testing.assert_close(
        network(slots, condition, padded, timestep, GRID, mask),
        network(slots, condition, text, timestep, GRID),
        **CLOSE,
    )


@torch.no_grad()
def test_asking_for_opaque_pictures_takes_the_other_row() -> None:
    network, inputs = _network(), _inputs()
    rgba = network(*inputs, GRID)
    mixed = network(*inputs, GRID, rgb=torch.tensor([False, True]))
    torch.testing.assert_close(mixed[0], rgba[0], **CLOSE)
    assert not torch.allclose(mixed[1], rgba[1], atol=1e-4)


@torch.no_grad()
def test_time_is_embedded_as_cosines_then_sines_of_a_thousand_t() -> None:
    embedding, t = _network().time_text_embed, 0.3
    first, act, second = embedding.timestep_embedder
    angles = 1000 * t * 10_000.0 ** (-torch.arange(128).double() / 128)
    expected = second(act(first(torch.cat([angles.cos(), angles.sin()]).float())))
    rows = embedding.addition_t_embedding.weight
    torch.testing.assert_close(embedding(torch.tensor([t]), None)[0], expected + rows[0], atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_last_norm_takes_its_scale_before_its_shift() -> None:
    network = _network()
    shift = torch.linspace(-1, 1, TINY.width)
    network.norm_out.linear.weight.zero_()
    network.norm_out.linear.bias.copy_(torch.cat([torch.full_like(shift, -1.0), shift]))
    velocity = network(*_inputs(), GRID)
    torch.testing.assert_close(velocity, network.proj_out(shift).expand_as(velocity), **CLOSE)


def test_a_grid_that_is_not_that_of_the_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="a grid of 3x3 has 9 tokens, got 6 per slot"):
        _network()(*_inputs(), (3, 3))


def test_every_weight_but_the_last_context_ones_is_learned() -> None:
    network = _network()
    network(*_inputs(), GRID, rgb=torch.tensor([False, True])).square().sum().backward()
    unused = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    last = "transformer_blocks.1."
    assert unused == {
        f"{last}{name}.{kind}"
        for name in ("attn.add_q_proj", "attn.to_add_out", "txt_mlp.net.0.proj", "txt_mlp.net.2")
        for kind in ("weight", "bias")
    } | {f"{last}attn.norm_added_q.weight"}


@pytest.mark.slow
def test_it_learns_two_pictures_of_different_layer_counts() -> None:
    """Trained on the flow loss alone, sampling from noise finds each picture's layers by its condition."""
    network, generator = _network(), torch.Generator().manual_seed(2)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    samples = [_inputs(layers, batch=1)[:3] for layers in (1, 3)]
    for step in range(200):
        data, condition, text = (tensor.expand(8, *tensor.shape[1:]) for tensor in samples[step % 2])
        noise = torch.randn(data.shape, generator=generator)
        t = flow.draw_timesteps(8, generator)
        said = network(flow.interpolate(data, noise, t), condition, text, t, GRID)
        loss = F.mse_loss(said, flow.velocity(data, noise))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        for data, condition, text in samples:
            noise = torch.randn(data.shape, generator=generator)
            found = flow.sample(lambda x, t: network(x, condition, text, t, GRID), noise, flow.schedule(8))  # noqa: B023
            assert F.mse_loss(found, data) < 0.05 * F.mse_loss(noise, data)
