"""Teach the reader of grounds on layered documents: what the small network says of them, and which regions are ground.

    python -m recipes.ground GRAPHS OUT --documents FOLDER [FOLDER ...] [--check FOLDER ...]

GRAPHS keeps the regions of every picture, three looks each; what is there is not made again. Folders hold layered
documents, as `python -m recipes.unpack` and `lamina data scenes … --as documents` make them; each is drawn from as
often as the others. OUT becomes src/lamina/weights/ground.safetensors.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lamina.decompose.compact import Compact
from lamina.decompose.decomposer import embedded
from lamina.decompose.reader import tensors
from lamina.decompose.region_graph import region_graph
from lamina.decompose.working import Working
from lamina.evaluate.dataset import Case, find, open_document, picture_of, seen_layers
from lamina.model import checkpoint
from lamina.model.config import from_json
from lamina.model.groundnet import GroundConfig, GroundNet
from lamina.model.small import SmallConfig, SmallNet
from lamina.options import DecomposeOptions

__all__ = ["Sample", "fit", "gather", "measure"]

_BATCH, _RATE, _DECAY, _EMA = 4, 2e-3, 0.02, 0.998

_DOUBT = 0.5
"""Mean noise on what the network says, in log odds: it is surer of the documents that it learned from itself."""

_MOST = 20


class Sample(NamedTuple):
    """One look at a picture: what `GroundNet` takes, what was said of each region, and how much of it is ground."""

    inputs: tuple[Tensor, ...]
    said: Tensor
    true: Tensor


def gather(folder: Path, graphs: Path, *, workers: int = 2) -> list[Path]:
    """A file for each document of `folder` with an opaque picture, under `graphs`; returns them."""
    graphs.mkdir(parents=True, exist_ok=True)
    cases = list(find(folder))
    wanted = [graphs / f"{hashlib.sha256(str(case.name).encode()).hexdigest()[:12]}.pt" for case in cases]
    missing = [(case, path) for case, path in zip(cases, wanted, strict=True) if not path.exists()]
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            list(pool.map(_gather_one, *zip(*missing, strict=True), chunksize=4) if missing else ())
    else:
        for case, path in missing:
            _gather_one(case, path)
    return [path for path in wanted if path.stat().st_size]


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


_networks: list[Compact] = []


def _gather_one(case: Case, path: Path) -> None:
    """Three looks: told the number of layers, left to find it, and told it on a picture of half the pixels."""
    if not _networks:
        config, state = checkpoint.load(embedded(), kind="small")
        network = SmallNet(from_json(SmallConfig, config))
        checkpoint.fill(network, state)
        _networks.append(Compact(network, name="small", device=torch.device("cpu")))
    document = open_document(case.path)
    rgba = picture_of(document).rgba
    layers = [canvas for _, canvas in seen_layers(document)]
    working = Working(rgba)
    if not working.opaque or len(layers) < 2:
        path.touch()
        return
    true = _ground(layers, working.rgb.shape[:2])
    told = DecomposeOptions(layers=min(_MOST, len(layers)))
    found: list[dict[str, Any]] = []
    for options, attempt in ((told, 0), (DecomposeOptions(), 0), (told, 2)):
        graph = region_graph(working, _networks[0].look(rgba, options, attempt))
        share = np.bincount(graph.regions.ravel(), true.ravel()) / np.bincount(graph.regions.ravel())
        found.append({"inputs": tensors(graph), "said": torch.from_numpy(graph.said), "true": torch.from_numpy(share)})
    temporary = path.with_suffix(".tmp")
    torch.save(found, temporary)
    temporary.replace(path)


def _ground(layers: Sequence[UInt8[np.ndarray, "h w 4"]], shape: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """Share of the ground in what is seen, at working size."""
    through = np.ones(layers[0].shape[:2], np.float32)
    for layer in layers[1:]:
        through *= 1 - layer[..., 3].astype(np.float32) / 255
    return cv2.resize(through, shape[::-1], interpolation=cv2.INTER_AREA)


def _samples(paths: Sequence[Path]) -> list[Sample]:
    looks = [look for path in paths for look in torch.load(path)]
    return [Sample(look["inputs"], look["said"], look["true"].float()) for look in looks]


def _losses(answer: Tensor, sample: Sample) -> Tensor:
    """Cross entropy, regions by the root of their area, and 1 - soft IoU of what is not ground, by area."""
    area = sample.inputs[1]
    weight = area.sqrt() / area.sqrt().sum()
    cross = (weight * F.binary_cross_entropy_with_logits(answer, sample.true, reduction="none")).sum()
    found, true = 1 - answer.sigmoid(), 1 - sample.true
    both, either = ((area * part(found, true)).sum() for part in (torch.minimum, torch.maximum))
    return cross + 1 - both / (either + 1e-3)


def fit(folders: Sequence[Sequence[Sample]], *, steps: int = 2600, seed: int = 0) -> GroundNet:
    """A network that has learned from the samples, every folder of them as often as the others; its EMA weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = GroundNet(GroundConfig())
    averaged = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        total = torch.zeros(())
        for _ in range(_BATCH):
            samples = folders[rng.integers(len(folders))]
            sample = samples[rng.integers(len(samples))]
            region = sample.inputs[0].clone()
            doubt, shift = float(rng.exponential(_DOUBT)), float(rng.normal() * _DOUBT)
            region[:, :2] += doubt * torch.randn(len(region), 2) + shift
            total = total + _losses(region[:, 0] + net(region, *sample.inputs[1:]), sample) / _BATCH
        optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        keep = min(_EMA, (step + 1) / (step + 50))
        for name, value in net.state_dict().items():
            averaged[name].lerp_(value, 1 - keep)
        if step % 100 == 0:
            print(json.dumps({"step": step, "loss": round(float(total.detach()), 4)}), flush=True)
    net.load_state_dict(averaged)
    return net.eval()


def measure(net: GroundNet | None, samples: Sequence[Sample]) -> dict[str, float]:
    """Of the picture's area the share that is rightly ground or not, and the IoU of what is not; None: as was said."""
    right, overlap = list[float](), list[float]()
    for sample in samples:
        with torch.inference_mode():
            ground = sample.said + (net(*sample.inputs) if net else 0) > 0
        true, area = sample.true > 0.5, sample.inputs[1]
        right.append(float(area[ground == true].sum()))
        overlap.append(float(area[~ground & ~true].sum() / (area[~ground | ~true].sum() + 1e-6)))
    return {"right": round(float(np.mean(right)), 4), "iou": round(float(np.mean(overlap)), 4)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="folders of layered documents")
    parser.add_argument("--check", type=Path, nargs="*", default=[], help="folders that are measured only")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    stored = {
        folder: _samples(gather(folder, given.graphs / folder.name, workers=given.workers))
        for folder in [*given.documents, *given.check]
    }
    network = fit([stored[folder] for folder in given.documents], steps=given.steps, seed=given.seed)
    checkpoint.save(given.out, {n: v.half() for n, v in network.state_dict().items()}, network.config, kind="ground")
    for folder in given.check:
        before, after = (measure(one, stored[folder]) for one in (None, network))
        print(json.dumps({"folder": folder.name, "said": before, "read": after}))
