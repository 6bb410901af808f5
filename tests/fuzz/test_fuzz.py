"""The short form of `make fuzz`: random expressions are found and refused as `jsonpath2` does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.jsonpath import oracle
from tests.support.missing import missing

from . import rounds
from .paths import Paths
from .rounds import Tally, play_pairs, play_texts
from .webhooks import FILE, webhooks

#: Another one with FUZZ_SEED.
SEED = os.environ.get("FUZZ_SEED", "1")


def play(rounds_of: Callable[[str], Tally], name: str, wanted: int) -> Tally:
    """Play rounds until there is enough of something, or a mismatch."""
    total = Tally()
    number = 0
    while getattr(total, name) < wanted and not total.mismatches:
        total.add(rounds_of(f"{SEED}-{number}"))
        number += 1
    return total


@pytest.mark.parametrize("part", range(4))
def test_what_is_found_is_what_jsonpath2_finds(part: int) -> None:
    """Each expression alone and in an index decides as jsonpath2, also after some went and others came."""
    total = play(lambda seed: play_pairs(f"{part}-{seed}"), "pairs", 5_500)

    assert total.mismatches == []
    assert total.found > 300
    assert total.stopped < 5


def test_what_is_accepted_is_what_jsonpath2_accepts() -> None:
    """Damaged expressions are accepted and refused as there."""
    total = play(play_texts, "texts", 5_000)

    assert total.mismatches == []
    assert 500 < total.accepted < 4_500


def test_there_are_payloads_that_nobody_here_wrote() -> None:
    """The payloads of webhooks are among the events."""
    if not FILE.exists():
        missing(f"{FILE.parents[1].name} is not installed, because there is no npm")

    assert len(webhooks()) > 200


@pytest.mark.parametrize(
    ("text", "event"),
    [("$.a[?(@ != 1)]", {"a": 2}), ("$[?(@.a[*] = @.b[*])]", {"a": [1, 2], "b": [2]})],
)
def test_a_wrong_answer_is_seen(monkeypatch: pytest.MonkeyPatch, text: str, event: Any) -> None:
    """A round in which something is found that jsonpath2 does not find says so, alone and in the index."""
    monkeypatch.setattr(rounds, "_events", lambda chance: [event])
    monkeypatch.setattr(Paths, "path", _first(text))
    monkeypatch.setattr(oracle, "find", lambda *arguments: not jsonpath.find(jsonpath.parse(arguments[0]), event))

    said = " ".join(play_pairs("1").mismatches)

    assert "find says" in said
    assert "the index says" in said
    assert text in said


def _first(text: str) -> Callable[..., str]:
    """Give one expression before the random ones."""
    original, given = Paths.path, iter([text])
    return lambda self, event=None: next(given, None) or original(Paths(Random(self._chance.random())), event)
