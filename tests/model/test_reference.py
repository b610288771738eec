"""The same numbers as the reference library, on tiny random networks."""

import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_released as tiny
import torch
from PIL import Image

from lamina.model.blocks import Resident, Streamed
from lamina.model.denoise import Denoiser, Text, tabled_network
from lamina.model.flow import Schedule
from lamina.model.layouts import open_released
from lamina.model.mmdit import MMDiT
from lamina.model.parity import unfuse
from lamina.model.released import ReleasedModel, draw_noise, load_vae
from lamina.model.text import EMPTY, Prompts
from lamina.model.tokens import grid_ids, rope, text_ids

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
CPU = torch.device("cpu")
CLOSE = {"atol": 1e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers")
    return tiny.write(tmp_path_factory.mktemp("released") / "model", text=True)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    import diffusers

    pipeline = diffusers.QwenImageLayeredPipeline.from_pretrained(folder, processor=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def ours(folder: Path, dtype: torch.dtype = torch.float32, *, streamed: bool = False) -> ReleasedModel:
    released = open_released(folder)
    network = tabled_network(released.config.mmdit, released.transformer, dtype)
    modules = list(network.transformer_blocks)
    blocks = Streamed(modules, CPU, resident=1) if streamed else Resident(modules, CPU)
    return ReleasedModel(released, load_vae(released, device=CPU, dtype=dtype), Denoiser(network, blocks), device=CPU)


def picture(width: int, height: int) -> Image.Image:
    noise = torch.rand(4, 12, 16, generator=torch.Generator().manual_seed(3))
    smooth = torch.nn.functional.interpolate(noise[None], (height, width), mode="bilinear")[0]
    return Image.fromarray((smooth.permute(1, 2, 0) * 255).byte().numpy(), "RGBA")


def prepared(image: Image.Image, width: int, height: int) -> torch.Tensor:
    import numpy as np

    resized = np.array(image.resize((width, height), Image.Resampling.LANCZOS))
    return (torch.from_numpy(resized).permute(2, 0, 1).float() / 255 * 2 - 1)[None]


def texts(dtype: torch.dtype = torch.float32) -> tuple[Text, Text]:
    generator = torch.Generator().manual_seed(5)
    prompt, empty = (torch.randn(1, n, tiny.TEXT_WIDTH, generator=generator).to(dtype) for n in (9, 6))
    return Text(prompt), Text(empty)


@torch.no_grad()
def test_the_vae_is_theirs_on_one_frame(folder: Path, theirs: Any) -> None:
    model = ours(folder)
    pixels = prepared(picture(96, 64), 96, 64)
    posterior = theirs.vae.encode(pixels[:, :, None]).latent_dist.mode()[:, :, 0]
    mean, std = (torch.tensor(v)[:, None, None] for v in (tiny.CONFIG.vae.latent_mean, tiny.CONFIG.vae.latent_std))
    latents = model.encode(pixels)
    torch.testing.assert_close(latents, (posterior - mean) / std, **CLOSE)
    decoded = theirs.vae.decode((latents * std + mean)[:, :, None]).sample[:, :, 0]
    torch.testing.assert_close(model.vae.decode(latents), decoded, **CLOSE)


@pytest.mark.parametrize("grid", [(4, 6), (5, 3)])
@pytest.mark.parametrize("layers", [1, 4])
def test_positions_are_theirs(theirs: Any, grid: tuple[int, int], layers: int) -> None:
    config = tiny.CONFIG.mmdit
    visual, text = theirs.transformer.pos_embed([[(1, *grid)] * (layers + 2)], max_txt_seq_len=7, device=CPU)
    slots = torch.tensor([*range(layers + 1), -1])
    for ids, turns in ((grid_ids(slots, grid), visual), (text_ids(7, layers + 1, grid), text)):
        torch.testing.assert_close(rope(ids, config.rope_axes, config.theta), torch.view_as_real(turns), **CLOSE)


@torch.no_grad()
def test_every_block_and_the_whole_network_are_theirs(theirs: Any) -> None:
    network, grid, (text, _) = tiny.networks()[0], (4, 6), texts()
    network_all = MMDiT(tiny.CONFIG.mmdit)
    network_all.load_state_dict(network.state_dict())
    for block in network_all.transformer_blocks:
        block.context_out = True
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(1, 4, 24, tiny.CONFIG.mmdit.token_width, generator=generator)
    seen: list[torch.Tensor] = []
    said: list[torch.Tensor] = []
    hooks = [b.register_forward_hook(lambda _m, _i, out: seen.extend(out)) for b in network_all.transformer_blocks]
    hooks += [
        b.register_forward_hook(lambda _m, _i, out: said.extend(reversed(out)))
        for b in theirs.transformer.transformer_blocks
    ]
    own = network_all(tokens[:, :3], tokens[:, 3], text.embedding, torch.tensor([0.7]), grid)
    their = theirs.transformer(
        hidden_states=tokens.flatten(1, 2), timestep=torch.tensor([0.7]), encoder_hidden_states=text.embedding,
        img_shapes=[[(1, *grid)] * 4], additional_t_cond=torch.tensor([0]), return_dict=False,
    )[0]  # fmt: skip
    for hook in hooks:
        hook.remove()
    assert len(seen) == len(said) == 2 * tiny.CONFIG.mmdit.depth
    for one, other in zip(seen, said, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)
    torch.testing.assert_close(own.flatten(1, 2), their[:, : 3 * 24], **CLOSE)


@pytest.mark.parametrize(
    ("kind", "terminal", "steps"),
    [
        ("linear", None, 1),
        ("linear", None, 4),
        ("linear", None, 50),
        ("exponential", 0.02, 4),
        ("exponential", 0.02, 50),
    ],
)
def test_the_schedule_is_theirs_to_the_last_bit(theirs: Any, kind: str, terminal: float | None, steps: int) -> None:
    import numpy as np

    scheduler = type(theirs.scheduler).from_config(
        {**theirs.scheduler.config, "time_shift_type": kind, "shift_terminal": terminal}
    )
    for tokens in (1600, 1620, 4096):
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 0, steps + 1)[:-1], mu=(tokens / 256) ** 0.5)
        found = Schedule(kind=kind, terminal=terminal).timesteps(steps, tokens)  # type: ignore[arg-type]
        assert torch.equal(found, scheduler.sigmas)


