"""Generated scenes on disk: as sample shards, or as document folders such as the evaluation reads.

Scene number i of a set is the scene of seed `seed * 2**32 + i`, so sets of different seeds share none, and how many
processes drew a set does not show in it. Knows the generator by its call only.
"""

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from lamina.data.art import Bank
from lamina.data.sample import Sample
from lamina.data.scenes import SceneMaker
from lamina.data.shards import Packed, ShardWriter, composite_of, pack
from lamina.data.workers import Failure, in_order
from lamina.errors import InputError
from lamina.formats import png
from lamina.formats.files import hidden_beside

__all__ = ["write_scenes"]

_TIME_LIMIT = 300.0  # s a scene; only a hanging process takes that long


def write_scenes(
    bank: Path,
    out: Path,
    *,
    count: int,
    size: tuple[int, int],
    seed: int = 0,
    split: Literal["train", "validation"] = "train",
    form: Literal["shards", "documents"] = "shards",
    workers: int = 1,
    on_step: Callable[[int, int], None] | None = None,
) -> None:
    """Write `count` scenes of `size` (width, height) from the art bank in a folder; what is there already stays.

    Raises InputError when the bank, the place or a number cannot be used.
    """
    if count < 1 or not 0 <= seed < 2**30 or min(size) < 32 or max(size) > 8192:
        raise InputError(
            f"{count} scenes of {size[0]}x{size[1]} px by seed {seed}: expected at least 1 scene, sides of 32-8192 "
            "px and a seed of 0-1073741823"
        )
    _bank(bank, split)  # a bad bank is told before any process starts
    keep, there, close = _shards(out) if form == "shards" else _documents(out)
    seeds = [seed * 2**32 + index for index in range(count)]
    todo = [each for each in seeds if not there(each)]
    task = functools.partial(_draw, bank=bank, split=split, size=size)
    results = in_order(task, todo, workers=workers, limit_s=_TIME_LIMIT)
    try:
        for done, (each, result) in enumerate(results, start=count - len(todo) + 1):
            if isinstance(result, Failure):
                raise InputError(f"the scene of seed {each} cannot be drawn: {result.why}, {result.words}")
            keep(each, result)
            if on_step:
                on_step(done, count)
    finally:
        results.close()
    close()


def _draw(seed: int, *, bank: Path, split: str, size: tuple[int, int]) -> Packed:
    sample = SceneMaker(_bank(bank, split))(seed, size)
    return pack(_described(sample, split))


def _described(sample: Sample, split: str) -> Sample:
    about = {"generator": "lamina.data.scenes", "split": split}
    return Sample(
        composite=sample.composite, layers=sample.layers, kinds=sample.kinds, seed=sample.seed, provenance=about
    )


@functools.lru_cache(maxsize=2)
def _bank(folder: Path, split: str) -> Bank:
    return Bank.load(folder, split=split)


_Keep = Callable[[int, Packed], None]


def _shards(out: Path) -> tuple[_Keep, Callable[[int], bool], Callable[[], None]]:
    writer = ShardWriter(out)
    return (
        lambda seed, packed: writer.add(_key(seed), packed),
        lambda seed: _key(seed) in writer,
        writer.close,
    )


def _documents(out: Path) -> tuple[_Keep, Callable[[int], bool], Callable[[], None]]:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror or error}") from error

    def keep(seed: int, packed: Packed) -> None:
        target = out / _key(seed)
        temporary = hidden_beside(target)
        temporary.mkdir()
        try:
            for name, content in _files(_key(seed), packed):
                (temporary / name).write_bytes(content)
            os.replace(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    return keep, lambda seed: (out / _key(seed)).is_dir(), lambda: None


def _key(seed: int) -> str:
    return f"scene-{seed:016x}"


def _files(key: str, packed: Packed) -> Iterator[tuple[str, bytes]]:
    """`00.png` … full-canvas layers, bottom first, `composite.png`, and `meta.json`."""
    members = dict(packed)
    manifest = json.loads(members["manifest.json"])
    height, width = composite_of(packed).shape[:2]
    entries: Iterable[dict[str, int | str]] = manifest["layers"]
    kinds: list[str] = []
    for number, entry in enumerate(entries):
        full = np.zeros((height, width, 4), np.uint8)
        part = png.decode(members[str(entry["file"])], str(entry["file"])).rgba
        x, y = int(entry["x"]), int(entry["y"])
        full[y : y + part.shape[0], x : x + part.shape[1]] = part
        kinds.append(str(entry["kind"]))
        yield f"{number:02d}.png", png.encode(full)
    yield "composite.png", members["composite.png"]
    meta = {"id": key, "width": width, "height": height, "layers": kinds, "n_layers": len(kinds)}
    meta |= {"kind": "generated", "seed": manifest["seed"], **manifest["provenance"]}
    yield "meta.json", (json.dumps(meta, indent=1) + "\n").encode()
