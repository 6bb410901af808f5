"""``eventget``, ``eventpurge`` and ``eventretry``: the events on record."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from .. import orm
from ..config import Settings
from .output import complain, write_json


def _moment(text: str | None, options: Namespace, ago: timedelta) -> datetime:
    """Read a date of the command line, or count back from the database's clock."""
    return orm.now() - ago if text is None else date(text, options)


def date(text: str, options: Namespace) -> datetime:
    """Read a date of the command line, in UTC; raises ``ValueError`` that shows the form."""
    try:
        return datetime.strptime(text, options.date_format)  # noqa: DTZ007 - UTC, as the help says
    except ValueError:
        shown = datetime(2026, 1, 31, 12, tzinfo=UTC).strftime(options.date_format)
        raise ValueError(f"the date {text!r} is not of the form {options.date_format!r}, such as {shown!r}") from None


def eventget(options: Namespace, settings: Settings) -> bool:
    """Print events, newest first, with what became of them; false if a uuid is unknown."""
    with orm.session():
        start = _moment(options.start_date, options, timedelta(days=1))
        end = _moment(options.end_date, options, timedelta(0))
        limit = max(options.limit, len(options.uuid))
        rows = orm.EventLog.between(options.uuid, start, end, limit)
        deliveries: dict[UUID, list[orm.EventLogMatch]] = {row.uuid: [] for row in rows}
        for delivery in orm.EventLogMatch.of_events(deliveries):
            deliveries[delivery.event_log_id].append(delivery)
        tries = orm.DeliveryAttempt.of_deliveries(d.uuid for made in deliveries.values() for d in made)
    if options.json:
        write_json([_described(row, deliveries[row.uuid], tries) for row in rows])
    else:
        for row in rows:
            _print_event(row, deliveries[row.uuid])
    return _all_known(options.uuid, {row.uuid for row in rows})


def _all_known(wanted: list[UUID], found: set[UUID]) -> bool:
    unknown = [uuid for uuid in wanted if uuid not in found]
    for uuid in unknown:
        complain(f"{uuid}: there is no such event")
    return not unknown


def _print_event(row: orm.EventLog, deliveries: list[orm.EventLogMatch]) -> None:
    print(f"Event - {row.uuid}")
    print(json.dumps(_value(row), indent=4, ensure_ascii=False))
    for delivery in deliveries:
        print(
            f"    ELM {delivery.event_match_id} ({delivery.created})"
            f" policy {delivery.policy_status_code} target {delivery.target_status_code}"
        )


def _value(row: orm.EventLog) -> Any:
    """Give an event's value; a body of an old row that is no JSON as its text."""
    try:
        return json.loads(row.jsondata)
    except ValueError:
        return row.jsondata


def _described(
    row: orm.EventLog, deliveries: list[orm.EventLogMatch], tries: list[orm.DeliveryAttempt]
) -> dict[str, Any]:
    return row.to_hash() | {
        "jsondata": _value(row),
        "deliveries": [
            delivery.to_hash() | {"tries": [each.to_hash() for each in tries if each.delivery_id == delivery.uuid]}
            for delivery in deliveries
        ],
    }


def eventpurge(options: Namespace, settings: Settings) -> bool:
    """Remove events with their deliveries; what is not finished is left and counted unless forced."""
    purged = 0
    with orm.session(), orm.unlimited():
        older_than = _moment(options.older_than_date, options, timedelta(days=1))
        purge = orm.Purge(options.uuid, older_than, options.force)
        removable, left = purge.count()
        with click.progressbar(length=removable, label="removing events", file=sys.stderr) as bar:
            while removed := purge.batch():
                purged += removed
                bar.update(removed)
    if options.json:
        write_json({"purged": purged, "left": left})
    else:
        print(f"{purged} events removed")
        if left:
            print(f"{left} events left, which are not routed yet or have a pending delivery; --force removes them too")
    return True
