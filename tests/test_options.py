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
        ({"detail": "finest"}, "detail is 'finest', expected one of coarse, normal, fine"),
        ({"box": ((60, 5, 20, 9),)}, "box 60,5,20,9 is reversed.*as in 20,5,60,9"),
        ({"box": ((5, 5, 5, 9),)}, "box 5,5,5,9 is empty"),
        ({"box": "1,2,3"}, "box '1,2,3' is not left,top,right,bottom in whole pixels"),
        ({"box": "1,2,3,many"}, "is not left,top,right,bottom"),
        ({"box": 7}, "box is 7, expected left,top,right,bottom or a list of these"),
        ({"point": ((1, 2.5),)}, "point .* is not x,y in whole pixels"),
        ({"layers": 2, "box": ((0, 0, 9, 9),) * 2}, "layers 2 cannot hold 2 boxes and points .* at least 3"),
        ({"max_layers": 3, "point": ((0, 0),) * 3}, "max_layers 3 cannot hold 3"),
        ({"layers": 20, "box": ((0, 0, 9, 9),) * 20}, "20 boxes and points are given, expected at most 19"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_was_got_and_expected(values: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        DecomposeOptions(**values)


@pytest.mark.parametrize("form", ["1,2,30,40", (1, 2, 30, 40), [[1, 2, 30, 40]], ["1,2,30,40"], ((1, 2, 30, 40),)])
def test_boxes_come_in_every_form_and_end_as_one(form: object) -> None:
    assert DecomposeOptions(box=form).box == ((1, 2, 30, 40),)  # type: ignore[arg-type]
    assert DecomposeOptions(point=[[3, 4], "5,6"]).point == ((3, 4), (5, 6))  # type: ignore[arg-type]


def test_every_field_has_help() -> None:
    names = [field.name for field in dataclasses.fields(DecomposeOptions)]
    texts = field_help(DecomposeOptions)
    assert list(texts) == names
    assert all(text.endswith(".") for text in texts.values())
