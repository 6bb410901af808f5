"""The dialect's front: what is parsed, what is found, what is refused and how."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import InvalidJSONPath
from tests.support.factories import ABSENT, INGEST, make_event, make_event_1_0

EVENT = {
    "eventType": INGEST,
    "n": 3,
    "nothing": None,
    "data": [
        {"destinationTable": "Transactions._id", "value": 7},
        {"destinationTable": "TransactionKeyValue", "key": "Project", "value": "Blah"},
        {"destinationTable": "Files", "name": "a.dat", "size": 10},
    ],
}


def finds(text: str, event: Any = EVENT) -> bool:
    """Parse an expression and try it."""
    return jsonpath.find(jsonpath.parse(text), event)


@pytest.mark.parametrize(
    "text",
    [
        "$",
        "$.data",
        '$["data"]',
        "$.data[0].value",
        "$.data[-1].name",
        "$.data[0:2].key",
        "$.data[*].size",
        "$..name",
        "$.*",
        "$.nothing",
        f'$[?(@.eventType = "{INGEST}")]',
        '$.data[*][?(@.key = "Project" and @.value = "Blah")]',
        '$.data[*][?(@.key = "Project" or @.key = "Other")].value',
        "$.data[*][?(@.size > 9)]",
        "$.data[*][?(@.size = 10.0)]",
        "$.data[*][?(not @.value)]",
        "$[?(@.nothing)]",
        "$[?(@.n = 3 and @.n < 4)]",
        "$[?(@.n = 3 and @.n = 2 or @.n = 3)]",
        "$.data[?(@.length() = 3)]",
        ' $ . data [ 0 ] ["value"] ',
    ],
)
def test_what_is_there_is_found(text: str) -> None:
    """An expression with at least one result matches."""
    assert finds(text)


@pytest.mark.parametrize(
    "text",
    [
        "$.missing",
        "$.data[3]",
        "$.data.value",
        "$..missing",
        '$[?(@.eventType = "other")]',
        '$.data[?(@.key = "Project")]',
        '$[?(@.missing != "x")]',
        '$[?(@.n < "4")]',
        '$.data[*][?(@.key = "Project" and @.value = "Other")]',
        '$["eventtype"]',
        "$[?(@.n = 3 or @.n = 2 and @.n = 1)]",
        "$.data[::-1]",
    ],
)
def test_what_is_not_there_is_not_found(text: str) -> None:
    """An expression without a result does not match; a filter tests the value itself, and a missing key nothing."""
    assert not finds(text)


@pytest.mark.parametrize("event", [{"data": 1}, {"data": None}, {"data": {"name": 0}}, make_event(), make_event_1_0()])
def test_the_documented_example_matches_every_event_with_data(event: dict[str, Any]) -> None:
    """A bare name matches like the name after `$.`: `data` is the documented example."""
    assert finds("data", event)
    assert not finds("data", {"other": 1})
    assert not finds("data", make_event(data=ABSENT))


def test_a_bare_dotted_name_goes_down() -> None:
    """A bare dotted name goes from member to member, and the expression keeps the text that was sent."""
    assert finds("data.a_1.b", {"data": {"a_1": {"b": False}}})
    assert not finds("data.a_1.b", {"data": {"a_1": "b"}})
    assert jsonpath.parse("data.a_1.b").text == "data.a_1.b"


def test_pacificas_expression_matches_its_event() -> None:
    """The expression that Pacifica documents finds an ingest of a project."""
    text = (
        f'$[?(@["eventType"] = "{INGEST}" and '
        '@["data"][*][?(@["destinationTable"] = "Transactions.project" and @["value"] = "1234a")])]["data"]'
    )

    assert finds(text, make_event())
    assert not finds(text, make_event(type="other"))
    assert not finds(text, make_event(data=[{"destinationTable": "Transactions.project", "value": "other"}]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the end"),
        ("$.", r"line 1, column 3"),
        ("$..", r"line 1, column 4"),
        ("$.data[", r"line 1, column 8"),
        ("$[?(@.a == 1)]", r"found '='.*line 1, column 10"),
        ("$[?(@.a = 1 && @.b = 2)]", r"&"),
        ("$['a']", r"'"),
        ("$.or", r"'or'"),
        ("or", r"'or'"),
        ("data.not", r"'not'"),
        ("$.5", r"column"),
        ("$ $", r"column 3"),
        ("data..name", r"found 'data'.*line 1, column 1"),
        ("data name", r"line 1, column 1"),
        ("ключ", r"column 1"),
        ("$.a\n.b[", r"line 2, column 4"),
        ("$.unknown()", r"unknown"),
        ("@.a", r"found '@'"),
        ('$["a]', r"column 3"),
        ("$[1.0]", r"column"),
        ("$[01]", r"column"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text: str, said: str) -> None:
    """A text that is not of the dialect is refused with line and column, counted from 1."""
    with pytest.raises(InvalidJSONPath, match=said) as caught:
        jsonpath.parse(text)

    assert isinstance(caught.value, ValueError)
    assert "<EOF>" not in str(caught.value)


@pytest.mark.parametrize("text", ["$.", "$['a']", "$[?(@.a == 1)]", "ключ", "$.unknown()", "", "(" * 30, "$.data"])
def test_nothing_is_printed(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The parser's own messages reach neither stdout nor stderr."""
    with contextlib.suppress(InvalidJSONPath):
        jsonpath.parse(text)

    assert capfd.readouterr() == ("", "")


BOUNDS = jsonpath.Bounds(characters=400, nesting=5, descents=1, union=3, alternatives=4)


