"""Events to try an expression on: from files, from standard input, or from the log."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import orm

_EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Sample:
    """An event and what it is called here: its file and number, or its uuid in the log."""

    name: str
    event: Any


def samples(options: Namespace) -> list[Sample]:
    """Read all events that a command names; raises ``ValueError`` that says what can't be read, and where."""
    if options.database:
        if options.file:
            raise ValueError("events come from files or from the log; leave out --log, or the files")
        return list(_of_log(options))
    if options.event:
        raise ValueError("--event chooses among the events of the log; add --log")
    if not options.file and sys.stdin.isatty():
        raise ValueError("say which events: files, - for standard input, or --log")
    return [sample for file in options.file or ["-"] for sample in _of_file(file)]


def _of_log(options: Namespace) -> Iterator[Sample]:
    """Give the newest events that are stored, or those with the uuids that are named."""
    with orm.session():
        rows = orm.EventLog.between(options.event, _EPOCH, orm.now(), max(options.limit, len(options.event)))
    unknown = set(options.event) - {row.uuid for row in rows}
    if unknown:
        raise ValueError("\n".join(f"{uuid}: there is no such event" for uuid in sorted(unknown)))
    for row in rows:
        yield Sample(f"event {row.uuid}", _value(row.jsondata, f"event {row.uuid}"))


def _of_file(file: str) -> Iterator[Sample]:
    """Give the events of a file: one, an array of them, or one on each line."""
    name = "standard input" if file == "-" else file
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = body.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: is not UTF-8, byte {error.start} is not") from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_json(lines[0][1]):
        for number, line in lines:
            place = f"{name}, line {number}"
            yield Sample(place, _value(line, place))
        return
    value = _value(text, name)
    if not isinstance(value, list):
        yield Sample(name, value)
        return
    for number, event in enumerate(value, 1):
        yield Sample(f"{name}, event {number}", event)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _value(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name}: is not JSON: {error}") from error
    except RecursionError:
        raise ValueError(f"{name}: is nested too deep") from None
