"""The commands that work on pictures and layered files, and the list of checkpoints."""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamina.cli.fields import Commands, Run, add_fields, add_model, flag, take_fields, take_settings
from lamina.cli.terminal import Clock, about, importing, leads, print_json, progress, say
from lamina.errors import FormatError, InputError
from lamina.options import DecomposeOptions

if TYPE_CHECKING:
    from lamina.document.document import Document
    from lamina.document.layer import Node

__all__ = ["LoadDecomposer", "add", "load_decomposer", "read_document"]

LoadDecomposer = Callable[..., Any]
"""(model, device, **settings of a released model that were given) -> what is like a Decomposer: called with
(picture, options, on_step), and naming its `stages`."""

_LARGEST_EDITS = 2**28  # bytes; they may hold pictures
_ENDINGS = "a folder (a bundle), .zip, .psd, .psb, .ora, .pptx or .png (flat)"


def add(commands: Commands) -> None:
    """Add the commands of this module."""

    def layered(run: Run, name: str, text: str) -> argparse.ArgumentParser:
        made = commands.command(run, name, text)
        made.add_argument("document", metavar="DOC", help="Bundle folder, .zip, .psd, .psb, .ora or .png.")
        return made

    made = commands.command(_decompose, "decompose", "Take flat pictures apart into layers.")
    made.add_argument("images", nargs="+", metavar="IMAGE", help="Flat pictures: PNG, JPEG, WebP, GIF, TIFF, BMP, ….")
    made.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help=f"What to write: {_ENDINGS}; by default a bundle folder "
        "beside the picture, named after it. With several pictures or --format: the folder to write in.",
    )
    made.add_argument("--format", metavar="FORMAT", help="Write files of this ending (psd, ora, …) instead of bundles.")
    add_model(made)
    add_fields(made, DecomposeOptions)
    made.add_argument("--json", action="store_true", help="Print one JSON object per picture, a line each.")

    made = layered(_split, "split", "Take one layer of a layered file apart: it becomes a group of layers.")
    made.add_argument("--layer", required=True, metavar="ID", help="The layer, by the id that 'lamina inspect' shows.")
    made.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help=f"What to write: {_ENDINGS}; by default a bundle is replaced, and any other file gets a bundle folder "
        "beside it, named after it.",
    )
    add_model(made)
    add_fields(made, DecomposeOptions)
    made.add_argument("--json", action="store_true", help="Print one JSON object.")

    made = layered(_edit, "edit", "Apply a list of edits to a layered file.")
    made.add_argument("edits", metavar="EDITS.json", help="A JSON list of edits; all or none of them are applied.")
    made.add_argument("-o", "--output", required=True, metavar="OUT", help=f"What to write: {_ENDINGS}.")

    made = layered(_composite, "composite", "Flatten a layered file into one picture.")
    made.add_argument("-o", "--output", required=True, metavar="OUT.png", help="The PNG to write.")

    made = layered(_convert, "convert", "Write a layered file in another format, told by the endings.")
    made.add_argument("output", metavar="OUT", help=f"What to write: {_ENDINGS}.")

    made = layered(_inspect, "inspect", "Show what is in a layered file, top layer first.")
    made.add_argument("--json", action="store_true", help="Print one JSON object, layers bottom first.")

    made = layered(_preview, "preview", "Draw a contact sheet: input, every layer on a checkerboard, composite.")
    made.add_argument("-o", "--output", required=True, metavar="SHEET.png", help="The PNG to write.")

    made = commands.command(_models, "models", "List the checkpoints, and which options each of them uses.")
    made.add_argument("--json", action="store_true", help="Print one JSON object per checkpoint, a line each.")


def _decompose(args: argparse.Namespace) -> int:
    options = take_fields(DecomposeOptions, args)
    with importing():
        from lamina import formats
        from lamina.pixels import load_image

        targets = _targets([Path(image) for image in args.images], args.output, args.format)
    decomposer, code = None, 0
    for image, target in targets:
        clock = Clock()
        try:
            picture = load_image(image)
            clock.lap("read")
            with progress(str(image)) as show:
                if decomposer is None:
                    decomposer = args.load_decomposer(args.model, args.device, **take_settings(args))
                    clock.lap("load")
                document = decomposer(picture, options, _stepper(decomposer.stages, clock, show))
            if not leads():
                continue
            lost = formats.write(document, target)
            clock.lap("write")
        except (InputError, FormatError) as error:
            if len(targets) == 1:
                raise
            say(about(error, str(image), str(Path(target))))
            code = 2
            continue
        remarks = [f"{image} {note}" for note in picture.notes] + [*document.meta.get("warnings", ()), *lost]
        for remark in remarks:
            say(f"warning: {remark}")
        shown = str(Path(target))
        if args.json:
            entries = [_summary(node) for node in document.layers]
            fidelity = document.meta.get("fidelity", {})
            print_json(document=shown, layers=entries, fidelity=fidelity, warnings=remarks, seconds=clock.seconds)
        else:
            say(f"{image}: {len(document.layers)} layers in {clock.seconds['total']:.1f} s")
            print(shown, flush=True)
    return code


