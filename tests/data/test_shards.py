"""Shards: what is written comes back, in equal bytes, whatever interrupts the writer."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from lamina.data.sample import Sample
from lamina.data.shards import INDEX, Shards, ShardWriter, captioned, composite_of, pack, unpack
from lamina.errors import FormatError, InputError


def sample(seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    layers = np.zeros((3, 40, 50, 4), np.uint8)
    layers[0] = rng.integers(0, 256, (40, 50, 4))
    layers[0, ..., 3] = 255
    layers[1, 5:20, 8:30] = rng.integers(1, 256, (15, 22, 4))
    about = [{"name": f"Ebene {k} é", "blend": "multiply", "opacity": 0.5} for k in range(3)]
    return Sample(
        composite=rng.integers(0, 256, (40, 50, 3)).astype(np.uint8),
        layers=layers,
        kinds=("ground", "text", "pixels"),
        seed=2**62 + seed,
        caption="Ein Bild — “words”",
        provenance={"licence": "CC0", "layers": about},
    )


def same(one: Sample, other: Sample) -> bool:
    return (
        np.array_equal(one.composite, other.composite)
        and np.array_equal(one.layers, other.layers)
        and (one.kinds, one.seed, one.caption) == (other.kinds, other.seed, other.caption)
        and dict(one.provenance) == dict(other.provenance)
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def fill(folder: Path, numbers: range, *, close: bool = True) -> None:
    writer = ShardWriter(folder, per_shard=3)
    for number in numbers:
        writer.add(f"key-{number}", pack(sample(number)))
    if close:
        writer.close()


def test_a_sample_comes_back_equal_with_its_caption_and_provenance():
    packed = pack(sample(1))
    assert same(unpack(dict(packed)), sample(1))
    assert packed == pack(sample(1))
    other = unpack(dict(captioned(packed, "another")))
    assert other.caption == "another"
    assert np.array_equal(other.layers, sample(1).layers)
    assert np.array_equal(composite_of(packed), sample(1).composite)


def test_entries_that_do_not_fit_the_layers_are_refused():
    bad = Sample(composite=sample(1).composite, layers=sample(1).layers, kinds=("ground",), seed=0)
    with pytest.raises(InputError, match="3 layers has 1 kinds"):
        pack(bad)


def test_shards_give_all_samples_in_order_and_the_same_bytes_every_time(tmp_path: Path):
    for name in "ab":
        fill(tmp_path / name, range(8))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert sorted(contents(tmp_path / "a")) == [INDEX, *(f"shard-{k:05d}.zip" for k in range(3))]
    shards = pickle.loads(pickle.dumps(Shards(tmp_path / "a")))
    assert len(shards) == 8
    assert all(same(found, sample(k)) for k, found in enumerate(shards))
    assert shards.manifest(7)["layers"][1]["found"]["blend"] == "multiply"


def test_an_interrupted_writer_goes_on_and_ends_with_the_same_bytes(tmp_path: Path):
    fill(tmp_path / "whole", range(8))
    fill(tmp_path / "broken", range(5), close=False)
    assert len(Shards(tmp_path / "broken")) == 3  # what waits is not seen, and nothing is half there
    fill(tmp_path / "broken", range(8))  # the first five are passed over
    assert contents(tmp_path / "whole") == contents(tmp_path / "broken")


def test_waiting_files_of_a_packed_shard_are_cleared_away(tmp_path: Path):
    fill(tmp_path, range(2), close=False)
    waiting = contents(tmp_path / ".waiting")
    fill(tmp_path, range(3), close=False)  # packs
    for name, content in waiting.items():
        (tmp_path / ".waiting" / name).write_bytes(content)
    fill(tmp_path, range(3))
    assert len(Shards(tmp_path)) == 3
    assert not (tmp_path / ".waiting").exists()


def test_bad_keys_and_folders_without_samples_are_told(tmp_path: Path):
    with pytest.raises(InputError, match="letters, digits and hyphens"):
        ShardWriter(tmp_path).add("../x", pack(sample(1)))
    with pytest.raises(FormatError, match="holds no samples"):
        Shards(tmp_path / "none")
    (tmp_path / INDEX).write_text("{}")
    with pytest.raises(FormatError, match="no index of shards"):
        Shards(tmp_path)
    with pytest.raises(FormatError, match="malformed"):
        unpack({**dict(pack(sample(1))), "01.png": dict(pack(sample(1)))["00.png"]})
