"""PSD, PSB, ORA and bundles -> sample shards, with a report of what was dropped and why.

Every file is read, flattened to plain layers and composited back to its own preview; what differs is rejected. What
is left is thinned, merged, put over an opaque ground, and asked of the gates (`extract`, one file). `harvest` does
that for many files: in parallel, resumably, each file once by its hash, near-duplicates by how they look; one bad
file never stops it. Follows the PSD pipeline of arXiv 2512.15603, section 3.3.
"""

import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lamina.data.captions import Captioner
from lamina.data.drawn import drawn_leaves, kinds_of, needs_drawing
from lamina.data.gates import ALWAYS, Gate
from lamina.data.leaves import Leaf, leaves_of, paint, plain
from lamina.data.options import HarvestOptions
from lamina.data.phash import distances, phash
from lamina.data.preview import LAYERED, Difference, difference, open_psd, own_preview
from lamina.data.sample import Sample
from lamina.data.shards import Packed, ShardWriter, captioned, composite_of, pack
from lamina.data.stack import cap, grounded, shown_only, shrunk
from lamina.data.workers import Failure, in_order
from lamina.document.document import Document
from lamina.document.layer import Box
from lamina.errors import FormatError, InputError
from lamina.formats import read
from lamina.formats.bundle import is_bundle
from lamina.formats.files import atomic_file
from lamina.pixels import load_image, over_flat, round_u8

__all__ = ["Extract", "Report", "extract", "find_sources", "harvest"]

_JOURNAL = "harvest.jsonl"
_OPTIONS = "harvest.json"
_REPORT = "report.json"
_EXACT = 0.01
"""A mean difference, in 1/255, that leaves nothing to look for."""

_TEXT_POWER = 2.2 / 1.45
"""Photoshop blends text with a gamma of 1.45 unless told not to (Color Settings, "Blend Text Colors Using Gamma");
the pixels' own gamma is about 2.2."""


