"""Windows of stored samples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_stacks import draw, write_shards

from lamina.data.sample import Sample
from lamina.data.shards import Shards, ShardWriter, pack
from lamina.data.windows import MixedSource, WindowSource, flatten
from lamina.errors import InputError


def test_window_is_a_function_of_the_seed_at_the_size_asked(tmp_path: Path) -> None:
    source = WindowSource(Shards(write_shards(tmp_path / "shards")))
    first, again, other = source(5, (24, 16)), source(5, (24, 16)), source(6, (24, 16))
    assert first.composite.shape == (16, 24, 3)
    assert first.layers.shape[1:] == (16, 24, 4)
    assert len(first.kinds) == len(first.layers)
    assert np.array_equal(first.layers, again.layers)
    assert first.composite.tobytes() != other.composite.tobytes()


def test_layers_of_a_window_composite_to_its_picture(tmp_path: Path) -> None:
    source = WindowSource(Shards(write_shards(tmp_path / "shards")))
    for seed in range(6):
        sample = source(seed, (32, 32))
        difference = np.abs(flatten(sample.layers)[..., :3].astype(int) - sample.composite)
        assert np.quantile(difference, 0.8) <= 1  # edges are resized apart
        assert difference.mean() < 2


def test_lowest_layers_are_flattened_where_there_are_too_many(tmp_path: Path) -> None:
    shards = Shards(write_shards(tmp_path / "shards"))
    free = next(s for s in (WindowSource(shards)(seed, (32, 32)) for seed in range(40)) if len(s.layers) > 2)
    tight = WindowSource(shards, max_layers=2)(free.seed, (32, 32))
    assert len(tight.layers) == len(tight.kinds) == 2
    assert np.array_equal(tight.layers[0], flatten(free.layers[:-1]))
    assert np.array_equal(tight.layers[1], free.layers[-1])


def test_caption_comes_along_and_nothing_is_drawn_from_nothing(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "told")
    writer.add("one", pack(replace(draw(1, (40, 40)), caption="two boxes")))
    writer.close()
    assert WindowSource(Shards(tmp_path / "told"))(0, (16, 16)).caption == "two boxes"
    ShardWriter(tmp_path / "empty").close()
    with pytest.raises(InputError, match="holds no samples"):
        WindowSource(Shards(tmp_path / "empty"))(0, (16, 16))


def test_varied_windows_leave_layers_out_and_merge_but_stay_true(tmp_path: Path) -> None:
    shards = Shards(write_shards(tmp_path / "shards"))
    plain, varied = WindowSource(shards), WindowSource(shards, varied_share=1.0)
    fewer = 0
    for seed in range(24):
        sample = varied(seed, (32, 32))
        assert len(sample.layers) == len(sample.kinds) > 1
        difference = np.abs(flatten(sample.layers)[..., :3].astype(int) - sample.composite)
        assert np.quantile(difference, 0.5) <= 4  # worn ones differ at edges
        fewer += len(sample.layers) < len(plain(seed, (32, 32)).layers)
    assert fewer > 1


def test_sources_are_mixed_by_their_shares(tmp_path: Path) -> None:
    one = WindowSource(Shards(write_shards(tmp_path / "shards")))

    def other(seed: int, size: tuple[int, int]) -> Sample:
        return replace(one(seed, size), caption="other")

    mixed = MixedSource((one, other), (0.25, 0.75))
    others = sum(mixed(seed, (16, 16)).caption == "other" for seed in range(60))
    assert 34 < others < 56
    assert mixed(3, (16, 16)).composite.tobytes() == one(3, (16, 16)).composite.tobytes()
