"""Sample shards: zip archives of many samples each, and the JSON index that lists them.

A sample is the members `KEY/manifest.json`, `KEY/composite.png` and `KEY/NN.png` (layers, bottom = 00, trimmed to
their boxes). New samples wait as small files in `.waiting/` until a shard is full; shards and the index appear
whole, so an interrupted writer loses nothing and a reader never sees half a shard. Same samples, same bytes.
Knows samples and archives; nothing of where samples come from.
"""

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import UInt8

from lamina.data.sample import Sample
from lamina.errors import FormatError, InputError
from lamina.formats import png
from lamina.formats.archive import add_member, open_archive, read_member
from lamina.formats.files import atomic_file
from lamina.pixels import trim_box

__all__ = ["INDEX", "SCHEMA", "Packed", "ShardWriter", "Shards", "captioned", "composite_of", "pack", "unpack"]

SCHEMA = 1
INDEX = "index.json"

Packed = tuple[tuple[str, bytes], ...]
"""The members of one sample, without the key: (name, content)."""

_WAITING = ".waiting"
_MANIFEST = "manifest.json"
_COMPOSITE = "composite.png"
_MOST_SIDE = 30_000


def pack(sample: Sample) -> Packed:
    """The members of a sample; the same bytes every time. The layers' entries in `provenance` move beside their
    boxes; a layer without a visible pixel is kept as one transparent pixel."""
    height, width = sample.composite.shape[:2]
    provenance = dict(sample.provenance)
    bare: list[Mapping[str, Any]] = [{} for _ in sample.layers]
    found = cast(Sequence[Mapping[str, Any]], provenance.pop("layers", None) or bare)
    if len(found) != len(sample.layers) or len(sample.kinds) != len(sample.layers):
        raise InputError(
            f"a sample of {len(sample.layers)} layers has {len(sample.kinds)} kinds and {len(found)} entries of "
            "provenance, expected one of each per layer"
        )
    members: list[tuple[str, bytes]] = []
    entries: list[dict[str, Any]] = []
    for number, (rgba, kind, about) in enumerate(zip(sample.layers, sample.kinds, found, strict=True)):
        left, top, right, bottom = trim_box(rgba[..., 3]) or (0, 0, 1, 1)
        name = f"{number:02d}.png"
        box = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        entries.append({"file": name, "kind": kind, **box, "found": dict(about)})
        members.append((name, png.encode(rgba[top:bottom, left:right])))
    opaque = np.full((height, width, 4), 255, np.uint8)
    opaque[..., :3] = sample.composite
    manifest = {
        "schema": SCHEMA,
        "width": width,
        "height": height,
        "seed": sample.seed,
        "caption": sample.caption,
        "layers": entries,
        "provenance": provenance,
    }
    return ((_MANIFEST, _text(manifest)), (_COMPOSITE, png.encode(opaque)), *members)


def captioned(packed: Packed, caption: str) -> Packed:
    """The same packed sample with a caption."""
    manifest = _manifest(dict(packed)[_MANIFEST], "the sample") | {"caption": caption}
    return tuple((name, _text(manifest) if name == _MANIFEST else content) for name, content in packed)


def composite_of(packed: Packed) -> UInt8[np.ndarray, "h w 3"]:
    """The composite of a packed sample."""
    return np.ascontiguousarray(png.decode(dict(packed)[_COMPOSITE], _COMPOSITE).rgba[..., :3])


