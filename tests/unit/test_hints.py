"""`hints`: what never matches and what always does, where that is certain without an event."""

from __future__ import annotations

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import InvalidJSONPath
from pacifica.notifications.matching import hints


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('$.data[?(@.length() = "a")]', '`@.length() = "a"` never holds: on one side is always a number'),
        ("$.data[?(@.length() = -1)]", "`length()` gives a whole number that is not below 0"),
        ("$.data[?(@.length() < 0)]", "`@.length() < 0` never holds: `length()` gives a whole"),
        (
            "$.data[*][?(@.a = 1 and @.a = 2)]",
            "`@.a = 1` and `@.a = 2` can't hold together: `@.a` is one value; write `or` between",
        ),
        ("$.data[*][?(@.a = 1)][?(@.a = 2)]", "`@.a = 1` and `@.a = 2` can't hold together"),
        ("$.data[*][?((@.a = 1 or @.a = 2) and @.a > 2)]", "`@.a > 2` and `@.a = 1` can't hold together"),
        ('$.data[*][?(@.a = "x" and not @.a = "x")]', '`@.a = "x"` and `not @.a = "x"` can\'t hold together'),
        ("$.data[*][?(@.a > 5 and 3 > @.a)]", "`@.a > 5` and `3 > @.a` can't hold together"),
        ("$.data[*][?(@.a[*] = 1 and not @.a[*])]", "`@.a[*] = 1` and `not @.a[*]` can't hold together"),
        ('$.data[*][?(@.size > "5")]', '`>` compares numbers only, and `"5"` is no number; write it without quotes'),
        ('$[?(@.specversion = 1.0)]', "on one side is always `\"1.0\"`, on the other `1.0`"),
        ('$[?(@.cloudEventsVersion = "1.0")]', '`@.cloudEventsVersion` is always "0.1"'),
        ("$.data[*][?(@.name.charAt(0) = \"ab\")]", "`charAt()` gives a single character; `substring()` gives several"),
        ("$.data[::-1]", "`[::-1]` takes no item of any list"),
        ("$.data[::0]", "`[::0]` takes no item of any list"),
        ("$.length()", "`length()` is for a text or a list, and what is before it is always an event"),
        ("$[0]", "`[0]` is for a list, and what is before it is always an event"),
        ("$.source.x", '`["x"]` is for an object, and what is before it is always a text'),
        ("$.data.keys(1)", "`keys(1)` gives nothing: the number of its arguments must be 0"),
        ('$.data.charAt("1")', '`charAt("1")` gives nothing: its arguments must be whole numbers'),
        ("$[?(1 = 2)]", "`1 = 2` is never true"),
        ('$[?("")]', '`""` is never true'),
        ("$[?(not @.source)]", "`not @.source` never holds, because the rest of it always does"),
    ],
)  # fmt: skip
def test_never(text: str, reason: str) -> None:
    """What can't match any event is said to, with the reason."""
    (hint,) = hints(text)

    assert hint.startswith("never matches: ")
    assert reason in hint


@pytest.mark.parametrize(
    "text",
    [
        "$",
        "$.*",
        "$..*",
        "source",
        "$..source",
        "$[?(@.source)]",
        "$[?(@.type or @.eventType)]",
        '$["id","eventID"]',
        "$.source.length()",
        "$[?(not @.source = 5)]",
        "$[?(1)]",
        "$[?(@.source != null)]",
        "$.keys()",
    ],
)
def test_always(text: str) -> None:
    """What every event has is said to match every event."""
    (hint,) = hints(text)

    assert hint.startswith("matches every event: ")


@pytest.mark.parametrize(
    "text",
    [
        "$.data",
        "$[?(@.eventType)]",
        "$.data.length()",
        "$.data[?(@.value = 68)]",
        "$.data[*][?(@.a[*] = 1 and @.a[*] = 2)]",
        "$.data[*][?(@.a = 1 and @.b = 2)]",
        "$.data[*][?(@.a = 1 or @.a = 2)]",
        "$.data[*][?(@.a = 1 and @.a = true)]",
        "$.data[*][?(@.a >= 5 and @.a <= 5)]",
        '$.data[*][?(@.a and not @.a = "x")]',
        '$[?(@.eventType = "x" and @.type = "y")]',
        "$.data[*][?(@.a.charAt(1) = \"x\" and @.a.charAt(1.5) != \"x\" or @.b)]",
        "$.data[-101:]",
        "$.data[5:2:-1]",
        "$.source[?(@ = \"x\")]",
        "$[?(@.data[::0] or @.source)]",
        "$.data[*][?(@.t[*] = @.u[*])]",
    ],
)  # fmt: skip
def test_nothing_is_said_that_is_not_certain(text: str) -> None:
    """What some events match, and others do not, has no hint."""
    assert hints(text) == []


def test_effort_is_bounded() -> None:
    """A contradiction is found in some combinations of alternatives; in very many nothing is said."""
    wide = jsonpath.Bounds(characters=60_000, nesting=150, alternatives=10**9)
    choices = [f"(@.a{number} = 1 or @.b{number} = 2)" for number in range(20)]
    contradiction = "(@.z = 2 or @.z = 3) and @.z = 1"

    assert hints(f"$.data[?({' and '.join([*choices[:3], contradiction])})]", wide) != []
    assert hints(f"$.data[?({' and '.join([*choices, contradiction])})]", wide) == []


def test_deep_expression_is_no_fault() -> None:
    """However deep an expression is, nothing is raised."""
    wide = jsonpath.Bounds(characters=60_000, nesting=150, alternatives=10**9)

    assert hints("$.data" + "[?(@.a" * 60 + ")]" * 60, wide) == []
    assert hints("$.data" + ".a" * 1000) == []
    assert hints("$.data[?(" + "not " * 400 + "@.a)]") == []


def test_bad_expression_is_raised() -> None:
    """What is no expression has no hints."""
    with pytest.raises(InvalidJSONPath):
        hints("$[")
