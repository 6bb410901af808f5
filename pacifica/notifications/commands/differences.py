"""What an upgrade tells an operator: which of the subscriptions that are there will behave differently now."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .. import orm, resolving, subscriptions
from ..addresses import Address, Network, Place, read
from ..config import Settings
from ..errors import BrokenSeal, InvalidSubscription
from ..routing import bounds_of

#: Seconds for which the addresses of all targets are asked for, and how many at once.
PATIENCE, AT_ONCE = 10.0, 16

_WORDS = {
    "jsonpath": "have a jsonpath that can't be read, and match nothing until their owners send another",
    "target_url": "have a target_url that is refused today; their deliveries may fail, or wait until their owners send"
    " another",
    "address": "have a target that the address policy refuses; their deliveries wait until the settings allow it",
    "unknown": "have a target whose address could not be found out in time",
    "auth": "have an auth that is no such object; their deliveries are dead until their owners send another",
    "extensions": "have extensions that are no JSON object; their deliveries are dead until their owners send others",
    "user": "belong to users whose name no header can carry: nobody can see or change them",
    "default_user": "belong to the default_user, who is now only somebody on the same machine, past no proxy, at the"
    " embedded server",
    "disabled": 'were disabled by the older release and stay so; their owners revive them with PUT {"disabled": null}',
}
#: The order in which they are told.
KINDS = tuple(_WORDS)


@dataclass(frozen=True, slots=True)
class Difference:
    """What is different about one subscription; ``kind`` is one of ``KINDS``.

    ``shut`` are the addresses that ``targets.allow`` would have to have.
    """

    kind: str
    subscription: orm.EventMatch
    detail: str
    shut: tuple[Network, ...] = ()

    def to_hash(self) -> dict[str, str]:
        """Give it as JSON has it."""
        row = self.subscription
        found = {"kind": self.kind, "subscription": str(row.uuid), "user": row.user, "name": row.name}
        return found | {"detail": self.detail}


def sentence(kind: str) -> str:
    """Say what is different about some subscriptions, to stand behind that word."""
    return _WORDS[kind]


def opening(found: Iterable[Difference], settings: Settings) -> list[str]:
    """Give the lines of the section ``targets`` that open what the address policy refuses, if it does."""
    return resolving.opening([each for difference in found for each in difference.shut], settings)


def differences(settings: Settings) -> list[Difference]:
    """Find what is different about all subscriptions that are not deleted, in the order of ``KINDS``."""
    with orm.session():
        rows = orm.EventMatch.undeleted()
    found = [difference for row in rows for difference in _of(row, settings)]
    found += _by_address(rows, settings)
    return sorted(found, key=lambda difference: KINDS.index(difference.kind))


def _of(row: orm.EventMatch, settings: Settings) -> Iterator[Difference]:
    body: dict[str, Any] = {"name": row.name, "jsonpath": row.jsonpath, "target_url": row.target_url}
    for name in ("extensions", "auth"):
        text = getattr(row, name)
        try:
            body[name] = (
                row.auth_values if name == "auth" and orm.keyring.sealed(text) else json.loads(text or "{}") or {}
            )
        except BrokenSeal as error:
            yield Difference(name, row, str(error))
        except ValueError:
            yield Difference(name, row, "is no JSON")
    try:
        subscriptions.validate(body, bounds=bounds_of(settings))
    except InvalidSubscription as error:
        for pointer, message in error.faults.items():
            kind = pointer.split("/")[1]
            if kind in KINDS:
                yield Difference(kind, row, message)
    if not subscriptions.USER.fullmatch(row.user):
        yield Difference("user", row, f"user {row.user!r}")
    elif row.user == settings.default.default_user:
        yield Difference("default_user", row, "")
    if row.disabled is not None:
        said = (row.error or "").strip().partition("\n")[0][:80]
        yield Difference("disabled", row, f"since {row.disabled:%Y-%m-%d %H:%M:%S} UTC {said}".rstrip())


def _by_address(rows: Iterable[orm.EventMatch], settings: Settings) -> Iterator[Difference]:
    """Find targets that the address policy refuses."""
    policy = resolving.policy_of(settings)
    usable = [(row, place) for row in rows if (place := _place(row.target_url))]
    found = _addresses({place.name for _row, place in usable} - {""})
    for row, place in usable:
        if place.name and place.name not in found:
            yield Difference("unknown", row, place.host)
            continue
        checked = resolving.check(policy, row.target_url, found.__getitem__)
        if checked.verdict is not None and not checked.verdict.allowed:
            yield Difference("address", row, f"{place.host}: {checked.verdict.rule}", policy.missing(checked.addresses))


def _place(url: str) -> Place | None:
    """Give where a URL leads; None where that can't be read, which ``target_url`` names already."""
    try:
        return read(url)
    except ValueError:
        return None


def _addresses(names: set[str]) -> dict[str, tuple[Address, ...]]:
    """Ask for the addresses of names, many at once, all of them for no longer than ``PATIENCE``."""
    waiting, found = sorted(names), dict[str, tuple[Address, ...]]()

    def ask() -> None:
        while True:
            try:
                name = waiting.pop()
            except IndexError:
                return
            addresses = resolving.look_up(name)
            if addresses:
                found[name] = addresses

    # Daemons, because a question can't be broken off and must not keep the command from ending.
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(min(AT_ONCE, len(names)))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)
