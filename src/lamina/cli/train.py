"""`lamina train`: run a recipe, or go on with it."""

import argparse
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from lamina.cli.fields import Commands
from lamina.cli.terminal import importing, say
from lamina.errors import InputError

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    made = commands.command(_train, "train", "Train a network by a recipe; the same command again goes on with it.")
    made.add_argument(
        "recipe",
        metavar="RECIPE",
        help="A function that returns a run, as module:function or file.py:function (recipes.paper:vae), or the "
        "config.json of a run to do it again or go on.",
    )
    made.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="Arguments of the recipe (steps=1000 bank=FOLDER)."
    )
    made.add_argument(
        "-o",
        "--output",
        metavar="RUN",
        help="Folder of the run (default: runs/ and the recipe's name; with a config.json: its folder).",
    )
    made.add_argument("--threads", type=int, metavar="N", help="CPU threads of the training process.")
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], help="Where to train.")
    made.add_argument("--every", type=int, default=20, metavar="N", help="A line of figures on stderr every N steps.")


def _train(args: argparse.Namespace) -> int:
    for name in ("threads", "every"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise InputError(f"--{name} is {getattr(args, name)}, expected at least 1")
    with importing():
        from lamina.train.recipe import resolve

        run = resolve([args.recipe, *args.settings], Path(args.output) if args.output else None)
    run = run.changed(threads=args.threads, device=args.device)
    with _interruptible() as interrupted:

        def on_step(step: int, total: int, metrics: dict[str, float]) -> None:
            looked = any(name.startswith("val_") for name in metrics)
            if step % args.every == 0 or step == total or looked:
                words = " ".join(f"{name} {value:.4g}" for name, value in metrics.items())
                print(f"{step}/{total} {words}", file=sys.stderr, flush=True)
            if interrupted():
                say(f"stopping after step {step}; the same command goes on")
                raise KeyboardInterrupt

        print(run.train(on_step))
    return 0


@contextmanager
def _interruptible() -> Generator[Callable[[], bool]]:
    """Yield whether Ctrl-C was pressed, so that a step ends before the run does; pressed again, it ends at once."""
    pressed: list[bool] = []

    def press(*_: object) -> None:
        pressed.append(True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