class Extract(NamedTuple):
    """What became of one file: a packed sample, or why there is none; `facts` is plain JSON."""

    packed: Packed | None
    reason: str
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Counts over all files of an output folder, earlier runs included."""

    tried: int
    kept: int
    dropped: dict[str, int]
    """Files by the reason for which they were dropped, most frequent first."""
    layers_found: int
    """In the files that were kept: layers that their readers gave."""
    layers_kept: int
    layers_dropped: dict[str, int]
    """Layers of kept files by the reason for which they were dropped."""
    seconds: float
    """Summed over the files."""


class _Job(NamedTuple):
    path: Path
    shown: str
    sha256: str


def find_sources(sources: Sequence[Path]) -> list[Path]:
    """Every layered file and bundle in these files and folders, in order. Raises InputError when there is none."""
    found: list[Path] = []
    for source in sources:
        if not source.exists():
            raise InputError(f"{source} does not exist, expected a layered file or a folder of them")
        found += _sources_in(source)
    if not found:
        raise InputError(f"no layered file ({', '.join(LAYERED)}) or bundle in {', '.join(map(str, sources))}")
    return list(dict.fromkeys(found))


def harvest(
    sources: Sequence[Path],
    out: Path,
    options: HarvestOptions | None = None,
    *,
    gates: Sequence[Gate] = (),
    captioner: Captioner | None = None,
    refused: np.ndarray | None = None,
    origin: str = "",
    licence: str = "",
    workers: int = 1,
    time_limit: float = 120.0,
    per_shard: int = 128,
    on_step: Callable[[int, int], None] | None = None,
) -> Report:
    """Harvest files and folders into the shards in `out`; run again, it goes on where it stopped.

    Files that were tried before, told by their hash, are passed over. `gates` run after those of `gates.ALWAYS` and
    must be such that another process can load them; `refused` holds hashes (uint64) of pictures that no sample may
    look like; `origin` and `licence` are noted in every sample. A file takes at most `time_limit` seconds. Beside
    the shards stand `harvest.jsonl`, a line per file, and `report.json`. Raises InputError when `out` was harvested
    with other options or cannot be used.
    """
    options = options or HarvestOptions()
    paths = find_sources(sources)
    writer = ShardWriter(out, per_shard=per_shard)
    _same_options(out, {**asdict(options), "gates": [f"{g.__module__}:{g.__qualname__}" for g in gates]})
    journal = _Journal(out / _JOURNAL)
    root = _common_folder(sources)
    task = functools.partial(_extract_job, options=options, gates=tuple(gates), origin=origin, licence=licence)
    looks = _Looks(options.near, refused, journal.entries)
    done = 0

    def jobs() -> Iterator[_Job]:
        seen = {entry["sha256"] for entry in journal.entries}
        begun: set[str] = set()
        for path in paths:
            job = _Job(path, _relative(path, root), _file_hash(path))
            if job.sha256 in seen:
                step()
            elif job.sha256 in begun:
                repeats.append(job)
                step()
            else:
                begun.add(job.sha256)
                yield job

    def step() -> None:
        nonlocal done
        done += 1
        if on_step:
            on_step(done, len(paths))

    repeats: list[_Job] = []
    results = in_order(task, jobs(), workers=workers, limit_s=time_limit)
    try:
        for job, result in results:
            entry = {"path": job.shown, "sha256": job.sha256} | _settle(job, result, looks, writer, captioner)
            journal.add(entry)
            step()
    finally:
        results.close()
    for job in repeats:
        journal.add({"path": job.shown, "sha256": job.sha256, "kept": False, "reason": "same file twice"})
    writer.close()
    report = _report(journal.entries)
    with atomic_file(out / _REPORT) as temporary:
        temporary.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return report


def extract(
    path: Path,
    options: HarvestOptions,
    *,
    gates: Sequence[Gate] = (),
    sha256: str = "",
    source: str = "",
    origin: str = "",
    licence: str = "",
) -> Extract:
    """The sample in one file, packed, or the reason why there is none. Raises FormatError when it cannot be read."""
    document = read(path)
    psd = open_psd(path) if path.suffix.lower() in (".psd", ".psb") and path.is_file() else None
    try:
        preview = over_flat(own_preview(path, psd))
    except FormatError as error:
        return Extract(None, "no preview", {"detail": str(error)})
    if preview.shape[:2] != (document.height, document.width):
        return Extract(None, "no preview", {"detail": "its preview is of another size"})
    reading = _best_reading(psd, document, preview, options)
    facts: dict[str, Any] = {
        "error": [round(reading.difference.mean, 4), round(reading.difference.off, 5)],
        "drawn_by": reading.drawn_by,
        "layers_found": len(reading.leaves),
    }
    if reading.notes:
        facts["notes"] = reading.notes[:40]
    if not _passes(reading.difference, options):
        return Extract(None, "differs from its preview", facts)
    canvas = document.box
    leaves, unseen = shown_only(reading.leaves, canvas, 0.0)
    (ground, *upper), source_of_ground = grounded(leaves, canvas)
    upper = cap(upper, canvas, options.max_layers - 1, always=options.merge == "always")
    upper, small = shown_only(upper, canvas, options.min_area, ground)
    facts["layers_dropped"] = [[layer.name, layer.why] for layer in unseen + small]
    leaves = [ground, *upper]
    if small:
        after = difference(_flat(leaves, canvas), preview)
        facts["error"] = [round(after.mean, 4), round(after.off, 5)]
        if not _passes(after, options):
            return Extract(None, "differs from its preview", facts)
    if document.icc:
        leaves = [replace(leaf, rgba=_in_srgb(leaf.rgba, document.icc)) for leaf in leaves]
    leaves, canvas = shrunk(leaves, canvas, options.max_side)
    provenance = {
        "source": {"path": source or path.name, "sha256": sha256, "width": document.width, "height": document.height},
        "origin": origin,
        "licence": licence,
        "ground": source_of_ground,
        **facts,
    }
    sample = _sample(leaves, canvas, provenance, sha256)
    facts["layers_kept"] = len(sample.layers)
    for gate in (*ALWAYS, *gates):
        reason = gate(sample)
        if reason is not None:
            return Extract(None, f"gate {gate.__name__}", {**facts, "detail": reason})
    facts["phash"] = f"{phash(sample.composite):016x}"
    return Extract(pack(sample), "", facts)


class _Reading(NamedTuple):
    leaves: list[Leaf]
    difference: Difference
    drawn_by: str
    notes: list[str]


def _best_reading(
    psd: Any, document: Document, preview: UInt8[np.ndarray, "h w 3"], options: HarvestOptions
) -> _Reading:
    """Plain leaves as our reader gives them or, for PSDs, as psd-tools draws them: whichever is nearer the preview."""
    leaves, notes = leaves_of(document), list(document.meta.get("notes", ()))
    if psd is None:
        return _nearest(leaves, document.box, preview, "lamina", notes)
    kinds = kinds_of(psd)
    leaves = [replace(leaf, kind=kinds.get(leaf.name, leaf.kind)) for leaf in leaves]
    ours = _nearest(leaves, document.box, preview, "lamina", notes)
    if not needs_drawing(psd) and _passes(ours.difference, options):
        return ours
    try:
        drawn, notes = drawn_leaves(psd)
    except FormatError as error:
        return ours._replace(notes=[*ours.notes, str(error)])
    theirs = _nearest(drawn, document.box, preview, "psd-tools", notes)
    return theirs if theirs.difference.mean < ours.difference.mean else ours


def _nearest(
    leaves: Sequence[Leaf], canvas: Box, preview: UInt8[np.ndarray, "h w 3"], drawn_by: str, notes: list[str]
) -> _Reading:
    """Plain leaves with text blended as all else is or as Photoshop does by default: whichever is nearer."""

    def reading(power: float) -> _Reading:
        found = plain(leaves, canvas, text_power=power)
        return _Reading(found, difference(_flat(found, canvas), preview), drawn_by, notes)

    plainly = reading(1.0)
    if plainly.difference.mean < _EXACT or not any(leaf.kind == "text" for leaf in leaves):
        return plainly
    return min(plainly, reading(_TEXT_POWER), key=lambda each: each.difference.mean)


def _passes(found: Difference, options: HarvestOptions) -> bool:
    return found.mean <= options.max_error and found.off <= options.max_off


def _flat(leaves: Iterable[Leaf], canvas: Box) -> UInt8[np.ndarray, "h w 3"]:
    return round_u8(paint(leaves, canvas, 255)[..., :3] * np.float32(255))


def _sample(leaves: Sequence[Leaf], canvas: Box, provenance: dict[str, Any], sha256: str) -> Sample:
    layers = np.zeros((len(leaves), canvas.height, canvas.width, 4), np.uint8)
    for target, leaf in zip(layers, leaves, strict=True):
        place = target[leaf.box.top : leaf.box.bottom, leaf.box.left : leaf.box.right]
        place[...] = np.where(leaf.rgba[..., 3:] > 0, leaf.rgba, 0)
    about = [{"name": leaf.name, "baked": leaf.baked, "from": list(leaf.found)} for leaf in leaves]
    return Sample(
        composite=_flat(leaves, canvas),
        layers=layers,
        kinds=tuple(leaf.kind for leaf in leaves),
        seed=int(sha256[:15] or "0", 16),
        provenance={**provenance, "layers": about},
    )


def _in_srgb(rgba: UInt8[np.ndarray, "h w 4"], icc: bytes) -> UInt8[np.ndarray, "h w 4"]:
    image = Image.fromarray(np.ascontiguousarray(rgba[..., :3]))
    image.info["icc_profile"] = icc
    return np.concatenate([load_image(image).rgba[..., :3], rgba[..., 3:]], axis=2)


def _extract_job(
    job: _Job, *, options: HarvestOptions, gates: tuple[Gate, ...], origin: str, licence: str
) -> tuple[Extract, float]:
    start = time.perf_counter()
    made = extract(job.path, options, gates=gates, sha256=job.sha256, source=job.shown, origin=origin, licence=licence)
    return made, round(time.perf_counter() - start, 2)


class _Looks:
    """The hashes of what was kept, and of what may not be."""

    def __init__(self, near: int, refused: np.ndarray | None, entries: Iterable[dict[str, Any]]) -> None:
        self.near = near
        self.refused = np.zeros(0, np.uint64) if refused is None else refused
        self.kept = [(int(entry["phash"], 16), str(entry["path"])) for entry in entries if entry.get("kept")]

    def like(self, one: int) -> str | None:
        """Why a picture of this hash is not wanted."""
        if len(self.refused) and int(distances(self.refused, one).min()) <= max(self.near, 0):
            return "looks like a refused picture"
        if self.kept and self.near >= 0:
            apart = distances(np.array([value for value, _ in self.kept], np.uint64), one)
            if int(apart.min()) <= self.near:
                return f"looks like {self.kept[int(apart.argmin())][1]}"
        return None


def _settle(
    job: _Job,
    result: "tuple[Extract, float] | Failure",
    looks: _Looks,
    writer: ShardWriter,
    captioner: Captioner | None,
) -> dict[str, Any]:
    """Keep a sample or not; the journal's line on it."""
    if isinstance(result, Failure):
        reasons = {"refused": "cannot be read", "broken": "cannot be read"}
        return {"kept": False, "reason": reasons.get(result.why, result.why), "detail": result.words[:500]}
    made, seconds = result
    entry = {"kept": False, "reason": made.reason, "seconds": seconds, **made.facts}
    if made.packed is None:
        return entry
    look = int(made.facts["phash"], 16)
    why = looks.like(look)
    if why is not None:
        reason = "near-duplicate" if why != "looks like a refused picture" else "refused"
        return {**entry, "reason": reason, "detail": why}
    packed = made.packed
    if captioner is not None:
        packed = captioned(packed, captioner(composite_of(packed)))
    key = job.sha256[:20]
    writer.add(key, packed)
    looks.kept.append((look, job.shown))
    return {**entry, "kept": True, "key": key}


