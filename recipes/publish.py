"""Turn a run's checkpoint into shipped weights: python -m recipes.publish RUN/checkpoint.safetensors OUT.safetensors

Weights are stored as float16 (half the bytes; loading widens them again). Prints the largest change of any weight.
"""

import argparse
from pathlib import Path

import torch

from lamina.model import checkpoint
from lamina.model.config import from_json
from lamina.model.small import SmallConfig

__all__ = ["publish"]


def publish(source: Path, out: Path) -> float:
    """Write `source` to `out` in float16; return the largest absolute change of a weight."""
    config, state = checkpoint.load(source, kind="small")
    extra = checkpoint.read_header(source).extra
    half = {name: value.to(torch.float16) for name, value in state.items()}
    checkpoint.save(out, half, from_json(SmallConfig, config), kind="small", extra=extra)
    return max(float((half[name].float() - value).abs().max()) for name, value in state.items())


def main() -> None:
    """Publish from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    print(f"largest change of a weight: {publish(args.source, args.out):.2e}")


if __name__ == "__main__":
    main()
