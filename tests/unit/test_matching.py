"""Which subscriptions an event matches, whatever one of them does."""

from __future__ import annotations

import random
import threading
from collections.abc import Hashable
from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import InvalidJSONPath, OverBudget
from pacifica.notifications.matching import Index
from tests.support.factories import make_event


class Failures(list[tuple[Hashable, Exception]]):
    """What an index told of failed expressions."""

    def __call__(self, key: Hashable, error: Exception) -> None:
        """Note one."""
        self.append((key, error))


def index(failures: Failures | None = None, **expressions: str) -> Index:
    """Return an index that holds these expressions."""
    made = Index(failed=failures)
    for key, text in expressions.items():
        made.add(key, text)
    return made


def deep(levels: int) -> Any:
    """Return a value of many levels."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_every_expression_that_finds_something_matches() -> None:
    """The keys of all matching expressions are given, and no others."""
    made = index(all="$", data="data", files='$.data[*][?(@.destinationTable = "Files")]', other="$.other")

    assert sorted(map(str, made.match(make_event()))) == ["all", "data", "files"]
    assert sorted(map(str, made.match({"other": 1}))) == ["all", "other"]


def test_an_empty_index_matches_nothing() -> None:
    """Without subscriptions nothing matches."""
    assert index().match(make_event()) == []


def test_an_added_expression_takes_the_place_of_the_one_before() -> None:
    """A key holds one expression, the last that was added."""
    made = index(one="$.a")

    made.add("one", "$.b")

    assert len(made) == 1
    assert (made.match({"a": 1}), made.match({"b": 1})) == ([], ["one"])


def test_the_same_expression_twice_under_a_key_is_held_once() -> None:
    """An expression may be added in place of itself, and is then gone with one removal."""
    made = index(one='$[?(@.a = "x")]')

    made.add("one", '$[?(@.a = "x")]')
    assert made.match({"a": "x"}) == ["one"]

    made.remove("one")
    assert made.match({"a": "x"}) == []


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


@pytest.mark.parametrize("key", [None, 0, "", (), (1, "x"), frozenset(), 2.5])
def test_any_hashable_value_is_a_key(key: Hashable) -> None:
    """Keys are given back as they are, also in company."""
    made = index()
    made.add(key, '$[?(@.a = "x")]')
    assert made.match({"a": "x"}) == [key]

    made.add("other", '$[?(@.a = "x")]')
    assert made.match({"a": "x"}) == [key, "other"]

    made.remove(key)
    assert made.match({"a": "x"}) == ["other"]


def test_a_key_is_given_once() -> None:
    """An expression that an event satisfies in several ways is one match."""
    made = index(
        one='$[?(@.a = "x" or @.b = "y" or @.a = 1)].data[*][?(@.k = 1 or @.k = 2 or @.v > 5)]',
        two='$[?(@.a = "x")]',
    )

    found = made.match({"a": "x", "b": "y", "data": [{"k": 1, "v": 9}, {"k": 2}, {"k": 2}]})

    assert sorted(map(str, found)) == ["one", "two"]


def test_an_expression_that_never_matches_is_held_all_the_same() -> None:
    """What is always false counts, matches nothing and can be removed."""
    made = index(never="$[?(1 = 2)]", empty='$[?(@.a < "text")]')

    assert (len(made), made.match({"a": 1})) == (2, [])

    made.remove("never")
    assert len(made) == 1


def test_a_failing_expression_counts_against_itself_alone() -> None:
    """An expression that fails on an event is told and is no match; the others match as before."""
    failures = Failures()
    made = index(failures, before="$.data", zero="$.data[::0]", after="$")

    assert sorted(map(str, made.match({"data": [1]}))) == ["after", "before"]
    assert [(key, type(error)) for key, error in failures] == [("zero", ValueError)]
    assert sorted(map(str, made.match({"data": {}}))) == ["after", "before"]
    assert len(failures) == 1


def test_nobody_need_listen_to_failures() -> None:
    """Without somebody to tell, an expression that fails is no match."""
    assert index(zero="$[::0]", all="$").match([1]) == ["all"]


def test_a_deep_event_is_no_matter() -> None:
    """However deep an event is, expressions find what is in it."""
    failures = Failures()
    made = index(failures, shallow="$.a", missing="$..missing", below="$..[?(@.a = 1)]", all="$..*")

    assert sorted(map(str, made.match(deep(20_000)))) == ["all", "below", "shallow"]
    assert failures == []


def test_values_that_are_nested_too_deep_to_be_compared_are_a_failure() -> None:
    """Two values of the event whose comparison would recurse too deeply fail the expression, not the event."""
    failures = Failures()
    made = index(failures, same="$[?(@.a = @.b)]", other="$.a", item="$.list[*][?(@.x = $.a and @.y > 1)]")

    found = made.match({"a": deep(20_000), "b": deep(20_000), "list": [{"x": deep(20_000), "y": 2}]})

    assert found == ["other"]
    assert sorted((str(key), type(error)) for key, error in failures) == [("item", OverBudget), ("same", OverBudget)]


def test_an_expression_that_takes_too_much_work_is_stopped() -> None:
    """What is tried singly is stopped by its budget, told and is no match; the others match."""
    failures = Failures()
    made = Index(jsonpath.Bounds(descents=3), failures)
    # From each value it looks at all that is below: the square of the event.
    for key, text in {"before": "$", "costly": "$..*[?(@..b = @..c)]", "after": "$.a"}.items():
        made.add(key, text)

    found = made.match({"a": [deep(100) for _ in range(20)]})

    assert sorted(map(str, found)) == ["after", "before"]
    assert [(key, type(error)) for key, error in failures] == [("costly", OverBudget)]


def test_what_is_tried_singly_is_said_with_the_reason() -> None:
    """Statistics name each expression outside the index and why it is there."""
    made = index(plain="$.a", zero="$.a[::0]", twice="$..*..*")

    stats = made.stats()

    assert (stats.expressions, stats.shapes) == (3, 1)
    assert stats.outside == {
        "zero": "has a slice with step 0, which fails on lists",
        "twice": "has one '..' below another",
    }
    made.remove("zero")
    assert set(made.stats().outside) == {"twice"}


def test_expressions_that_differ_in_literals_share_a_shape() -> None:
    """Other texts, numbers, lists of wanted values and orders of terms make no other shape."""
    made = index(
        a='$[?(@.t = "x" and @.s = 1)].data[*][?(@.k = "y")]',
        b='$[?(@.s = 2.5 and @.t = "z")].data[*][?(@.k = "\u00e9")]',
        c='$[?(1 = @.s and @.t = true)].data[*][?(@.k = "y" or @.k = "z" or @.k = null)]',
        d='$[?(@.t="x"and@.s=1)]["data"].*[?(@["k"] = "a\\"b")]',
    )

    assert made.stats().shapes == 1


def test_shapes_go_with_their_last_expression() -> None:
    """An index that was emptied holds nothing, whatever was in it."""
    made = index()
    empty = made.stats().bytes
    texts = [
        "$", "$.a.b", "$..k", "$..*", '$..[?(@.k = "x")]', "$.a[0:2].b", "$[?(@.a > 1)]", "$[?(@.a > 1 and @.b < 2)]",
        '$[?(@.t = "x")].data[*][?(@.k = "y" and @.v != 3)]', '$.data[*][?(@.k = "y" or @.v > 3)].z', "$.a[::0]",
    ]  # fmt: skip
    for number in range(60):
        made.add(number, texts[number % len(texts)])
        made.add((number, "own"), f'$.data[*][?(@.k{number} = "x{number}" and @.v > {number})]')
    for number in range(60):
        made.remove(number)
        made.remove((number, "own"))

    stats = made.stats()
    assert (stats.expressions, stats.shapes, dict(stats.outside)) == (0, 0, {})
    assert stats.bytes - empty < 100_000
    assert made.match(make_event()) == []


def test_many_lists_of_wanted_values_do_not_multiply() -> None:
    """Several long lists in one expression take no more entries than the longest of them."""
    lists = [" or ".join(f'@.k{name} = "v{number}"' for number in range(30)) for name in range(5)]
    made = Index(jsonpath.Bounds(characters=100_000))
    made.add("one", f"$.data[*][?(({') and ('.join(lists)}))]")

    assert made.stats().bytes < 100_000
    assert made.match({"data": [{f"k{name}": f"v{name}" for name in range(5)}]}) == ["one"]
    assert made.match({"data": [{f"k{name}": f"v{name}" for name in range(4)} | {"k4": "v30"}]}) == []


def test_readers_see_the_old_or_the_new_state() -> None:
    """What stays is always found, what is replaced is found as the one or the other, what was never there is not."""
    made = index(stays='$.data[*][?(@.k = "x" and @.v > 1)]', also="$..k")
    event = {"t": "t", "data": [{"k": "x", "v": 5, "w": [1]}]}
    swaps = ['$[?(@.t = "t")].data[*][?(@.k = "x")]', "$.data[*][?(@.v > 2 and @.v < 9)]", "$.data[*].w[?(@[*] = 1)]"]
    made.add("swapped", swaps[0])
    wrong: list[Any] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                found = set(made.match(event))
                if not {"stays", "also", "swapped"} <= found or "never" in found:
                    wrong.append(found)
        except Exception as error:
            wrong.append(error)
            raise

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    chance = random.Random(5)
    for number in range(300):
        made.add("swapped", swaps[number % len(swaps)])
        made.add(
            ("other", number % 50), f'$.data[*][?(@.k = "x{chance.randrange(9)}" and @.v{number % 40} > {number})]'
        )
        made.add("never", f'$.data[*][?(@.k = "y{number}")]')
        made.remove(("other", chance.randrange(50)))
    done.set()
    for reader in readers:
        reader.join()

    assert wrong == []
