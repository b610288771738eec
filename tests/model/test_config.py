"""Configs check themselves and survive JSON."""

import json
from dataclasses import replace

import pytest

from lamina.errors import CheckpointError, InputError
from lamina.model.config import MMDiTConfig, ModelConfig, VaeConfig, from_json, preset, to_json
from lamina.model.small import SmallConfig


@pytest.mark.parametrize("config", [preset("tiny"), preset("published"), SmallConfig()])
def test_a_config_survives_json(config: object) -> None:
    assert from_json(type(config), json.loads(json.dumps(to_json(config)))) == config


def test_json_may_leave_out_what_has_a_default() -> None:
    assert from_json(MMDiTConfig, {"depth": 3}) == MMDiTConfig(depth=3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"depht": 3}, "no field depht"),
        ({"depth": "3"}, r"MMDiTConfig.depth is '3' .* expected <class 'int'>"),
        ({"depth": True}, "MMDiTConfig.depth is True"),
        ({"rope_axes": [4, 6]}, "MMDiTConfig.rope_axes is"),
        ({"rope_axes": [4, 6, "6"]}, "MMDiTConfig.rope_axes is '6'"),
        ([1], "expected an object"),
    ],
)
def test_json_that_is_not_the_config_is_named(data: object, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        from_json(MMDiTConfig, data)


def test_json_without_a_needed_field_names_it() -> None:
    data = to_json(preset("tiny"))
    del data["mmdit"]
    with pytest.raises(CheckpointError, match="ModelConfig lacks mmdit"):
        from_json(ModelConfig, data)


def test_faults_of_the_inner_configs_are_found_through_json() -> None:
    data = to_json(preset("tiny"))
    data["mmdit"]["depth"] = 0
    with pytest.raises(CheckpointError, match=r"MMDiTConfig.depth is 0, expected 1 or more"):
        from_json(ModelConfig, data)


def test_an_odd_rope_axis_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"\(15, 56, 57\).*even"):
        MMDiTConfig(rope_axes=(15, 56, 57))


def test_latent_statistics_must_have_a_value_per_channel() -> None:
    with pytest.raises(CheckpointError, match="latent_mean has 3 values for 16"):
        VaeConfig(latent_mean=(0.0, 0.0, 0.0))
    with pytest.raises(CheckpointError, match=r"latent_std 0\.0 is not above 0"):
        VaeConfig(latent_std=(1.0,) * 15 + (0.0,))


def test_a_vae_takes_three_or_four_channels() -> None:
    with pytest.raises(CheckpointError, match="2 image channels; expected 3"):
        VaeConfig(image_channels=2)


def test_channels_of_the_vae_must_be_there_and_divide() -> None:
    with pytest.raises(CheckpointError, match=r"multipliers \(1, 0\)"):
        VaeConfig(multipliers=(1, 0))
    with pytest.raises(CheckpointError, match=r"width 7 times \(1, 2, 4, 4\) is odd"):
        VaeConfig(width=7)


def test_networks_must_agree_on_the_latent() -> None:
    tiny = preset("tiny")
    with pytest.raises(CheckpointError, match=r"the VAE makes 4 latent channels, the MMDiT takes 8"):
        replace(tiny, mmdit=replace(tiny.mmdit, latent_channels=8))


def test_derived_numbers_of_the_published_model() -> None:
    published = preset("published")
    assert published.vae.stride == 8
    assert published.multiple == 16
    assert (published.mmdit.width, published.mmdit.token_width) == (3072, 64)


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(InputError, match="no preset 'huge'; there are: published, tiny"):
        preset("huge")