@pytest.mark.parametrize(
    ("inside", "beyond", "said"),
    [
        ("$" + ".a" * 199, "$" + ".a" * 200, "has 401 characters, at most 400 are taken"),
        ("$" + "[?(@[0])]" * 3, "$[?(@[?(@[?(@.a)])])]", "is nested more than 5 deep"),
        ('$["((((((((("]', '$["("][?(((((@.a)))))]', "is nested more than 5 deep"),
        ("$[?(@.a = [[[1]]])]", "$[?(@.a = [[[{}]]])]", "is nested more than 5 deep"),
        ("$..a", "$..a..b", r"has 2 '\.\.' steps, at most 1 are taken"),
        ("$[?(@..a)]", "$..a[?(@..a)]", r"has 2 '\.\.' steps, at most 1 are taken"),
        ("$[0,1,2]", '$[0,1,"a",*]', "has a union of 4 members, at most 3 are taken"),
        ("$[?(@[0,1,2] = 1)]", "$[?(not @.a.charAt(@[0,1,2,3]) > 1)]", "has a union of 4 members"),
        ("$[0,1][0,1]", "$[0,1][0,1,2]", "has 6 alternatives .*, at most 4 are taken"),
        (
            "$[?(@.a or @.b and @.c or @.d)]",
            "$[?(@.a or @.b and @.c or @.d and @.e or @.f)]",
            "has 8 alternatives .*, at most 4 are taken",
        ),
        (
            '$[?(@.a = 1 or @.a = 2 or 3 = @.a or @.a = "4" or @.a = 5)]',
            "$[?(@.a = 1 or @.b = 2 or 3 = @.c or @.d = 4 or @.a != 5)]",
            "has 5 alternatives",
        ),
        (
            "$[?(not (@.a or @.b or @.c or @.d or @.e))]",
            "$[?(not (@.a and @.b and @.c and @.d and @.e))]",
            "has 5 alternatives",
        ),
        ("$[-99999999999999999999:]", "$[@[0,1]][0,1,2]", "has 6 alternatives"),
    ],
)
def test_bounds_hold(inside: str, beyond: str, said: str) -> None:
    """Length, nesting, `..`, unions and alternatives are bounded wherever they stand in an expression."""
    jsonpath.parse(inside, BOUNDS)

    with pytest.raises(InvalidJSONPath, match=said):
        jsonpath.parse(beyond, BOUNDS)


@pytest.mark.parametrize(
    "text",
    [
        "$" + ".a" * 30_000,
        "$" + "[0]" * 20_000,
        "$" + "[" * 30_000,
        "$[?(" + "(" * 30_000,
        "$[?(" + "not " * 10_000 + "@.a)]",
        "$[?(@.a" + " and @.a" * 5_000 + ")]",
        "$[?(@.a" + " or @.a" * 5_000 + ")]",
        "$[" + "0," * 5_000 + "0]",
    ],
)
def test_a_long_expression_is_no_recursion_error(text: str) -> None:
    """Whatever the bounds allow, an expression with too many parts is an InvalidJSONPath."""
    wide = jsonpath.Bounds(characters=65_536, nesting=64)

    try:
        expression = jsonpath.parse(text, wide)
    except InvalidJSONPath:
        return

    assert not jsonpath.find(expression, {"other": 1})


def test_a_step_of_zero_fails_when_it_meets_a_list() -> None:
    """A slice with step 0 is an error at match time, and only where there is a list."""
    expression = jsonpath.parse("$.data[::0]")

    assert not jsonpath.find(expression, {"data": {}})
    with pytest.raises(ValueError, match="zero"):
        jsonpath.find(expression, {"data": [1]})


def test_threads_may_parse_and_find_at_once() -> None:
    """Many threads parse and match one expression, each with its own right result."""
    shared = jsonpath.parse("$.data[*][?(@.value = 7)]")
    wrong: list[object] = []

    def work(number: int) -> None:
        for _ in range(20):
            own = jsonpath.parse(f'$["{number}"]')
            if not jsonpath.find(own, {str(number): 1}) or jsonpath.find(own, {"x": 1}):
                wrong.append(number)
            if not jsonpath.find(shared, EVENT):
                wrong.append("shared")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


PIECES = (
    '$ @ . .. * [ ] ( ) ? , : = != < <= > >= and or not true false null a data "k" "\\u0041" 0 -1 1.5 1e5 '
    "length() keys() charAt(0) substring(1,2) entries() values() {} \t ' \\ == && é 99999999999999999999"
).split(" ")


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.sampled_from(["", "$", "$.", "$[", "$[?(", "$[?(@.a"]),
)
def test_mixed_up_pieces_are_an_expression_or_refused(pieces: str, start: str) -> None:
    """Any sequence of the dialect's pieces is parsed or an InvalidJSONPath; one that is parsed can be tried."""
    try:
        expression = jsonpath.parse(start + pieces)
    except InvalidJSONPath as error:
        found = str(error)
    else:
        found = str(jsonpath.find(expression, {"a": {"b": [1]}}))

    assert found


@given(st.text(max_size=20))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    """Any text is parsed or an InvalidJSONPath."""
    try:
        parsed = jsonpath.parse(text).text
    except InvalidJSONPath:
        parsed = text

    assert parsed == text


@given(st.data())
def test_a_damaged_expression_is_an_expression_or_refused(data: st.DataObject) -> None:
    """An expression with a piece cut out and another put in is parsed or an InvalidJSONPath."""
    text = '$[?(@["eventType"] = "a" and @.data[*][?(@.key = "b" or not @.size >= 1.5e2)])]..value[0:2,-1].length()'
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 6)))

    try:
        expression = jsonpath.parse(text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[end:])
    except InvalidJSONPath:
        return

    assert jsonpath.find(expression, EVENT) in (True, False)
