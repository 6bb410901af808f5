"""Which events the policy server is asked for, and who gets the others."""

from __future__ import annotations

from typing import Any

import pytest

from pacifica.notifications.gates import Verdict, decide
from tests.support.factories import INGEST

POLICY = "http://localhost:8181"
OWN = "org.pacifica.notifications.subscription.disabled"


@pytest.mark.parametrize("types", [("*",), (INGEST,), ("org.pacifica.*",), ("other", "*.ingest")])
def test_the_policy_server_is_asked_for_its_types(types: tuple[str, ...]) -> None:
    """An event whose type fits one of policy.types is asked about."""
    assert decide(INGEST, {}, "alice", POLICY, types) is None


@pytest.mark.parametrize(
    "types", [(), ("other",), ("org.pacifica",), ("*.INGEST",), ("org.pacifica.metadata.inges?x",)]
)
def test_other_types_go_to_everybody(types: tuple[str, ...]) -> None:
    """An event whose type fits none of policy.types goes to everybody who may subscribe."""
    assert decide(INGEST, {}, "alice", POLICY, types) == Verdict(True, "nobody is asked")


def test_without_a_policy_server_nobody_is_asked() -> None:
    """An empty policy_url lets every event through."""
    assert decide(INGEST, {}, "alice", "", ("*",)) == Verdict(True, "nobody is asked")


@pytest.mark.parametrize("url", [POLICY, ""])
def test_our_own_events_go_to_their_owner(url: str) -> None:
    """An event of our own goes to the user whom it names and to nobody else, with a policy server or without."""
    verdict = [decide(OWN, {"data": {"user": "alice"}}, user, url, ("*",)) for user in ("alice", "bob")]

    assert [found.allowed if found else None for found in verdict] == [True, False]


@pytest.mark.parametrize("value", [None, [], {}, {"data": None}, {"data": []}, {"data": {}}, {"data": {"user": None}}])
def test_an_event_of_our_own_without_an_owner_goes_to_nobody(value: Any) -> None:
    """What names no owner is refused to everybody."""
    verdict = decide(OWN, value, "alice", POLICY, ("*",))

    assert verdict is not None
    assert verdict.allowed is False
