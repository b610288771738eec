"""Alignment, one-to-one matching and merges, on numbers alone."""

import itertools

import numpy as np
import pytest

from lamina.evaluate.matching import Pair, align, best_total, merge_ladder


def compare(x, y):
    """Layers are sets of cells of one colour."""
    return Pair(0.0, len(x & y) / len(x | y))


def merge(lower, upper):
    return lower | upper


def cells(text):
    return frozenset(text)


def test_best_total_beats_taking_the_largest_first():
    assert best_total(np.array([[0.9, 0.8], [0.8, 0.1], [0.0, 0.0]])) == pytest.approx(1.6)


def test_equal_costs_align_along_the_diagonal():
    assert align(np.ones((3, 3))) == [(0, 0), (1, 1), (2, 2)]


def test_a_tie_off_the_diagonal_goes_back_a_row_first():
    # The last corner costs 2 by way of either neighbour and 3 straight across.
    assert align(np.array([[1.0, 0.0], [0.0, 1.0]])) == [(0, 0), (1, 1)]
    assert align(np.array([[1.0, 9.0, 9.0], [0.0, 2.0, 0.0], [9.0, 0.0, 1.0]])) == [(0, 0), (1, 0), (2, 1), (2, 2)]


def test_alignment_costs_no_more_than_any_monotone_path():
    costs = np.random.default_rng(3).random((4, 5))
    path = align(costs)
    assert path[0] == (0, 0)
    assert path[-1] == (3, 4)
    cheapest = min(sum(costs[step] for step in other) for other in monotone_paths(4, 5))
    assert sum(costs[step] for step in path) == pytest.approx(cheapest)


def monotone_paths(rows, columns):
    def onward(i, j):
        if (i, j) == (rows - 1, columns - 1):
            yield [(i, j)]
        for di, dj in itertools.product((0, 1), repeat=2):
            if (di or dj) and i + di < rows and j + dj < columns:
                for rest in onward(i + di, j + dj):
                    yield [(i, j), *rest]

    return onward(0, 0)


def test_merges_happen_on_either_side_and_stop_when_nothing_gains():
    whole, split = [cells("g"), cells("abcd"), cells("ef")], [cells("g"), cells("ab"), cells("cd"), cells("ef")]
    for predicted, true in ((whole, split), (split, whole)):
        ladder = merge_ladder(predicted, true, compare, merge)
        assert [step.iou for step in ladder] == pytest.approx([0.75, 1, 1, 1, 1, 1])


def test_two_layers_are_never_merged():
    ladder = merge_ladder([cells("ab"), cells("c")], [cells("abc"), cells("d")], compare, merge)
    assert [step.iou for step in ladder] == [pytest.approx(1 / 3)] * 6


def test_the_truth_merges_first_when_both_sides_gain_the_same():
    def compare_by_size(x, y):
        return Pair(len(x) / 100, len(x & y) / len(x | y))

    predicted, true = [cells("g"), cells("ab"), cells("cd")], [cells("g"), cells("ad"), cells("bc")]
    ladder = merge_ladder(predicted, true, compare_by_size, merge, merges=1)
    # Predicted layers of 1, 2 and 2 cells are still there; a merge on their side would leave 1 and twice 4.
    assert [step.l1 for step in ladder] == pytest.approx([5 / 300, 5 / 300])
    assert ladder[1].iou == pytest.approx(2 / 3)
