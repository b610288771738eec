"""The commands that work for others and in bulk: `lamina serve` and `lamina batch`."""

import argparse
import logging
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lamina.cli.fields import Commands, add_fields, add_model, take_fields, take_settings
from lamina.cli.terminal import importing, progress, say
from lamina.errors import InputError, MissingExtraError
from lamina.options import DecomposeOptions

__all__ = ["add"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_STOP_SECONDS = 5
_KEEP_SECONDS = 75
"""Longer than clients keep connections, so that none is closed just when a call begins."""


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    made = commands.command(_serve, "serve", "Serve the browser editor and the HTTP API.")
    made.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen at.")
    made.add_argument("--port", type=int, default=7860, metavar="N", help="Port to listen at; 0 takes a free one.")
    made.add_argument(
        "--home", metavar="DIR", help="Folder of jobs, documents and pixels (default: .lamina in the user's folder)."
    )
    add_model(made)
    made.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="Decompose on a Ray cluster, in one replica for each of its GPUs: auto, local (starts one) or HOST:PORT.",
    )
    made.add_argument("--queue", type=int, default=64, metavar="N", help="Most jobs that wait.")
    made.add_argument("--max-megabytes", type=float, default=50, metavar="X", help="Largest picture, in MB.")
    made.add_argument("--max-megapixels", type=float, default=64, metavar="X", help="Largest picture, in megapixels.")
    made.add_argument("--keep-days", type=float, default=30, metavar="X", help="Remove what is not used for longer.")
    made.add_argument("--keep-gigabytes", type=float, default=20, metavar="X", help="Most GB of pixels that are kept.")

    made = commands.command(
        _batch, "batch", "Take many pictures apart; the same command again does only what is missing."
    )
    made.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="Pictures, folders of pictures, globs in quotes, or manifests: .txt (a path a line), .csv or .jsonl "
        "(a column or field 'image', others are options).",
    )
    made.add_argument("-o", "--output", required=True, metavar="DIR", help="Folder to write in.")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=1, metavar="N", help="Processes that work side by side.")
    where.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="Work on a Ray cluster, one process for each of its GPUs (or CPUs): auto, local (starts one) or "
        "HOST:PORT. Its machines need the pictures and DIR at the same paths.",
    )
    made.add_argument("--format", default="psd", metavar="FORMAT", help="Ending of the files: psd, ora, zip, ….")
    made.add_argument(
        "--catalogue",
        action="store_true",
        help="Also write NAME-cutout.png, all but the ground over white, and NAME-sheet.png, a contact sheet.",
    )
    add_model(made)
    add_fields(made, DecomposeOptions)


def _serve(args: argparse.Namespace) -> int:
    with importing():
        try:
            import uvicorn

            from lamina.server.app import create_app
            from lamina.server.settings import Settings
        except ModuleNotFoundError as error:
            if error.name not in ("fastapi", "uvicorn", "multipart", "python_multipart", "prometheus_client"):
                raise
            raise MissingExtraError("the server", "serve") from error
    loopback = args.host in _LOOPBACK
    settings = Settings(
        home=Path(args.home) if args.home else Path.home() / ".lamina",
        token=os.environ.get("LAMINA_TOKEN", ""),
        hosts=("127.0.0.1", "localhost", "[::1]") if loopback else (),
        queue=args.queue,
        max_bytes=round(args.max_megabytes * 1e6),
        max_pixels=round(args.max_megapixels * 1e6),
        keep_days=args.keep_days,
        keep_bytes=round(args.keep_gigabytes * 1e9),
    )
    take_settings(args)  # what cannot be is told before anything else
    with ExitStack() as stack:
        listening = stack.enter_context(_listen(args.host, args.port))
        with progress(f"model {args.model}"):
            decompose, split = _decomposers(args, settings.home, stack)
        app = create_app(decompose, settings=settings, split=split)
        if not loopback and not settings.token:
            say(f"warning: anyone who reaches {args.host} may use this service; set LAMINA_TOKEN to ask for a token")
        host = f"[{args.host}]" if ":" in args.host else args.host
        print(f"http://{host}:{listening.getsockname()[1]}", flush=True)
        logging.getLogger("lamina").addHandler(logging.StreamHandler(sys.stderr))
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=_KEEP_SECONDS,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def _decomposers(args: argparse.Namespace, home: Path, stack: ExitStack) -> tuple[list[Any], Any]:
    """What decomposes, one for each worker of the service, and what splits: in this process, or on a Ray cluster."""
    if args.ray is None:
        decomposer = args.load_decomposer(args.model, args.device, **take_settings(args))
        return [decomposer], getattr(decomposer, "split", None)
    from lamina.server.replicas import replicas

    made = replicas(
        args.ray,
        load=args.load_decomposer,
        model=args.model,
        device=args.device,
        model_settings=take_settings(args),
        home=home,
    )
    found = stack.enter_context(made)
    return [found] * found.count, found.split if found.splits else None


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; taken before the model is loaded, so that a wrong address is told at once."""
    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}, expected 0-65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)  # pyright: ignore[reportArgumentType]
    except OSError as error:
        raise InputError(f"cannot listen at {host}, port {port}: {error.strerror or error}") from error


def _batch(args: argparse.Namespace) -> int:
    options = take_fields(DecomposeOptions, args)
    if args.workers < 1:
        raise InputError(f"--workers is {args.workers}, expected at least 1")
    with importing():
        from lamina.batch import Batch, find_pictures

    batch = Batch(
        output=Path(args.output),
        kind=args.format,
        options=options,
        model=args.model,
        device=args.device,
        model_settings=take_settings(args),
        load=args.load_decomposer,
        catalogue=args.catalogue,
    )
    pictures = find_pictures(args.sources, output=Path(args.output), kind=args.format)
    with progress("batch") as show:

        def on_step(step: int, total: int) -> None:
            show(f"{step} of {total} pictures")

        report = batch.run(pictures, workers=args.workers, ray=args.ray, on_step=on_step)
    for row in report.failed:
        say(f"{row['image']}: {row['error']}")
    counts: dict[str, Any] = {"done": len(report.done), "skipped": len(report.skipped), "failed": len(report.failed)}
    say(", ".join(f"{name} {count}" for name, count in counts.items()) + f" of {len(pictures)} pictures")
    print(report.path)
    return 2 if report.failed else 0
