"""Seconds and memory of `lamina decompose` on this computer's CPU, and how much of each picture comes back exactly.

    python benchmarks/decompose_cpu.py [--picture examples/poster.png] [--exact FOLDER]... [--json OUT]

For 1024x1024 and 3840x2160 and four layers: the whole process (a new one, after one to warm the disk), a warm call in
one process by stage (median of three), peak memory, and import and --help times. --exact adds the share of pixels
that composite back exactly for every PNG below a folder. Absolute figures: read them only from an idle computer.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

CLI = ("-m", "lamina")
SIZES = ((1024, 1024), (3840, 2160))


def main() -> None:
    """Measure and print; --warm PICTURE is the part that runs in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=Path(__file__).parent.parent / "examples" / "poster.png")
    parser.add_argument("--exact", type=Path, action="append", default=[])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--warm", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.warm:
        print(json.dumps(warm(args.warm)))
        return
    result: dict[str, Any] = {"cpu": cpu_name(), "start": start_times()}
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            picture = Path(folder) / f"{width}x{height}.png"
            fill(Image.open(args.picture).convert("RGB"), (width, height)).save(picture)
            cold(picture, Path(folder))
            measured = {"whole_process": cold(picture, Path(folder))}
            measured |= json.loads(run("benchmarks/decompose_cpu.py", "--warm", str(picture)))
            result[f"{width}x{height}"] = measured
    for folder in args.exact:
        result[f"exact {folder.name}"] = exact_shares(folder)
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))


def start_times() -> dict[str, float]:
    """Seconds of `import lamina` and of `lamina --help`, each the median of five new processes."""
    commands = {"import": ["-c", "import lamina"], "help": [*CLI, "--help"], "python": ["-c", "pass"]}
    return {name: round(statistics.median(timed(*command) for _ in range(5)), 3) for name, command in commands.items()}


def cold(picture: Path, folder: Path) -> float:
    """Seconds of a new process that writes a PSD."""
    out = folder / f"{picture.stem}.psd"
    out.unlink(missing_ok=True)
    seconds = timed(*CLI, "decompose", str(picture), "--layers", "4", "-o", str(out))
    if not out.exists():
        raise SystemExit(f"{out.name} was not written")
    return round(seconds, 2)


def warm(picture: Path) -> dict[str, Any]:
    """Seconds by stage of the second to fourth call in one process, of writing, and the process's peak memory."""
    import lamina
    from lamina.decompose.decomposer import STAGES

    decomposer: Any = lamina.Decomposer.load("small", device="cpu")
    rows: list[dict[str, float]] = []
    document: Any = None
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(4):
            marks = [time.perf_counter()]
            options = lamina.DecomposeOptions(layers=4)
            document = decomposer(picture, options, on_step=_marker(marks))
            row = {name: after - before for name, before, after in zip(STAGES, marks, marks[1:], strict=False)}
            row["call"] = marks[-1] - marks[0]
            for ending in ("psd", "zip"):
                start = time.perf_counter()
                lamina.write(document, Path(folder) / f"out.{ending}")
                row[f"write_{ending}"] = time.perf_counter() - start
            rows.append(row)
    stages = {name: round(statistics.median(row[name] for row in rows[1:]), 3) for name in rows[0]}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"layers": len(document.layers), "warm": stages, "peak_gb": round(peak, 2)}


def exact_shares(folder: Path) -> dict[str, Any]:
    """Least and mean share of pixels that composite back exactly: every composite.png below, else every PNG in it."""
    import numpy as np

    import lamina
    from lamina.document.composite import flatten
    from lamina.pixels import load_image

    decomposer: Any = lamina.Decomposer.load("small", device="cpu")
    found = sorted(folder.rglob("composite.png")) or sorted(folder.glob("*.png"))
    shares: list[float] = []
    for path in found:
        picture = load_image(path)
        shown = flatten(decomposer(picture))
        same = (shown == picture.rgba).all(-1) | ((shown[..., 3] == 0) & (picture.rgba[..., 3] == 0))
        shares.append(float(np.mean(same)))
    return {"pictures": len(shares), "least_share": min(shares), "mean_share": sum(shares) / len(shares)}


def _marker(marks: list[float]) -> Callable[[int, int], None]:
    return lambda _step, _total: marks.append(time.perf_counter())


def fill(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale and crop to exactly `size`."""
    factor = max(size[0] / image.width, size[1] / image.height)
    large = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    left, top = (large.width - size[0]) // 2, (large.height - size[1]) // 2
    return large.crop((left, top, left + size[0], top + size[1]))


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if info.exists() and names else platform.processor()


def timed(*arguments: str) -> float:
    """Seconds of one Python process."""
    start = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - start


def run(*arguments: str) -> str:
    """Output of one Python process, run from the repository's root."""
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
