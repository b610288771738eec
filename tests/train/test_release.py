"""Trained checkpoints as a model folder: diffusers and Lamina load it, and say what the trained networks say."""

import sys
from pathlib import Path

import pytest
import torch
from tiny_stacks import TINY, write_rgb_vae, write_shards

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.layouts import open_released
from lamina.train import networks
from lamina.train.recipe import resolve

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("model=tiny", "side=16", "batch_size=2", "steps=2", "workers=0", "precision=float32")
CLOSE = {"atol": 1e-5, "rtol": 0.0}


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Checkpoints of a transformer and its VAE, each trained for two steps."""
    monkeypatch.syspath_prepend(str(ROOT))
    shards = f"shards={write_shards(tmp_path / 'shards')}"
    vae = resolve(["recipes.paper:vae", shards, *WORDS], tmp_path / "vae").train()
    words = ["recipes.paper:image_to_layers", shards, *WORDS, f"vae={vae}", "sample_steps=1"]
    return resolve(words, tmp_path / "i2l").train(), vae


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_what_was_trained_is_loaded_by_the_reference_library(trained: tuple[Path, Path], tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    from recipes.release import release

    transformer, vae = trained
    out = tmp_path / "model"
    release(transformer, vae, out, dtype=torch.float32)
    theirs = diffusers.QwenImageLayeredPipeline.from_pretrained(out, text_encoder=None, tokenizer=None, processor=None)
    generator = torch.Generator().manual_seed(0)
    shape, grid = TINY.mmdit, (2, 3)
    tokens = torch.randn(1, 4, 6, shape.token_width, generator=generator)
    text, t = torch.randn(1, 5, shape.text_width, generator=generator), torch.tensor([0.7])
    own = networks.load(transformer, "mmdit")(tokens[:, :3], tokens[:, 3], text, t, grid)
    their = theirs.transformer(
        hidden_states=tokens.flatten(1, 2), timestep=t, encoder_hidden_states=text,
        img_shapes=[[(1, *grid)] * 4], additional_t_cond=torch.tensor([0]), return_dict=False,
    )[0]  # fmt: skip
    torch.testing.assert_close(own.flatten(1, 2), their[:, : 3 * 6], **CLOSE)
    pictures = torch.rand(1, 4, 16, 24, generator=generator) * 2 - 1
    coder = networks.load(vae, "vae").eval()
    latents = coder.encode(pictures)  # type: ignore[operator]
    mean, std = (torch.tensor(v)[:, None, None] for v in (TINY.vae.latent_mean, TINY.vae.latent_std))
    mode = theirs.vae.encode(pictures[:, :, None]).latent_dist.mode()[:, :, 0]
    torch.testing.assert_close(latents, (mode - mean) / std, **CLOSE)
    decoded = theirs.vae.decode((latents * std + mean)[:, :, None]).sample[:, :, 0]
    torch.testing.assert_close(coder.decode(latents), decoded, **CLOSE)  # type: ignore[operator]


def test_what_was_trained_is_opened_by_lamina_in_half_the_bytes(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recipes.release import main

    monkeypatch.setattr(sys, "argv", ["release", *map(str, trained), str(tmp_path / "model")])
    main()
    released = open_released(tmp_path / "model")
    assert released.config.mmdit == TINY.mmdit
    assert released.config.vae == TINY.vae
    _, state = checkpoint.load(trained[0], "mmdit")
    assert set(released.transformer) == set(state)
    for name, lazy in released.transformer.items():
        assert torch.equal(lazy.read(), state[name].to(torch.bfloat16))


def test_what_cannot_be_a_release_is_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    from recipes.release import release

    transformer, vae = trained
    with pytest.raises(CheckpointError, match="of kind 'vae', expected 'mmdit'"):
        release(vae, vae, tmp_path / "model")
    with pytest.raises(CheckpointError, match="is an RGB VAE"):
        release(transformer, write_rgb_vae(tmp_path / "rgb.safetensors"), tmp_path / "model")
    with pytest.raises(CheckpointError, match="has no text_encoder"):
        release(transformer, vae, tmp_path / "model", text=tmp_path)
    assert not (tmp_path / "model").exists()