def _split(args: argparse.Namespace) -> int:
    options = take_fields(DecomposeOptions, args)
    target = _split_target(args.document, args.output)
    clock = Clock()
    document = read_document(args.document)
    document.find(args.layer)  # an id that is not there is told before anything is loaded
    clock.lap("read")
    with progress(f"{args.document} {args.layer}") as show:
        decomposer = args.load_decomposer(args.model, args.device, **take_settings(args))
        clock.lap("load")
        document = decomposer.split(document, args.layer, options, _stepper(decomposer.stages, clock, show))
    if not leads():
        return 0
    from lamina import formats

    lost = formats.write(document, target)
    clock.lap("write")
    record = document.meta.get("splits", {}).get(args.layer, {})
    remarks = [*record.get("warnings", ()), *lost]
    for remark in remarks:
        say(f"warning: {remark}")
    group = _summary(document.find(args.layer))
    shown = str(Path(target))
    if args.json:
        fidelity = record.get("fidelity", {})
        print_json(document=shown, **group, fidelity=fidelity, warnings=remarks, seconds=clock.seconds)
    else:
        say(f"{args.document}: {len(group['layers'])} layers in {clock.seconds['total']:.1f} s")
        print(shown, flush=True)
    return 0


def _split_target(document: str, output: str | None) -> str:
    """Where the split document goes; raises InputError where that cannot be."""
    from lamina import formats

    path = Path(document)
    lossless = path.is_dir() or path.suffix.lower() == ".zip"
    target = output or (document if lossless else f"{path.parent / path.stem}{formats.FOLDER}")
    formats.check_target(target)
    return target


def _stepper(stages: Sequence[str], clock: Clock, show: Callable[[str], None]) -> Callable[[int, int], None]:
    """An `on_step` that times each stage and shows the one that comes next."""
    reached = 0

    def on_step(step: int, total: int) -> None:
        nonlocal reached
        # what is said again tells of work on the stage after it
        clock.lap(stages[step - 1] if step > reached else stages[min(step, total - 1)])
        reached = step
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


def load_decomposer(model: str, device: str, **settings: Any) -> Any:
    """`Decomposer.load` or `load_released`, with torch imported only now."""
    with importing():
        from lamina.decompose.decomposer import Decomposer
    if model != "small":
        from lamina.decompose import released

        if released.is_released(model):
            return released.load_released(
                model, released.Settings(device=device, on_plan=say if leads() else None, **settings)
            )
    if settings:
        say(f"warning: the checkpoint '{model}' ignores {', '.join(map(flag, settings))}")
    return Decomposer.load(model, device=device)


def _edit(args: argparse.Namespace) -> int:
    with importing():
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
    document = apply.apply(read_document(args.document), *changes)
    return _write(document, args.output)


def _composite(args: argparse.Namespace) -> int:
    if Path(args.output).suffix.lower() != ".png":
        raise InputError(f"a composite is written as .png, got {args.output}")
    return _convert(args)


def _convert(args: argparse.Namespace) -> int:
    return _write(read_document(args.document), args.output)


def read_document(path: str) -> "Document":
    """A layered file of any format; an error names the file."""
    with importing():
        from lamina import formats

    try:
        return formats.read(path)
    except FormatError as error:
        raise FormatError(about(error, path)) from error


def _write(document: "Document", output: str) -> int:
    from lamina import formats

    for lost in formats.write(document, output):
        say(f"warning: {lost}")
    print(Path(output))
    return 0


def _preview(args: argparse.Namespace) -> int:
    with importing():
        from lamina.formats import sheet

    if Path(args.output).suffix.lower() != ".png":
        raise InputError(f"a contact sheet is written as .png, got {args.output}")
    sheet.write(read_document(args.document), args.output)
    print(Path(args.output))
    return 0


def _inspect(args: argparse.Namespace) -> int:
    document = read_document(args.document)
    size = {"width": document.width, "height": document.height, "dpi": document.dpi}
    if args.json:
        entries = [_described(node, document, z, ground=z == 0) for z, node in enumerate(document.layers)]
        print_json(document=args.document, **size, layers=entries, meta=dict(document.meta))
        return 0
    count = sum(not hasattr(node, "children") for node in document.walk())
    print(f"{args.document}: {document.width}x{document.height} px, layers: {count}, top first")
    for line in _tree(document.layers, "  "):
        print(line)
    for name in ("fidelity", "warnings", "notes", "model", "splits"):
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


def _described(node: "Node", document: "Document", z: int, *, ground: bool) -> dict[str, Any]:
    """The summary of a layer or group, with its place among its siblings (0 = bottom) and edits that suit it."""
    from lamina.decompose.naming import suggestions
    from lamina.document.layer import Group

    facts = {**_summary(node), "z": z}
    if isinstance(node, Group):
        inside = [_described(n, document, k, ground=ground and k == 0) for k, n in enumerate(node.children)]
        return {**facts, "layers": inside}
    return {**facts, "suggested": suggestions(node, document.box, bottom=ground)}


def _models(args: argparse.Namespace) -> int:
    from lamina.decompose.compact import NOTHING
    from lamina.decompose.decomposer import embedded
    from lamina.decompose.released_settings import Settings
    from lamina.model.checkpoint import read_header
    from lamina.model.hub import OFFICIAL

    path = embedded()
    header = read_header(path)
    flags = [field.name for field in fields(DecomposeOptions)]
    uses = [name for name in flags if name not in NOTHING]
    both = flags + [field.name for field in fields(Settings) if field.name not in ("device", "on_plan")]
    facts = {"name": "small", "kind": header.kind, "megabytes": round(path.stat().st_size / 1e6, 1)}
    if args.json:
        facts |= {"uses": uses, "ignores": list(NOTHING), "published": {"name": OFFICIAL, "uses": both}}
        print_json(**facts, **header.extra)
    else:
        print("{name}  ({megabytes} MB, in the package)".format(**facts))
        print(f"  uses {', '.join(map(flag, uses))}; ignores {', '.join(map(flag, NOTHING))}")
        print(f"{OFFICIAL}  (58 GB, from the Hugging Face Hub; needs a GPU and the extra 'large')")
        print(f"  uses {', '.join(map(flag, both))}; folders and files in its layouts too")
    return 0
