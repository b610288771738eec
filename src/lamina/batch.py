"""One task over many pictures: resumable, and no picture stops the others.

`find_pictures` says which, a `Batch` takes them apart and keeps a line per picture in OUTPUT/batch.jsonl; the same run
again does only what that record, the files and the sources' own sizes and times do not show as done. What
decomposes is loaded once per process by a callable, so nothing here knows a model.
"""

import csv
import glob
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from lamina import formats
from lamina.data.cluster import any_order
from lamina.data.workers import Failure, in_order
from lamina.document.composite import flatten_nodes
from lamina.document.document import Document
from lamina.document.layer import Layer
from lamina.errors import FormatError, InputError, LaminaError
from lamina.formats import png, sheet
from lamina.formats.files import atomic_file
from lamina.options import DecomposeOptions
from lamina.pixels import load_image, over_flat, trim_box

__all__ = ["Batch", "BatchPicture", "Load", "Report", "find_pictures"]

_LOG = "batch.jsonl"
_REPORT = "report.json"

_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif")
_MANIFESTS = (".txt", ".csv", ".jsonl")
_LARGEST_MANIFEST = 2**30
_MARGIN = 0.05
"""White on each side of a cut-out, as a share of the square."""

_LIMIT_SECONDS = 3600.0
"""A picture that takes longer is given up; only where it has a process of its own."""

