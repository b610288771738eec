"""Jobs in several processes: results in order, and no job stops another."""

import functools

import harvest_jobs

from lamina.data.workers import Failure, in_order


def test_results_come_in_order_whatever_happens_to_some_of_them():
    jobs = ["slow", "raise", "crash", "hang", "refuse", "none", "last"]
    found = dict(in_order(functools.partial(harvest_jobs.work, "done"), jobs, workers=2, limit_s=4))
    assert list(found) == jobs
    assert (found["slow"], found["none"], found["last"]) == ("done slow", None, "done last")
    assert found["raise"] == Failure("broken", "ZeroDivisionError: by nothing")
    assert found["refuse"] == Failure("refused", "not this one")
    assert isinstance(found["crash"], Failure)
    assert (found["crash"].why, found["crash"].words) == ("crashed", "its process ended with code 3")
    assert isinstance(found["hang"], Failure)
    assert found["hang"].why == "timed out"


def test_jobs_are_taken_as_they_are_needed():
    taken: list[int] = []

    def endless():
        for job in range(10**9):
            taken.append(job)
            yield str(job)

    results = in_order(functools.partial(harvest_jobs.work, "done"), endless(), workers=1, limit_s=30)
    assert next(results) == ("0", "done 0")
    results.close()
    assert len(taken) <= 6
