"""Plans for so much memory: what fits, what is streamed, what is said."""

from typing import Any

import pytest

from lamina.errors import DeviceError, InputError
from lamina.model.config import preset
from lamina.model.plans import BUDGETS, Plan, choose_plan, memory_budget, next_smaller

PUBLISHED = preset("published")


def plan(gigabytes: float, **options: Any) -> Plan:
    return choose_plan(gigabytes * 1e9, PUBLISHED, **{"tokens": 1600, "layers": 4} | options)


@pytest.mark.parametrize("gigabytes", BUDGETS)
@pytest.mark.parametrize("how", ["exact", "balanced", "few-step"])
@pytest.mark.parametrize(("tokens", "layers"), [(1600, 4), (1600, 8), (4096, 4)])
def test_a_plan_stays_within_its_budget(gigabytes: int, how: str, tokens: int, layers: int) -> None:
    found = plan(gigabytes, preset=how, tokens=tokens, layers=layers)
    assert found.peak <= gigabytes * 1e9
    assert 0 <= found.resident <= found.blocks == 60
    assert found.streamed == 0 or found.peak > 0.85 * gigabytes * 1e9


def test_exact_never_rounds_weights_and_streams_instead() -> None:
    assert {plan(size, preset="exact").precision for size in BUDGETS} == {"bf16"}
    streamed = [plan(size).streamed for size in BUDGETS]
    assert streamed == sorted(streamed)
    assert streamed[0] == 0
    assert streamed[-1] > 40
    assert plan(8).peak < 8e9


def test_the_others_round_only_as_far_as_they_must() -> None:
    found = [plan(size, preset="balanced") for size in BUDGETS]
    assert found == [plan(size, preset="few-step") for size in BUDGETS]
    assert [one.precision for one in found] == ["bf16", "int8", "int8", "int4", "int4"]
    assert [one.streamed > 0 for one in found] == [False, False, False, False, True]


def test_fast_computes_in_fp8_where_the_device_does() -> None:
    found = [plan(size, preset="fast", fp8=True) for size in BUDGETS]
    assert [one.precision for one in found] == ["fp8", "fp8", "fp8", "int4", "int4"]
    assert "rounded weights and activations" in str(found[0])
    assert plan(40, preset="balanced", fp8=True).precision == plan(40, preset="fast").precision == "bf16"


def test_the_published_blocks_take_27_gigabytes() -> None:
    more, fewer = plan(12), plan(8)
    block = (more.peak - fewer.peak) / (more.resident - fewer.resident)
    assert 60 * block == pytest.approx(27.19e9, rel=1e-3)


def test_host_memory_is_told_in_the_pieces_that_are_pinned() -> None:
    """A block of 453 MB lies in a piece of 2^29 bytes, one of 4 bits (127 MB) in one of 2^27."""
    exact, rounded = plan(8), plan(8, preset="fast")
    assert exact.host == exact.streamed * 2**29
    assert rounded.precision == "int4"
    assert rounded.host == rounded.streamed * 2**27
    assert f"{exact.host / 1e9:.1f} GB of host memory" in str(exact)


def test_a_plan_says_what_to_expect() -> None:
    assert str(plan(40)).startswith("plan for 40 GB: bf16 blocks, all on the device; peak about ")
    words = str(plan(16))
    assert "streamed at every step from" in words
    assert "GB of host memory" in words
    assert "quality unmeasured" in str(plan(16, preset="fast"))


def test_too_little_memory_says_how_much_is_needed() -> None:
    with pytest.raises(
        DeviceError, match=r"1\.0 GB of device memory are free, at least \d\.\d GB are needed for 4 layers"
    ):
        plan(1)


def test_the_next_smaller_plan_is_named() -> None:
    assert next_smaller(plan(23.4)) == "run again with --memory 16"
    assert next_smaller(plan(80)) == "run again with --memory 40"
    assert "fewer layers" in next_smaller(plan(8))


def test_memory_is_auto_or_gigabytes_within_what_is_free() -> None:
    assert memory_budget("auto", 10e9) == 10e9
    assert memory_budget("8", 10e9) == 8e9
    assert memory_budget("24", 10e9) == 10e9
    for wrong in ("lots", "-3", "nan"):
        with pytest.raises(
            InputError, match=f"memory '{wrong}' is not known; expected auto or gigabytes such as 40, 24"
        ):
            memory_budget(wrong, 10e9)


def test_a_plan_serves_smaller_pictures_too() -> None:
    found = plan(24)
    assert found.fits(1600, 3)
    assert not found.fits(1600, 5)
    assert not found.fits(4096, 4)
