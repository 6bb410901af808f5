"""Events for the figures of matching: ingests as Pacifica's metadata service sends them, each another one."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.support.factories import INGEST

#: Files of an event of 3 KB, which has 17 items, and of one of 28 KB, which has 139.
SMALL, LARGE = 10, 132

SOURCES = tuple(f"/pacifica/metadata/ingest/{site}" for site in ("berlin", "geneva", "oslo", "porto", "zurich"))
#: Values that events have in common, and that a part of the subscriptions asks for.
INSTRUMENTS = range(50, 60)
PROJECTS = tuple(f"{number}p" for number in range(1000, 1100))
KEYS = ("Sample", "Operator", "Proposal Title", "Beam Energy", "Detector", "Tags", "Cruise", "Station")
VALUES = tuple(f"run {number}" for number in range(100))
MIMETYPES = ("text/csv", "text/plain", "image/tiff", "image/png", "application/json", "application/x-hdf5")
FOLDERS = tuple(f"{stage}/{kind}/" for stage in "abcde" for kind in ("dark", "flat", "raw", "logs", "results"))


def events(number: int, files: int, seed: int, event_type: str = INGEST) -> list[str]:
    """Give the texts of so many different events of so many files."""
    random = Random(f"events {seed} {files}")
    return [json.dumps(_event(random, files, event_type), separators=(",", ":")) for _ in range(number)]


def _event(random: Random, files: int, event_type: str) -> dict[str, Any]:
    number = random.randrange(10**6, 10**7)
    return {
        "cloudEventsVersion": "0.1",
        "eventType": event_type,
        "source": random.choice(SOURCES),
        "eventID": f"metadata.ingest.{number}",
        "eventTime": f"2026-11-22T{random.randrange(24):02}:{random.randrange(60):02}:00",
        "extensions": {},
        "contentType": "application/json",
        "data": _items(random, number, files),
    }


def _items(random: Random, number: int, files: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [
        {"destinationTable": "Transactions._id", "value": number},
        {"destinationTable": "Transactions.submitter", "value": random.randrange(10_000)},
        {"destinationTable": "Transactions.project", "value": random.choice(PROJECTS)},
        {"destinationTable": "Transactions.instrument", "value": random.choice(INSTRUMENTS)},
        {"destinationTable": "TransactionKeyValue", "key": random.choice(KEYS), "value": random.choice(VALUES)},
        {"destinationTable": "TransactionKeyValue", "key": "Comment", "value": f"made by hand, {random.random()}"},
    ]
    first = random.randrange(10**5, 10**6)
    # What is sent at once is mostly of one kind.
    folders = random.sample(FOLDERS, 2)
    items += [_file(random, first + position, random.choice(folders)) for position in range(files)]
    axis = {"key": "axis", "value": random.choice("xyz"), "file_id": first}
    return [*items, {"destinationTable": "FileKeyValue", **axis}]


def _file(random: Random, file_id: int, folder: str) -> dict[str, Any]:
    # Most are small, a few are very large.
    size = random.randrange(10**8) if random.random() < 0.01 else random.randrange(10**6)
    return {
        "destinationTable": "Files",
        "_id": file_id,
        "name": f"{file_id}.dat",
        "subdir": folder,
        "size": size,
        "mimetype": random.choice(MIMETYPES),
        "ctime": str(random.randrange(1_790_000_000, 1_800_000_000)),
        "mtime": str(random.randrange(1_790_000_000, 1_800_000_000)),
        "hashtype": "md5",
        "hashsum": f"{random.getrandbits(128):032x}",
    }
