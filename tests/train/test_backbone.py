"""The backbone against its definition, with batch norms apart from their convolutions, as its weights are published."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.errors import CheckpointError
from lamina.model import checkpoint
from lamina.model.backbone import Backbone
from lamina.model.small import SmallConfig, SmallNet
from lamina.train.networks import load

ROOT = Path(__file__).resolve().parents[2]
TINY = SmallConfig(area=64 * 64, stem=4, channels=(8, 8, 16), width=32, heads=2, depth=1, features=8)

STAGES = [(16, 1, 3, 1), (24, 3, 3, 2), (48, 3, 5, 2), (88, 4, 3, 2), (120, 4, 5, 1), (208, 5, 5, 2), (352, 1, 3, 1)]
"""Channels, blocks, kernel and stride of EfficientNet-Lite2's stages (arXiv 1905.11946, table 1, times 1.1 and 1.2)."""


@pytest.fixture(autouse=True)
def recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def published() -> dict[str, Tensor]:
    """Random weights under the published names."""
    made = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def add(convolution: str, norm: str, shape: tuple[int, ...]) -> None:
        state[f"{convolution}.weight"] = torch.randn(shape, generator=made) / math.sqrt(math.prod(shape[1:]))
        state[f"{norm}.weight"] = 0.5 + torch.rand(shape[0], generator=made)
        state[f"{norm}.bias"] = torch.randn(shape[0], generator=made) / 4
        state[f"{norm}.running_mean"] = torch.randn(shape[0], generator=made) / 4
        state[f"{norm}.running_var"] = 0.5 + torch.rand(shape[0], generator=made)

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    inside, index = 32, 0
    for channels, blocks, kernel, _ in STAGES:
        for _ in range(blocks):
            block, inner = f"_blocks.{index}.", inside if index == 0 else 6 * inside
            if index:
                add(f"{block}_expand_conv", f"{block}_bn0", (inner, inside, 1, 1))
            add(f"{block}_depthwise_conv", f"{block}_bn1", (inner, 1, kernel, kernel))
            add(f"{block}_project_conv", f"{block}_bn2", (channels, inner, 1, 1))
            inside, index = channels, index + 1
    return state


def defined(state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """What EfficientNet-Lite2 says, computed from the published weights as they are."""

    def convolve(x: Tensor, convolution: str, norm: str, stride: int = 1, act: bool = True) -> Tensor:
        weight = state[f"{convolution}.weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        both = [max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in x.shape[:1:-1]]
        x = F.pad(x, [part for total in both for part in (total // 2, total - total // 2)])
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        x = F.batch_norm(x, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3)
        return F.relu6(x) if act else x

    x = convolve(x, "_conv_stem", "_bn0", 2)
    index, ends = 0, list[Tensor]()
    for _, blocks, _, stride in STAGES:
        for place in range(blocks):
            block, before = f"_blocks.{index}.", x
            if index:
                x = convolve(x, f"{block}_expand_conv", f"{block}_bn0")
            x = convolve(x, f"{block}_depthwise_conv", f"{block}_bn1", 1 if place else stride)
            x = convolve(x, f"{block}_project_conv", f"{block}_bn2", act=False)
            x, index = x + before if place else x, index + 1
        ends.append(x)
    return [ends[1], ends[2], ends[4], ends[6]]


def test_the_folded_backbone_says_what_the_published_weights_say() -> None:
    from recipes.backbone import folded

    state = published()
    backbone = Backbone()
    backbone.load_state_dict(folded(state))
    picture = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        found, wanted = backbone(picture), defined(state, picture)
    assert [feature.shape[1] for feature in found] == list(Backbone.channels)
    assert [feature.shape[-1] for feature in found] == [24, 12, 6, 3]
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))


def test_other_weights_are_refused_by_name() -> None:
    from recipes.backbone import folded

    state = published()
    del state["_blocks.3._bn1.bias"]
    with pytest.raises(CheckpointError, match=r"_blocks\.3\._bn1\.bias"):
        folded(state)


def test_a_network_that_gets_eyes_answers_as_before_then_learns_to_read_them(tmp_path: Path) -> None:
    from recipes.backbone import with_backbone

    torch.manual_seed(0)
    before = SmallNet(TINY)
    checkpoint.save(tmp_path / "before.safetensors", before.state_dict(), TINY, kind="small")
    torch.save(published(), tmp_path / "lite2.pth")
    with_backbone(tmp_path / "lite2.pth", tmp_path / "before.safetensors", tmp_path / "after.safetensors")
    after = load(tmp_path / "after.safetensors")

    asked = (torch.rand(1, 3, 64, 64) * 2 - 1, torch.tensor([3.0]), torch.ones(1, 3, dtype=torch.bool))
    answer = after(*asked)
    for ours, theirs in zip(answer, before(*asked), strict=True):
        assert (ours is theirs is None) or torch.equal(ours, theirs)
    answer.visible.square().mean().backward()
    learned = {name.split(".")[0] for name, value in after.named_parameters() if value.grad is not None}
    assert "known" in learned
    assert "backbone" not in learned
    with pytest.raises(CheckpointError, match="already"):
        with_backbone(tmp_path / "lite2.pth", tmp_path / "after.safetensors", tmp_path / "twice.safetensors")


def test_a_stem_that_does_not_meet_the_features_is_refused() -> None:
    with pytest.raises(CheckpointError, match="stem of 2"):
        SmallConfig(backbone=True)
