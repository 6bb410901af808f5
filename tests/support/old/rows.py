"""Rows as older releases could leave them, the odd ones above all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from tests.support.factories import ingest

from .schemas import Version

Row = dict[str, Any]

#: Times on the clocks of Berlin around its two changes, and in UTC: what is passed twice is taken as passed first,
#: what is skipped as if the clocks had gone on.
BERLIN = {
    datetime(2025, 10, 26, 1, 59, 59, 999999): datetime(2025, 10, 25, 23, 59, 59, 999999),
    datetime(2025, 10, 26, 2, 0): datetime(2025, 10, 26, 0, 0),
    datetime(2025, 10, 26, 2, 30, 0, 500000): datetime(2025, 10, 26, 0, 30, 0, 500000),
    datetime(2025, 10, 26, 2, 59, 59, 999999): datetime(2025, 10, 26, 0, 59, 59, 999999),
    datetime(2025, 10, 26, 3, 0): datetime(2025, 10, 26, 2, 0),
    datetime(2026, 3, 29, 1, 59, 59, 999999): datetime(2026, 3, 29, 0, 59, 59, 999999),
    datetime(2026, 3, 29, 2, 0): datetime(2026, 3, 29, 1, 0),
    datetime(2026, 3, 29, 2, 30): datetime(2026, 3, 29, 1, 30),
    datetime(2026, 3, 29, 3, 0): datetime(2026, 3, 29, 1, 0),
    datetime(2026, 7, 1, 0, 30): datetime(2026, 6, 30, 22, 30),
    datetime(2026, 1, 1, 0, 30): datetime(2025, 12, 31, 23, 30),
}

NOTHING: Row = dict.fromkeys(("source", "event_id", "type", "subject", "time"))

#: What else MariaDB's TEXT takes.
LONGEST_IN_MARIADB = 65_535


def uuid_of(kind: str, number: int) -> UUID:
    """Return the same uuid each time, in no order."""
    return uuid5(NAMESPACE_URL, f"{kind}/{number}")


@dataclass
class OldRows:
    """What is in a database: rows by table; `attributes` of events are what must be found in their bodies."""

    eventmatch: list[Row] = field(default_factory=list)
    eventlog: list[Row] = field(default_factory=list)
    eventlogmatch: list[Row] = field(default_factory=list)
    attributes: dict[UUID, Row] = field(default_factory=dict)

    def of(self, table: str) -> list[Row]:
        """Return the rows of a table."""
        rows: list[Row] = getattr(self, table)
        return rows


def odd_rows(kind: str, version: Version = (3, 0), *, encoding: str = "utf-8", ordinary: int = 0) -> OldRows:
    """Return odd rows of every sort for a kind of database, and so many `ordinary` events besides.

    Characters that `encoding` does not have are left out, as a table of that character set could not hold them.
    """

    def fits(row: Row) -> bool:
        texts = [value for value in row.values() if isinstance(value, str)]
        if kind == "mysql" and any(len(text.encode(encoding, "replace")) > LONGEST_IN_MARIADB for text in texts):
            return False
        try:
            "".join(texts).encode(encoding)
        except UnicodeEncodeError:
            return False
        return True

    rows = OldRows()
    rows.eventmatch = [row for row in _subscriptions() if fits(row)]
    if version < (2, 0):
        for row in rows.eventmatch:
            del row["auth"]
    if version < (3, 0):
        return rows
    for number, (body, attributes) in enumerate([*_events(), *_ordinary(ordinary)]):
        row = {"uuid": uuid_of("event", number), "jsondata": body, "created": _time(number)}
        if fits(row):
            rows.eventlog.append(row)
            rows.attributes[row["uuid"]] = {**NOTHING, **attributes}
    rows.eventlogmatch = [row for row in _deliveries(rows) if fits(row)]
    return rows


def _time(number: int) -> datetime:
    """Return a time for a row: those around the changes of clocks first, then others."""
    known = list(BERLIN)
    if number < len(known):
        return known[number]
    return datetime(2026, 5, 1) + timedelta(seconds=number * 7.000001)


def _subscriptions() -> Iterator[Row]:
    """Give subscriptions."""
    basic = {"type": "basic", "basic": {"username": "pacifica", "password": 'pass"word\\ %s'}}
    header = {"type": "header", "header": {"type": "Bearer", "credentials": "0123456789"}}
    targets = [
        "www.example.com/no-scheme", "http://user:secret@www.example.com/", "https://1.1.1.1/fine?x=1",
        "http://10.1.2.3/", "http://192.168.0.1:8080/a", "http://127.0.0.1:9/x", "http://localhost/x",
        "http://[::1]:8080/", "http://169.254.169.254/latest", "ftp://www.example.com/", "mailto:alice@example.com",
        "http://www.example.com/#fragment", "http://bücher.example/", "http://www.example.com/with space",
        "http://www.example.com:99999/", "http://", "nothing", "", "http://www.example.com/" + "x" * 3000,
    ]  # fmt: skip
    users = [
        "default_user", "X1", "x1", "y", "y ", " y", "Y", "jörg", "JÖRG", "名前", "🙂", "a,b", "a\tb", "", "u" * 255,
    ]  # fmt: skip
    disabled = datetime(2026, 3, 29, 2, 30)
    changes: list[Row] = [
        {},
        {"auth": None},
        {"auth": "{}"},
        {"auth": json.dumps(basic)},
        {"auth": json.dumps(header)},
        {"auth": "no JSON"},
        {"auth": "[1]"},
        {"auth": ""},
        {"jsonpath": "$[?(@.eventType == 1)]"},
        {"jsonpath": ""},
        {"jsonpath": "data"},
        {"jsonpath": '$[?(@.name = "ü名🙂")]'},
        {"jsonpath": "$" + ".." * 5000},
        {"extensions": "{'a': 1}"},
        {"extensions": "[1, 2]"},
        {"extensions": ""},
        {"extensions": json.dumps({"a": 1, "ü": "ä\0"})},
        {"extensions": '{"Ü": "é\\u0000\\ud800"}'},
        {"name": ""},
        {"name": "n" * 255},
        {"name": "名" * 255},
        {"name": "Grüße, 'quoted' \"twice\" \\ %s %(a)s \r\n\t;--"},
        {"version": "v0.2"},
        {"disabled": disabled, "error": "HTTPConnectionPool(host='gone'): Max retries exceeded"},
        {"disabled": disabled, "error": ""},
        {"disabled": disabled, "error": "<html>ü\n" + "x" * 60_000},
        {"error": "an error, and yet not disabled"},
        {"deleted": disabled},
        {"deleted": disabled, "disabled": disabled, "error": "first this, then that", "auth": None},
        *({"target_url": target} for target in targets),
        *({"user": user, "name": f"of {user[:200]}"} for user in users),
    ]
    for number, changed in enumerate(changes):
        plain = {
            "uuid": uuid_of("subscription", number),
            "name": f"subscription {number}",
            "jsonpath": '$[?(@.eventType = "org.pacifica.metadata.ingest")]',
            "user": "alice",
            "disabled": None,
            "error": None,
            # Nobody needs to be asked for the address, and nothing is sent there.
            "target_url": f"http://1.1.1.1/{number}",
            "version": "v0.1",
            "extensions": "{}",
            "created": _time(number),
            "updated": _time(number + 1),
            "deleted": None,
            "auth": "{}",
        }
        yield plain | changed


def _events() -> Iterator[tuple[str, Row]]:
    """Give bodies of events, and what must be found in them."""
    whole = ingest(7, files=2)
    found = {"source": whole["source"], "event_id": whole["eventID"], "type": whole["eventType"]}
    found |= {"time": datetime(2026, 11, 22, 17, 30)}
    yield json.dumps(whole), found
    # As it is written, a second time: the same source and id.
    yield json.dumps(whole), found
    yield json.dumps(whole | {"data": "another"}, ensure_ascii=False, indent=2), found
    new = {
        "specversion": "1.0",
        "type": "t",
        "source": "/s",
        "id": "i",
        "subject": "sub",
        "time": "2026-01-01T00:00:00Z",
    }
    yield json.dumps(new), _found("/s", "i", "t", "sub", datetime(2026, 1, 1))
    yield (
        json.dumps(new | {"time": "2026-01-01T01:30:00.25+02:00"}),
        _found("/s", "i", "t", "sub", datetime(2025, 12, 31, 23, 30, 0, 250000)),
    )
    yield json.dumps(new | {"time": "yesterday", "subject": None}), _found("/s", "i", "t")
    # No event at all.
    for body in (
        "[1, 2, 3]", '"a text"', "7", "null", "true", "{}", '{"a": 1}', "", " ", "{", '{"source": "/s"', "no JSON",
        '{"source": "/s"}}', "[" * 50_000, "NaN", '["\\ud800", "\\u0000"]', '"' + "ü名🙂\x7f\u2028" + '"',
        "\ufeff{}", "{'source': '/s'}",
    ):  # fmt: skip
        yield body, {}
    yield json.dumps([whole]), {}
    # JSON for Python alone, and too large a number for it.
    yield '{"eventID": "nan", "data": NaN}', {"event_id": "nan"}
    yield '{"eventID": "digits", "data": ' + "9" * 5000 + "}", {}
    # Attributes of other types and of other lengths.
    yield json.dumps({"eventID": 7, "source": None, "eventType": ["t"], "eventTime": 5}), {}
    yield json.dumps({"eventID": "", "source": "", "eventType": ""}), {}
    fit = {"source": "s" * 512, "id": "i" * 255, "type": "t" * 512, "subject": "u" * 512}
    yield json.dumps({"specversion": "1.0", **fit}), _found(fit["source"], fit["id"], fit["type"], fit["subject"])
    wide = {name: "ü" * len(text) for name, text in fit.items()}
    yield json.dumps({"specversion": "1.0", **wide}), _found(wide["source"], wide["id"], wide["type"], wide["subject"])
    astral = {name: "🙂" * len(text) for name, text in fit.items()}
    yield (
        json.dumps({"specversion": "1.0", **astral}),
        _found(astral["source"], astral["id"], astral["type"], astral["subject"]),
    )
    yield json.dumps({"specversion": "1.0", **{name: text + "x" for name, text in fit.items()}}), {}
    yield json.dumps({"source": "s" * 513, "eventID": "i" * 256, "eventType": "t"}), {"type": "t"}
    # What no column takes.
    for text in ("a\0b", "a\ud800b", "\udfff", "a\x1fb", "line\nbreak"):
        yield json.dumps({"source": text, "eventID": text, "eventType": "kept"}), {"type": "kept"}
    # Ids that a careless column takes for the same.
    for text in ("X1", "x1", "y", "y ", " y", "ü", "u\u0308", "Ü", "ß", "ss", "%s", "\\", "'", '"', "\\N", "🙂"):
        yield json.dumps({"source": text, "eventID": text}), {"source": text, "event_id": text}
    yield '{"source": "first", "source": "last"}', {"source": "last"}
    yield ' \r\n\t{ "source"\t:\r\n"spaced" } ', {"source": "spaced"}
    yield json.dumps({"source": "/ü名🙂", "data": "\\N\\t'\"%s"}, ensure_ascii=False), {"source": "/ü名🙂"}
    # As much as the column takes, and much more.
    for size in (LONGEST_IN_MARIADB, 2_000_000, 2_000_001, 2_000_002):
        frame = json.dumps({"source": "/large", "data": ""})
        yield json.dumps({"source": "/large", "data": "x" * (size - len(frame))}), {"source": "/large"}


def _found(
    source: str, event_id: str, type_: str, subject: str | None = None, time: datetime | None = None
) -> dict[str, Any]:
    return {"source": source, "event_id": event_id, "type": type_, "subject": subject, "time": time}


def _ordinary(count: int) -> Iterator[tuple[str, Row]]:
    for number in range(1000, 1000 + count):
        event = ingest(number, files=1)
        yield (
            json.dumps(event),
            {
                "source": event["source"],
                "event_id": event["eventID"],
                "type": event["eventType"],
                "time": datetime(2026, 11, 22, 17, 30),
            },
        )


def _deliveries(rows: OldRows) -> Iterator[Row]:
    """Give what became of events: every sort of outcome, and the same event and subscription again."""
    success = '{"status": "success"}'
    outcomes = [
        ("200", success, "200", "ok"), ("200", success, "204", ""), ("200", success, "302", "elsewhere"),
        ("200", success, "399", ""), ("200", success, "400", "no"), ("200", success, "404", "not found"),
        ("200", success, "410", ""), ("200", success, "500", "kaputt ü 名 🙂 \\N \\ %s '\"\t\r\n"),
        ("200", success, "599", "<html>" + "x" * 60_000), ("200", success, "", ""), ("", "", "200", ""),
        ("", "", "404", ""), ("", "", "", ""), ("412", '{"message": "Precondition Failed"}', "", ""),
        ("403", "", "", ""), ("500", '{"status": "500 Internal Server Error"}', "", ""),
        ("None", "None", "None", "None"),
        ("200 OK", success, "no number", ""), ("200", success, "100", ""), ("200", success, "9" * 30, ""),
    ]  # fmt: skip
    numbers = iter(range(1_000_000))

    def row(event: Row, subscription: Row, outcome: tuple[str, str, str, str], created: datetime) -> Row:
        names = ("policy_status_code", "policy_resp_body", "target_status_code", "target_resp_body")
        return {
            "uuid": uuid_of("delivery", next(numbers)),
            "event_log_id": event["uuid"],
            "event_match_id": subscription["uuid"],
            **dict(zip(names, outcome, strict=True)),
            "created": created,
        }

    events, subscriptions = rows.eventlog, rows.eventmatch
    for number, outcome in enumerate(outcomes):
        yield row(events[number % 3], subscriptions[number % len(subscriptions)], outcome, _time(number))
    # Sent again by `eventretry`, some of it at the same time; rows lie in another order than that of their times.
    for number in (3, 0, 4, 1, 2, 2):
        created = datetime(2026, 6, 1) + timedelta(minutes=number)
        yield row(events[-1], subscriptions[0], outcomes[number], created)
        yield row(events[-1], subscriptions[1], outcomes[4], created)
    # Subscriptions that are disabled, deleted, or could not be made today.
    for number, subscription in enumerate(subscriptions):
        yield row(events[3], subscription, outcomes[number % len(outcomes)], datetime(2026, 6, 2))
    for number, event in enumerate(events[4:]):
        yield row(event, subscriptions[number % 2], outcomes[number % 2], event["created"] + timedelta(seconds=1))


def orphans(rows: OldRows) -> list[Row]:
    """Return deliveries of an event, and for a subscription, that are not there: SQLite of old checked no reference."""
    there = rows.eventlogmatch[0]
    return [
        there | {"uuid": uuid_of("orphan", 1), "event_log_id": uuid_of("event", -1)},
        there | {"uuid": uuid_of("orphan", 2), "event_match_id": uuid_of("subscription", -1)},
        there
        | {
            "uuid": uuid_of("orphan", 3),
            "event_log_id": uuid_of("event", -1),
            "event_match_id": uuid_of("subscription", -1),
        },
    ]
