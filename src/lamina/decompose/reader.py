"""Read which regions are the ground, by a network that has learned it from layered documents.

It tells what colour alone cannot: a card hardly brighter than its page, a disc that reaches the picture's rim. Knows
networks on regions; nothing of layers' alphas.
"""

# pyright: reportUnknownMemberType=false

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lamina.decompose.coarse import Coarse
from lamina.decompose.region_graph import RegionGraph, region_graph
from lamina.decompose.working import Working
from lamina.model import checkpoint
from lamina.model.config import from_json
from lamina.model.groundnet import GroundConfig, GroundNet

__all__ = ["GroundReader", "tensors"]

_SURE = 4.5
"""Log odds beyond which nothing is read."""

_LEAST = 0.05
"""Share of the picture that is ground; of one that seems to have less, colour has its say."""


class GroundReader:
    """A network on regions, ready to read."""

    def __init__(self, network: GroundNet) -> None:
        self.network = network.eval()

    @classmethod
    def load(cls, path: Path) -> "GroundReader":
        """Raises CheckpointError."""
        config, state = checkpoint.load(path, kind="ground")
        network = GroundNet(from_json(GroundConfig, config))
        checkpoint.fill(network, {name: value.float() for name, value in state.items()})
        return cls(network)

    def read(self, working: Working, coarse: Coarse) -> Coarse:
        """The answer with odds for the ground, region by region, instead of those by colour alone, but where colour is
        surer and does not take for ground what was read as a thing; one for a picture with alpha, of a single layer, or
        that would leave hardly any ground, stays as it is."""
        if not working.opaque or len(coarse.visible) == 1:
            return coarse
        graph = region_graph(working, coarse)
        with torch.inference_mode():
            added = self.network(*tensors(graph)).numpy()
        told = np.clip(graph.said + added, -_SURE, _SURE)
        if graph.area[told > 0].sum() < _LEAST:
            return coarse
        surer = (np.abs(graph.by_colour) > np.abs(told)) & ((graph.by_colour < 0) | (told > 0))
        told = np.where(surer, graph.by_colour, told)
        return replace(coarse, odds=np.exp(told - graph.said).astype(np.float32)[graph.regions])


def tensors(graph: RegionGraph) -> tuple[torch.Tensor, ...]:
    """What the network takes."""
    arrays = (graph.region, graph.area, graph.rim, graph.pairs, graph.border, graph.share)
    return tuple(torch.from_numpy(array) for array in arrays)
