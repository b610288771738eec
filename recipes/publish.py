"""Turn checkpoints into shipped weights: python -m recipes.publish RUN/checkpoint.safetensors [MORE ...] OUT

Several checkpoints of one chain of runs become the mean of their weights, which is often better than each
(stochastic weight averaging, arXiv 1803.05407; model soups, arXiv 2203.05482). Weights are stored as bytes with a scale
for each row, small ones as float16 (a quarter of the room; loading widens them again). Prints the largest change that
this rounding makes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lamina.errors import InputError
from lamina.model import checkpoint
from lamina.model.config import from_json
from lamina.model.small import SmallConfig

__all__ = ["publish"]


def publish(sources: Sequence[Path], out: Path) -> float:
    """Write the mean of `sources` to `out` in bytes; return the largest absolute change of a weight by rounding.

    The header is that of the last one. Raises InputError when their configs differ.
    """
    config, state = checkpoint.load(sources[-1], kind="small")
    mean = {name: value.double() for name, value in state.items()}
    for source in sources[:-1]:
        other_config, other = checkpoint.load(source, kind="small")
        if other_config != config:
            raise InputError(f"{source} has another config than {sources[-1]}; only one chain has a mean")
        for name, value in other.items():
            mean[name] += value
    mean = {name: value / len(sources) for name, value in mean.items()}
    extra = checkpoint.read_header(sources[-1]).extra
    checkpoint.save(out, checkpoint.in_bytes(mean), from_json(SmallConfig, config), kind="small", extra=extra)
    _, stored = checkpoint.load(out, kind="small")
    return max(float((stored[name] - value).abs().max()) for name, value in mean.items())


def main() -> None:
    """Publish from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    print(f"largest change of a weight: {publish(args.source, args.out):.2e}")


if __name__ == "__main__":
    main()