class _Journal:
    """`harvest.jsonl`: a line per file that was tried; a last line that was cut short is taken away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
            try:
                entry: Any = json.loads(line)
            except ValueError as error:
                if line.endswith(b"\n"):
                    raise InputError(f"{path} is damaged: {error}; harvest into another folder") from error
                break
            if not line.endswith(b"\n"):
                break
            self.entries.append(cast(dict[str, Any], entry))
            whole += len(line)
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(whole)

    def add(self, entry: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.entries.append(entry)


def _report(entries: Sequence[dict[str, Any]]) -> Report:
    kept = [entry for entry in entries if entry["kept"]]
    return Report(
        tried=len(entries),
        kept=len(kept),
        dropped=_counts(entry["reason"] for entry in entries if not entry["kept"]),
        layers_found=sum(entry["layers_found"] for entry in kept),
        layers_kept=sum(entry["layers_kept"] for entry in kept),
        layers_dropped=_counts(why for entry in kept for _, why in entry["layers_dropped"]),
        seconds=round(sum(entry.get("seconds", 0.0) for entry in entries), 1),
    )


def _counts(words: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _same_options(out: Path, options: dict[str, Any]) -> None:
    path = out / _OPTIONS
    if path.exists():
        try:
            before: Any = json.loads(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path} is damaged: {error}; harvest into another folder") from error
        if before != options:
            changed = sorted(name for name in options if before.get(name) != options[name])
            raise InputError(
                f"{out} was harvested with another {', '.join(changed)}; use the same options or another folder"
            )
        return
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(options, indent=1) + "\n", "utf-8")


def _sources_in(source: Path) -> Iterator[Path]:
    if source.is_file() or is_bundle(source):
        yield source
    else:
        for path in sorted(source.iterdir()):
            if path.is_dir():
                yield from _sources_in(path)
            elif path.suffix.lower() in LAYERED:
                yield path


def _common_folder(sources: Sequence[Path]) -> Path | None:
    """The folder that names in the report are relative to: that of a single folder, else none."""
    return sources[0] if len(sources) == 1 and sources[0].is_dir() else None


def _relative(path: Path, root: Path | None) -> str:
    return path.relative_to(root).as_posix() if root is not None and path != root else path.name


def _file_hash(path: Path) -> str:
    """sha256 of a file, or of the names and hashes of all files in a bundle folder."""
    if path.is_dir():
        digest = hashlib.sha256()
        for part in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{part.relative_to(path).as_posix()}\0{_file_hash(part)}\n".encode())
        return digest.hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return hashlib.sha256(str(path).encode()).hexdigest()  # to be tried, and to fail there with its own words
