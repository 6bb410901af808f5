"""`explain`: whether, why, or how near; on one event as Pacifica sends it, and on events that are out of all bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import InvalidJSONPath, OverBudget
from pacifica.notifications.matching import explain

EVENT = {
    "cloudEventsVersion": "0.1",
    "eventType": "org.pacifica.metadata.ingest",
    "source": "http://metadata.pacifica.org/transactions?_id=68",
    "eventID": "metadata.ingest.68",
    "data": [
        {"destinationTable": "Transactions._id", "value": 68},
        {"destinationTable": "Transactions.submitter", "value": 10},
        {"destinationTable": "TransactionKeyValue", "key": "axis", "value": "x"},
        {"destinationTable": "Files", "name": "scan.png", "size": 2048, "mimetype": "image/png", "or": {"a b": 1}},
    ],
}
#: As deep as Python's own decoder goes.
DEEP = json.loads("[" * 900 + "]" * 900)


def miss(text: str, event: Any = EVENT) -> str:
    """Return the nearest miss of an expression that does not match."""
    said = explain(text, event)
    assert not said["matches"]
    assert said["results"] == []
    found: str = said["nearest_miss"]
    return found


# What matches.


def test_match_has_its_way_and_its_results() -> None:
    """The results have their locations and values; the path its steps, the filter its parts with their values."""
    said = explain('$.data[*][?(@.destinationTable = "Files" and @.size > 1000)]["name","size"]', EVENT)

    assert said["matches"] is True
    assert said["results"] == [
        {"location": "$.data[3].name", "value": "scan.png"},
        {"location": "$.data[3].size", "value": 2048},
    ]
    assert (said["found"], said["furthest"], said["nearest_miss"], said["error"]) == (2, "$.data[3].name", None, None)
    assert [(step["step"], step["values"], step["location"]) for step in said["steps"]] == [
        ("$", 1, "$"),
        (".data", 1, "$.data"),
        ("[*]", 4, "$.data[3]"),
        ('[?(@.destinationTable = "Files" and @.size > 1000)]', 1, "$.data[3]"),
        ('["name", "size"]', 2, "$.data[3].name"),
    ]
    (found,) = said["filters"]
    assert (found["location"], found["holds"]) == ("$.data[3]", True)
    assert [(part["expression"], part["holds"], part["values"][0]["value"]) for part in found["parts"]] == [
        ('@.destinationTable = "Files"', True, "Files"),
        ("@.size > 1000", True, 2048),
    ]


def test_results_are_counted_beyond_those_that_are_given() -> None:
    """So many results are given as are asked for; `found` is the number of all."""
    said = explain("$.data[*].destinationTable", EVENT, results=1)

    assert len(said["results"]) == 1
    assert said["found"] == 4


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("$.data[-1].size", "$.data[3].size"),
        ('$.data[*]["or"]["a b"]', '$.data[3]["or"]["a b"]'),
        ("$..size", "$.data[3].size"),
        ("$.eventID.substring(0, 8)", "$.eventID.substring(0, 8)"),
        ("$.keys()[0]", "$.keys()[0]"),
        ("$.data[$.data.length()]", None),
        ("$.data[*].name.charAt(-1)", "$.data[3].name.charAt(-1)"),
        ("data", "$.data"),
    ],
)
def test_locations_are_normal(text: str, location: str | None) -> None:
    """A location has names behind dots where they can stand there, positions from the beginning, and calls."""
    said = explain(text, EVENT)

    assert [result["location"] for result in said["results"]] == ([location] if location else [])


# What does not.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '$.data[*][?(@.destinationTable = "Files" and @.mimetype = "text/plain")]',
            '`$.data[3].mimetype` is "image/png", wanted "text/plain"',
        ),
        ("$.dat", "`$` has no member `dat`"),
        ("$.Data", "`$` has no member `Data`, but `data`: upper and lower case are different"),
        (
            "$.data[?(@.value = 68)]",
            "`$.data` is a list of 4 items and has no members; write `[*]` behind it to look at each item",
        ),
        ("$.eventID.x", '`$.eventID` is "metadata.ingest.68" and has no members'),
        ("$.data[4]", "`$.data` is a list of 4 items, none at `[4]`"),
        ("$[1:2]", "`$` is an object of 5 members, and `[1:2]` takes items of lists only"),
        ("$.eventID.*", '`$.eventID` is "metadata.ingest.68", with nothing in it'),
        ("$..colour", "nothing from `$` downwards has a member `colour`"),
        ("$.data[$.nothing]", "`$.nothing` names nothing: `$` has no member `nothing`"),
        ("$.data[$.eventID]", '`$.data` is a list of 4 items, with nothing at "metadata.ingest.68"'),
        ("$.length()", "`$` is an object of 5 members, of which `length()` gives nothing"),
        (
            '$.data[*][?(@.value = "68")]',
            '`$.data[0].value` is 68, wanted "68"; a text is different from what it spells',
        ),
        (
            '$[?(@.eventID = "METADATA.INGEST.68")]',
            '`$.eventID` is "metadata.ingest.68", wanted "METADATA.INGEST.68"; upper and lower case are different',
        ),
        ("$[?(@.eventID > 5)]", '`$.eventID` is "metadata.ingest.68", wanted more than 5; `>` compares numbers only'),
        ("$.data[3][?(5000 < @.size)]", "`$.data[3].size` is 2048, wanted more than 5000"),
        ("$.data[3][?(@.size != 2048)]", "`$.data[3].size` is 2048, wanted anything but 2048"),
        ("$.data[3][?(not @.size = 2048)]", "`$.data[3].size` is 2048, wanted `not @.size = 2048`"),
        ("$.data[3][?(@.colour != 1)]", "`$.data[3]` has no member `colour`"),
        ("$.data[3][?(@.size = 1 or @.colour = 2 and @.name)]", "`$.data[3].size` is 2048, wanted 1"),
        (
            "$.data[3][?(@.size = 1 and @.colour)]",
            "`$.data[3].size` is 2048, wanted 1; `$.data[3]` has no member `colour`",
        ),
        (
            "$[?(@.data[*].value = @.data[*].size)]",
            "`$.data[0].value` is 68, `$.data[1].value` is 10, `$.data[2].value` is \"x\", wanted 2048"
            " (`$.data[3].size`); between two paths only the first value of the left one is compared",
        ),
        (
            '$[?(@.data[*][?(@.size = "2048")])]',
            '`$.data[3].size` is 2048, wanted "2048"; a text is different from what it spells',
        ),
        ("$[?(1 = 2)]", "`1 = 2` is never true"),
        ("$[?(false)]", "`false` is not true"),
    ],
)  # fmt: skip
def test_nearest_miss(text: str, said: str) -> None:
    """Of all that did not fit, what came nearest is said with its location, its value, and what was wanted."""
    assert miss(text) == said


def test_step_0_is_said() -> None:
    """A slice with step 0 that meets a list is an error, not raised but said, with the place; after a result none."""
    failed, found = explain("$.data[::0]", EVENT), explain("$..[?(@.data)]['x'].y".replace("['x'].y", "[*,::0]"), EVENT)

    assert (failed["matches"], failed["error"]) == (False, "a slice with step 0 meets a list, behind `$.data`")
    assert (failed["results"], failed["nearest_miss"]) == ([], None)
    assert (found["matches"], found["error"]) == (True, None)


def test_step_0_in_a_condition_is_said() -> None:
    """A part of a condition that fails is neither true nor false; those beside it are."""
    said = explain("$[?(@.eventID and @.data[::0] = 1)]", EVENT)

    (found,) = said["filters"]
    assert said["error"]
    assert [part["holds"] for part in found["parts"]] == [True, None]


def test_bad_expression_is_raised() -> None:
    """What is no expression, or beyond the bounds, can't be explained."""
    with pytest.raises(InvalidJSONPath):
        explain("$[", EVENT)
    with pytest.raises(InvalidJSONPath, match="characters"):
        explain("$.data", EVENT, bounds=jsonpath.Bounds(characters=3))


