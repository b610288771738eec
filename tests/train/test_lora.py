"""LoRA: nothing at the start, learns, folds in, loads back."""

from pathlib import Path

import pytest
import torch
from tiny_stacks import TINY, objective, some

from lamina.errors import CheckpointError, InputError
from lamina.model import checkpoint
from lamina.model.mmdit import MMDiT
from lamina.model.vae import Vae
from lamina.train import networks
from lamina.train.config import DataConfig, LoraConfig, OptimConfig, TrainConfig
from lamina.train.loop import Run
from lamina.train.lora import add_lora, file_hash, load_lora, merge, merge_file


@pytest.fixture
def base(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "base.safetensors", MMDiT(TINY.mmdit).state_dict(), TINY.mmdit, kind="mmdit")
    return tmp_path / "base.safetensors"


def settings(path: Path, **changes: object) -> LoraConfig:
    return LoraConfig(**{"base_kind": "mmdit", "base": file_hash(path), "rank": 4, "alpha": 8.0, **changes})  # type: ignore[arg-type]


def said(network: torch.nn.Module) -> torch.Tensor:
    want = objective(text_dropout=0.0)
    ready = want.prepare(some()[1])
    with torch.no_grad():
        return ready.velocity(network, ready.noise, torch.tensor([0.4, 0.9]))


def test_it_is_nothing_at_the_start_learns_and_folds_in(base: Path, tmp_path: Path) -> None:
    plain = networks.load(base, "mmdit")
    before, weights = said(plain), {name: value.clone() for name, value in plain.state_dict().items()}
    assert torch.equal(said(add_lora(networks.load(base, "mmdit"), settings(base))), before)

    config = TrainConfig(
        stage="lora",
        model=settings(base),
        data=DataConfig(batch_size=2, workers=0),
        optim=OptimConfig(lr=2e-2, warmup=1, ema=0.5),
        steps=12,
        out=tmp_path / "run",
    )

    class Same:
        def __getitem__(self, _index: int) -> object:
            return some()[1]

    losses: list[float] = []
    saved = Run(
        config=config,
        objective=objective(),
        data=Same(),
        network=lambda: add_lora(networks.load(base, "mmdit"), settings(base)),
    ).train(lambda *given: losses.append(given[2]["loss"]))
    assert losses[-1] < 0.9 * losses[0]

    loaded = load_lora(networks.load(base, "mmdit"), saved)
    learned = said(loaded)
    assert not torch.allclose(learned, before, atol=1e-2)
    assert all(torch.equal(loaded.state_dict()[_under(loaded, name)], value) for name, value in weights.items())
    merge_file(base, saved, tmp_path / "merged.safetensors")
    torch.testing.assert_close(
        said(networks.load(tmp_path / "merged.safetensors", "mmdit")), learned, atol=1e-5, rtol=0
    )
    again = add_lora(networks.load(base, "mmdit"), settings(base))
    networks.start_from(saved, again, settings(base))
    assert torch.equal(said(again), learned)
    with pytest.raises(CheckpointError, match="for other weights"):
        networks.start_from(saved, again, settings(base, base="1" * 64))
    folded = merge(loaded)
    assert set(folded.state_dict()) == set(weights)
    assert all(parameter.requires_grad for parameter in folded.parameters())


def _under(network: torch.nn.Module, name: str) -> str:
    """A base tensor's name below the additions."""
    layer, _, last = name.rpartition(".")
    return name if name in network.state_dict() else f"{layer}.base.{last}"


def test_only_the_named_layers_get_additions(base: Path) -> None:
    network = add_lora(networks.load(base, "mmdit"), settings(base, targets=("attn.to_q",)))
    learned = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert learned == [
        f"transformer_blocks.{block}.attn.to_q.{part}" for block in range(2) for part in ("down", "up")
    ]  # fmt: skip


def test_additions_for_other_weights_are_refused(base: Path, tmp_path: Path) -> None:
    network = add_lora(networks.load(base, "mmdit"), settings(base))
    state = {name: value for name, value in network.state_dict().items() if name.endswith((".up", ".down"))}
    checkpoint.save(tmp_path / "lora.safetensors", state, settings(base, base="0" * 64), kind="lora")
    with pytest.raises(CheckpointError, match="is for weights of SHA-256 000000000000"):
        merge_file(base, tmp_path / "lora.safetensors", tmp_path / "merged.safetensors")
    state.popitem()
    checkpoint.save(tmp_path / "less.safetensors", state, settings(base), kind="lora")
    with pytest.raises(CheckpointError, match="1 missing"):
        load_lora(networks.load(base, "mmdit"), tmp_path / "less.safetensors")
    with pytest.raises(CheckpointError, match="no network of its own"):
        networks.build(settings(base))


def test_network_without_linear_layers_is_refused() -> None:
    with pytest.raises(InputError, match="Vae has no linear layer"):
        add_lora(Vae(TINY.vae), LoraConfig(base_kind="vae", base="0"))
