"""Draw the layered documents of quality.md, whose layers are known, and sheets of what a checkpoint makes of them.

    python docs/draw_quality.py OUT [--sheets FOLDER [--model small]] [--only NAME]...

OUT gets one folder per document, as `lamina evaluate` reads it: 00.png, 01.png, … (full canvas, bottom first) and the
flat picture, composite.png. With --sheets each picture is also taken apart twice, asked for the true number of layers
and with the number found by itself; FOLDER gets quality-NAME.png: on the left the picture, beside it ground and layers.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import quality_documents
from PIL import Image, ImageDraw, ImageFont

from lamina.document.composite import flatten
from lamina.evaluate.dataset import seen_layers, stack

__all__ = ["main"]

WIDTH, MARGIN, GAP, COLUMNS = 1500, 20, 14, 4
HEAD, NAME = 44, 24
"""Heights of the line above a row of layers and of the line under a picture."""
PAPER, INK, FAINT, FRAME = (247, 247, 249), (28, 28, 33), (112, 112, 122), (170, 170, 178)
DARK, LIGHT, SQUARE = (176, 176, 181), (204, 204, 208), 8
LARGEST = 220_000
"""Bytes that a sheet may have; its palette becomes plainer until it fits."""

Raster = np.ndarray
"""Full-canvas RGBA, 8 bits, straight alpha."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, write documents and sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the documents")
    parser.add_argument("--sheets", type=Path, help="folder for the sheets")
    parser.add_argument("--model", default="small", help="checkpoint that the sheets show")
    parser.add_argument("--only", action="append", choices=quality_documents.DOCUMENTS, help="only this document")
    options = parser.parse_args(arguments)
    decompose = decomposer(options.model) if options.sheets else None
    for name in options.only or quality_documents.DOCUMENTS:
        names, truth = zip(*quality_documents.draw(name), strict=True)
        picture = write(truth, options.out / name)
        print(f"{name}: {', '.join(names)}", flush=True)
        if decompose:
            found = {
                f"asked for {len(truth)} layers": decompose(picture, len(truth)),
                "number of layers found by itself": decompose(picture, "auto"),
            }
            options.sheets.mkdir(parents=True, exist_ok=True)
            save_small(sheet(picture, truth, found), options.sheets / f"quality-{name}.png")


def write(layers: Sequence[Raster], folder: Path) -> Raster:
    """Write a document as a folder of numbered pictures; gives its composite, made by Lamina's compositor."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9][0-9].png"):
        old.unlink()
    for number, rgba in enumerate(layers):
        Image.fromarray(rgba).save(folder / f"{number:02}.png")
    picture = flatten(stack(layers))
    Image.fromarray(picture).save(folder / "composite.png")
    return picture


def decomposer(model: str) -> Callable[[Raster, int | str], list[Raster]]:
    """What takes a picture apart with a checkpoint: (picture, number of layers or auto) -> layers."""
    from lamina import DecomposeOptions, Decomposer

    loaded = Decomposer.load(model, device="cpu")

    def decompose(picture: Raster, layers: int | str) -> list[Raster]:
        return [rgba for _, rgba in seen_layers(loaded(picture, DecomposeOptions(layers=layers)))]

    return decompose


def figures(layers: Sequence[Raster], truth: Sequence[Raster]) -> str:
    """Layer-F and ground error against the true layers, as `lamina evaluate` measures them."""
    from lamina.evaluate.metrics import score

    scores = score(layers, truth)
    ground = "-" if scores.ground is None else f"{scores.ground:.3f}"
    return f"Layer-F {scores.layer_f:.3f}  ·  ground {ground}"


def sheet(picture: Raster, truth: Sequence[Raster], found: dict[str, list[Raster]]) -> Image.Image:
    """The picture on the left; on the right, for each way of asking, ground and layers on a checkerboard."""
    height, width = picture.shape[:2]
    columns = max(COLUMNS, round(0.9 * COLUMNS * height / width))  # more where pictures are upright
    cell = int((WIDTH - 2 * MARGIN - columns * GAP) / (columns + 1.5))
    large = WIDTH - 2 * MARGIN - columns * (cell + GAP)
    tall = round(cell * height / width)
    lines = [-(-len(layers) // columns) for layers in found.values()]
    total = 2 * MARGIN + sum(HEAD + line * (tall + NAME + GAP) for line in lines)
    total = max(total, 2 * MARGIN + HEAD + round(large * height / width))
    out = Image.new("RGB", (WIDTH, total), PAPER)
    pen = ImageDraw.Draw(out)

    def lay(rgba: Raster, x: int, y: int, wide: int) -> None:
        small = shown(rgba).resize((wide, round(wide * height / width)), Image.Resampling.LANCZOS, reducing_gap=3)
        out.paste(small, (x, y))
        pen.rectangle((x - 1, y - 1, x + small.width, y + small.height), outline=FRAME)

    pen.text((MARGIN, MARGIN + 4), f"the picture, {width} x {height} px", INK, ImageFont.load_default(20))
    lay(picture, MARGIN, MARGIN + HEAD, large)
    y = MARGIN
    for (words, layers), line in zip(found.items(), lines, strict=True):
        left = MARGIN + large + GAP
        pen.text((left, y + 4), words, INK, ImageFont.load_default(20))
        pen.text((WIDTH - MARGIN, y + 8), figures(layers, truth), FAINT, ImageFont.load_default(17), anchor="ra")
        for number, rgba in enumerate(layers):
            x, top = left + number % columns * (cell + GAP), y + HEAD + number // columns * (tall + NAME + GAP)
            lay(rgba, x, top, cell)
            pen.text((x, top + tall + 5), str(number) if number else "ground", FAINT, ImageFont.load_default(15))
        y += HEAD + line * (tall + NAME + GAP)
    return out


def shown(rgba: Raster) -> Image.Image:
    """A layer on a checkerboard whose squares have their size on the sheet, about."""
    square = SQUARE * max(1, round(max(rgba.shape[:2]) / 250))
    rows, columns = np.ogrid[: rgba.shape[0], : rgba.shape[1]]
    light = (rows // square + columns // square) % 2
    ground = Image.fromarray(np.array([DARK, LIGHT], np.uint8)[light])
    ground.paste(Image.fromarray(rgba), (0, 0), Image.fromarray(rgba))
    return ground


def save_small(image: Image.Image, path: Path) -> None:
    """Write a PNG with a palette: dithered where LARGEST lets it, else plain, of as many colours as it lets it have."""
    for colours, dither in ((256, True), (256, False), (128, False), (64, False), (32, False)):
        palette = image.reduce(3).quantize(colours, kmeans=2)
        kind = Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE
        image.quantize(palette=palette, dither=kind).save(path, optimize=True)
        if path.stat().st_size <= LARGEST:
            return
    raise SystemExit(f"{path} has {path.stat().st_size} bytes with 32 colours, at most {LARGEST} are wanted")


if __name__ == "__main__":
    main()
