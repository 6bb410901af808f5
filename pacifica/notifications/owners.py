"""Events of our own, by which an owner learns what happens to a subscription."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

from . import events
from .globals import OWN_SOURCE, OWN_TYPES
from .subscriptions import place

FAILING = f"{OWN_TYPES}subscription.failing"
DISABLED = f"{OWN_TYPES}subscription.disabled"


class Subscription(Protocol):
    """What is told of a subscription; times are in UTC, without a zone."""

    uuid: UUID
    name: str
    user: str
    target_url: str
    disabled: datetime | None
    error: str | None
    failing_since: datetime | None
    failures: int
    warned: datetime | None


def failing(subscription: Subscription, reason: str, disable_at: datetime) -> events.Event:
    """Say that no delivery succeeds, as ``warned`` was set, and when it will be disabled if that goes on."""
    return _event(FAILING, subscription, subscription.warned, reason, {"disable_at": _time(disable_at)})


def disabled(subscription: Subscription) -> events.Event:
    """Say that it was disabled, as ``disabled`` and ``error`` were set."""
    at, reason = subscription.disabled, subscription.error
    return _event(DISABLED, subscription, at, reason, {"disabled": _time(at)})


def _event(
    kind: str, subscription: Subscription, at: datetime | None, reason: str | None, more: dict[str, Any]
) -> events.Event:
    """Make the event as it would arrive: of the target only its place, because the rest of a URL may be a secret."""
    uuid = str(subscription.uuid)
    value = {
        "specversion": "1.0",
        "type": kind,
        "source": OWN_SOURCE,
        "subject": uuid,
        "id": str(uuid4()),
        "time": _time(at),
        "datacontenttype": "application/json",
        "data": {
            "subscription": uuid,
            "name": subscription.name,
            "user": subscription.user,
            "target": place(subscription.target_url) or None,
            "since": _time(subscription.failing_since),
            "failures": subscription.failures,
            "reason": reason,
            **more,
        },
    }
    return events.parse(json.dumps(value, ensure_ascii=False).encode())


def _time(moment: datetime | None) -> str | None:
    return f"{moment.isoformat(timespec='microseconds')}Z" if moment is not None else None
