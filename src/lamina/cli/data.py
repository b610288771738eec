"""The commands that make training data: harvesting layered files, drawing scenes, hashing pictures."""

import argparse
import dataclasses
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lamina.cli.fields import Commands, add_fields, take_fields
from lamina.cli.terminal import Clock, importing, print_json, progress, say
from lamina.data.options import HarvestOptions
from lamina.errors import InputError

if TYPE_CHECKING:
    from lamina.data.harvest import Report

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    data = commands.group("data", "Make training data: from layered files, or generated.")
    _add_harvest(data)
    _add_scenes(data)
    made = data.command(_hashes, "hashes", "List how pictures look, so that no training sample may look like them.")
    made.add_argument("folder", metavar="FOLDER", help="Pictures, layered files and documents, at any depth.")
    made.add_argument("-o", "--output", required=True, metavar="FILE.json", help="The list to write.")


def _add_harvest(data: Commands) -> None:
    made = data.command(_harvest, "harvest", "Take PSD, PSB, ORA and bundles apart into sample shards.")
    made.add_argument("sources", nargs="+", metavar="SOURCE", help="Layered files, and folders of them at any depth.")
    made.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FOLDER",
        help="Where the shards go; run again, the command goes on where it stopped.",
    )
    made.add_argument(
        "--gate",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="Drop samples for which this function gives a reason, as lamina.data.gates:blurred_faces does; may be "
        "given several times. Samples that are too small, nearly uniform or of one layer are always dropped.",
    )
    made.add_argument(
        "--captioner",
        metavar="NAME",
        help="Who describes the pictures: module:function, or qwen:FOLDER with the weights of a Qwen2.5-VL.",
    )
    made.add_argument(
        "--refuse",
        metavar="PATH",
        help="No sample may look like these: a list made by 'lamina data hashes', or a folder of pictures.",
    )
    made.add_argument("--origin", default="", metavar="TEXT", help="Where the files come from; noted in every sample.")
    made.add_argument("--licence", default="", metavar="TEXT", help="Their licence; noted in every sample.")
    made.add_argument("--workers", type=int, default=1, metavar="N", help="Processes to work with.")
    made.add_argument("--time-limit", type=float, default=120.0, metavar="X", help="Seconds that one file may take.")
    made.add_argument("--per-shard", type=int, default=128, metavar="N", help="Samples in a full shard, 1-512.")
    made.add_argument("--json", action="store_true", help="Print the report as one JSON object.")
    add_fields(made, HarvestOptions)


def _add_scenes(data: Commands) -> None:
    made = data.command(_scenes, "scenes", "Draw layered scenes from an art bank.")
    made.add_argument("bank", metavar="BANK", help="Folder of the art bank.")
    made.add_argument(
        "-o", "--output", required=True, metavar="FOLDER", help="Where the scenes go; what is there stays."
    )
    made.add_argument("--count", type=int, required=True, metavar="N", help="How many scenes.")
    made.add_argument("--size", type=_size, default=(256, 256), metavar="WxH", help="Width and height in pixels.")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="Which scenes: equal seeds give equal scenes.")
    made.add_argument(
        "--split",
        choices=["train", "validation"],
        default="train",
        help="Which part of the art is used; the two share no file.",
    )
    made.add_argument(
        "--as",
        dest="form",
        choices=["shards", "documents"],
        default="shards",
        help="Sample shards, or a folder per scene with 00.png, … (bottom first) and composite.png.",
    )
    made.add_argument("--workers", type=int, default=1, metavar="N", help="Processes to draw with.")


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.lower().partition("x")
    if not (x and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"got '{text}', expected a size such as 256x192")
    return int(width), int(height)


def _harvest(args: argparse.Namespace) -> int:
    options = take_fields(HarvestOptions, args)
    with importing():
        from lamina.data.captions import captioner
        from lamina.data.gates import named
        from lamina.data.harvest import harvest
        from lamina.data.phash import read_hashes

    gates = [named(name) for name in args.gate]
    describe = captioner(args.captioner) if args.captioner else None
    refused = read_hashes(args.refuse) if args.refuse else None
    with _steps("harvest") as on_step:
        report = harvest(
            [Path(source) for source in args.sources],
            Path(args.output),
            options,
            gates=gates,
            captioner=describe,
            refused=refused,
            origin=args.origin,
            licence=args.licence,
            workers=_workers(args.workers),
            time_limit=args.time_limit,
            per_shard=args.per_shard,
            on_step=on_step,
        )
    if args.json:
        print_json(output=args.output, **dataclasses.asdict(report))
    else:
        _print_report(report)
    return 0


def _print_report(report: "Report") -> None:
    print(f"{'files tried':<32}{report.tried:>8}")
    print(f"{'samples kept':<32}{report.kept:>8}")
    _print_counts("dropped", report.dropped)
    print(f"{'layers in kept files':<32}{report.layers_found:>8}")
    print(f"{'layers in samples':<32}{report.layers_kept:>8}")
    _print_counts("layers dropped", report.layers_dropped)
    print(f"{'seconds a file':<32}{report.seconds / max(1, report.tried):>8.2f}")


def _print_counts(what: str, counts: Mapping[str, int]) -> None:
    for reason, count in counts.items():
        print(f"{f'{what}: {reason}':<32}{count:>8}")


def _scenes(args: argparse.Namespace) -> int:
    with importing():
        from lamina.data.sceneset import write_scenes

    clock = Clock()
    with _steps("scenes") as on_step:
        write_scenes(
            Path(args.bank),
            Path(args.output),
            count=args.count,
            size=args.size,
            seed=args.seed,
            split=args.split,
            form=args.form,
            workers=_workers(args.workers),
            on_step=on_step,
        )
    clock.lap("draw")
    say(f"{args.count} scenes in {clock.seconds['total']:.1f} s")
    print(Path(args.output))
    return 0


def _hashes(args: argparse.Namespace) -> int:
    with importing():
        from lamina.data.phash import hash_folder, write_hashes

    with _steps("hashes") as on_step:
        found = hash_folder(Path(args.folder), on_step)
    write_hashes(found, Path(args.output))
    say(f"{len(found)} pictures")
    print(Path(args.output))
    return 0


def _workers(count: int) -> int:
    if not 1 <= count <= 256:
        raise InputError(f"{count} workers is outside 1-256")
    return count


@contextmanager
def _steps(label: str) -> Generator[Callable[[int, int], None]]:
    with progress(label) as show:
        yield lambda step, total: show(f"{step} of {total}")
