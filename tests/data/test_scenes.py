import itertools
from dataclasses import replace

import numpy as np
import pytest

from lamina.data import elements
from lamina.data.art import Bank
from lamina.data.layouts import LAYOUTS
from lamina.data.scenes import SceneMaker, peel


def flatten(layers: np.ndarray) -> np.ndarray:
    out = np.zeros(layers.shape[1:3] + (3,))
    for layer in layers / 255.0:
        out = layer[..., :3] * layer[..., 3:] + out * (1 - layer[..., 3:])
    return out * 255


def test_layers_of_a_scene_composite_to_its_picture(bank: Bank) -> None:
    scenes = SceneMaker(bank, worn_share=0.0)
    for seed in range(12):
        sample = scenes(seed, (96, 80))
        assert sample.composite.shape == (80, 96, 3)
        # one rounding a layer: straight colours are stored as bytes
        assert np.abs(flatten(sample.layers) - sample.composite).max() <= 0.5 + 0.6 * len(sample.layers)


def test_same_seed_gives_the_same_scene_and_another_seed_another(bank: Bank) -> None:
    scenes = SceneMaker(bank)
    first, again, other = scenes(3, (64, 64)), scenes(3, (64, 64)), scenes(4, (64, 64))
    assert np.array_equal(first.composite, again.composite)
    assert np.array_equal(first.layers, again.layers)
    assert not np.array_equal(first.composite, other.composite)


def test_scenes_have_two_to_the_most_layers_over_an_opaque_ground(bank: Bank) -> None:
    scenes = SceneMaker(bank, max_layers=5)
    counts = {len(scenes(seed, (64, 64)).layers) for seed in range(30)}
    assert min(counts) >= 2
    assert max(counts) == 5
    assert all((scenes(seed, (64, 64)).layers[0, ..., 3] == 255).all() for seed in range(5))


def test_every_upper_layer_shows_at_least_a_quarter_of_itself(bank: Bank) -> None:
    scenes = SceneMaker(bank, fine_share=1.0, merged_share=0.0)
    for seed in range(10):
        alpha = scenes(seed, (64, 64)).layers[..., 3] / 255.0
        through = np.ones((64, 64))
        for layer in alpha[:0:-1]:
            assert (layer * through).sum() > 0.22 * layer.sum()
            through = through * (1 - layer)


def test_merged_scene_keeps_no_upper_layer_that_touches_nothing_above_or_below(bank: Bank) -> None:
    scenes = SceneMaker(bank, merged_share=1.0)
    for seed in range(10):
        upper = scenes(seed, (64, 64)).layers[1:, ::2, ::2, 3] > 8
        for lower, above in itertools.pairwise(upper):
            assert (lower & above).any()


def test_every_layout_draws_a_scene_of_several_parts(bank: Bank) -> None:
    for layout in LAYOUTS:
        counts = [len(layout(np.random.default_rng(seed), bank, (64, 48))) for seed in range(4)]
        assert max(counts) >= 2, layout
    assert sum(LAYOUTS.values()) == pytest.approx(1)


def test_finest_scenes_have_more_layers_than_merged_ones(bank: Bank) -> None:
    fine, merged = SceneMaker(bank, fine_share=1.0, merged_share=0.0), SceneMaker(bank, merged_share=1.0)
    counts = [[len(maker(seed, (64, 64)).layers) for seed in range(20)] for maker in (fine, merged)]
    assert sum(counts[0]) > 1.4 * sum(counts[1])


def test_bank_without_grounds_still_makes_scenes(bank: Bank) -> None:
    scenes = SceneMaker(replace(bank, grounds=bank.grounds[:0]))
    assert all(len(scenes(seed, (48, 48)).layers) >= 2 for seed in range(12))


def test_peel_puts_what_nothing_covers_on_top() -> None:
    # 2 lies on 0; 1 touches nobody
    touching = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=bool)
    assert peel(touching) == [[0], [1, 2]]


def test_every_frame_that_is_nearly_a_circle_can_be_drawn() -> None:
    under = np.full(3, 0.5, np.float32)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        left, top, side = rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3), rng.uniform(0.2, 0.6)
        box = (left, top, left + side + rng.uniform(0.012, 0.02), top + side)
        layer, _ = elements.panel(rng, (24, 24), box, under, radius=0.5)
        assert layer[..., 3].max() > 0
