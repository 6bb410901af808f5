"""Examples of what is sent; a test sends each of them."""

from __future__ import annotations

from typing import Any

from ...globals import OWN_SOURCE
from ...owners import FAILING

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "type": "org.example.scan.finished",
    "source": "/beamline/7",
    "id": "scan-1234",
    "time": "2026-11-22T17:30:00Z",
    "datacontenttype": "application/json",
    "data": {"scan": 1234},
}
INGEST: dict[str, Any] = {
    "cloudEventsVersion": "0.1",
    "eventType": "org.pacifica.metadata.ingest",
    "source": "http://metadata.pacifica.org/transactions?_id=67",
    "eventID": "metadata.ingest.67",
    "eventTime": "2026-11-22T17:30:00",
    "extensions": {},
    "contentType": "application/json",
    "data": [{"destinationTable": "Transactions._id", "value": 67}],
}
EVENTS = {
    "1.0": {"summary": "CloudEvents 1.0", "value": EVENT},
    "ingest": {"summary": "An ingest of Pacifica, CloudEvents 0.1", "value": INGEST},
}
BATCHES = {"two": {"summary": "Two events", "value": [EVENT, EVENT | {"id": "scan-1235", "data": {"scan": 1235}}]}}

SUBSCRIPTIONS = {
    "least": {
        "summary": "As little as there can be",
        "value": {
            "name": "My Event Match",
            "jsonpath": "data",
            "target_url": "http://127.0.0.1:8080/",
        },
    },
    "auth": {
        "summary": "With a user and a password",
        "value": {
            "name": "every ingest",
            "jsonpath": '$[?(@.eventType = "org.pacifica.metadata.ingest")]',
            "target_url": "http://127.0.0.1:8080/",
            "extensions": {"facility": "north"},
            "auth": {"type": "basic", "basic": {"username": "alice", "password": "open sesame"}},
        },
    },
    "gentle": {
        "summary": "One event after the other, as CloudEvents 1.0",
        "value": {
            "name": "one at a time",
            "jsonpath": "$.data",
            "target_url": "http://127.0.0.1:8080/",
            "retry": {"base": 5, "factor": 2, "cap": 3600, "total": 86400, "jitter": 0.2},
            "limits": {"in_flight": 1, "rate": 0.5},
            "ordered": True,
            "content_mode": "structured",
            "event_version": "1.0",
        },
    },
}
#: What answers show.
SUBSCRIPTION = {
    "uuid": "0295f4cb-494a-4db0-9d84-50dea4e01171",
    "name": "every ingest",
    "jsonpath": '$[?(@.eventType = "org.pacifica.metadata.ingest")]',
    "user": "alice",
    "disabled": None,
    "error": None,
    "target_url": "http://127.0.0.1:8080/",
    "version": "v0.1",
    "extensions": {"facility": "north"},
    "auth": {"type": "basic", "basic": {"username": "alice", "password": "***"}},
    "created": "2026-11-22T18:31:23.551000Z",
    "updated": "2026-11-22T18:31:23.551000Z",
    "deleted": None,
}
STORED = {"uuid": "d7329c26-b3e0-4e56-9af0-e6bd3db233af", "duplicate": False}

CHANGES = {
    "rename": {"summary": "Another name", "value": {"name": "every ingest of the north"}},
    "disable": {"summary": "Disable", "value": {"disabled": "2026-11-22T17:30:00Z"}},
    "revive": {"summary": "Revive", "value": {"disabled": None}},
}

LOGINS = {"alice": {"summary": "By name and password", "value": {"username": "alice", "password": "open sesame"}}}

#: An event of our own, as its owner gets it.
OWN = {
    "failing": {
        "summary": "No delivery of a subscription succeeds",
        "value": {
            "specversion": "1.0",
            "type": FAILING,
            "source": OWN_SOURCE,
            "subject": "0295f4cb-494a-4db0-9d84-50dea4e01171",
            "id": "9f8e2b7c-5a0d-4f0e-8a53-3f3a4b1f9f10",
            "time": "2026-11-22T18:31:23.551000Z",
            "datacontenttype": "application/json",
            "data": {
                "subscription": "0295f4cb-494a-4db0-9d84-50dea4e01171",
                "name": "every ingest",
                "user": "alice",
                "target": "http://127.0.0.1:8080",
                "since": "2026-11-22T17:30:00.000000Z",
                "failures": 6,
                "reason": "500",
                "disable_at": "2026-11-27T17:30:00.000000Z",
            },
        },
    }
}