Load = Callable[..., Callable[..., Any]]
"""(model, device, **settings of a released model) -> what is called with (picture, options, on_step) and returns a
Document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPicture:
    """One picture: its file, where its document goes below the output folder, and options of its own."""

    image: Path
    target: str
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What became of every picture; a row is a line of the record."""

    done: tuple[dict[str, Any], ...]
    skipped: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...]
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What is done to every picture. `load` must be such that a new process can load it."""

    output: Path
    kind: str
    options: DecomposeOptions
    model: str
    device: str
    load: Load
    model_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """How a released model is run; see `lamina.decompose.released_settings`."""
    catalogue: bool = False
    """Whether to write a cut-out over white and a contact sheet beside each document."""

    def __post_init__(self) -> None:
        known = [ending.lstrip(".") for ending in formats.FORMATS if ending != formats.FOLDER]
        if self.kind not in known:
            raise InputError(f"format '{self.kind}' is unknown, expected one of {', '.join(known)}")

    def run(
        self,
        pictures: Sequence[BatchPicture],
        *,
        workers: int = 1,
        ray: str | None = None,
        on_step: Callable[[int, int], None] = lambda step, total: None,
    ) -> Report:
        """Do what is missing, and write the report. `on_step(pictures done, all)`; what it raises stops the run.

        One worker works in this process. `ray` is the address of a Ray cluster (see `cluster.connected`), whose
        workers do it instead; they need the pictures and the output at the same paths. Raises InputError when the
        output folder cannot be written or there is no such cluster, MissingExtraError without Ray.
        """
        _make_folder(self.output)
        before = self._record()
        skipped = [row for picture in pictures if (row := self._done_before(picture, before)) is not None]
        targets = {row["target"] for row in skipped}
        missing = [picture for picture in pictures if picture.target not in targets]
        done, failed = list[dict[str, Any]](), list[dict[str, Any]]()
        total = len(pictures)
        on_step(len(skipped), total)
        with open(self.output / _LOG, "a", encoding="utf-8") as log:
            if log.tell():
                log.write("\n")  # a run that was cut off may have left half a line
            for row in self._rows(missing, workers, ray):
                log.write(json.dumps(row) + "\n")
                log.flush()
                (done if row["error"] is None else failed).append(row)
                on_step(len(skipped) + len(done) + len(failed), total)
        turn = {picture.target: number for number, picture in enumerate(pictures)}
        for rows in (done, failed):
            rows.sort(key=lambda row: turn[row["target"]])
        report = {
            "done": len(done),
            "skipped": len(skipped),
            "failed": len(failed),
            "pictures": done + skipped + failed,
        }
        path = self.output / _REPORT
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(report, indent=1), "utf-8")
        return Report(done=tuple(done), skipped=tuple(skipped), failed=tuple(failed), path=path)

    def _rows(self, pictures: Sequence[BatchPicture], workers: int, ray: str | None) -> Iterator[dict[str, Any]]:
        if workers == 1 and ray is None:
            for picture in pictures:
                try:
                    yield _Task(self)(picture)
                except Exception as error:  # as another process would tell it
                    yield self.row(picture, error=f"{type(error).__name__}: {error}")
            return
        if ray is None:
            rows = in_order(_Task(self), pictures, workers=workers, limit_s=_LIMIT_SECONDS)
        else:
            rows = self._rows_of_ray(pictures, ray)
        for picture, row in rows:
            yield self.row(picture, error=f"{row.why}: {row.words}") if isinstance(row, Failure) else row

    def _rows_of_ray(
        self, pictures: Sequence[BatchPicture], address: str
    ) -> Iterator[tuple[BatchPicture, dict[str, Any] | Failure]]:
        """By absolute paths, as workers elsewhere stand in other folders; the record keeps the paths as given."""
        given = {picture.target: picture for picture in pictures}
        task = _Task(replace(self, output=self.output.absolute()))
        there = [replace(picture, image=picture.image.absolute()) for picture in pictures]
        for job, row in any_order(task, there, address=address, limit_s=_LIMIT_SECONDS):
            picture = given[job.target]
            yield picture, row if isinstance(row, Failure) else {**row, "image": str(picture.image)}

    def _done_before(self, picture: BatchPicture, record: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
        row = record.get(picture.target)
        if row is None or row["error"] is not None or not (self.output / picture.target).is_file():
            return None
        # records of before there were settings lack them
        same = all(row.get(name, {}) == value for name, value in self._asked(picture).items())
        return row if same else None

    def _record(self) -> dict[str, dict[str, Any]]:
        """The last line about each target; a line that a cut-off run left unfinished counts for nothing."""
        found: dict[str, dict[str, Any]] = {}
        names = {"image", "target", "bytes", "changed", "model", "options", "error"}
        try:
            lines = (self.output / _LOG).read_text("utf-8").splitlines()
        except FileNotFoundError:
            return found
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {self.output / _LOG}: {error}") from error
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and names <= row.keys():
                found[row["target"]] = row
        return found

    def _asked(self, picture: BatchPicture) -> dict[str, Any]:
        """What makes a document another one: the source and what was asked for."""
        size, changed = _stamp(picture.image)
        options = json.loads(json.dumps({**asdict(self.options), **picture.options}))
        facts = {"image": str(picture.image), "target": picture.target, "bytes": size, "changed": changed}
        settings = json.loads(json.dumps({name: _facts(value) for name, value in self.model_settings.items()}))
        return {**facts, "model": self.model, "model_settings": settings, "options": options}

    def row(self, picture: BatchPicture, **facts: Any) -> dict[str, Any]:
        """A line of the record."""
        blank: dict[str, Any] = {"error": None, "layers": 0, "warnings": [], "fidelity": {}, "seconds": 0.0}
        return {**self._asked(picture), **blank, **facts}


@dataclass(frozen=True)
class _Task:
    """The work on one picture, as a process takes it."""

    batch: Batch

    def __call__(self, picture: BatchPicture) -> dict[str, Any]:
        batch, start = self.batch, time.perf_counter()
        row = batch.row(picture)  # as the source is before the work
        try:
            options = replace(batch.options, **picture.options)
            loaded = load_image(picture.image)
            settings = tuple(sorted(batch.model_settings.items()))
            document = _loaded(batch.load, batch.model, batch.device, settings)(loaded, options, _ignore)
            target = batch.output / picture.target
            _make_folder(target.parent)
            if batch.catalogue:
                _catalogue(document, target)
            lost = formats.write(document, target)
        except (InputError, FormatError) as error:
            return {**row, "error": str(error)}
        except LaminaError as error:
            return {**row, "error": f"{error.code}: {error}"}
        layers = sum(isinstance(node, Layer) for node in document.walk())
        warnings = [*loaded.notes, *document.meta.get("warnings", ()), *lost]
        fidelity = dict(document.meta.get("fidelity", {}))
        seconds = round(time.perf_counter() - start, 3)
        return {**row, "layers": layers, "warnings": warnings, "fidelity": fidelity, "seconds": seconds}


def _facts(value: Any) -> Any:
    """A value as the record keeps it: files, which may be made anew under their names, by size and time too."""
    if isinstance(value, (tuple, list)):
        return [_facts(one) for one in cast(Sequence[Any], value)]
    if not isinstance(value, Path):
        return value
    return [str(value), *_stamp(value)]


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of the last change of a file; -1 where there is none."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _catalogue(document: Document, target: Path) -> None:
    """Write NAME-cutout.png, all but the ground, over white in a square; and NAME-sheet.png, a contact sheet."""
    cut = flatten_nodes(document.layers[1:] or document.layers, document.box)
    left, top, right, bottom = trim_box(cut[..., 3]) or (0, 0, document.width, document.height)
    width, height = right - left, bottom - top
    side = max(1, round(max(width, height) / (1 - 2 * _MARGIN)))
    square = np.zeros((side, side, 4), np.uint8)
    x, y = (side - width) // 2, (side - height) // 2
    square[y : y + height, x : x + width] = cut[top:bottom, left:right]
    opaque = np.dstack([over_flat(square), np.full((side, side), 255, np.uint8)])
    with atomic_file(target.with_name(f"{target.stem}-cutout.png")) as temporary:
        temporary.write_bytes(png.encode(opaque))
    sheet.write(document, target.with_name(f"{target.stem}-sheet.png"))


@cache
def _loaded(load: Load, model: str, device: str, settings: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    """Once per process."""
    return load(model, device, **dict(settings))


def _ignore(step: int, total: int) -> None:
    pass


def find_pictures(sources: Sequence[str], *, output: Path, kind: str) -> list[BatchPicture]:
    """The pictures of files, folders (with all below), globs and manifests, each once, in a fixed order.

    A target keeps the folders below a folder source; where two pictures would share one, both keep their endings.
    What lies in `output` is not taken. Raises InputError for a source that there is not, and for a manifest that
    cannot be read.
    """
    found: dict[str, tuple[Path, Path, Mapping[str, Any]]] = {}
    inside = os.path.abspath(output) + os.sep
    for source in sources:
        for image, place, options in _sources(source):
            absolute = os.path.abspath(image)
            if not absolute.startswith(inside):
                found.setdefault(absolute, (image, place, options))
    shared = Counter(place.with_suffix("") for _, place, _ in found.values())
    taken: set[str] = set()
    pictures: list[BatchPicture] = []
    for image, place, options in found.values():
        stem = place.with_suffix("") if shared[place.with_suffix("")] == 1 else place
        target, number = f"{stem.as_posix()}.{kind}", 1
        while target in taken:
            number += 1
            target = f"{stem.as_posix()}-{number}.{kind}"
        taken.add(target)
        pictures.append(BatchPicture(image=image, target=target, options=options))
    if not pictures:
        raise InputError(f"there are no pictures in {', '.join(sources)}")
    return pictures


_Found = tuple[Path, Path, Mapping[str, Any]]
"""A picture's file, its place below the output folder, its own options."""


