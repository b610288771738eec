"""Pair the layers of two stacks: one to one, along both orders, and with neighbours merged.

Knows lists and numbers only: what a pair costs and what a merge looks like is handed in. Source: the LayerD metric
(CyberAgentAILab/LayerD) as formulated by the Qwen-Image-Layered paper, arXiv 2512.15603, section 4: alignment by
dynamic time warping, then greedy merges of adjacent layers on either side.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

__all__ = ["Pair", "Path", "align", "best_pairs", "best_total", "merge_ladder"]

Item = TypeVar("Item")
Path = list[tuple[int, int]]

_STEPS = (1, 1), (1, 0), (0, 1)


class Pair(NamedTuple):
    """How two layers differ."""

    l1: float
    """Mean colour difference, 0-1."""
    iou: float
    """Soft overlap of the alpha mattes, 0-1."""

    @property
    def similarity(self) -> float:
        """1 for equal layers, 0 for layers that share nothing."""
        return 1.0 - (self.l1 + 1.0 - self.iou) / 2.0


class _Merge(NamedTuple):
    gain: float
    lower: int


def best_pairs(similarities: Float[np.ndarray, "p t"]) -> Path:
    """The one-to-one matching of rows and columns whose similarities have the largest sum; rows rise."""
    rows, columns = cast(Any, linear_sum_assignment)(similarities, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


def best_total(similarities: Float[np.ndarray, "p t"]) -> float:
    """Largest sum of similarities that any one-to-one matching of rows and columns reaches."""
    return float(sum(similarities[pair] for pair in best_pairs(similarities)))


def align(costs: Float[np.ndarray, "p t"]) -> Path:
    """Cheapest monotone path of (row, column) from the first corner to the last (dynamic time warping).

    Steps go down, right or both at the same weight; among equals the diagonal wins, then the step in the rows.
    """
    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(rows):
        for j in range(columns):
            total[i + 1, j + 1] = costs[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    i, j = rows, columns
    path = [(i - 1, j - 1)]
    while (i, j) != (1, 1):
        down, right = min(_STEPS, key=lambda step: total[i - step[0], j - step[1]])
        i, j = i - down, j - right
        path.append((i - 1, j - 1))
    return path[::-1]


def merge_ladder(
    predicted: Sequence[Item],
    true: Sequence[Item],
    compare: Callable[[Item, Item], Pair],
    merge: Callable[[Item, Item], Item],
    merges: int = 5,
) -> list[Pair]:
    """Mean difference along the alignment after 0..`merges` merges of adjacent layers, bottom first.

    Every step merges the neighbours, of either side, that help most (the truth's on a tie); once nothing helps, the
    last figures repeat. `compare(x, y)` takes its colour mask from `y`; `merge(lower, upper)` flattens.
    """
    predicted, true = list(predicted), list(true)
    ladder: list[Pair] = []
    while len(ladder) <= merges:
        pairs = [[compare(p, t) for t in true] for p in predicted]
        path = align(np.array([[1.0 - pair.similarity for pair in row] for row in pairs]))
        ladder.append(Pair(*(float(np.mean([pairs[i][j][k] for i, j in path])) for k in (0, 1))))
        offers = [
            _best_merge(true, predicted, [(j, i) for i, j in path], compare, merge),
            _best_merge(predicted, true, path, compare, merge),
        ]
        best = max((offer for offer in offers if offer), key=lambda offer: offer.gain, default=None)
        if best is None:
            break
        side = true if best is offers[0] else predicted
        side[best.lower : best.lower + 2] = [merge(side[best.lower], side[best.lower + 1])]
    return ladder + [ladder[-1]] * (merges + 1 - len(ladder))


def _best_merge(
    side: list[Item],
    other: list[Item],
    path: Path,
    compare: Callable[[Item, Item], Pair],
    merge: Callable[[Item, Item], Item],
) -> _Merge | None:
    """The merge of `side`'s neighbours that gains most, None when none gains or two layers are left."""
    if len(side) <= 2:
        return None

    def agreement(item: Item, partners: list[Item]) -> float:
        return sum(compare(item, partner).similarity for partner in partners)

    best = None
    partners = [[other[j] for i, j in path if i == index] for index in range(len(side))]
    for i in range(len(side) - 1):
        lower, upper = partners[i], partners[i + 1]
        merged = merge(side[i], side[i + 1])
        # Where the merge happens, the partners of the upper layer may turn to the merged layer or to the next one up.
        rest = [agreement(merged, upper)]
        if i + 2 < len(side):
            rest += [agreement(side[i + 2], lower), agreement(side[i + 2], upper)]
        gain = agreement(merged, lower) + max(rest) - agreement(side[i], lower) - agreement(side[i + 1], upper)
        if gain > 0 and (best is None or gain > best.gain):
            best = _Merge(gain, i)
    return best
