"""What a caller may ask: ranges, and help texts for every field."""

import dataclasses

import pytest

from lamina.errors import InputError
from lamina.options import DecomposeOptions, field_help


def test_the_defaults_are_valid_and_frozen() -> None:
    options = DecomposeOptions()
    assert (options.layers, options.max_layers, options.seed) == ("auto", 8, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"layers": 40}, "layers 40 is outside 1-20 or auto"),
        ({"layers": 0}, "layers 0 is outside 1-20"),
        ({"layers": "many"}, "layers is 'many', expected a whole number 1-20 or auto"),
        ({"layers": True}, "layers is True"),
        ({"max_layers": 21}, "max_layers 21 is outside 1-20"),
        ({"steps": 0}, "steps 0 is outside"),
        ({"guidance": 0.5}, "guidance 0.5 is outside"),
        ({"guidance": float("nan")}, "guidance nan is outside"),
        ({"seed": -1}, "seed -1 is outside"),
        ({"prompt": 7}, "prompt is int, expected text"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_was_got_and_expected(values: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        DecomposeOptions(**values)


def test_every_field_has_help() -> None:
    names = [field.name for field in dataclasses.fields(DecomposeOptions)]
    texts = field_help(DecomposeOptions)
    assert list(texts) == names
    assert all(text.endswith(".") for text in texts.values())
