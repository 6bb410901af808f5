"""What the index finds is what each expression finds by itself."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.matching import Index

#: Each stands for a way through the index; literals are chosen so that several of them meet in one table.
EXPRESSIONS = [
    "$", "a", "$.*", "$..*", "$..a", "$..a.b", "$..[?(@.a = 1)]", "$..[0]", "$..*[?(@.b)]", "$..[?(@ = 1)]",
    '$["a","b"]',
    # Conditions on the event.
    "$[?(@.a = 1)]", "$[?(@.a = 1.0)]", "$[?(@.a = true)]", '$[?(@.a = "1")]', "$[?(@.a = null)]", "$[?(@.a = [1])]",
    "$[?(@.a = {})]", "$[?(@.a != 1)]", "$[?(not @.a = 1)]", "$[?(@.a)]", "$[?(not @.a)]", "$[?(@.a.b = 1)]",
    "$[?(@.a = 1 or @.b = 2)]", "$[?(@.a = 1 and @.b = 2 or @.b = 1)]", "$[?(not (@.a = 1 or @.b = 2))]",
    "$[?(@.a = 1 or @.a = 2 or @.a = null)]", "$[?(not (@.a = 1 and @.b = 2))]", "$[?(@.a > 0)]", "$[?(@.a >= 1)]",
    "$[?(@.a < 2)]", "$[?(@.a <= 1)]", "$[?(0 < @.a and @.a < 2)]", "$[?(@.a > 0 or @.b > 1)]", "$[?(@.a = @.b)]",
    "$[?(@.a != @.b)]", "$[?(@.data[*].a = @.a)]", "$[?(@.a = @.data[*].a)]", "$[?(@.a[0] = 1)]", "$[?(@.a[-1] > 1)]",
    "$[?(@[0] = 1)]", "$[?(@ = 1)]", "$[?(1)]", "$[?(1 = 2)]", "$[?(1 = 1.0)]", '$[?(@.a < "x")]', "$[?($.a = 1)]",
    # A walk to items.
    "$.data[*]", "$.data[*].a", "$.data[*][?(@.a = 1)]", "$.data[*][?(@.a = 2)].b", "$.data[*][?(@.a = 1 and @.b = 2)]",
    "$.data[*][?(@.a = 1 or @.b = 2)]", "$.data[*][?(@.a != 1)]", "$.data[*][?(@.a != 2 and @.b)]",
    "$.data[*][?(not @.a = 1)]", "$.data[*][?(@.a > 0)]", "$.data[*][?(@.a > 1)]", "$.data[*][?(@.a > 0 and @.a < 2)]",
    "$.data[*][?(@.a = 1 and @.b > 1)]", "$.data[*][?(@.a = @.b)]", "$.data[*][?(@.a = $.a)]", "$.data[*][?(@ = 1)]",
    "$.data[*][?(@[0] = 1)]", "$.data[*][*][?(@ = 1)]", "$.data[*].a[*]", "$.data[*][?(@.a[*] = 1)]",
    "$.data[*][?(@.a[*] != 1)]", "$.data[*][?(not @.a[*] = 1)]", "$.data[*][?(@.a[*][?(@.b = 1 and @ = 1)])]",
    "$.data[*][?(@.a[*][?(@.b = 2)].b)]", "$.data[*][?(@..b = 2)]", "$.data[0:1][?(@.a = 1)]", "$.data[::-1]",
    "$.data[-1:][?(@.a)]", "$.data[1:-5:-1].a", "$.data[0,*].a", "$.data.*.a", "$.data[?(@[0].a = 1)]",
    "$.a.x..[?(not @.b = 1)]", "$.a.x[?(not @.b),?(@.b = 1),*]",
    # Both.
    "$[?(@.a = 1)].data[*][?(@.a = 1)]", "$[?(@.a = 2)].data[*][?(@.a = 1)]", "$[?(@.a = 1 and @.b = 2)].data[*].a",
    "$[?(@.a > 0)].data[*][?(@.a = 1)]", "$[?(not @.b)].data[*][?(@.a = 1)]", "$[?(@.a)].data[*][?(@.b > 1)]",
    "$[?(@.data[*][?(@.a = 1)])]", "$[?(@.data[*].a = 1 and @.a = 1)]", "$[?(@.data[*].a = 1 and @.data[*].b = 2)]",
    "$[?(@.b[*] = 1)].data[*][?(@.a = 1)]", "$[?(@.data[*].a > 1 or @.a = 1)]", "$[?(not @.data[*].a = 1)]",
    # Functions, names from elsewhere.
    "$.data.length()", "$[?(@.data.length() = 2)]", '$.data[*][?(@.a.length() > 1)]', "$.a.keys()[*][?(@ = 0)]",
    '$[$.b]', "$.data[$.a]", "$.data[*][@.b]", "$.a.charAt(true)", "$.a.charAt(1.0)", "$.a.substring(0,1)",
]  # fmt: skip

VALUES: list[Any] = [1, 1.0, True, 2, 0, None, "1", "ab", "", [], [1], [1, 2], {}, {"b": 1}, {"b": 2}, [{"b": 2}], "a"]


def events() -> list[Any]:
    """Return events of all kinds, the same ones each time."""
    chance = Random(3)
    made: list[Any] = [
        None,
        1,
        "a",
        [],
        {},
        [1],
        [{"a": 1}],
        {"data": []},
        {"data": {}},
        {"data": 1},
        {"a": float("nan")},
    ]
    for a, b in chance.sample(list(product(VALUES, VALUES)), 60):
        items = [{key: chance.choice(VALUES) for key in "ab" if chance.random() < 0.8} for _ in range(3)]
        data: Any = [item if chance.random() < 0.8 else chance.choice(VALUES) for item in items]
        if chance.random() < 0.2:
            data = {"x": items[0], "a": items[1]}
        made.append({"a": a, "b": b, "data": data[: chance.randrange(4)] if isinstance(data, list) else data})
        made.append({"b": b, "data": items} if chance.random() < 0.5 else {"a": a, "data": chance.choice(VALUES)})
    return made


def filled(expressions: list[str]) -> Index:
    """Return an index of expressions, each under itself."""
    made = Index()
    for text in expressions:
        made.add(text, text)
    return made


def test_all_together_find_what_each_finds_alone() -> None:
    """The index agrees with the single expression on every pair."""
    made = filled(EXPRESSIONS)
    alone = {text: jsonpath.parse(text) for text in EXPRESSIONS}

    for event in events():
        expected = {text for text, expression in alone.items() if jsonpath.find(expression, event)}
        assert set(made.match(event)) == expected, event


def test_who_leaves_takes_nothing_along_and_leaves_nothing_behind() -> None:
    """After each removal and return the rest still agrees."""
    made = filled(EXPRESSIONS)
    alone = {text: jsonpath.parse(text) for text in EXPRESSIONS}
    chance = Random(11)
    present = set(EXPRESSIONS)
    tried = events()

    for _ in range(40):
        for text in chance.sample(EXPRESSIONS, 12):
            if text in present:
                made.remove(text)
                present.discard(text)
            else:
                made.add(text, text)
                present.add(text)
        event = chance.choice(tried)
        assert set(made.match(event)) == {text for text in present if jsonpath.find(alone[text], event)}, event


@pytest.mark.parametrize("shape", ["@.k != {0}", "@.k > {0}", "@.k <= {0}", "not @.k = {0}", "@.k > {0} and @.k < {1}"])
def test_thousands_that_differ_in_a_literal_are_told_apart(shape: str) -> None:
    """Each of them matches by its own literal, beyond the size of one block too."""
    made, alone = Index(), {}
    for number in range(1300):
        text = f"$.data[*][?({shape.format(number, number + 7)})]"
        made.add(number, text)
        alone[number] = jsonpath.parse(text)
    for number in range(0, 1300, 3):
        made.remove(number)
        del alone[number]

    for values in ([700], [0.5, 1299], ["x"], [True], [], [10**30], [float("nan")], [12, 13, None]):
        event = {"data": [{"k": value} for value in values] + [{}, 5]}
        expected = [number for number, expression in alone.items() if jsonpath.find(expression, event)]
        assert sorted(made.match(event)) == expected  # type: ignore[type-var]


def test_thousands_that_look_for_one_value_each_find_it() -> None:
    """A table of thousands of entries finds exactly the one whose literals the event has."""
    made = Index()
    for number in range(5000):
        text = f'$[?(@.t = "t{number % 7}")].data[*][?(@.k = "k{number % 11}" and @.v = {number})]'
        made.add(number, text)

    event = {
        "t": "t3",
        "data": [{"k": "k3", "v": 3}, {"k": "k4", "v": 4}, {"k": "k5", "v": 80}, {"k": "k3", "v": 80.0}],
    }
    assert made.match(event) == [3, 80]


def test_thousands_of_shapes_do_not_disturb_one_another() -> None:
    """Expressions that name other members each find what is theirs, however many members there are."""
    made = Index()
    for number in range(40):
        made.add(number, f'$[?(@.t = "t")].data[*][?(@.k{number} = "x" and @.all = 1)]')
        made.add((number, "limit"), f"$.data[*][?(@.k{number} > 5)]")
        made.add((number, "root"), f"$[?(@.k{number} = @.t)]")
        made.add((number, "deep"), f"$..k{number}.z")

    event = {"t": "t", "k7": "t", "data": [{"k3": "x", "all": 1}, {"k4": "x", "all": 2}, {"k39": 6, "k5": {"z": 0}}]}
    assert set(made.match(event)) == {3, (39, "limit"), (7, "root"), (5, "deep")}


@pytest.mark.parametrize(
    ("first", "second", "event"),
    [
        ('$[?(@.a = "x")]', '$[?(@.a = "\\u0078")]', {"a": "\\u0078"}),
        ("$[?(@.a = 1)]", "$[?(@.a = 1e0)]", {"a": 1}),
        ("$[?(@.a = 1)]", "$[?(@.a = 100000000000000000000001)]", {"a": 100000000000000000000001}),
        ("$[?(@.a > 1)]", "$[?(@.a > -1.5E-1)]", {"a": 0}),
        ('$[?(@["a"] = "x")]', '$[?(@["b"] = "x")]', {"b": "x"}),
        ('$[?(@["="] = "x")]', '$[?(@["= "] = "x")]', {"= ": "x"}),
        ('$["a"][?(@ = "b")]', '$["b"][?(@ = "a")]', {"b": "a"}),
        ("$[?(1 = 1)]", "$[?(1 = 2)]", {}),
        ("$[?(@.a.charAt(0) = 1)]", '$[?(@.a.charAt(0) = "b")]', {"a": "b"}),
        ("$[?(@.a = 1)][?(@.a[0])]", "$[?(@.a = 2)][?(@.a)]", {"a": 2}),
        ('$[?(@.a = "x" or @.a = "x")]', '$[?(@.a = "y" or @.a = "z")]', {"a": "z"}),
        ("$[?(@.a < 5)]", '$[?(@.a < "5")]', {"a": 1}),
        ('$[?(@.a\t=\n"x")]', '$[?(@.a\t=\n"y")]', {"a": "y"}),
        ("$[?(@.a = -0)]", "$[?(@.a = -0.0)]", {"a": 0}),
    ],
)
def test_what_was_learnt_from_one_expression_is_right_for_the_next(first: str, second: str, event: Any) -> None:
    """Expressions that look alike but for literals are not mixed up, whichever comes first."""
    for texts in ([first, second], [second, first]):
        found = filled(texts).match(event)
        assert set(found) == {text for text in texts if jsonpath.find(jsonpath.parse(text), event)}


@pytest.mark.parametrize(
    "text", ["$[?(@.a = 01)]", "$[?(@.a = 1.)]", '$[?(@.a = "x)]', '$[?(@.a = "x""y")]', "$[?(@.a = 1 2)]"]
)
def test_what_is_no_expression_is_refused_after_a_good_one_too(text: str) -> None:
    """That one of the kind was accepted does not let a bad one pass; the message is that of the parser."""
    made = filled(["$[?(@.a = 1)]", '$[?(@.a = "x")]'])

    with pytest.raises(ValueError) as alone:  # noqa: PT011
        jsonpath.parse(text)
    with pytest.raises(ValueError) as together:  # noqa: PT011
        made.add("bad", text)

    assert str(together.value) == str(alone.value)
