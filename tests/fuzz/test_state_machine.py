"""An index that is changed again and again decides as if it had been filled just now."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from pacifica.notifications.errors import InvalidJSONPath
from pacifica.notifications.jsonpath import oracle
from pacifica.notifications.matching import Index

from .events import Events
from .paths import Paths

#: Expressions of the usual kinds, with few literals, so that many keys share a shape.
USUAL = st.builds(
    str.format,
    st.sampled_from(
        [
            '$[?(@.eventType = "{0}")]',
            '$[?(@.eventType = "{0}" and @.data[*][?(@.key = "{1}" and @.value = {2})])]',
            '$.data[*][?(@.key = "{0}")].value',
            '$.data[*][?(@.key = "{0}" or @.value = {2})]',
            "$.data[*][?(@.value > {2})]",
            "$.data[*][?(@.value != {2} and @.value <= {2})]",
            '$.data[*][?(not @.key = "{1}")]',
            '$..[?(@.key = "{1}")]',
            "$.data[{2}].key",
            "$.data[::0]",
            "data",
            "$..{1}",
        ]
    ),
    st.sampled_from(["x", "y", "z"]),
    st.sampled_from(["key", "value", "z"]),
    st.sampled_from(["0", "1", "1.0", "-1"]),
)
ANY = st.integers(0, 10**6).map(lambda seed: Paths(Random(seed)).path())

_scalars = st.sampled_from(["x", "y", "z", "key", 0, 1, 1.0, True, None, -1])
_items = st.lists(st.dictionaries(st.sampled_from(["key", "value", "z"]), _scalars, max_size=3), max_size=3)
EVENTS = st.one_of(
    st.fixed_dictionaries({"eventType": st.sampled_from(["x", "y"]), "data": st.one_of(_items, _scalars)}),
    st.integers(0, 10**6).map(lambda seed: Events(Random(seed)).any()),
)


class Changes(RuleBasedStateMachine):
    """Adds, replaces and removes expressions, and matches in between; jsonpath2 says what is right."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, str] = {}
        self.failures: dict[Any, Exception] = {}
        self.index = Index(failed=self.failures.__setitem__)

    @rule(target=keys, key=st.integers(0, 9), text=st.one_of(USUAL, USUAL, ANY))
    def add(self, key: int, text: str) -> int:
        """Add under a key, which may be a new one."""
        self.index.add(key, text)
        self.held[key] = text
        return key

    @rule(key=keys, text=st.one_of(USUAL, ANY))
    def replace(self, key: int, text: str) -> None:
        """Put another expression in place of one, or back where one was removed."""
        self.index.add(key, text)
        self.held[key] = text

    @rule(key=keys)
    def add_the_same(self, key: int) -> None:
        """Add once more what is there."""
        if key in self.held:
            self.index.add(key, self.held[key])

    @rule(key=keys)
    def add_what_is_no_expression(self, key: int) -> None:
        """Put something in place of one that is refused; then nothing is held."""
        try:
            self.index.add(key, "$.data[")
        except InvalidJSONPath:
            self.held.pop(key, None)

    @rule(key=st.one_of(keys, st.integers(0, 12)))
    def remove(self, key: int) -> None:
        """Remove a key, which may be unknown."""
        self.index.remove(key)
        self.held.pop(key, None)

    @rule(event=EVENTS)
    def match(self, event: Any) -> None:
        """Match an event."""
        self.failures.clear()
        wanted, failing = set(), set()
        for key, text in self.held.items():
            try:
                if oracle.find(text, event):
                    wanted.add(key)
            except ValueError:
                failing.add(key)

        found = self.index.match(event)

        assert sorted(found) == sorted(wanted)
        assert {*self.failures} == failing

    @invariant()
    def holds_as_many(self) -> None:
        """The index knows how many it holds."""
        assert len(self.index) == len(self.held)


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
