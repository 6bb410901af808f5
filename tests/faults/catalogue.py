"""The cases by their numbers, and how one is run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .rig import Rig, Run


class Impossible(Exception):
    """Raised by a case that can't be run on this machine; `needed`: in CI that is a failure."""

    def __init__(self, reason: str, *, needed: bool = True) -> None:
        super().__init__(reason)
        self.needed = needed


#: Takes the rig and whether the long form is wanted; gives the run, all of whose events are sent.
Act = Callable[..., Run]


@dataclass(frozen=True, slots=True)
class Case:
    """A fault: its number, what happens in a few words, the broker of its short form."""

    name: str
    what: str
    act: Act
    broker: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a case: a line of the table, and what is wrong."""

    case: Case
    broker: str
    seed: int
    sent: int
    kills: int
    lost: int
    duplicates: int
    seconds: float
    problems: list[str]


CASES: dict[str, Case] = {}


def case(name: str, what: str, broker: str) -> Callable[[Act], Act]:
    """Enter a function into the catalogue; `broker` is that of its short form."""

    def enter(act: Act) -> Act:
        CASES[name] = Case(name, what, act, broker)
        return act

    return enter


def play(rig: Rig, chosen: Case, **options: Any) -> Finding:
    """Run one case and judge it; raises `Impossible` where it can't be run."""
    rig.restore()
    # The same whatever was run before it.
    rig.random.seed(f"{rig.seed} {chosen.name}")
    began = time.monotonic()
    run = chosen.act(rig, **options)
    verdict = run.ended or run.end()
    seconds = time.monotonic() - began
    return Finding(
        chosen, rig.broker_name, rig.seed, run.sent, run.kills, verdict.lost, verdict.duplicates, seconds,
        verdict.problems,
    )  # fmt: skip


def table(findings: list[Finding]) -> str:
    """Write findings as a table in Markdown."""
    lines = [
        "| case | what | broker | events | kills | lost | again | seconds | seed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for found in findings:
        cells = (
            found.case.name, found.case.what, found.broker, found.sent, found.kills, found.lost, found.duplicates,
            f"{found.seconds:.0f}", found.seed,
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
