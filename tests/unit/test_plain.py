"""`plain`: a glance at a value never takes for good what a close look finds fault with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications import documents, events, plain
from tests.support.factories import ingest, make_event_1_0

SCHEMAS = events.EVENT_SCHEMA["$defs"]

_TEXTS = ("", "x", "1.0", "0.1", "a\n", "\x7f", "é", "x" * 255, "x" * 256, "x" * 513, "AAAA", "AAA=", "AAA")
_TIMES = ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "2026-13-31T12:00:00Z")
_VALUES = st.sampled_from([None, True, False, 0, 1, 1.0, -2.5, *_TEXTS, *_TIMES, {}, {"a": 1}, []])
_NAMES = st.sampled_from(
    [*SCHEMAS["0.1"]["properties"], *SCHEMAS["1.0"]["properties"], "extra", "Extra", "ex_tra", "e1", "", "x\n"]
)


@given(
    st.sampled_from(["0.1", "1.0"]),
    st.dictionaries(_NAMES, _VALUES, max_size=4),
    st.booleans(),
)
def test_whatever_is_plain_has_no_fault(version: str, changes: dict[str, Any], whole: bool) -> None:
    """A value that is in order at a glance is so at a close look, whatever its members are."""
    schema = SCHEMAS[version]
    base = {name: "1.0" if name == "specversion" else "0.1" for name in schema["required"]} if whole else {}
    value = base | changes

    at_a_glance = plain.check(schema)(value)

    faults = documents.faults(documents.validator(schema), value)
    # A whole number that is written as 1.0 is for the close look alone.
    numbers = any(isinstance(member, float) for member in value.values())
    assert at_a_glance == (not faults) or (numbers and not at_a_glance)


@pytest.mark.parametrize("event", [ingest(1), make_event_1_0()])
def test_usual_events_are_plain(event: dict[str, Any]) -> None:
    """Events as they come need no close look."""
    value = json.loads(json.dumps(event))
    version = "1.0" if "specversion" in value else "0.1"

    assert plain.check(SCHEMAS[version])(value)


@pytest.mark.parametrize("schema", [{"minimum": 1}, {"type": "number"}, False])
def test_a_rule_that_it_does_not_know_is_an_error(schema: Any) -> None:
    """A schema with other rules than those that it knows is refused, not checked in part."""
    with pytest.raises((ValueError, KeyError)):
        plain.check(schema)