def small(theirs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of some hundred pixels instead of the pipeline's 640 and 1024: its own rounding, another area."""
    module = sys.modules[type(theirs).__module__]
    original = module.calculate_dimensions
    monkeypatch.setattr(module, "calculate_dimensions", lambda area, ratio: original(128 * 128, ratio))


def run_both(
    folder: Path,
    theirs: Any,
    size: tuple[int, int],
    at: tuple[int, int],
    *,
    layers: int,
    guidance: float = 4.0,
    rescale: bool = False,
    resolution: int = 640,
    steps: int = 3,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Layers 0-1: ours and theirs."""
    (text, bare), image = texts(), picture(*size)
    their = theirs(
        image, prompt=["given"], prompt_embeds=text.embedding, negative_prompt_embeds=bare.embedding,
        true_cfg_scale=guidance, layers=layers, num_inference_steps=steps, resolution=resolution,
        cfg_normalize=rescale, generator=torch.Generator().manual_seed(11), output_type="pt",
    ).images[0]  # fmt: skip
    noise = draw_noise([11], (layers + 1, 8, at[1] // 8, at[0] // 8))
    own = ours(folder).layers(
        prepared(image, *at), text, bare, count=layers, steps=steps, guidance=guidance, rescale=rescale, noise=noise
    )[0]
    return (own + 1) / 2, their


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 6])
def test_final_layers_are_theirs(folder: Path, theirs: Any, monkeypatch: pytest.MonkeyPatch, layers: int) -> None:
    small(theirs, monkeypatch)
    size, at = ((320, 180), (160, 96)) if layers % 2 else ((200, 200), (128, 128))
    own, their = run_both(folder, theirs, size, at, layers=layers, rescale=layers in (2, 3), guidance=1 + layers % 4)
    assert own.shape == (layers, 4, at[1], at[0])
    torch.testing.assert_close(own, their, **CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize(("resolution", "at"), [(640, (864, 480)), (1024, (1376, 768))])
def test_both_buckets_are_theirs(folder: Path, theirs: Any, resolution: int, at: tuple[int, int]) -> None:
    own, their = run_both(folder, theirs, (320, 180), at, layers=1, resolution=resolution, steps=1, guidance=1.0)
    torch.testing.assert_close(own, their, **CLOSE)


def test_rounding_as_the_reference_gives_its_very_bits(
    folder: Path, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16: timesteps rounded before the sinusoid, latents after every step, and the network left unfused."""
    small(theirs, monkeypatch)
    import copy

    half, (text, bare), image = torch.bfloat16, texts(torch.bfloat16), picture(200, 200)
    pipeline = type(theirs)(
        **{
            name: copy.deepcopy(part).to(half) if isinstance(part, torch.nn.Module) else part
            for name, part in theirs.components.items()
        }
    )
    pipeline.set_progress_bar_config(disable=True)
    steps: list[torch.Tensor] = []
    pipeline(
        image, prompt=["given"], prompt_embeds=text.embedding, negative_prompt_embeds=bare.embedding, layers=2,
        num_inference_steps=4, cfg_normalize=True, generator=torch.Generator().manual_seed(11), output_type="pt",
        callback_on_step_end=lambda _p, _i, _t, kept: steps.append(kept["latents"]) or {},
    )  # fmt: skip
    their = steps[-1]
    model = ours(folder, half)
    unfuse(model.denoiser.network)
    pixels = prepared(image, 128, 128).to(half)
    with torch.no_grad():
        mode = pipeline.vae.encode(pixels[:, :, None]).latent_dist.mode()[:, :, 0]
    mean, std = (
        torch.tensor(v)[:, None, None].to(half) for v in (tiny.CONFIG.vae.latent_mean, tiny.CONFIG.vae.latent_std)
    )
    monkeypatch.setattr(model, "encode", lambda _: (mode - mean) / std)  # 3-D convolutions round in another order
    found: dict[str, torch.Tensor] = {}
    for rounding in ("reference", "float32"):
        kept: list[torch.Tensor] = []
        monkeypatch.setattr(model, "_decoded", lambda x, _: kept.append(x) or torch.zeros(1, 2, 4, 128, 128))  # noqa: B023
        model.layers(
            prepared(image, 128, 128), text, bare, count=2, steps=4, rounding=rounding,  # type: ignore[arg-type]
            noise=draw_noise([11], (3, 8, 16, 16), half),
        )  # fmt: skip
        found[rounding] = kept[0].flatten(1, 2)
    assert found["reference"].dtype == half
    assert torch.equal(found["reference"], their)
    assert found["float32"].dtype == torch.float32
    assert not torch.equal(found["float32"].to(half), their)


def test_embeddings_are_theirs_and_kept_on_disk(folder: Path, theirs: Any, tmp_path: Path) -> None:
    heard: list[str] = []
    words = ["a red box on a blue ground with a long tail of words", "x"]
    prompts = Prompts(folder, device=CPU, dtype=torch.float32, cache=tmp_path, on_load=heard.append)
    found = prompts(words)
    embeddings, mask = theirs._get_qwen_prompt_embeds(words, CPU, torch.float32)
    torch.testing.assert_close(found.embedding, embeddings, **CLOSE)
    assert found.mask is not None
    assert torch.equal(found.mask, mask.bool())
    bare = prompts([""])
    torch.testing.assert_close(bare.embedding, theirs._get_qwen_prompt_embeds([" "], CPU, torch.float32)[0], **CLOSE)
    prompts.free()
    assert not prompts.loaded
    again = Prompts(folder, device=CPU, dtype=torch.float32, cache=tmp_path, on_load=heard.append)
    assert torch.equal(again(words).embedding, found.embedding)
    assert torch.equal(again([EMPTY]).embedding, bare.embedding)
    assert heard == ["text encoder"]
    assert not again.loaded
    for file in tmp_path.iterdir():
        file.write_bytes(b"broken")
    assert torch.equal(again(words).embedding, found.embedding)


def test_a_caption_is_made_from_the_picture_in_the_language_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = Prompts(folder, device=CPU, dtype=torch.float32)
    image = picture(120, 90)
    caption = prompts.caption(image, longest=8)
    assert caption == prompts.caption(image, longest=8)
    encoder, tokenizer = prompts._load()
    generate, asked = encoder.generate, []
    monkeypatch.setattr(encoder, "generate", lambda **given: asked.append(given) or generate(**given))
    chinese = prompts.caption(image, "zh", longest=8)
    prompts.caption(image, longest=8)
    prompts.caption(image.rotate(90), longest=8)
    words = [tokenizer.decode(given["input_ids"][0]) for given in asked]
    assert ["请观察这张图片" in one for one in words] == [True, False, False]
    assert ["Look at the picture" in one for one in words] == [False, True, True]
    assert chinese != caption
    assert not torch.equal(asked[1]["pixel_values"], asked[2]["pixel_values"])
