"""Flags made from config dataclasses, and the parser that holds the commands."""

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from lamina.options import field_help

__all__ = [
    "Commands",
    "Parser",
    "Run",
    "add_fields",
    "add_model",
    "add_settings",
    "flag",
    "take_fields",
    "take_settings",
]

Run = Callable[[argparse.Namespace], int]
"""What a command does with its arguments; returns the exit code."""

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> Any:
        self.exit(2, f"lamina: {message}; see '{self.prog} --help'\n")


class Commands:
    """The commands under a parser: the program's own, or those under one name (`lamina data harvest`)."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)

    def command(self, run: Run, name: str, text: str) -> argparse.ArgumentParser:
        """Add a command; the arguments go onto the parser returned."""
        made = self._parser(name, text)
        made.set_defaults(run=run)
        return made

    def group(self, name: str, text: str) -> "Commands":
        """Add a name that has commands of its own."""
        return Commands(self._parser(name, text))

    def _parser(self, name: str, text: str) -> argparse.ArgumentParser:
        return self._parsers.add_parser(name, help=text, description=text, allow_abbrev=False)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add which checkpoint, where it computes, and how a released model is run."""
    parser.add_argument(
        "--model", default="small", metavar="NAME|DIR", help="Checkpoint: a name that 'lamina models' lists, or a path."
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="Where to compute.")
    add_settings(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add how a released model is run; see `take_settings`."""
    from lamina.decompose.released_settings import Settings

    add_fields(parser, Settings, without=("device", "lora", "on_plan"))
    parser.add_argument(
        "--lora", action="append", type=Path, default=[], metavar="FILE",
        help="LoRA file to merge into a released model; may be given several times.",
    )  # fmt: skip


def take_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of a released model that differ from what they are without a flag; LoRA files by their whole paths,
    as other processes may stand in other folders. Raises InputError for what cannot be."""
    from lamina.decompose.released_settings import Settings

    usual = {field.name: field.default for field in fields(Settings) if field.name not in ("device", "on_plan")}
    asked: dict[str, Any] = {name: getattr(args, name) for name in usual}
    asked["lora"] = tuple(path.absolute() for path in args.lora)
    given = {name: value for name, value in asked.items() if value != usual[name]}
    Settings(**given)
    return given


def add_fields(parser: argparse.ArgumentParser, config: type, *, without: Collection[str] = ()) -> None:
    """Add one flag per field of a config dataclass: its type, default and docstring make the flag.

    A field that holds any number of tuples makes a flag that may be given several times, its numbers with commas.
    """
    hints, texts = get_type_hints(config), field_help(config)
    for field in fields(config):
        if field.name in without:
            continue
        if get_origin(hints[field.name]) is tuple:
            parser.add_argument(
                flag(field.name),
                action="append",
                default=[],
                metavar=_PLACES[len(get_args(get_args(hints[field.name])[0]))],
                help=texts[field.name],
            )
            continue
        kinds = [k for kind in get_args(hints[field.name]) or [hints[field.name]] for k in _flat(kind)]
        default = None if field.default is MISSING else field.default
        parser.add_argument(
            flag(field.name),
            type=_reader(kinds),
            default=default,
            metavar="|".join(_METAVARS.get(k, str(k)) for k in kinds),
            help=texts[field.name],
        )


def take_fields(config: Callable[..., T], args: argparse.Namespace) -> T:
    """The config dataclass that the flags of `add_fields` describe; raises what its own checks raise."""
    names = [field.name for field in fields(cast(Any, config))]
    return config(**{name: getattr(args, name) for name in names if hasattr(args, name)})


_PLACES = {2: "X,Y", 4: "X0,Y0,X1,Y1"}
_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT"}


def flag(name: str) -> str:
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
