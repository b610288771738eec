"""Gather unpacked art packages into a bank: python -m recipes.bank ART_FOLDER BANK_FOLDER [--permissive]

ART_FOLDER holds one folder per unpacked package (Debian: apt-get download NAME, dpkg -x; npm: npm pack, tar x), named
as in lamina.data.art.SOURCES; "fluent" is npm's @lobehub/fluent-emoji-3d. About 2 minutes on one core.
"""

import argparse
import sys
from pathlib import Path

from lamina.data.art import build_bank


def main() -> None:
    """Build the bank and print how many pictures came from each package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("art", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--permissive", action="store_true", help="only art whose licence allows anything")
    args = parser.parse_args()

    def on_step(step: int, total: int) -> None:
        if step % 200 == 0:
            print(f"\r{step}/{total}", end="", file=sys.stderr)

    for package, count in build_bank(args.art, args.out, permissive=args.permissive, on_step=on_step).items():
        print(f"{package:32} {count}")


if __name__ == "__main__":
    main()
