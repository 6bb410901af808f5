"""Events and subscriptions with named changes; every event is another one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

#: A change with this value leaves the member out: `make_event(id=ABSENT)`.
ABSENT: Any = object()

INGEST = "org.pacifica.metadata.ingest"

#: Short names of changes for CloudEvents 0.1; every other name is the attribute's own.
SHORT_NAMES_0_1 = {
    "version": "cloudEventsVersion",
    "type": "eventType",
    "id": "eventID",
    "time": "eventTime",
    "content_type": "contentType",
}
SHORT_NAMES_1_0 = {"version": "specversion", "content_type": "datacontenttype"}

#: Far from the numbers that a test gives to `ingest`.
_numbers: Iterator[int] = itertools.count(1_000_001)


def make_event(**changes: Any) -> dict[str, Any]:
    """Return a CloudEvents 0.1 event as Pacifica's metadata service sends it after an ingest."""
    number = next(_numbers)
    event = {
        "cloudEventsVersion": "0.1",
        "eventType": INGEST,
        "source": f"http://metadata.pacifica.org/transactions?_id={number}",
        "eventID": f"metadata.ingest.{number}",
        "eventTime": "2026-11-22T17:30:00",
        "extensions": {},
        "contentType": "application/json",
        "data": ingest_data(number, files=2),
    }
    return _changed(event, changes, SHORT_NAMES_0_1)


def make_event_1_0(**changes: Any) -> dict[str, Any]:
    """Return the same kind of event in CloudEvents 1.0; changes may name extension attributes."""
    number = next(_numbers)
    event = {
        "specversion": "1.0",
        "type": INGEST,
        "source": f"http://metadata.pacifica.org/transactions?_id={number}",
        "id": f"metadata.ingest.{number}",
        "time": "2026-11-22T17:30:00Z",
        "datacontenttype": "application/json",
        "data": ingest_data(number, files=2),
    }
    return _changed(event, changes, SHORT_NAMES_1_0)


def make_subscription(**changes: Any) -> dict[str, Any]:
    """Return the body that makes a subscription: `name`, `jsonpath`, `target_url` and what is added."""
    subscription = {
        "name": "every ingest",
        "jsonpath": f'$[?(@.eventType = "{INGEST}" or @.type = "{INGEST}")]',
        "target_url": "http://www.example.com/receive",
    }
    return _changed(subscription, changes, {})


def ingest(number: int, files: int = 10) -> dict[str, Any]:
    """Return the event of transaction `number`, about 3 KB with ten files."""
    return make_event(
        source=f"http://metadata.pacifica.org/transactions?_id={number}",
        id=f"metadata.ingest.{number}",
        data=ingest_data(number, files),
    )


def ingest_data(number: int, files: int) -> list[dict[str, Any]]:
    """Return the `data` of an ingest: the transaction, its key-values, its files."""
    data: list[dict[str, Any]] = [
        {"destinationTable": "Transactions._id", "value": number},
        {"destinationTable": "Transactions.submitter", "value": 10},
        {"destinationTable": "Transactions.project", "value": "1234a"},
        {"destinationTable": "Transactions.instrument", "value": 54},
        {"destinationTable": "TransactionKeyValue", "key": "Project Name", "value": "Zürich µ-CT"},
    ]
    first = number * 1000
    data += [
        {
            "destinationTable": "Files",
            "_id": file_id,
            "name": f"scan-{file_id}.dat",
            "subdir": "raw/",
            "size": 1024 + file_id,
            "mimetype": "application/octet-stream",
            "ctime": "2026-11-22T17:29:00",
            "mtime": "2026-11-22T17:29:30",
            "hashtype": "sha1",
            "hashsum": f"{file_id:040x}",
        }
        for file_id in range(first, first + files)
    ]
    if files:
        data.append({"destinationTable": "FileKeyValue", "key": "axis", "value": "x", "file_id": first})
    return data


def _changed(members: dict[str, Any], changes: dict[str, Any], short: dict[str, str]) -> dict[str, Any]:
    """Return the members with changes applied."""
    merged = {**members, **{short.get(name, name): value for name, value in changes.items()}}
    return {name: value for name, value in merged.items() if value is not ABSENT}
