"""`lamina evaluate`: measure layers against the truth, or an RGBA-VAE against the pictures it is given."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamina.cli.fields import Commands, add_settings, flag, take_settings
from lamina.cli.terminal import importing, progress, say
from lamina.errors import InputError

if TYPE_CHECKING:
    from lamina.evaluate.reconstruction import VaeRow
    from lamina.evaluate.run import Row, Shown

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    made = commands.command(_evaluate, "evaluate", "Measure how well pictures are taken apart, or a VAE.")
    made.add_argument(
        "dataset",
        metavar="DATASET",
        help="Folder of layered documents: folders of 00.png, 01.png, … (bottom first) with composite.png, bundles, "
        ".psd, .psb, .ora. With --vae: a folder of pictures.",
    )
    who = made.add_mutually_exclusive_group()
    who.add_argument(
        "--model",
        metavar="NAME|DIR",
        help="Checkpoint to measure (default: small): a name that 'lamina models' lists, or a path; 'random' is the "
        "same pipeline with an untrained network; 'raw:' before any of these is the network alone, enlarged.",
    )
    who.add_argument("--pred", metavar="DIR", help="Measure the predictions in this folder, named like the documents.")
    who.add_argument("--vae", metavar="FILE", help="Measure how this RGBA-VAE checkpoint reproduces the pictures.")
    made.add_argument(
        "--layers",
        choices=["true", "auto"],
        default="true",
        help="Ask for the true number of layers, or let it choose.",
    )
    made.add_argument("--limit", type=int, metavar="N", help="Only the first N documents or pictures, by name.")
    made.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="Where to compute.")
    add_settings(made)
    made.add_argument(
        "--side",
        type=int,
        default=512,
        metavar="N",
        help="With --vae: pictures are first reduced to this longer side, in pixels.",
    )
    made.add_argument(
        "--lpips",
        nargs=2,
        metavar=("NET", "LINEAR"),
        help="With --vae: weights for LPIPS, an AlexNet or VGG-16 as torchvision names its parts and the linear "
        "weights of LPIPS 0.1; both .safetensors.",
    )
    made.add_argument(
        "--fid",
        metavar="FILE",
        help="With --vae: weights for rFID, the Inception network of FID (inception-2015-12-05) as pytorch-fid and "
        "torch-fidelity name its parts; .safetensors.",
    )
    made.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="REPORT",
        help="Folder for report.json and report.html (a page with the pictures, worst first); or a single .json or "
        ".html file.",
    )


def _evaluate(args: argparse.Namespace) -> int:
    if args.limit is not None and args.limit < 1:
        raise InputError(f"--limit is {args.limit}, expected at least 1")
    if not args.vae and (args.lpips or args.fid):
        raise InputError("--lpips and --fid measure a VAE; name it with --vae")
    settings, model = take_settings(args), (args.model or "small").removeprefix("raw:")
    if settings and (args.vae or args.pred or model == "random"):
        raise InputError(f"{', '.join(map(flag, settings))}: for a released model alone; name it with --model")
    if args.side < 32:
        raise InputError(f"--side is {args.side}, expected at least 32")
    return _measure_vae(args) if args.vae else _measure_layers(args, settings)


def _measure_layers(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    with importing():
        from lamina import __version__
        from lamina.evaluate import dataset, predict, report, run
        from lamina.evaluate.page import shown_pictures

        report.check_place(args.output)
        cases = dataset.find(args.dataset)[: args.limit]
    pictures: dict[str, str] = {}

    def keep(row: "Row", shown: "Shown") -> None:
        pictures[row.name] = shown_pictures(shown)
        if row.error:
            say(f"{row.name}: {row.error}")

    with progress(args.dataset) as show:
        if args.pred:
            predictor = predict.from_folder(args.pred)
        else:

            def load(name: str) -> Any:
                return args.load_decomposer(name, args.device, **settings)

            predictor = predict.from_model(args.model or "small", load, device=args.device)

        def on_step(done: int, total: int) -> None:
            show(f"{cases[done].name} ({done + 1} of {total})" if done < total else "writing")

        timed = args.pred is None
        measured = run.run(cases, predictor, auto=args.layers == "auto", timed=timed, on_step=on_step, on_row=keep)
        about = {"version": __version__, "dataset": args.dataset, "layers": args.layers, "limit": args.limit}
        about |= {"predictions": args.pred} if args.pred else {"model": args.model or "small"}
        about |= {name: [*map(str, value)] if name == "lora" else value for name, value in settings.items()}
        page = report.to_html(measured, about, pictures)
        written = report.write(args.output, report.to_json(measured, about), page)
    return _tell(report.table(measured), written)


def _measure_vae(args: argparse.Namespace) -> int:
    with importing():
        from lamina import __version__
        from lamina.decompose.decomposer import device_named
        from lamina.evaluate import reconstruction, report, vae_report
        from lamina.evaluate.page import side_by_side
        from lamina.evaluate.perceptual import Inception, Lpips, read_weights

        report.check_place(args.output)
        files = reconstruction.find_pictures(args.dataset)[: args.limit]
    pictures: dict[str, str] = {}
    named = [(path.relative_to(args.dataset).as_posix(), path) for path in files]

    def keep(row: "VaeRow", original: Any, copy: Any) -> None:
        pictures[row.name] = side_by_side([("original", original), ("reconstruction", copy)])

    with progress(args.dataset) as show:
        device = device_named(args.device)
        vae = reconstruction.load_vae(args.vae, device)
        lpips = Lpips(*map(read_weights, args.lpips), device=device) if args.lpips else None
        inception = Inception(read_weights(args.fid), device) if args.fid else None

        def on_step(done: int, total: int) -> None:
            show(f"{named[done][0]} ({done + 1} of {total})" if done < total else "writing")

        measured = reconstruction.vae_scores(
            vae, named, side=args.side, lpips=lpips, inception=inception, on_step=on_step, on_row=keep
        )
        about = {"version": __version__, "dataset": args.dataset, "vae": args.vae, "side": args.side}
        about |= {"limit": args.limit, "lpips": args.lpips, "fid": args.fid}
        page = vae_report.to_html(measured, about, pictures)
        written = report.write(args.output, vae_report.to_json(measured, about), page)
    return _tell(vae_report.table(measured), written)


def _tell(table: str, written: list[Path]) -> int:
    """The table on stdout, where the report lies on stderr."""
    print(table, flush=True)
    for path in written:
        say(f"written: {path}")
    return 0