# Sizes.


@pytest.mark.parametrize(
    ("value", "begins"),
    [
        ("x" * 10_000_000, '"xxx'),
        (list(range(1_000_000)), "[0, 1, 2,"),
        (DEEP, "[[["),
        ({"a" * 1000: 1}, '{"aaa'),
        (10**1000, "1000"),
        (10**5000, ""),
        (float("nan"), "NaN"),
        ([float("-inf")], "[-Infinity"),
        ("\ud800", '"\\ud800'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_long_and_odd_values_are_shown_by_their_beginning(value: Any, begins: str) -> None:
    """A value that is long, or can't go out as JSON, is given as `text` that begins as it does."""
    (result,) = explain("$.a", {"a": value})["results"]

    assert "value" not in result
    assert result["text"].startswith(begins)
    assert len(result["text"]) <= 201
    json.dumps(result, ensure_ascii=False, allow_nan=False).encode()


def test_long_location_has_both_ends() -> None:
    """Of a location that is very long both ends are shown."""
    event: Any = 1
    for _ in range(200):
        event = {"member": event}

    (result,) = explain(".".join(["$"] + ["member"] * 200), event)["results"]

    assert result["location"].startswith("$.member.member")
    assert result["location"].endswith(".member")
    assert len(result["location"]) == 501


def test_large_event_is_left_off_somewhere() -> None:
    """On a large event the answer is exact, and it is said that the explanation is not whole."""
    event = {"data": [{"a": number} for number in range(200_000)]}

    found, missed = explain("$.data[*][?(@.a = 199999)]", event), explain("$.data[*][?(@.a = -1)]", event)

    assert (found["matches"], missed["matches"]) == (True, False)
    for said in (found, missed):
        assert "50000 values" in said["stopped"]
        assert len(json.dumps(said)) < 5000


@pytest.mark.parametrize(
    "text",
    [
        "$..*..*",
        "$" + ".a" * 1000,
        "$" + "[*]" * 600,
        "$[?(" + "not " * 400 + "@.a)]",
        "$[?(" + " and ".join(["@.a"] * 250) + ")]",
        "$[?(" * 15 + "@.a" + ")]" * 15,
        "$" + "[?(@.a or @)]" * 7,
        "$..[?(@..*[?(@ = 1)])]",
    ],
)
@pytest.mark.parametrize("event", [DEEP, {"a": DEEP}, [[[1] * 50] * 50] * 20], ids=["deep", "below", "wide"])
def test_nothing_is_too_deep(text: str, event: Any) -> None:
    """However deep an event and an expression are, what is said is the answer, and it can go out as JSON."""
    said = explain(text, event)

    if said["error"]:
        with pytest.raises(OverBudget, match=said["error"]):
            jsonpath.find(jsonpath.parse(text), event)
    else:
        assert said["matches"] == jsonpath.find(jsonpath.parse(text), event)
    assert len(json.dumps(said)) < 1_000_000
