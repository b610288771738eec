"""The released model's engine: tables, streamed blocks, batches, guidance, and the reference's faults done right."""

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_released as tiny
import torch
from tiny_released import inputs, model
from torch import nn

from lamina.errors import InputError
from lamina.model.blocks import Resident, Streamed
from lamina.model.denoise import Denoiser, Text, make_table, tabled_network
from lamina.model.released import draw_noise
from lamina.model.text import Prompts
from lamina.model.tokens import patchify
from lamina.model.weights import plain

CPU = torch.device("cpu")
CLOSE = {"atol": 1e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("released") / "model")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_table_says_what_the_modulations_say_to_the_last_bit(dtype: torch.dtype) -> None:
    whole = tiny.networks(dtype=dtype)[0]
    weights = plain(whole.state_dict())
    network = tabled_network(tiny.CONFIG.mmdit, weights, dtype)
    assert not any("_mod." in name for name in network.state_dict())
    generator = torch.Generator().manual_seed(0)
    slots, condition = (torch.randn(1, n, 6, 32, generator=generator).to(dtype) for n in (3, 1))
    text = torch.randn(1, 5, tiny.TEXT_WIDTH, generator=generator).to(dtype)
    timesteps = torch.tensor([1.0, 0.61, 0.03])
    table = make_table(network, weights, timesteps, device=CPU, dtype=dtype)
    engine = Denoiser(network, Resident(list(network.transformer_blocks), CPU))
    stage = engine.stage([Text(text)], condition[:, 0], 3, (2, 3))
    with torch.no_grad():
        for row, t in enumerate(timesteps):
            time = whole.time_text_embed(t[None], None)
            for number, block in enumerate(whole.transformer_blocks):
                for found, expected in zip(table.row(row, CPU).shifts(number), block.shifts(time), strict=True):
                    assert torch.equal(found, expected)
            said = engine.velocities(slots, stage, table, row)[0]
            assert torch.equal(said, whole(slots, condition[:, 0], text, t[None], (2, 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_last_block_leaves_out_what_nothing_reads_and_gives_the_same_layers(
    folder: Path, dtype: torch.dtype
) -> None:
    engine, given, seen = model(folder, dtype=dtype), inputs(), {}
    last = list(engine.denoiser.blocks)[-1]
    for name, part in {"queries": last.attn.to_q, "keys": last.attn.to_k, "mlp": last.img_mlp}.items():
        part.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out.shape[1]}))
    for name in ("add_q_proj", "to_add_out"):
        getattr(last.attn, name).register_forward_hook(lambda *_: pytest.fail("the context is not read any more"))
    slots, condition = 3 * 6, 6
    lean = engine.layers(**given)
    assert seen == {"queries": slots, "keys": slots + condition, "mlp": slots}
    for module in (last.attn.add_q_proj, last.attn.to_add_out):
        module._forward_hooks.clear()
    last.context_out = True
    assert torch.equal(engine.layers(**given), lean)
    assert seen == dict.fromkeys(seen, slots + condition)


def test_modulations_are_a_third_of_the_published_weights_and_stay_out() -> None:
    from lamina.model.config import preset
    from lamina.model.mmdit import MMDiT

    with torch.device("meta"):
        left = sum(tensor.numel() for tensor in MMDiT(preset("published").mmdit, tabled=True).state_dict().values())
    assert left == 20_430_407_232 - 60 * 2 * (6 * 3072 * 3072 + 6 * 3072)
    assert left * 2 / 1e9 == pytest.approx(27.27, abs=0.01)


@pytest.mark.parametrize("resident", [0, 1, 2, 3])
def test_streamed_blocks_give_the_same_layers(folder: Path, resident: int) -> None:
    assert torch.equal(model(folder, resident).layers(**inputs()), model(folder).layers(**inputs()))


