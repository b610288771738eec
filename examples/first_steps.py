"""Take the poster apart, move and recolour its topmost layer, and write the result for three programs.

Run `python examples/first_steps.py [FOLDER]`; it writes into FOLDER, by default the present one.
"""

import sys
from pathlib import Path

import lamina


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    document = lamina.decompose(Path(__file__).with_name("poster.png"), layers="auto")
    for layer in document.layers:
        print(f"{layer.id}  {layer.name}  {tuple(layer.box)}")

    top = document.layers[-1].id
    changed = lamina.apply(
        document,
        lamina.edits.Move(layer=top, dx=24, dy=-16),
        lamina.edits.Recolor(layer=top, color="#f5c542"),
    )
    for name in ("poster-changed.psd", "poster-changed.ora"):
        for lost in lamina.write(changed, folder / name):
            print(f"{name}: {lost}")
    lamina.composite(changed).save(folder / "poster-changed.png")


if __name__ == "__main__":
    main()
