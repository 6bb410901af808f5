"""What an expression may cost on an event, counted in steps, which no clock and no machine changes."""

from __future__ import annotations

from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import InvalidJSONPath, NotificationsError, OverBudget
from pacifica.notifications.jsonpath import oracle


def steps(text: str, event: Any) -> int:
    """Return the steps that an expression takes, none of which may find anything."""
    expression = jsonpath.parse(text)
    assert not jsonpath.find(expression, event)
    return jsonpath.steps(expression, event)


def wide(items: int = 300) -> dict[str, Any]:
    """Return an event with a long list."""
    return {"data": [{"name": f"n{number}", "size": number, "tags": ["a", "b"]} for number in range(items)]}


def chain(depth: int) -> Any:
    """Return an event that is nothing but deep."""
    event: Any = 1
    for _ in range(depth):
        event = {"a": event}
    return event


def tree(depth: int) -> Any:
    """Return an event that branches at each level."""
    return {"a": tree(depth - 1), "b": [tree(depth - 1)]} if depth else 1


@pytest.mark.parametrize("event", [wide(), chain(600), tree(7)], ids=["wide", "chain", "tree"])
@pytest.mark.parametrize(
    "text",
    [
        "$..zzz",
        "$..*..*.zzz",
        "$..*..zzz",
        "$..[?(@..zzz)]",
        "$..[?(@..zzz = 1)]",
        "$..[?(not @)]..[?(not @)]",
        "$..[?(@.a and @..zzz = 1 or @.zzz)].zzz",
        "$[*,*,*,*][*,*,*,*][*,*,*,*][*,*,*,*].zzz",
        "$[*,0:,:,::1][*,0:,:,::1][*,0:,:,::1][*,0:,:,::1].zzz",
        "$..[*,*,*,*][*,*,*,*][*,*,*,*].zzz",
        "$.data[*][?(@.size = $.data[*].zzz)]",
        "$.data[*][?(@.name = $.data[*].size)]",
        "$.data[*][?(@.size > $.data[*].size)].zzz",
        "$.data[*][?(@.name != $.data[*].name)].zzz",
        "$..[?($..zzz)]",
        "$..[?($..*.zzz = 1)]",
        "$..[?(@.zzz[?(@.a)] or @.zzz[?(@.b)])]",
        "$[1000000:0:-1].zzz",
    ],
)
def test_what_is_said_often_costs_a_little_more_than_a_descent(text: str, event: Any) -> None:
    """No repetition multiplies: the cost stays below eight times that of visiting everything, `$..*`, on any shape."""
    assert steps(text, event) < 8 * steps("$..*.zzz", event)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("$..[?(@.a = @..zzz)]", chain(600)),
        ("$.data[*][$..size]", wide()),
        ("$..*[$..size].zzz", wide()),
        ("$.data[*].name.substring($.data[*].size,$.data[*].size).zzz", wide()),
        ("$..[?(" + " or ".join(f"@.zzz{number}" for number in range(60)) + ")]", wide()),
    ],
)
def test_what_would_cost_more_is_stopped(text: str, event: Any) -> None:
    """An expression that takes more than 16 steps for each value of the event is stopped, always at the same one."""
    expression = jsonpath.parse(text)
    limit = 16 * jsonpath.size_of(event)
    said = set()

    for _ in range(2):
        with pytest.raises(OverBudget, match=f"took more than {limit} steps") as caught:
            jsonpath.find(expression, event)
        said.add(str(caught.value))

    assert len(said) == 1
    assert isinstance(caught.value, NotificationsError)


def test_a_small_event_allows_some_steps_all_the_same() -> None:
    """Nothing is stopped before it took 2,000 steps, however small the event is."""
    event = {"a": {"b": 1}}
    text = "$[?(" + " or ".join(f"@.a.c{number} = 1" for number in range(120)) + ")]"

    assert not jsonpath.find(jsonpath.parse(text), event)


def test_the_size_is_asked_only_when_it_matters() -> None:
    """Whoever knows the size of the event gives it, and is asked for it by what takes many steps alone."""
    asked = []

    def size() -> int:
        asked.append(1)
        return 10**6

    assert not jsonpath.find(jsonpath.parse("$.data[0].zzz"), wide(), size)
    assert asked == []
    assert not jsonpath.find(jsonpath.parse("$.data[*].name.substring($.data[*].size,0).zzz"), wide(), size)
    assert asked == [1]


@pytest.mark.parametrize("depth", [100, 2_000, 20_000])
@pytest.mark.parametrize("text", ["$..zzz", "$..*..zzz", "$..[?(@.zzz = 1)]", "$..[?(@..zzz)]", "$" + ".*" * 90 + ".z"])
def test_a_deep_event_is_no_recursion_error(text: str, depth: int) -> None:
    """An event may be deeper than Python recurses, where jsonpath2 gives up."""
    assert not jsonpath.find(jsonpath.parse(text), chain(depth))
    assert jsonpath.find(jsonpath.parse("$..[?(@ = 1)]"), chain(depth))


def test_values_that_are_too_deep_to_be_compared_stop_the_expression() -> None:
    """Values that Python can't compare, because they are too deep, count against the expression that asks for it."""
    with pytest.raises(OverBudget, match="nested too deep"):
        jsonpath.find(jsonpath.parse("$[?(@.a = @.b)]"), {"a": chain(50_000), "b": chain(50_000)})


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("$..[?(@..end = 1)].here", {"a": {"b": {"end": 1, "here": 2}}}),
        ("$..[?(@..end)].here", {"a": {"b": {"c": {"end": 1}, "here": 2}}}),
        ("$..[?(@..end = 1 and @.here)]", [{"x": 1}, {"a": {"end": 1}}, {"a": {"end": 1}, "here": 1}]),
        ("$..*..[?(@.x = 1 and @.y)]", [{"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}]),
        ("$..[?(@.p..q = @.r)].here", [{"p": {"q": 1}, "r": 1, "here": 1}]),
        ("$..[?(@..[?(@.k = 1)].v = 2)].last", {"a": {"k": 1, "v": 2, "b": {"last": 1}}, "last": 0}),
        ("$.*[?(@..k = 1 or @..k = 2)]..k", [{"k": 3}, {"j": {"k": 2}}]),
        ("$[*][?(@.n = $..m)]..*..n", [{"n": 1, "x": [{"n": 5}]}, {"m": 1}]),
    ],
)
def test_what_is_remembered_hides_nothing(text: str, event: Any) -> None:
    """That nothing was found below a value is remembered only where it is true."""
    assert oracle.find(text, event)

    assert jsonpath.find(jsonpath.parse(text, jsonpath.Bounds(descents=4)), event)


@pytest.mark.parametrize(
    ("union", "alternatives"), [("0,1,2,3,4,5,6,7", 8), ('"a","b","a","b","a","b","a","b"', 8), ("*,*,*,*,*,*,*,*", 8)]
)
def test_a_union_counts_as_it_is_written(union: str, alternatives: int) -> None:
    """The bounds look at the text, and say no to what is beyond them even if it is harmless."""
    jsonpath.parse(f"$[{union}]", jsonpath.Bounds(union=8, alternatives=alternatives))

    with pytest.raises(InvalidJSONPath, match="a union of 8 members, at most 7"):
        jsonpath.parse(f"$[{union}]", jsonpath.Bounds(union=7))
    with pytest.raises(InvalidJSONPath, match="has 64 alternatives"):
        jsonpath.parse(f"$[{union}][{union}]", jsonpath.Bounds(alternatives=63))
