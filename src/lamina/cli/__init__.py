"""The command line: thin functions over the public types. Results go to stdout, words and progress to stderr.

Exit 0 done; 2 the caller's mistake, one line on stderr; 1 a defect of ours, with its traceback; 130 interrupted.
Everything heavy is imported inside the command that needs it.
"""

import argparse
import atexit
import errno
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from lamina.cli import data, evaluate, pictures, serve, train
from lamina.cli.fields import Commands, Parser, add_fields, take_fields
from lamina.cli.pictures import LoadDecomposer
from lamina.cli.terminal import say
from lamina.errors import Cancelled, LaminaError

__all__ = ["LoadDecomposer", "add_fields", "main", "make_parser", "run", "take_fields"]


def run() -> NoReturn:
    """The program `lamina`: `main`, and an end that does not first take every module apart."""
    code = 1  # of an error that is ours: Python has printed its traceback by then

    def leave() -> None:  # the first to be registered: threads have ended and all others have been called
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)

    atexit.register(leave)
    code = main()
    sys.exit(code)


def main(argv: Sequence[str] | None = None, *, load_decomposer: LoadDecomposer | None = None) -> int:
    """Run one command and return its exit code. `load_decomposer` stands in for `Decomposer.load`."""
    if not logging.root.handlers:  # what libraries log of odd files is no line of ours
        logging.root.addHandler(logging.NullHandler())
    try:
        args = make_parser().parse_args(argv)
        args.load_decomposer = load_decomposer or pictures.load_decomposer
        code = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: 0 after --help, 2 after its one line
        return int(stop.code or 0)
    except (KeyboardInterrupt, Cancelled):
        say("interrupted")
        return 130
    except BrokenPipeError:  # whoever read our stdout has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except LaminaError as error:
        say(error)
        return 2
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        say(f"cannot write the result: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be flushed has no place
        return 2


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command; docs/cli.md is made from it."""
    from lamina import __version__

    parser = Parser(prog="lamina", description="A flat picture in, an editable stack of RGBA layers out.")
    parser.add_argument("--version", action="version", version=f"lamina {__version__}")
    commands = Commands(parser)
    for module in (pictures, serve, evaluate, data, train):
        module.add(commands)
    return parser
