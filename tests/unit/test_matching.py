"""Which subscriptions an event matches, whatever one of them does."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import InvalidJSONPath, OutOfTime
from pacifica.notifications.matching import Index
from pacifica.notifications.matching.budget import Budget
from tests.support.factories import make_event


@pytest.fixture(autouse=True)
def _no_collections() -> Iterator[None]:
    """No garbage is collected: it would take time of a call, and hypothesis has a callback that can swallow its end."""
    gc.disable()
    yield
    gc.enable()


class Failures(list[tuple[Hashable, Exception]]):
    """What an index told of failed expressions."""

    def __call__(self, key: Hashable, error: Exception) -> None:
        """Note one."""
        self.append((key, error))


def index(failures: Failures | None = None, seconds: float = 5.0, **expressions: str) -> Index:
    """Return an index that holds these expressions."""
    made = Index(jsonpath.Bounds(), seconds, Failures() if failures is None else failures)
    for key, text in expressions.items():
        made.add(key, text)
    return made


def deep(levels: int) -> Any:
    """Return a value in which `..` meets very many nodes."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_every_expression_that_finds_something_matches() -> None:
    """The keys of all matching expressions are given, and no others."""
    made = index(all="$", data="data", files='$.data[*][?(@.destinationTable = "Files")]', other="$.other")

    assert sorted(map(str, made.match(make_event()))) == ["all", "data", "files"]
    assert made.match({"other": 1}) == ["all", "other"]


def test_an_empty_index_matches_nothing() -> None:
    """Without subscriptions nothing matches."""
    assert index().match(make_event()) == []


def test_an_added_expression_takes_the_place_of_the_one_before() -> None:
    """A key holds one expression, the last that was added."""
    made = index(one="$.a")

    made.add("one", "$.b")

    assert len(made) == 1
    assert (made.match({"a": 1}), made.match({"b": 1})) == ([], ["one"])


def test_a_removed_expression_matches_no_more() -> None:
    """What is removed is gone; removing it again does no harm."""
    made = index(one="$", two="$")

    made.remove("one")
    made.remove("one")

    assert len(made) == 1
    assert made.match({}) == ["two"]


def test_an_expression_that_is_none_leaves_nothing_under_its_key() -> None:
    """A bad expression is told to the caller, and the one that it was to replace is gone."""
    made = index(one="$", two="$")

    with pytest.raises(InvalidJSONPath):
        made.add("one", "$[")

    assert made.match({}) == ["two"]


def test_a_failing_expression_counts_against_itself_alone() -> None:
    """An expression that fails on an event is told and is no match; the others match as before."""
    failures = Failures()
    made = index(failures, before="$.data", zero="$.data[::0]", after="$")

    matched = made.match({"data": [1]})

    assert matched == ["before", "after"]
    assert [(key, type(error)) for key, error in failures] == [("zero", ValueError)]
    assert made.match({"data": {}}) == ["before", "after"]
    assert len(failures) == 1


def test_an_event_that_is_too_deep_for_an_expression_stops_nobody() -> None:
    """An expression that recurses too deeply on an event is told and is no match."""
    failures = Failures()
    made = index(failures, shallow="$.a", deep="$..missing")

    matched = made.match(deep(5000))

    assert matched == ["shallow"]
    assert [(key, type(error)) for key, error in failures] == [("deep", RecursionError)]


def test_an_expression_that_runs_away_is_stopped() -> None:
    """An expression that takes too long is stopped and told; those after it are tried, also on the next event."""
    failures = Failures()
    # Within the bounds, and slow: from every node it looks at all that are below.
    made = index(failures, 0.05, before="$", runaway="$..*[?(@..missing)]", after="$.a")

    matched = made.match({"a": [deep(200)] * 100})

    assert matched == ["before", "after"]
    assert [(key, type(error)) for key, error in failures] == [("runaway", OutOfTime)]
    assert made.match({"a": 1}) == ["before", "after"]


def test_the_budget_is_per_expression() -> None:
    """Many expressions may together take longer than one of them may."""
    event = {"data": [{"destinationTable": "x"}] * 1000}
    before = time.thread_time()
    jsonpath.find(jsonpath.parse("$.data[*].missing"), event)
    one = time.thread_time() - before
    failures = Failures()
    made = Index(jsonpath.Bounds(), 10 * one, failures)
    for number in range(30):
        made.add(number, f"$.data[*].missing{number}")

    assert made.match(event) == []
    assert failures == []


def forever() -> None:
    """Work in Python for longer than any budget of these tests."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        sum(range(10))


def careless() -> None:
    """Work on and on, and take the first call to end for a mistake of its own."""
    try:
        forever()
    except OutOfTime:
        forever()


def test_a_call_gets_its_result_back() -> None:
    """Within the budget a call's result and its errors are the caller's."""
    budget = Budget(5.0)

    assert budget.run(lambda: "result") == "result"
    with pytest.raises(KeyError):
        budget.run(lambda: {}["missing"])


def test_a_call_beyond_the_budget_is_ended() -> None:
    """A call without end raises OutOfTime, again and again."""
    budget = Budget(0.02)

    for _ in range(5):
        with pytest.raises(OutOfTime):
            budget.run(forever)


def test_a_call_that_goes_on_is_ended_again() -> None:
    """An OutOfTime that is swallowed, as destructors do, is followed by another."""
    with pytest.raises(OutOfTime):
        Budget(0.02).run(careless)


def test_waiting_uses_up_no_budget() -> None:
    """A thread that is not allowed to compute, as on a busy machine, is not out of time."""
    if not hasattr(time, "pthread_getcpuclockid"):
        pytest.skip("the system does not tell what a thread has computed")
    paused = threading.Event()

    waited = Budget(0.02).run(lambda: paused.wait(0.2))

    assert not waited


def test_an_end_that_comes_late_meets_nobody_else() -> None:
    """When calls end just as their time does, OutOfTime is raised inside `run` or not at all."""
    budget = Budget(0.004)
    ends = {"in time": 0, "out of time": 0}

    def just_so(work: int) -> Callable[[], int]:
        return lambda: sum(number for number in range(work))

    for attempt in range(300):
        try:
            budget.run(just_so(20_000 + attempt * 400))
        except OutOfTime:
            ends["out of time"] += 1
        else:
            ends["in time"] += 1

    assert sum(ends.values()) == 300


def test_each_thread_has_its_own_budget() -> None:
    """Budgets of two threads do not end one another's calls."""
    ended: list[str] = []
    patient, hasty = Budget(30.0), Budget(0.02)
    done = threading.Event()

    def wait_patiently() -> None:
        patient.run(lambda: [sum(range(50)) for _ in iter(done.is_set, True)])
        ended.append("patient")

    thread = threading.Thread(target=wait_patiently)
    thread.start()
    try:
        for _ in range(3):
            with pytest.raises(OutOfTime):
                hasty.run(forever)
    finally:
        done.set()
        thread.join()

    assert ended == ["patient"]
