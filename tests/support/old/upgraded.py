"""What must become of old rows: said once, in the tests' own words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from .contents import Contents
from .rows import BERLIN, Row

#: Columns that are not given here to the letter, but must be as the functions below say.
LOOSE: dict[str, set[str]] = {"eventmatch": {"revision"}, "eventlog": set(), "eventlogmatch": {"reason", "replay"}}


def utc(zone: str, local: datetime | None) -> datetime | None:
    """Give a local time in UTC: of two instants the earlier, of none the one had the clocks gone on."""
    if local is None:
        return None
    if zone == "Europe/Berlin":
        for known, found in BERLIN.items():
            if local == known:
                return found
            # MariaDB of old keeps no fractions.
            if local == known.replace(microsecond=0):
                return found.replace(microsecond=0)
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC).replace(tzinfo=None)


def expected(before: Contents, zone: str, attributes: Mapping[UUID, Row]) -> Contents:
    """Give the rows that must be there after an upgrade, without the columns of `LOOSE`."""
    to_utc = partial(utc, zone)
    return {
        "eventmatch": {uuid: _subscription(row, to_utc) for uuid, row in before["eventmatch"].items()},
        "eventlog": {uuid: _event(row, to_utc, attributes[uuid]) for uuid, row in before.get("eventlog", {}).items()},
        "eventlogmatch": {
            uuid: _delivery(row, to_utc)
            for uuid, row in before.get("eventlogmatch", {}).items()
            if row["event_log_id"] in before["eventlog"] and row["event_match_id"] in before["eventmatch"]
        },
    }


def _subscription(row: Row, to_utc: Any) -> Row:
    times = {name: to_utc(row[name]) for name in ("created", "updated", "disabled", "deleted")}
    ours = dict.fromkeys(("auth", "failing_since", "retry", "limits", "warned", "paced_until"))
    ours |= dict.fromkeys(("content_mode", "event_version", "signing"))
    return ours | {"failures": 0, "ordered": False} | row | times


def _event(row: Row, to_utc: Any, attributes: Row) -> Row:
    created = to_utc(row["created"])
    ours = dict.fromkeys(("identity", "origin", "revision", "route_at", "lease", "error"))
    routed = {
        "content_type": "application/json",
        "created": created,
        "routed": created,
        "starts": 0,
        "mode": "structured",
    }
    return row | ours | attributes | routed


def _delivery(row: Row, to_utc: Any) -> Row:
    policy, target = _code(row["policy_status_code"]), _code(row["target_status_code"])
    if target is not None and 200 <= target < 400:
        state = "delivered"
    else:
        state = "refused" if policy is not None and 400 <= policy < 500 else "dead"
    created = to_utc(row["created"])
    return row | {
        "policy_status_code": policy,
        "target_status_code": target,
        "created": created,
        "finished": created,
        "state": state,
        "attempts": int(target is not None),
        "attempts_before": 0,
        "next_attempt_at": None,
        "lease": None,
        "lane": "",
        "starts": 0,
        "accepted": None,
        "reopened": None,
    }


def _code(text: str) -> int | None:
    """Give a status, which was a text: empty for none."""
    return int(text) if len(text) == 3 and text.isdecimal() else None


def differences(before: Contents, after: Contents, zone: str, attributes: Mapping[UUID, Row]) -> list[str]:
    """Say what is not as it must be after an upgrade: rows that are missing or new, columns with another value."""
    found: list[str] = []
    for table, rows in expected(before, zone, attributes).items():
        there = after[table]
        found += [f"{table} {uuid}: missing" for uuid in rows.keys() - there.keys()]
        found += [f"{table} {uuid}: from nowhere" for uuid in there.keys() - rows.keys()]
        for uuid in rows.keys() & there.keys():
            names = there[uuid].keys() - LOOSE[table] | rows[uuid].keys()
            for name in sorted(names):
                value, wanted = there[uuid].get(name, "no column"), rows[uuid].get(name, "no such column")
                if value != wanted:
                    found.append(f"{table} {uuid}: {name} is {value!r:.200}, not {wanted!r:.200}")
    found += [f"eventmatch {uuid}: no revision" for uuid, row in after["eventmatch"].items() if not row["revision"] > 0]
    for uuid, row in after["eventlogmatch"].items():
        if not row["reason"] and row["state"] != "delivered":
            found.append(f"eventlogmatch {uuid}: no reason")
    return found + list(_wrongly_numbered(after))


def _wrongly_numbered(after: Contents) -> Iterator[str]:
    """Name what is not numbered from 0, in the order of its times, for an event and a subscription."""
    pairs = defaultdict(list)
    for row in after["eventlogmatch"].values():
        pairs[row["event_log_id"], row["event_match_id"]].append((row["replay"], row["created"]))
    for pair, numbered in pairs.items():
        ordered = sorted(numbered)
        created = [time for _, time in ordered]
        if [number for number, _ in ordered] != list(range(len(ordered))) or created != sorted(created):
            yield f"eventlogmatch, event and subscription {pair}: numbered {ordered}"
