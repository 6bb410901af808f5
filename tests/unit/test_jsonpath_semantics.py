"""What an expression means, row by row; each row is also put to jsonpath2, whose dialect it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.jsonpath import oracle

#: A slice with step 0 has met a list.
ERROR = "error"

EVENT = r"""{
    "n": 3, "one": 1, "zero": 0, "yes": true, "no": false, "nothing": null, "float": 1.0, "empty": "", "text": "hello",
    "list": [1, 2, 3], "none": [], "object": {"x": 1, "y": [5, 6]}, "key": "x", "names": ["q", "y"],
    "big": 18446744073709551616, "next": 18446744073709551617, "or": 1, "a\\u0041": 2, "A": 4, "length": 5,
    "deep": {"deep": {"deep": {"end": 7}}}, "twice": {"a": {"k": 1}, "b": {"k": 2}}, "firsts": [2, 1, 3],
    "items": [{"k": "a", "v": 1}, {"k": "b", "v": 2}, {"k": "c"}]
}"""

STEPS = [
    # The path itself.
    ("$", True),
    ("$.nothing", True),
    ("$.missing", False),
    (" $ . object [ \t\r\n 'y' ] ".replace("'", '"'), True),
    ('$["or"]', True),
    ("$.length", True),
    ("$.*.x", True),
    ("$.text.*", False),
    ("$.text[0]", False),
    ("$.object[0]", False),
    ('$.list["0"]', False),
    # A key is its raw text.
    (r'$["a\u0041"]', True),
    (r'$["\u0041"]', False),
    (r'$["A"]', True),
    # Items.
    ("$.list[2]", True),
    ("$.list[3]", False),
    ("$.list[-3]", True),
    ("$.list[-4]", False),
    ("$.list[-0]", True),
    ("$.list[18446744073709551616]", False),
    # Slices are no slices of Python.
    ("$.list[0:2]", True),
    ("$.list[3:]", False),
    ("$.list[-2:]", True),
    ("$.list[-9:1]", True),
    ("$.list[:-5]", False),
    ("$.list[:]", True),
    ("$.none[:]", False),
    ("$.list[::-1]", False),
    ("$.list[2:0:-1]", True),
    ("$.list[2::-1]", False),
    ("$[?(@.list[2:-5:-1][?(@ = 3)])]", True),
    ("$.list[2:-5:-3][?(@ = 1)]", False),
    ("$.list[1:99]", True),
    ("$.object[0:1]", False),
    ("$.text[0:1]", False),
    # Step 0 is an error where it meets a list, and nowhere else.
    ("$.list[::0]", ERROR),
    ("$.none[::0]", ERROR),
    ("$.object[::0]", False),
    ("$.text[::0]", False),
    ("$.list[0,::0]", True),
    ("$.list[::0,0]", ERROR),
    ("$.list[9,::0]", ERROR),
    ("$[?(@.missing and @.list[::0])]", False),
    ("$[?(@.n or @.list[::0])]", True),
    ("$[?(@.list[::0] or @.n)]", ERROR),
    ("$[?(not @.list[0,::0])]", False),
    ("$[?(@.list[0,::0] = 1)]", True),
    ("$[?(@.list[0,::0] = 9)]", ERROR),
    ("$[?(@.missing = @.list[::0])]", False),
    ("$[?(@.list[0,::0] = @.missing)]", ERROR),
    ("$[?(@.list[0,::0] = @.list[0])]", True),
    ("$.text.charAt($.list[0,::0])", ERROR),
    ("$.n.charAt(0,$.list[::0])", ERROR),
    ("$.list[$.firsts[1,::0]]", True),
    ("$.n[$.list[::0]]", ERROR),
    # Unions: any mixture, in order.
    ('$["missing","n"]', True),
    ('$.list["k",7,1:2]', True),
    ("$.list[*,0][?(@ = 3)]", True),
    ('$["missing",?(@.missing),$.missing,missing()]'.replace(",missing()", ",charAt(0)"), False),
    ('$["missing",?(@.n)].list', True),
    # Descents: pre-order, the value itself is one of them.
    ("$..end", True),
    ("$..deep.end", True),
    ("$..missing", False),
    ("$..[?(@.end = 7)]", True),
    ("$..[?(@ = 7)]", True),
    ("$..*..x", True),
    ("$.n..*", False),
    ("$.n..[?(@ = 3)]", True),
    ('$..["x","z"]', True),
]

FILTERS = [
    # A filter tests the current value itself.
    ("$[?(@.n = 3)].key", True),
    ('$.items[?(@.k = "a")]', False),
    ('$.items[*][?(@.k = "a")]', True),
    ("$.n[?(@)]", True),
    ("$.n[?(@ = 3)]", True),
    # Existence: what is there is there, whatever it is.
    ("$[?(@.nothing)]", True),
    ("$[?(@.zero)]", True),
    ("$[?(@.empty)]", True),
    ("$[?(@.missing)]", False),
    ("$[?(not @.missing)]", True),
    ("$[?(not not @.n)]", True),
    # A bare literal is its truth value.
    ("$[?(1)]", True),
    ("$[?(0)]", False),
    ("$[?(-0.0)]", False),
    ('$[?("")]', False),
    ('$[?("a")]', True),
    ("$[?(null)]", False),
    ("$[?({})]", False),
    ("$[?([0])]", True),
    ("$[?(1 = 1.0)]", True),
    ('$[?("a" < "b")]', False),
    ("$[?(true < 2)]", True),
    # `or` binds tighter than `and`, `not` covers one comparison.
    ("$[?(@.n or @.n and @.missing)]", False),
    ("$[?(@.missing and @.n or @.n)]", False),
    ("$[?((@.missing and @.n) or @.n)]", True),
    ("$[?(not @.n = 1)]", True),
    ("$[?(not @.missing or @.n = 4 and @.n = 3)]", True),
    ("$[?(not @.n = 3 or @.n = 3)]", True),
    ("$[?(not (@.n = 3 or @.n = 3))]", False),
    # A missing key makes every comparison false, also `!=`.
    ("$[?(@.missing = null)]", False),
    ("$[?(@.missing != 1)]", False),
    ("$[?(not @.missing != 1)]", True),
    ("$[?(1 != @.missing)]", False),
    ("$[?(@.missing != @.n)]", False),
    ("$[?(@.n != @.missing)]", False),
    # Equality is Python's.
    ("$[?(@.one = 1.0)]", True),
    ("$[?(@.one = true)]", True),
    ("$[?(@.yes = 1)]", True),
    ("$[?(@.no = 0)]", True),
    ("$[?(@.zero = -0.0)]", True),
    ('$[?(@.one = "1")]', False),
    ("$[?(@.nothing = null)]", True),
    ("$[?(@.nothing = false)]", False),
    ("$[?(@.nothing != null)]", False),
    ("$[?(@.big = 18446744073709551616)]", True),
    ("$[?(@.next = 18446744073709551616)]", False),
    ("$[?(@.next = 18446744073709551616.0)]", False),
    ("$[?(@.big = 18446744073709551616.0)]", True),
    ('$[?(@.object = {"y": [5.0, 6], "x": true})]', True),
    ('$[?(@.object = {"x": 1})]', False),
    ("$[?(@.list = [1, 2, 3])]", True),
    ("$[?(@.none = [])]", True),
    ("$[?(@.none = {})]", False),
    ("$[?(@.n < 1e400)]", True),
    (r'$[?(@.text = "h\u0065llo")]', False),
    # Only numbers have an order.
    ("$[?(@.n > 2.5)]", True),
    ("$[?(2.5 < @.n)]", True),
    ("$[?(@.n <= 3)]", True),
    ("$[?(@.yes > 0)]", True),
    ("$[?(@.yes >= @.one)]", True),
    ('$[?(@.text > "a")]', False),
    ('$[?(@.text < "a" or @.text >= "hello")]', False),
    ("$[?(@.list > [0])]", False),
    ("$[?(@.nothing < 1)]", False),
    ("$[?(@.next > @.big)]", True),
    # With a literal on either side all values are compared.
    ("$[?(@.list[*] = 3)]", True),
    ("$[?(3 = @.list[*])]", True),
    ("$[?(@.list[*] != 3)]", True),
    ("$[?(@..end = 7)]", True),
    ('$[?(@.items[*].k = "x" or @.items[*].k = "c")]', True),
    ('$[?(@.items[*].k = "x" or "y" = @.items[*].k)]', False),
    # Of a path that is compared with a path only the first value is.
    ("$[?(@.list[*] = @.firsts[*])]", True),
    ("$[?(@.list[1:] = @.one)]", False),
    ("$[?(@.one = @.list[*])]", True),
    ("$[?(@.firsts[*] = @.list[0])]", False),
    ("$[?(@.list[0] = @.firsts[*])]", True),
    ("$[?(@.twice.*.k = $.list[1])]", False),
    ("$[?(@.twice..k = $.list[0])]", True),
    ("$[?(@.twice..k = $.list[1])]", False),
    ("$[?($.list[1] = @.twice..k)]", True),
    ("$[?(@.firsts[*] > @.one)]", True),
    ("$[?(@.list[*] > @.one)]", False),
    ("$[?(@.object = @.object)]", True),
    # `$` in a filter is the event.
    ("$.items[*][?(@.v = $.one)]", True),
    ("$.items[*][?($.missing)]", False),
    ("$.items[*][?(@.v = $.list[*] and @.v != $.one)]", True),
    ("$.items[*][?(@.v > $.items[*].v)].k", True),
    ("$.items[*][?(@.k != $.items[*].k)]", True),
    ("$.items[*][?(@.v != $.one)].k", True),
    ("$.list[*][?(@ < $.list[*])]", True),
    ("$.items[?(@[*].v)]", True),
]

REFERENCES_AND_CALLS = [
    # Another path's values name members and items.
    ("$.object[$.key]", True),
    ("$.object[$.names[*]]", True),
    ("$.object[$.names[0]]", False),
    ("$.list[$.one]", True),
    ("$.list[$.yes]", True),
    ("$.list[$.n]", False),
    ("$.list[$.float]", False),
    ("$.list[$.nothing]", False),
    ("$.object[$.one]", False),
    ("$.list[$.key]", False),
    ("$.text[$.one]", False),
    ("$.list[@[0]][?(@ = 2)]", True),
    ("$.list[@]", False),
    ("$.list[$]", False),
    # length: texts and lists only.
    ("$[?(@.text.length() = 5)]", True),
    ("$[?(@.list.length() = 3)]", True),
    ("$.object.length()", False),
    ("$.n.length()", False),
    ("$.text.length(1)", False),
    ("$.text.length(@)", False),
    ("$..length()[?(@ = 0)]", True),
    # keys, values, entries are one list each.
    ('$.object.keys()[?(@ = ["x", "y"])]', True),
    ("$.list.keys()[?(@ = [0, 1, 2])]", True),
    ("$.text.keys()", False),
    ("$.object.values()[?(@ = [1, [5, 6]])]", True),
    ("$.list.values()[?(@ = [1, 2, 3])]", True),
    ("$.text.values()", False),
    ('$.object.entries()[0][?(@ = ["x", 1])]', True),
    ("$.list.entries()[2][?(@ = [2, 3])]", True),
    ("$.n.entries()", False),
    ("$.object.keys($.missing)", False),
    # charAt
    ('$[?(@.text.charAt(1) = "e")]', True),
    ('$[?(@.text.charAt(true) = "e")]', True),
    ('$[?(@.text.charAt(-1) = "o")]', True),
    ("$.text.charAt(5)", False),
    ("$.text.charAt(-6)", False),
    ("$.text.charAt(1.0)", False),
    ('$.text.charAt("1")', False),
    ("$.text.charAt(null)", False),
    ("$.text.charAt()", False),
    ("$.text.charAt(0,1)", False),
    ("$.list.charAt(0)", False),
    ("$.text.charAt(99999999999999999999)", False),
    # substring
    ('$[?(@.text.substring(1) = "ello")]', True),
    ('$[?(@.text.substring(1,3) = "el")]', True),
    ('$[?(@.text.substring(-3,-1) = "ll")]', True),
    ('$[?(@.text.substring(-99) = "hello")]', True),
    ('$[?(@.text.substring(3,1) = "")]', True),
    ('$[?(@.text.substring(false,true) = "h")]', True),
    ("$.empty.substring(0)", True),
    ("$.text.substring(1,null)", False),
    ("$.text.substring(1.0)", False),
    ("$.text.substring()", False),
    ("$.text.substring(1,2,3)", False),
    # Paths as arguments: each combination of their values, from the value that the function is called on.
    ('$.text.charAt($.list[*])[?(@ = "l")]', True),
    ('$.text.charAt($.list[*])[?(@ = "h")]', False),
    ('$.text.substring($.list[*],$.list[*])[?(@ = "el")]', True),
    ("$.text.charAt($.missing)", False),
    ("$.text.charAt($.list)", False),
    ("$.text.charAt(@.length())", False),
    ("$.text.substring(@.length())", True),
    ('$["text",charAt(0)].length()', True),
]

ROWS = [*STEPS, *FILTERS, *REFERENCES_AND_CALLS]


def answer(text: str, event: Any, find: Any) -> Any:
    """Give what is found, or that it failed."""
    try:
        return find(text, event)
    except ValueError as error:
        return ERROR if "arg 3 must not be zero" in str(error) else error


@pytest.mark.parametrize(("text", "wanted"), ROWS)
def test_an_expression_means_what_it_means_in_jsonpath2(text: str, wanted: Any) -> None:
    """A row finds what it says, here and in jsonpath2."""
    event = json.loads(EVENT)

    assert answer(text, event, oracle.find) == wanted
    assert answer(text, event, lambda text, event: jsonpath.find(jsonpath.parse(text), event)) == wanted


@pytest.mark.parametrize("event", ["1", '"a"', "null", "[]", "{}", '[{"a": 1}]', "true", "1.5"])
@pytest.mark.parametrize("text", ["$", "$.a", "$[0].a", "$..a", "$.*", "$[?(@ = 1)]", "$[?(@)]", "$..*", "$.length()"])
def test_an_event_may_be_any_value(text: str, event: str) -> None:
    """An expression is tried on any JSON value, not on objects only."""
    value = json.loads(event)

    assert jsonpath.find(jsonpath.parse(text), value) == oracle.find(text, value)


@pytest.mark.parametrize("start", ["", 0, 1, 2, 4, 7, -1, -2, -4, -7])
@pytest.mark.parametrize("step", ["", 1, 2, 7, -1, -2, -7])
def test_every_slice_gives_the_items_that_it_gives_there(start: int | str, step: int | str) -> None:
    """Start, end and step of any sign and size give the same items as in jsonpath2."""
    for end in ["", 0, 1, 2, 4, 7, -1, -2, -4, -7]:
        text = f"$.list[{start}:{end}:{step}][?(@ = $.wanted)]"
        expression = jsonpath.parse(text)
        for length in range(5):
            for wanted in range(length):
                event = {"list": list(range(length)), "wanted": wanted}
                assert jsonpath.find(expression, event) == oracle.find(text, event), (text, event)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$[0:1000000000000000000000]", True),
        ("$[1000000000000000000000:]", False),
        ("$[-1000000000000000000000:]", True),
        ("$[1000000000000000000000:-1000000000000000000000:-1]", True),
        ("$[1000000000000000000001:-2:-1000000000000000000000][?(@ = 8)]", True),
        ("$[1000000000000000000000:-2:-1000000000000000000000]", False),
        ("$[1000000000000000000000:-3:-1000000000000000000000][?(@ = 7)]", True),
        ("$[2:1000000000000000000000:1000000000000000000000]", False),
        ("$[::1000000000000000000000][?(@ = 8)]", False),
    ],
)
def test_a_slice_of_any_size_is_clipped_to_the_list(text: str, wanted: bool) -> None:
    """Huge bounds name the same items as they would without being clipped, at no cost."""
    expression = jsonpath.parse(text)

    assert jsonpath.find(expression, [7, 8]) == wanted
    assert jsonpath.steps(expression, [7, 8]) < 20


def test_a_slice_with_a_name_for_its_values_repeats_items() -> None:
    """An end that stays below 0 comes by items again from the end of the list."""
    expression = jsonpath.parse("$[?(@[0:-5:-1] = @[2])]")

    assert jsonpath.find(expression, [1, 2, 1])
    assert oracle.find(expression.text, [1, 2, 1])


def test_two_members_of_one_name_are_the_last_one() -> None:
    """An event that names a member twice has what `json.loads` makes of it."""
    event = json.loads('{"a": 1, "a": 2}')

    assert jsonpath.find(jsonpath.parse("$[?(@.a = 2)]"), event)
    assert not jsonpath.find(jsonpath.parse("$[?(@.a = 1)]"), event)


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("right", ["$.r[*]", "@.r[*]"])
def test_all_values_on_the_right_are_compared(operator: str, right: str) -> None:
    """Whether the right side is looked up once for the event or for each value, the outcome is that of jsonpath2."""
    values = [1, 2, 1.0, True, "1", None, [], [1], {}, {"a": 1}, float("nan"), 2**64, float("inf"), "x"]
    text = f"$[*][?(@.l {operator} {right})]"
    if right.startswith("$"):
        text = f"$.l[*][?(@ {operator} {right})]"
    expression = jsonpath.parse(text)
    for left in values:
        for first in values:
            for second in values:
                rights = [first, second]
                event = {"l": [left], "r": rights} if right.startswith("$") else [{"l": left, "r": rights}]
                assert jsonpath.find(expression, event) == oracle.find(text, event), event