def _sources(source: str) -> Iterator[_Found]:
    path = Path(source)
    if path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                image = Path(folder, name)
                if image.suffix.lower() in _ENDINGS and not name.startswith("."):
                    yield image, image.relative_to(path), {}
    elif path.suffix.lower() in _MANIFESTS:
        yield from _manifest(path)
    elif path.exists():
        yield path, Path(path.name), {}
    elif glob.has_magic(source):
        for name in sorted(glob.glob(source, recursive=True)):
            if Path(name).is_file():
                yield Path(name), Path(Path(name).name), {}
    else:
        raise InputError(f"there is no file or folder {source}")


def _manifest(path: Path) -> Iterator[_Found]:
    """Pictures by their paths, which are taken from the manifest's own folder."""
    try:
        if path.stat().st_size > _LARGEST_MANIFEST:
            raise InputError(f"{path} is over {_LARGEST_MANIFEST // 2**20} MB, expected a list of pictures")
        text = path.read_text("utf-8-sig")
        rows = _manifest_rows(path.suffix.lower(), text)
        for number, row in rows:
            values = {name: value for name, value in row.items() if value not in (None, "")}
            image = values.pop("image", None)
            if not isinstance(image, str) or not Path(image).name:
                raise InputError(f"{path}, line {number}: there is no 'image'")
            known = {field.name for field in fields(DecomposeOptions)}
            if not values.keys() <= known:
                unknown = sorted(set(values) - known)[0]
                raise InputError(
                    f"{path}, line {number}: there is no option '{unknown}'; there are {', '.join(sorted(known))}"
                )
            yield path.parent / image, Path(Path(image).name), values
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot read the manifest {path}: {error}") from error


def _manifest_rows(ending: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if ending == ".csv":
        reader = csv.DictReader(io.StringIO(text))
        for row in reader:
            yield reader.line_num, {str(name): _plain(str(name), value) for name, value in row.items()}
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or (ending == ".txt" and line.startswith("#")):
            continue
        row = json.loads(line) if ending == ".jsonl" else {"image": line.strip()}
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no object")
        yield number, row


def _plain(name: str, text: Any) -> Any:
    """A cell as the number it is, where it is one."""
    if name in ("image", "prompt") or not isinstance(text, str):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}") from error
