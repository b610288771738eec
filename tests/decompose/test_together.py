"""Independent work at the same time."""

import threading

import pytest

from lamina.decompose.together import together


def test_both_run_at_the_same_time_and_both_results_come_back() -> None:
    meeting = threading.Barrier(2, timeout=20)

    def reach(name: str) -> tuple[str, bool]:
        meeting.wait()  # broken, with an error, unless the other is under way too
        return name, threading.current_thread() is threading.main_thread()

    assert together(lambda: reach("one"), lambda: reach("other")) == (("one", True), ("other", False))


@pytest.mark.parametrize("fails", ["one", "other"])
def test_an_error_of_either_is_raised_when_both_have_ended(fails: str) -> None:
    ended: list[str] = []

    def work(name: str) -> None:
        if name == fails:
            raise ValueError(name)
        ended.append(name)

    with pytest.raises(ValueError, match=fails):
        together(lambda: work("one"), lambda: work("other"))
    assert ended == [{"one": "other", "other": "one"}[fails]]
