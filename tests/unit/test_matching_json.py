"""Matching from the stored text: as little is decoded as will do, and what is decoded is what `json.loads` gives."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from pacifica.notifications.matching import Index
from pacifica.notifications.matching.envelope import decoded
from tests.support.factories import make_event

TEXTS = [
    "-0", "0", "-0.0", "1e400", "-1e400", "1e-400", "4.9e-324", "2.4703282292062327e-324", "1.7976931348623159e308",
    "9007199254740993", "9007199254740993.0", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
    "123456789012345678901234567890", "0.1", "1E5", "1e+2", "NaN", "Infinity", "-Infinity",
    '"\\ud800"', '"\\ud83d\\ude00"',
    '"\\u0000"', '"\\/"', '"é"', "[]", "{}", '{"a":1,"a":2}', '{"a":{"b":1},"a":3}',
    "[1, [2, [3]]]", "true", "null", " 1 ",
    "9" * 400, "1" + "0" * 400 + ".5", "[" * 500 + "]" * 500,
]  # fmt: skip

BROKEN = [
    "", " ", "tru", "01", "+1", ".5", "1.", "[1,]", '{"a":1,}', '{"a"}', '"\\x"', '"\t"', "'a'", "[1 2]",
    "{} {}", "\ufeff{}",
    '"\\u12"', "nan", "[", '{"a":1', "[" * 100_000, "9" * 5000,
]  # fmt: skip


def same(left: Any, right: Any) -> bool:
    """Compare two values with their types, the order of members, the sign of zero and NaN."""
    return repr(left) == repr(right)


@pytest.mark.parametrize("text", TEXTS)
def test_values_are_those_of_json_loads(text: str) -> None:
    """Large numbers, rounding, lone surrogates, names that come twice: nothing differs."""
    assert same(decoded(text), json.loads(text))
    assert same(decoded(f'{{"a": [{text}]}}'), json.loads(f'{{"a": [{text}]}}'))


def test_random_numbers_are_those_of_json_loads() -> None:
    """However many digits a number has, it is rounded alike."""
    chance = Random(17)
    for _ in range(3000):
        digits = "".join(chance.choice("0123456789") for _ in range(chance.randrange(1, 40))).lstrip("0") or "0"
        text = f"{chance.choice(['', '-'])}{digits}"
        if chance.random() < 0.7:
            text += f".{chance.randrange(10 ** chance.randrange(1, 30))}"
        if chance.random() < 0.5:
            text += f"e{chance.randrange(-340, 320)}"
        assert same(decoded(text), json.loads(text)), text


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_json_is_an_error(text: str) -> None:
    """A text that is broken raises ValueError, whether or not somebody wants the event."""
    for made in (Index(), indexed("$.a", "$..b", '$[?(@.a = "x")]')):
        for whole in (text, f'{{"a": {text}}}'):
            try:
                json.loads(whole)
            except (ValueError, RecursionError):
                # Digits beyond what Python turns into a number are JSON nevertheless.
                if not text.isdecimal() or whole == text:
                    with pytest.raises(ValueError):  # noqa: PT011
                        made.match_json(whole)


def indexed(*texts: str) -> Index:
    """Return an index of expressions, each under itself."""
    made = Index()
    for text in texts:
        made.add(text, text)
    return made


EXPRESSIONS = [
    '$[?(@.t = "x")]', '$[?(@.t = "y" and @.s = 1)]', '$[?(@.t = "x" and @.s = 2)].data[*][?(@.k = 1)]', "$.other",
    '$[?(@.t = "x" and @.n)].list[*][?(@.k = 1)]', "$.data[*][?(@.k = 5)]", "$[?(@.n > 10)]", "$[?(@.n < 3 and @.t)]",
    '$[?(@.o.p = "q")]', '$[?(@.t != "x")]', "$[?(not @.t)]", "$..deep", "$[0]", "$[?(@[0] = 1)]", "$[?(@ = 3)]",
    "$[?(@.s = null)]", "$[?(@.t = @.s)]", "$.data[::0]", '$[?(@.big = 18446744073709551616)]', "$.data.length()",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_from_the_text_the_same_is_found_as_from_the_value(seed: int) -> None:
    """Whichever expressions there are, what is left undecoded would not have mattered."""
    chance = Random(seed)
    made = indexed(*chance.sample(EXPRESSIONS, chance.randrange(1, 6)))
    for _ in range(60):
        event: Any = {
            "t": chance.choice(["x", "y", 1, None, [1]]),
            "s": chance.choice([1, 2, "x", None, {}]),
            "n": chance.choice([0, 2, 5, 11, True, "11", 1e300, float("nan")]),
            "o": chance.choice([{"p": "q"}, {"p": 1}, "q", []]),
            "data": chance.choice([[{"k": 1}], [{"k": 5}, 1], [], {}, {"a": {"deep": 1}}]),
            "list": [{"k": chance.choice([1, 2])}],
            "big": chance.choice([18446744073709551616, 18446744073709551616.0]),
            "other": 1,
        }
        event = {name: event[name] for name in chance.sample(sorted(event), chance.randrange(len(event) + 1))}
        event = event if chance.random() < 0.9 else chance.choice([3, [1], [], "x", None])
        assert sorted(map(str, made.match_json(json.dumps(event)))) == sorted(map(str, made.match(event))), event


def test_the_last_of_two_members_with_one_name_counts() -> None:
    """In the envelope as in the whole."""
    made = indexed('$[?(@.t = "x")]')

    assert made.match_json('{"t": "x", "t": "y"}') == []
    assert made.match_json('{"t": "y", "t": "x"}') == ['$[?(@.t = "x")]']
    assert made.match_json('{"t": "y", "\\u0074": "x"}') == ['$[?(@.t = "x")]']


def test_an_event_that_nobody_wants_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the guards of the event do not let through stays text; after many that are wanted it is still found out."""
    made = indexed('$[?(@.eventType = "none such")].data[*][?(@.value = 1)]', '$[?(@.source = "nowhere")]')
    text = json.dumps(make_event())

    def refuse(_: str) -> None:
        raise AssertionError

    monkeypatch.setattr("pacifica.notifications.matching.envelope.decoded", refuse)

    assert made.match_json(text) == []