def _lives(monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[[], int], list[int]]:
    """How many weights that were brought, as copies, there are now, and were at every time that one was brought."""
    made: list[weakref.ref[np.ndarray]] = []
    counts: list[int] = []
    to = torch.Tensor.to

    def alive() -> int:
        return sum(array() is not None for array in made)

    def copied(tensor: torch.Tensor, *given: Any, **words: Any) -> torch.Tensor:
        if "non_blocking" not in words:
            return to(tensor, *given, **words)
        array = tensor.numpy().copy()  # lives as long as a tensor has its memory
        made.append(weakref.ref(array))
        counts.append(alive())
        return torch.from_numpy(array)

    monkeypatch.setattr(torch.Tensor, "to", copied)
    return alive, counts


@pytest.mark.parametrize("resident", [0, 1, 4])
def test_two_streamed_blocks_are_there_at_a_time_and_no_more(resident: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    modules = [nn.Linear(4, 4, bias=False) for _ in range(5)]
    streamed = Streamed(modules, CPU, resident=resident)
    expected = [module.weight.detach().clone() for module in modules]
    alive, counts = _lives(monkeypatch)
    for _ in range(3):
        for number, block in enumerate(streamed):
            assert torch.equal(block.weight, expected[number])
            assert len(streamed._coming) == 1
            next(iter(streamed._coming.values())).result()  # no faster than what comes behind
    assert max(counts) == 2
    assert len(counts) == 3 * (5 - resident) + 1
    next(iter(streamed))  # a step that is taken over ends after the first block
    for number, block in enumerate(streamed):
        assert torch.equal(block.weight, expected[number])
        for coming in streamed._coming.values():
            coming.result()
    assert max(counts) == 2
    streamed.rest()
    streamed._mover.shutdown()
    assert not streamed._coming
    del coming
    assert alive() == 0


def test_no_block_is_brought_before_the_work_of_the_last_but_one_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA puts work in line and goes on: here its events are written down."""
    said: list[str] = []
    given: list[int] = [-1]

    class Event:
        def __init__(self, blocking: bool = False) -> None:
            self.name = f"work {given[0]}" if blocking else ""

        def record(self, stream: str) -> None:
            assert stream == ("now" if self.name else "copies")

        def synchronize(self) -> None:
            said.append(f"after {self.name}")

    class Now(str):
        def wait_event(self, event: Event) -> None:
            assert not event.name

    streamed = Streamed([nn.Linear(2, 2, bias=False) for _ in range(4)], CPU)
    streamed._cuda = SimpleNamespace(Event=Event, current_stream=lambda _: Now("now"), stream=lambda _: nullcontext())
    streamed._stream = "copies"
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    bring = streamed._bring
    monkeypatch.setattr(streamed, "_bring", lambda n, over: (bring(n, over), said.append(f"brought {n}"))[0])
    for _ in range(2):
        for number, _block in enumerate(streamed):
            given[0] = number
    streamed._mover.shutdown()
    first = ["brought 0", "brought 1", "after work 0", "brought 2", "after work 1", "brought 3"]
    again = ["after work 2", "brought 0", "after work 3", "brought 1", "after work 0", "brought 2"]
    assert said == [*first, *again, "after work 1", "brought 3", "after work 2", "brought 0"]


def test_both_prompts_pass_a_block_while_it_is_there(folder: Path) -> None:
    engine, visits = model(folder, 0), []

    class Counting:
        def __init__(self, blocks: Any) -> None:
            self.blocks = blocks

        def __len__(self) -> int:
            return len(self.blocks)

        def __iter__(self) -> Any:
            for number, block in enumerate(self.blocks):
                visits.append(number)
                yield block

        def rest(self) -> None:
            self.blocks.rest()

    engine.denoiser.blocks = Counting(engine.denoiser.blocks)
    engine.layers(**inputs())
    assert visits == [0, 1, 2] * 2


def test_pictures_of_a_batch_get_their_own_layers(folder: Path) -> None:
    """The reference slices the frames of a batch wrongly (facts, A4.1)."""
    engine, both = model(folder), inputs(batch=2)
    found = engine.layers(**both)
    assert found.shape == (2, 2, 4, 32, 48)
    for item in range(2):
        one = slice(item, item + 1)
        alone = {name: Text(x.embedding[one]) if isinstance(x, Text) else x for name, x in both.items()}
        alone |= {name: both[name][one] for name in ("pictures", "noise")}
        torch.testing.assert_close(engine.layers(**alone)[0], found[item], **CLOSE)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


def test_prompts_of_different_lengths_share_a_batch(folder: Path) -> None:
    engine, given = model(folder), inputs(batch=2)
    text = given["texts"].embedding
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    found = engine.layers(**given | {"texts": Text(text, mask)})
    alone = {"pictures": given["pictures"][1:], "texts": Text(text[1:, :4]), "bare": Text(given["bare"].embedding[1:])}
    torch.testing.assert_close(engine.layers(**given | alone | {"noise": given["noise"][1:]})[0], found[1], **CLOSE)


def test_guidance_without_an_empty_prompt_is_refused_not_dropped(folder: Path) -> None:
    """The reference then samples without guidance (A4.2)."""
    given = inputs()
    with pytest.raises(InputError, match="guidance 4 measures against an empty prompt, which was not given"):
        model(folder).layers(**given | {"bare": None})
    free = model(folder).layers(**given | {"bare": None, "guidance": 1.0})
    assert torch.equal(free, model(folder).layers(**given | {"guidance": 1.0}))
    assert not torch.allclose(free, model(folder).layers(**given), atol=1e-3)


def test_given_embeddings_are_what_counts_and_no_caption_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference captions a picture whose prompt is empty and throws the words away (A4.3)."""
    expected, given = model(folder).layers(**inputs()), inputs()
    for name in ("caption", "_load"):
        monkeypatch.setattr(Prompts, name, lambda *_, **__: pytest.fail("nobody needs an encoder"))
    assert torch.equal(model(folder).layers(**given), expected)
    other = Text(given["texts"].embedding.flip(1))
    assert not torch.allclose(model(folder).layers(**given | {"texts": other}), expected, atol=1e-3)


def test_layers_come_from_words_alone(folder: Path) -> None:
    """The reference fails without a picture (A4.4)."""
    given = inputs()
    found = model(folder).layers(**given | {"pictures": None})
    assert found.shape == (1, 2, 4, 32, 48)
    assert not torch.allclose(found, model(folder).layers(**given), atol=1e-3)
    other = Text(given["texts"].embedding.flip(1))
    assert not torch.allclose(found, model(folder).layers(**given | {"pictures": None, "texts": other}), atol=1e-3)


def test_layers_are_decoded_in_parts_where_memory_is_short(folder: Path) -> None:
    torch.testing.assert_close(
        model(folder, frames=1).layers(**inputs(layers=3)), model(folder).layers(**inputs(layers=3)), **CLOSE
    )


def test_latents_stay_in_float32_between_steps(folder: Path) -> None:
    """With networks in bfloat16, rounding the latents too (the reference does, A4.8) gives other layers."""
    engine = model(folder, dtype=torch.bfloat16)
    kept = engine.layers(**inputs())
    rounded = engine.layers(**inputs() | {"rounding": "reference"})
    assert not torch.equal(kept, rounded)


def test_a_step_that_raises_stops_the_work(folder: Path) -> None:
    heard: list[tuple[int, int]] = []

    def stop(step: int, steps: int) -> None:
        heard.append((step, steps))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model(folder, 0).layers(**inputs(), on_step=stop)
    assert heard == [(1, 2)]


def test_what_does_not_fit_together_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="noise for 3 slots; 3 layers and the composite need 4"):
        model(folder).layers(**inputs() | {"count": 3})
    with pytest.raises(InputError, match="noise is for 6x6 latents"):
        model(folder).layers(**inputs() | {"noise": draw_noise([0], (3, 8, 6, 6))})


def test_noise_is_each_seeds_own() -> None:
    both = draw_noise([3, 4], (2, 8, 4, 4))
    assert torch.equal(both[1:], draw_noise([4], (2, 8, 4, 4)))
    assert patchify(both).shape == (2, 2, 4, 32)
