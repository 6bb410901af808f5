"""Writes what claimed deliveries came to, with a row for every attempt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ..retry import Outcome, State
from .claimed import Claimed
from .database import dialect
from .statements import keys, marks, run

#: Characters of a target's answer that are kept, where a setting says so.
KEPT_ANSWER = 1024
#: Rows that one INSERT has at most: SQLite takes 32,766 parameters.
_ROWS = 100


class Settlement(NamedTuple):
    """What a claimed delivery came to, to be written where its lease is still ours.

    ``delay`` is in seconds and only for ``pending``; without it the delivery is held until its subscription revives.
    """

    delivery: Claimed
    state: State
    reason: str
    delay: float | None = None
    outcome: Outcome | None = None
    policy_status: int | None = None

    @property
    def attempt(self) -> int:
        """Give the number of the attempt that was made, or of the last one if none was."""
        return self.delivery.attempts + (self.outcome is not None)


def settle(settlements: Iterable[Settlement], keep_answer: bool) -> None:
    """Write settlements, as ``EventLogMatch.settle`` promises."""
    ordered = sorted(settlements, key=lambda settlement: settlement.delivery.key)
    if not ordered:
        return
    if dialect().at_once:
        _at_once(ordered, keep_answer)
    else:
        _one_by_one(ordered, keep_answer)


#: What is given for each settlement, with its type in PostgreSQL.
_GIVEN = (
    "uuid uuid, lease uuid, state text, reason text, attempt integer, delay float8, policy integer, tried boolean,"
    " status integer, seconds float8, failure text, answer text"
)
_NAMES = [name.split()[0] for name in _GIVEN.split(", ")]


def _at_once(ordered: Sequence[Settlement], keep_answer: bool) -> None:
    """Write all in one statement, with all that is written in one parameter.

    The driver takes as long for each of a thousand parameters as for all of these together, and the server for each
    statement. Rows are locked in the order of their keys before anything is written, as ``_one_by_one`` does it.
    PostgreSQL looks at a row that somebody else changed meanwhile as it is then, and so compares the lease of today.
    """
    clock = dialect().clock
    run(
        f"{dialect().by_index}WITH given AS MATERIALIZED (SELECT * FROM json_to_recordset(?::json) AS given({_GIVEN})),"  # noqa: S608 - of our own words
        f" clock AS MATERIALIZED (SELECT {clock} AS at),"
        " there AS MATERIALIZED (SELECT given.* FROM given JOIN eventlogmatch AS row USING (uuid)"
        " ORDER BY row.uuid FOR UPDATE OF row),"
        " written AS (UPDATE eventlogmatch AS row SET state = there.state, reason = there.reason,"
        " attempts = there.attempt, lease = NULL, starts = 0,"
        " finished = CASE WHEN there.state = 'pending' THEN NULL ELSE clock.at END,"
        " next_attempt_at = clock.at + make_interval(secs => there.delay),"
        " accepted = CASE WHEN there.state = 'pending' THEN row.accepted END,"
        " policy_status_code = coalesce(there.policy, row.policy_status_code),"
        " target_status_code = CASE WHEN there.tried THEN there.status ELSE row.target_status_code END"
        " FROM there CROSS JOIN clock WHERE row.uuid = there.uuid AND row.lease = there.lease)"
        " INSERT INTO deliveryattempt (delivery_id, attempt, started, seconds, status, failure, answer)"
        " SELECT uuid, attempt, clock.at - make_interval(secs => seconds), seconds, status, failure, answer"
        " FROM there CROSS JOIN clock WHERE tried",
        [json.dumps([dict(zip(_NAMES, _given(each, keep_answer), strict=True)) for each in ordered])],
    )


def _given(settlement: Settlement, keep_answer: bool) -> tuple[object, ...]:
    delivery, state, reason, delay, outcome, policy = settlement
    if state is not State.PENDING:
        delay = None
    if outcome is None:
        return delivery.key, delivery.token, state, reason, delivery.attempts, delay, policy, False, *[None] * 4
    status, failure, seconds, answer = outcome[:4]
    shown = _shown(answer) if keep_answer else None
    return (
        *(delivery.key, delivery.token, state, reason, delivery.attempts + 1, delay, policy, True),
        *(status, seconds, failure, shown),
    )


def _one_by_one(ordered: Sequence[Settlement], keep_answer: bool) -> None:
    """Lock the rows, write those that come to the same together, and insert the attempts."""
    at, key = dialect().moment(run(f"SELECT {dialect().clock}").fetchone()[0]), dialect().key
    uuids = keys(each.delivery.key for each in ordered)
    lock = "FOR UPDATE" if dialect().skip_locked else ""
    # Locked, also those that are somebody else's: nobody removes one before its attempt is written.
    found = run(f"SELECT uuid FROM eventlogmatch WHERE uuid IN ({marks(uuids)}) ORDER BY uuid {lock}", uuids)  # noqa: S608 - of our own words
    there = {uuid for (uuid,) in found.fetchall()}
    # Most of them come to the same.
    alike: dict[tuple[str, tuple[tuple[str, object], ...]], list[str]] = {}
    for settlement in ordered:
        same = settlement.delivery.token, _columns(settlement, at)
        alike.setdefault(same, []).append(key(settlement.delivery.key))
    for (lease, columns), mine in alike.items():
        written = ", ".join(f"{name} = ?" for name, _value in columns)
        run(
            f"UPDATE eventlogmatch SET {written} WHERE lease = ? AND uuid IN ({marks(mine)})",  # noqa: S608 - of our own words
            [*(value for _name, value in columns), key(lease), *mine],
        )
    tried = [
        (uuid, settlement.attempt, at - timedelta(seconds=outcome.seconds), *_answered(outcome, keep_answer))
        for settlement, uuid in zip(ordered, uuids, strict=True)
        if (outcome := settlement.outcome) is not None and uuid in there
    ]
    for start in range(0, len(tried), _ROWS):
        some = tried[start : start + _ROWS]
        run(
            "INSERT INTO deliveryattempt (delivery_id, attempt, started, seconds, status, failure, answer) VALUES "  # noqa: S608 - of our own words
            + ", ".join([f"({marks(some[0])})"] * len(some)),
            [value for row in some for value in row],
        )


def _columns(settlement: Settlement, at: datetime) -> tuple[tuple[str, object], ...]:
    """Give the columns that a settlement writes."""
    pending = settlement.state is State.PENDING
    due = at + timedelta(seconds=settlement.delay) if pending and settlement.delay is not None else None
    written: list[tuple[str, object]] = [
        ("state", settlement.state),
        ("reason", settlement.reason),
        ("attempts", settlement.attempt),
        ("finished", None if pending else at),
        ("next_attempt_at", due),
        ("lease", None),
        ("starts", 0),
    ]
    if not pending:
        written.append(("accepted", None))
    if settlement.policy_status is not None:
        written.append(("policy_status_code", settlement.policy_status))
    if settlement.outcome is not None:
        written.append(("target_status_code", settlement.outcome.status))
    return tuple(written)


def _answered(outcome: Outcome, keep_answer: bool) -> tuple[object, ...]:
    """Give what an attempt came to as its row has it."""
    failure = None if outcome.failure is None else str(outcome.failure)
    return outcome.seconds, outcome.status, failure, _shown(outcome.answer) if keep_answer else None


def _shown(answer: bytes) -> str | None:
    """Give the beginning of an answer as text that every database takes."""
    return answer[:KEPT_ANSWER].decode("utf-8", "replace").replace("\0", "\ufffd") or None
