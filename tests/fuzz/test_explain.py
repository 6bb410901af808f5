"""What an explanation and a hint say is held against what `jsonpath2` finds, on random expressions and events."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import InvalidJSONPath, OverBudget
from pacifica.notifications.jsonpath import oracle
from pacifica.notifications.matching import explain, hints
from pacifica.notifications.matching.telling import wording

from .events import Events
from .paths import Paths

#: Another one with FUZZ_SEED.
SEED = os.environ.get("FUZZ_SEED", "1")
PARTS = range(4)

STEP_0, OVER_BUDGET = "step 0", "over its budget"


def outcome(find: Callable[..., bool], *arguments: Any) -> bool | str:
    """Return what a search answers, or how it fails."""
    try:
        return find(*arguments)
    except OverBudget:
        return OVER_BUDGET
    except ValueError:
        return STEP_0


def expressions(chance: Random, count: int) -> Iterator[tuple[str, list[Any]]]:
    """Make expressions that are within the bounds, each with events that it may have to do with."""
    paths, events = Paths(chance), Events(chance)
    while count:
        tried = [events.any(), events.any(), events.pacifica()]
        text = paths.path(chance.choice(tried))
        try:
            jsonpath.parse(text)
        except InvalidJSONPath:
            continue
        count -= 1
        yield text, tried


@pytest.mark.parametrize("part", PARTS)
def test_explanation_agrees(part: int) -> None:
    """An explanation says what jsonpath2 and `find` say, has found by itself the same, and goes out as JSON."""
    over_budget = 0
    for text, tried in expressions(Random(f"explain-{SEED}-{part}"), 200):
        for event in tried:
            wanted = outcome(oracle.find, text, event)
            ours = outcome(jsonpath.find, jsonpath.parse(text), event)

            said = explain(text, event)

            case = f"{text!r} on {json.dumps(event)}: {said}"
            if ours == OVER_BUDGET:
                over_budget += 1
                assert said["error"].startswith("took more than"), case
                continue
            assert ours == wanted, case
            assert (STEP_0 if said["error"] else said["matches"]) == wanted, case
            assert bool(said["found"]) == bool(said["results"]) == (wanted is True), case
            assert (said["nearest_miss"] is not None) == (wanted is False), case
            assert said["stopped"] is None or "step 0" in said["stopped"], case
            assert json.loads(json.dumps(said, allow_nan=False)) == said, case
    assert over_budget < 5


@pytest.mark.parametrize("part", PARTS)
def test_locations_lead_there(part: int) -> None:
    """The location of a result is an expression that finds this value, where it can be written as one."""
    compared = 0
    for text, tried in expressions(Random(f"locations-{SEED}-{part}"), 150):
        for result in (result for event in tried for result in explain(text, event)["results"]):
            event = next(event for event in tried if result in explain(text, event)["results"])
            try:
                jsonpath.parse(result["location"])
            except InvalidJSONPath:
                continue
            if "\\" not in result["location"] and ")" not in result["location"]:
                compared += 1
                assert explain(result["location"], event)["results"] == [result]
    assert compared > 10


@pytest.mark.parametrize("part", PARTS)
def test_what_is_written_is_read_the_same(part: int) -> None:
    """An expression that is written from its parts has the same parts."""
    for text, _ in expressions(Random(f"wording-{SEED}-{part}"), 300):
        path = jsonpath.parse(text).path

        written = wording.path(path)

        assert repr(jsonpath.parse(written).path) == repr(path), text


# Hints: of every event that the service takes, so on events that are such.


def cloud_events(value: Any, chance: Random) -> list[dict[str, Any]]:
    """Make an event of each version around a value."""
    members = {name: each for name, each in value.items() if name != "specversion"} if isinstance(value, dict) else {}
    words = ["a", "x", "xy", "1", "name"]
    old = {"cloudEventsVersion": "0.1", "eventType": chance.choice(words), "source": chance.choice(words)}
    new = {"specversion": "1.0", "type": chance.choice(words), "source": chance.choice(words), "id": "1"}
    extension = {"a": chance.choice(["x", 1, True, None]), "name": "a"}
    return [{"data": value, **members, **old, "eventID": "1"}, {**extension, **new, "data": value}]


def hold(text: str, tried: list[Any]) -> str | None:
    """Return the hint about an expression, which is right for all events."""
    said = next(iter(hints(text)), None)
    if said is not None:
        for event in tried:
            answer = outcome(oracle.find, text, event)
            assert (answer is True) == said.startswith("matches every event"), (
                f"{text!r} on {json.dumps(event)}: {said}"
            )
    return said


@pytest.mark.parametrize("part", PARTS)
def test_hints_are_certain(part: int) -> None:
    """What is said never to match never does, what is said to match every event does."""
    chance = Random(f"hints-{SEED}-{part}")
    said = [
        hold(text, [event for value in tried for event in cloud_events(value, chance)])
        for text, tried in expressions(chance, 250)
    ]

    assert None in said
    assert len(set(said)) > 20


ABOUT = ("@.a", "@.b", "@.a.length()", "@.a[*]", "@.a[0]", "$.source", "@", "@.a.charAt(0)", "$.data.a", "@.*", "@.a.b")
LITERALS = ("0", "1", "2", "-1", "1.0", "1.5", '"x"', '"xy"', '"1"', '""', "true", "null", "[]", "[1]", "{}")
VALUES = (0, 1, 2, -1, 1.5, "x", "xy", "1", "", True, None, [], [1], [1, 2], ["x"], {}, {"b": 1})


class Contradictions:
    """Conditions in which the same few paths and values come again and again."""

    def __init__(self, chance: Random) -> None:
        self._of = chance.choice
        self._chance = chance.random

    def text(self) -> str:
        """Make an expression."""
        filters = "".join(f"[?({self._condition(2)})]" for _ in range(self._of((1, 1, 2))))
        return f"${self._of(('.data', '.data', '.data[*]', '.data.*', ''))}{filters}"

    def _condition(self, depth: int) -> str:
        joined = self._of((" and ", " and ", " or "))
        return joined.join(self._part(depth) for _ in range(self._of((1, 2, 2, 3))))

    def _part(self, depth: int) -> str:
        negation = "not " if self._chance() < 0.2 else ""
        if depth and self._chance() < 0.3:
            return f"{negation}({self._condition(depth - 1)})"
        sides = [self._of(ABOUT), self._of((*LITERALS, *ABOUT[:3]))]
        if self._chance() < 0.1:
            return negation + sides[0]
        if self._chance() < 0.2:
            sides.reverse()
        return f"{negation}{self._of(('=', '=', '=', '!=', '<', '<=', '>', '>=')).join(sides)}"

    def value(self) -> Any:
        """Make a value for `data`."""
        return {"a": self._of(VALUES), "b": self._of(VALUES)} if self._chance() < 0.8 else [self.value(), {}]


@pytest.mark.parametrize("part", PARTS)
def test_contradictions_are_certain(part: int) -> None:
    """No event is what is said to be a contradiction, however it is put."""
    chance = Random(f"contradictions-{SEED}-{part}")
    made = Contradictions(chance)
    said = [
        hold(made.text(), [event for _ in range(12) for event in cloud_events(made.value(), chance)])
        for _ in range(300)
    ]

    assert None in said
    assert len(set(said)) > 50
