"""Batches of stacks, and the sheets that show them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_stacks import draw, some

from lamina.data.windows import flatten
from lamina.errors import InputError
from lamina.train import sheets


def test_batch_is_a_pure_function_of_its_index_and_has_several_sizes() -> None:
    first, again = [some()[index] for index in range(8)], [some()[index] for index in reversed(range(8))][::-1]
    for left, right in zip(first, again, strict=True):
        assert torch.equal(left.frames, right.frames)
        assert torch.equal(left.seeds, right.seeds)
    assert {tuple(batch.frames.shape[-2:]) for batch in first} == {(16, 16), (16, 24)}
    assert len({int(seed) for batch in first for seed in batch.seeds}) == 16


def test_slot_zero_is_the_composite_of_the_layers_above_it() -> None:
    batch = some()[1]
    for frames, there, picture in zip(batch.frames, batch.present, batch.picture, strict=True):
        count = int(there.sum())
        stored = frames.permute(0, 2, 3, 1).numpy()
        assert np.array_equal(stored[0], flatten(stored[1:count]))
        assert (stored[0, ..., 3] == 255).all()
        assert np.array_equal(stored[0, ..., :3], picture.permute(1, 2, 0).numpy())
        assert there[:count].all()
        assert not frames[count:].any()


def test_single_pictures_are_flat_ones_or_cut_out() -> None:
    batch = some("picture", batch_size=32)[0]
    flat = batch.frames[batch.rgb][:, 0]
    assert torch.equal(flat[:, :3], batch.picture[batch.rgb])
    assert (flat[:, 3] == 255).all()
    others = [text for text, rgb in zip(batch.captions, batch.rgb.tolist(), strict=True) if not rgb]
    assert all(text.endswith("cut out") for text in others)
    assert {"ground, cut out", "shape, cut out"} < set(others)
    assert bool(some("picture", rgb_share=1.0)[0].rgb.all())


def test_captions_are_the_samples_own_or_say_what_there_is() -> None:
    assert set(some()[0].captions) <= {"ground, shape", "ground, shape, shape", "ground, shape, shape, shape"}
    told = some(source=lambda seed, size: replace(draw(seed, size), caption="a red kite"))[0]
    assert told.captions == ("a red kite", "a red kite")


def test_too_many_layers_are_refused() -> None:
    with pytest.raises(InputError, match="at most 1 fit"):
        some(most=1)[0]


def test_sheet_shows_every_picture_of_every_row_in_place() -> None:
    red, clear = np.full((8, 8, 3), [255, 0, 0], np.uint8), np.zeros((8, 8, 4), np.uint8)
    sheet = np.asarray(sheets.draw([[("input", red), ("layer", clear)], [("input", clear)]]))
    factor = 96 // 8
    side = 8 * factor
    cell = sheet[8 + 16 :][:side, 8:][:, :side]
    assert (cell == [255, 0, 0]).all()
    checkered = sheet[8 + 16 :][:side, 8 + side + 8 :][:, :side]
    assert set(map(tuple, checkered.reshape(-1, 3))) == {(204,) * 3, (176,) * 3}
    assert sheet.shape[0] == 8 + 2 * (side + 8 + 16)