def unpack(members: Mapping[str, bytes], what: str = "the sample") -> Sample:
    """The sample of these members. Raises FormatError when they are not what `pack` makes."""
    manifest = _manifest(members.get(_MANIFEST, b""), what)
    try:
        width, height = int(manifest["width"]), int(manifest["height"])
        if not (0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE):
            raise ValueError(f"its size is {width}x{height}")
        entries = cast(list[dict[str, Any]], manifest["layers"])
        layers = np.zeros((len(entries), height, width, 4), np.uint8)
        for rgba, entry in zip(layers, entries, strict=True):
            part = png.decode(members[entry["file"]], f"{entry['file']} of {what}").rgba
            x, y = int(entry["x"]), int(entry["y"])
            if part.shape[:2] != (entry["height"], entry["width"]) or min(x, y) < 0:
                raise ValueError(f"{entry['file']} is {part.shape[1]}x{part.shape[0]} at {x}, {y}")
            rgba[y : y + part.shape[0], x : x + part.shape[1]] = part
        composite = png.decode(members[_COMPOSITE], f"{_COMPOSITE} of {what}").rgba
        if composite.shape[:2] != (height, width):
            raise ValueError("its composite is of another size")
        provenance = dict(manifest["provenance"])
        if any(entry.get("found") for entry in entries):
            provenance["layers"] = [entry.get("found", {}) for entry in entries]
        return Sample(
            composite=np.ascontiguousarray(composite[..., :3]),
            layers=layers,
            kinds=tuple(str(entry["kind"]) for entry in entries),
            seed=int(manifest["seed"]),
            caption=str(manifest["caption"]),
            provenance=provenance,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{what} is malformed: {type(error).__name__} {error}") from error


class ShardWriter:
    """Adds samples to a folder of shards, and goes on where an earlier writer was stopped.

    One writer a folder. `add` keeps a sample for good as soon as it returns; `close` packs what still waits and is to
    be called when the work is done, not when it is interrupted, so that a resumed run makes the same shards as one
    without a break. Raises InputError when the folder cannot be used.
    """

    def __init__(self, folder: Path, *, per_shard: int = 128) -> None:
        if not 1 <= per_shard <= 512:
            raise InputError(f"{per_shard} samples a shard is outside 1-512")
        self.folder, self.per_shard = folder, per_shard
        self._waiting = folder / _WAITING
        try:
            self._waiting.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
        self._shards = _read_index(folder) if (folder / INDEX).exists() else []
        packed = {key for _, keys in self._shards for key in keys}
        self._queue: list[str] = []
        for path in sorted(self._waiting.glob("*.zip")):
            key = path.stem.partition("-")[2]
            if key in packed:  # stopped between the index and the clearing away
                path.unlink()
            else:
                self._queue.append(key)
        self._keys = packed | set(self._queue)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str, members: Packed) -> None:
        """Keep one sample under a key of letters, digits and hyphens; a key that is there already is passed over."""
        if key in self._keys:
            return
        if not key or not all(c.isalnum() or c == "-" for c in key) or not key.isascii():
            raise InputError(f"sample key '{key}' must be letters, digits and hyphens")
        with (
            atomic_file(self._waiting_file(len(self._queue), key)) as temporary,
            zipfile.ZipFile(temporary, "w") as file,
        ):
            _add_members(file, key, members)
        self._queue.append(key)
        self._keys.add(key)
        if len(self._queue) >= self.per_shard:
            self._pack()

    def close(self) -> None:
        """Pack what still waits into a last, smaller shard, and write the index."""
        if self._queue:
            self._pack()
        _write_index(self.folder, self._shards)
        if not any(self._waiting.iterdir()):
            self._waiting.rmdir()

    def _waiting_file(self, place: int, key: str) -> Path:
        return self._waiting / f"{place:06d}-{key}.zip"

    def _pack(self) -> None:
        name = f"shard-{len(self._shards):05d}.zip"
        files = [self._waiting_file(place, key) for place, key in enumerate(self._queue)]
        with atomic_file(self.folder / name) as temporary, zipfile.ZipFile(temporary, "w") as shard:
            for path in files:
                with open_archive(path, "a waiting sample") as waiting:
                    for member in waiting.namelist():
                        add_member(shard, member, read_member(waiting, member), stored=member.endswith(".png"))
        self._shards.append((name, self._queue))
        _write_index(self.folder, self._shards)
        self._queue = []
        for path in files:
            path.unlink()


class Shards:
    """The samples in a folder of shards, in the order in which they were added. Raises FormatError.

    Cheap to make and to hand to another process; archives are opened as they are needed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.places = tuple((name, key) for name, keys in _read_index(self.folder) for key in keys)
        self._open: tuple[int, str, zipfile.ZipFile] | None = None

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        return unpack(self._members(index), f"sample {self.places[index][1]} in {self.places[index][0]}")

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def manifest(self, index: int) -> dict[str, Any]:
        """The manifest of one sample, without decoding a pixel."""
        name, key = self.places[index]
        return _manifest(read_member(self._archive(name), f"{key}/{_MANIFEST}"), f"sample {key} in {name}")

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "places": self.places, "_open": None}

    def _members(self, index: int) -> dict[str, bytes]:
        name, key = self.places[index]
        archive = self._archive(name)
        text = read_member(archive, f"{key}/{_MANIFEST}")
        entries = cast(list[dict[str, Any]], _manifest(text, f"sample {key} in {name}").get("layers") or [])
        names = [_COMPOSITE, *(str(entry["file"]) for entry in entries)]
        return {_MANIFEST: text} | {part: read_member(archive, f"{key}/{part}") for part in names}

    def _archive(self, name: str) -> zipfile.ZipFile:
        here = os.getpid()  # an open file is not to be shared with a forked process
        if self._open is None or self._open[:2] != (here, name):
            if self._open is not None and self._open[0] == here:
                self._open[2].close()
            path = self.folder / name
            try:
                self._open = here, name, zipfile.ZipFile(io.BytesIO(path.read_bytes()))
            except (OSError, zipfile.BadZipFile) as error:
                raise FormatError(f"{path} is not a shard that can be read: {error}") from error
        return self._open[2]


def _add_members(archive: zipfile.ZipFile, key: str, members: Packed) -> None:
    for name, content in members:
        add_member(archive, f"{key}/{name}", content, stored=name.endswith(".png"))


def _text(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True).encode("utf-8", "replace")


def _manifest(text: bytes, what: str) -> dict[str, Any]:
    try:
        data: Any = json.loads(text)
    except ValueError as error:
        raise FormatError(f"{what} has a manifest that is not JSON: {error}") from error
    if not isinstance(data, dict) or cast(dict[str, Any], data).get("schema") != SCHEMA:
        raise FormatError(f"{what} has a manifest of another kind, expected schema {SCHEMA}")
    return cast(dict[str, Any], data)


def _read_index(folder: Path) -> list[tuple[str, list[str]]]:
    path = folder / INDEX
    try:
        data: Any = json.loads(path.read_bytes())
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema is {data['schema']}, expected {SCHEMA}")
        return [(str(shard["file"]), [str(key) for key in shard["samples"]]) for shard in data["shards"]]
    except OSError as error:
        raise FormatError(f"{folder} holds no samples: cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is no index of shards: {error}") from error


def _write_index(folder: Path, shards: Sequence[tuple[str, Sequence[str]]]) -> None:
    data = {
        "schema": SCHEMA,
        "count": sum(len(keys) for _, keys in shards),
        "shards": [{"file": name, "samples": list(keys)} for name, keys in shards],
    }
    with atomic_file(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
