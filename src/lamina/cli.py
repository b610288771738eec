"""The command line: thin functions over the public types. Results go to stdout, words and progress to stderr.

Exit 0 done; 2 the caller's mistake, one line on stderr; 1 a defect of ours, with its traceback; 130 interrupted.
Everything heavy is imported inside the command that needs it.
"""

import argparse
import errno
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from lamina.errors import Cancelled, FormatError, InputError, LaminaError
from lamina.options import DecomposeOptions, field_help

if TYPE_CHECKING:
    from lamina.document.document import Document
    from lamina.document.layer import Node

__all__ = ["LoadDecomposer", "add_fields", "main", "make_parser", "take_fields"]

LoadDecomposer = Callable[[str, str], Any]
"""(model, device) -> what is like a Decomposer: called with (picture, options, on_step), and naming its `stages`."""

T = TypeVar("T")

_LARGEST_EDITS = 2**28  # bytes; they may hold pictures
_ENDINGS = "a folder (a bundle), .zip, .psd, .psb, .ora, .pptx or .png (flat)"


def main(argv: Sequence[str] | None = None, *, load_decomposer: LoadDecomposer | None = None) -> int:
    """Run one command and return its exit code. `load_decomposer` stands in for `Decomposer.load`."""
    if not logging.root.handlers:  # what libraries log of odd files is no line of ours
        logging.root.addHandler(logging.NullHandler())
    try:
        args = make_parser().parse_args(argv)
        args.load_decomposer = load_decomposer or _load_decomposer
        code = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: 0 after --help, 2 after its one line
        return int(stop.code or 0)
    except (KeyboardInterrupt, Cancelled):
        _say("interrupted")
        return 130
    except BrokenPipeError:  # whoever read our stdout has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except LaminaError as error:
        _say(error)
        return 2
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _say(f"cannot write the result: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be flushed has no place
        return 2


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command; docs/cli.md is made from it."""
    from lamina import __version__

    parser = _Parser(prog="lamina", description="A flat picture in, an editable stack of RGBA layers out.")
    parser.add_argument("--version", action="version", version=f"lamina {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(run: Callable[[argparse.Namespace], int], name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(run=run)
        if run not in (_decompose, _models):
            made.add_argument("document", metavar="DOC", help="Bundle folder, .zip, .psd, .psb, .ora or .png.")
        return made

    made = command(_decompose, "decompose", "Take flat pictures apart into layers.")
    made.add_argument("images", nargs="+", metavar="IMAGE", help="Flat pictures: PNG, JPEG, WebP, GIF, TIFF, BMP, ….")
    made.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help=f"What to write: {_ENDINGS}; by default a bundle folder "
        "beside the picture, named after it. With several pictures or --format: the folder to write in.",
    )
    made.add_argument("--format", metavar="FORMAT", help="Write files of this ending (psd, ora, …) instead of bundles.")
    made.add_argument(
        "--model", default="small", metavar="NAME|DIR", help="Checkpoint: a name that 'lamina models' lists, or a path."
    )
    made.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="Where to compute.")
    add_fields(made, DecomposeOptions)
    made.add_argument("--json", action="store_true", help="Print one JSON object per picture, a line each.")

    made = command(_edit, "edit", "Apply a list of edits to a layered file.")
    made.add_argument("edits", metavar="EDITS.json", help="A JSON list of edits; all or none of them are applied.")
    made.add_argument("-o", "--output", required=True, metavar="OUT", help=f"What to write: {_ENDINGS}.")

    made = command(_composite, "composite", "Flatten a layered file into one picture.")
    made.add_argument("-o", "--output", required=True, metavar="OUT.png", help="The PNG to write.")

    made = command(_convert, "convert", "Write a layered file in another format, told by the endings.")
    made.add_argument("output", metavar="OUT", help=f"What to write: {_ENDINGS}.")

    made = command(_inspect, "inspect", "Show what is in a layered file, top layer first.")
    made.add_argument("--json", action="store_true", help="Print one JSON object, layers bottom first.")

    made = command(_preview, "preview", "Draw a contact sheet: input, every layer on a checkerboard, composite.")
    made.add_argument("-o", "--output", required=True, metavar="SHEET.png", help="The PNG to write.")

    made = command(_models, "models", "List the checkpoints, and which options each of them uses.")
    made.add_argument("--json", action="store_true", help="Print one JSON object per checkpoint, a line each.")
    return parser


def add_fields(parser: argparse.ArgumentParser, config: type) -> None:
    """Add one flag per field of a config dataclass: its type, default and docstring make the flag."""
    hints, texts = get_type_hints(config), field_help(config)
    for field in fields(config):
        kinds = [k for kind in get_args(hints[field.name]) or [hints[field.name]] for k in _flat(kind)]
        default = None if field.default is MISSING else field.default
        parser.add_argument(
            _flag(field.name),
            type=_reader(kinds),
            default=default,
            metavar="|".join(_METAVARS.get(k, str(k)) for k in kinds),
            help=texts[field.name],
        )


def take_fields(config: Callable[..., T], args: argparse.Namespace) -> T:
    """The config dataclass that the flags of `add_fields` describe; raises what its own checks raise."""
    return config(**{field.name: getattr(args, field.name) for field in fields(cast(Any, config))})


_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT"}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _flat(kind: Any) -> tuple[Any, ...]:
    """The plain types and literal values of one member of a union; None is no value that a flag can give."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return () if kind is type(None) else (kind,)


def _reader(kinds: Sequence[Any]) -> Callable[[str], Any]:
    """Turns a flag's text into the first of these types or literal values that it fits."""

    def read(text: str) -> Any:
        for kind in kinds:
            if kind is str or text == kind:
                return text
            if isinstance(kind, type):
                try:
                    return kind(text)
                except ValueError:
                    continue
        words = {int: "a whole number", float: "a number"}
        expected = " or ".join(words.get(kind, str(kind)) for kind in kinds)
        raise argparse.ArgumentTypeError(f"got '{text}', expected {expected}")

    return read


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> Any:
        self.exit(2, f"lamina: {message}; see '{self.prog} --help'\n")


def _decompose(args: argparse.Namespace) -> int:
    options = take_fields(DecomposeOptions, args)
    with _importing():
        from lamina import formats
        from lamina.pixels import load_image

        targets = _targets([Path(image) for image in args.images], args.output, args.format)
    decomposer, code = None, 0
    for image, target in targets:
        clock = _Clock()
        try:
            picture = load_image(image)
            clock.lap("read")
            with _progress(str(image)) as show:
                if decomposer is None:
                    decomposer = args.load_decomposer(args.model, args.device)
                    clock.lap("load")
                document = decomposer(picture, options, _stepper(decomposer.stages, clock, show))
            lost = formats.write(document, target)
            clock.lap("write")
        except (InputError, FormatError) as error:
            if len(targets) == 1:
                raise
            _say(_about(error, str(image), str(Path(target))))
            code = 2
            continue
        remarks = [f"{image} {note}" for note in picture.notes] + [*document.meta.get("warnings", ()), *lost]
        for remark in remarks:
            _say(f"warning: {remark}")
        shown = str(Path(target))
        if args.json:
            entries = [_summary(node) for node in document.layers]
            fidelity = document.meta.get("fidelity", {})
            _print_json(document=shown, layers=entries, fidelity=fidelity, warnings=remarks, seconds=clock.seconds)
        else:
            _say(f"{image}: {len(document.layers)} layers in {clock.seconds['total']:.1f} s")
            print(shown, flush=True)
    return code


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Count the time since the last lap to `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self.last, 3)
        self.seconds["total"] = round(now - self.start, 3)
        self.last = now


def _stepper(stages: Sequence[str], clock: _Clock, show: Callable[[str], None]) -> Callable[[int, int], None]:
    """An `on_step` that times each stage and shows the one that comes next."""

    def on_step(step: int, total: int) -> None:
        clock.lap(stages[step - 1])
        show(f"{stages[step]} ({step + 1} of {total})" if step < total else "writing")

    return on_step


def _targets(images: Sequence[Path], output: str | None, kind: str | None) -> list[tuple[Path, str]]:
    """Where each picture's document goes; raises InputError where that cannot be, before any work is done."""
    from lamina import formats

    ending = f".{kind.lower().lstrip('.')}" if kind else formats.FOLDER
    if ending not in formats.FORMATS:
        known = ", ".join(name.lstrip(".") for name in formats.FORMATS if name != formats.FOLDER)
        raise InputError(f"format '{kind}' is unknown, expected one of {known}")
    several = len(images) > 1 or kind is not None
    if output is None:
        targets = [f"{image.parent / image.stem}{ending}" for image in images]
    elif several:
        folder = Path(output)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror}") from error
        targets = [f"{folder / image.stem}{ending}" for image in images]
    else:
        targets = [output]
    taken: dict[str, Path] = {}
    for image, target in zip(images, targets, strict=True):
        other = taken.setdefault(os.path.abspath(target), image)
        if other is not image:
            raise InputError(f"{other} and {image} would both be written to {target}; decompose them one by one")
        formats.check_target(target)
    for image in images:
        if image.is_file() and os.path.abspath(image) in taken:
            raise InputError(f"{image} would be replaced by its own layers; name another place with -o")
    return list(zip(images, targets, strict=True))


def _load_decomposer(model: str, device: str) -> Any:
    with _importing():
        from lamina.decompose.decomposer import Decomposer
    return Decomposer.load(model, device=device)


def _edit(args: argparse.Namespace) -> int:
    with _importing():
        from lamina.document import apply, edits

    try:
        with open(args.edits, "rb") as file:
            text = file.read(_LARGEST_EDITS + 1)
        if len(text) > _LARGEST_EDITS:
            raise InputError(f"{args.edits} is over {_LARGEST_EDITS // 2**20} MB, expected a list of edits")
        data = json.loads(text)
    except OSError as error:
        raise InputError(f"cannot read {args.edits}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{args.edits} is not JSON: {error}") from error
    changes = edits.from_json(data, paths=True)
    document = apply.apply(_read(args.document), *changes)
    return _write(document, args.output)


def _composite(args: argparse.Namespace) -> int:
    if Path(args.output).suffix.lower() != ".png":
        raise InputError(f"a composite is written as .png, got {args.output}")
    return _convert(args)


def _convert(args: argparse.Namespace) -> int:
    return _write(_read(args.document), args.output)


def _read(path: str) -> "Document":
    with _importing():
        from lamina import formats

    try:
        return formats.read(path)
    except FormatError as error:
        raise FormatError(_about(error, path)) from error


def _write(document: "Document", output: str) -> int:
    from lamina import formats

    for lost in formats.write(document, output):
        _say(f"warning: {lost}")
    print(Path(output))
    return 0


def _preview(args: argparse.Namespace) -> int:
    with _importing():
        from lamina.formats import sheet

    if Path(args.output).suffix.lower() != ".png":
        raise InputError(f"a contact sheet is written as .png, got {args.output}")
    sheet.write(_read(args.document), args.output)
    print(Path(args.output))
    return 0


def _inspect(args: argparse.Namespace) -> int:
    document = _read(args.document)
    size = {"width": document.width, "height": document.height, "dpi": document.dpi}
    if args.json:
        entries = [_summary(node) for node in document.layers]
        _print_json(document=args.document, **size, layers=entries, meta=dict(document.meta))
        return 0
    count = sum(not hasattr(node, "children") for node in document.walk())
    print(f"{args.document}: {document.width}x{document.height} px, layers: {count}, top first")
    for line in _tree(document.layers, "  "):
        print(line)
    for name in ("fidelity", "warnings", "notes", "model"):
        if document.meta.get(name):
            print(f"{name}: {json.dumps(document.meta[name], ensure_ascii=False)}")
    return 0


def _tree(nodes: Sequence["Node"], indent: str) -> Iterator[str]:
    from lamina.document.layer import Group

    for node in reversed(nodes):
        box = "{},{} to {},{}".format(*node.box)
        words = [f"{indent}{json.dumps(node.name, ensure_ascii=False)}", f"[{node.id}]", box]
        words += [f"opacity {node.opacity:g}"] * (node.opacity != 1)
        words += ["hidden"] * (not node.visible)
        if isinstance(node, Group):
            yield "  ".join(words)
            yield from _tree(node.children, indent + "  ")
            continue
        words += [node.blend.value] * (node.blend.value != "normal") + ["locked"] * node.locked
        if node.text:
            words.append(f"text {json.dumps(node.text.content, ensure_ascii=False)}")
        yield "  ".join(words)


def _summary(node: "Node") -> dict[str, Any]:
    """What a program may want to know of a layer or group, without its pixels."""
    from lamina.document.layer import Group

    facts = {"id": node.id, "name": node.name, "box": list(node.box), "opacity": node.opacity, "visible": node.visible}
    if isinstance(node, Group):
        return {"kind": "group", **facts, "layers": [_summary(child) for child in node.children]}
    place = {"blend": node.blend.value, "locked": node.locked, "scale": list(node.scale), "angle": node.angle}
    return {"kind": "layer", **facts, **place, "text": node.text.content if node.text else None}


def _models(args: argparse.Namespace) -> int:
    from lamina.decompose.decomposer import Decomposer, embedded
    from lamina.model.checkpoint import read_header

    path = embedded()
    header = read_header(path)
    flags = [field.name for field in fields(DecomposeOptions)]
    uses = [name for name in flags if name not in Decomposer.ignores]
    facts = {"name": "small", "kind": header.kind, "megabytes": round(path.stat().st_size / 1e6, 1)}
    if args.json:
        _print_json(**facts, uses=uses, ignores=list(Decomposer.ignores), **header.extra)
    else:
        print("{name}  ({megabytes} MB, in the package)".format(**facts))
        print(f"  uses {', '.join(map(_flag, uses))}; ignores {', '.join(map(_flag, Decomposer.ignores))}")
    return 0


def _print_json(**values: Any) -> None:
    print(json.dumps(values, ensure_ascii=False), flush=True)


def _say(words: object) -> None:
    """One line on stderr."""
    print("lamina:", " ".join(str(words).split()), file=sys.stderr, flush=True)


def _about(error: Exception, *names: str) -> str:
    """The error in words that tell which file it is about: one of these names."""
    return str(error) if any(name in str(error) for name in names) else f"{names[0]}: {error}"


@contextmanager
def _importing() -> Generator[None]:
    """An interruption while modules load ends the process at once.

    numpy and torch would make an ImportError or an abort of KeyboardInterrupt, and nothing is being written yet.
    """

    def leave(*_: object) -> None:
        _say("interrupted")
        os._exit(130)

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _progress(label: str) -> Generator[Callable[[str], None]]:
    """Yield a way to show what is being done. On a terminal that is one line, wiped at the end; elsewhere nothing."""

    def show(words: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{label}: {words}", end="", file=sys.stderr, flush=True)

    show("loading")
    try:
        yield show
    finally:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
