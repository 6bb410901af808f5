"""What a courier has in hand: a claimed delivery, its event, and its subscription as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from .. import orm, retry, signingkeys, subscriptions
from ..config import Settings
from ..errors import BrokenSeal, UnknownKey
from ..retry import Exponential, Schedule
from ..signing.signer import Signer

#: Subscriptions that are remembered as they were read.
_REMEMBERED = 20000


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscription, and what is read from its columns once: where its deliveries queue, and where they go.

    ``key`` is its uuid as it is written. ``auth``, ``extensions`` or ``signer`` is None where a row has a text that
    can't be used, the first and the last also where ``seal`` says why it can't be opened.
    """

    row: orm.EventMatch
    key: str
    lane: str
    place: str
    policy: Schedule | Exponential
    auth: Mapping[str, Any] | None
    seal: BrokenSeal | None
    extensions: Mapping[str, Any] | None
    signer: Signer | None


class Subscribers:
    """Subscriptions as they are now; one that did not change since it was read is not read again."""

    def __init__(self, settings: Settings) -> None:
        """Know none yet."""
        self._schedule = Schedule(settings.delivery.retry_schedule, settings.delivery.jitter)
        self._known: dict[str, Subscriber] = {}

    def of(self, keys: Collection[str]) -> dict[str, Subscriber]:
        """Give those with these keys."""
        revisions = orm.EventMatch.revisions(keys)
        changed = [key for key, revision in revisions.items() if self._revision(key) != revision]
        if len(self._known) > _REMEMBERED:
            self._known.clear()
            changed = list(revisions)
        for row in orm.EventMatch.by_uuid(map(UUID, changed)).values() if changed else ():
            subscriber = self._read(row)
            self._known[subscriber.key] = subscriber
        return {key: self._known[key] for key in revisions}

    def _revision(self, key: str) -> int | None:
        known = self._known.get(key)
        # With another key it may be sealed anew without a change of what it says.
        return None if known is None or isinstance(known.seal, UnknownKey) else known.row.revision

    def _read(self, row: orm.EventMatch) -> Subscriber:
        """Read a row; secrets are opened here, once for each revision and not for each send: that takes some 50 us."""
        auth, seal = _opened(row, "auth_values")
        signing, unopened = _opened(row, "signing_values")
        signer = _signer(signing, str(row.uuid))
        if signer is not None and signer.lacks_key:
            unopened = UnknownKey(signingkeys.MISSING)
        return Subscriber(
            row,
            str(row.uuid),
            row.lane,
            subscriptions.place(row.target_url),
            retry.policy(_usable(row, "retry_values"), self._schedule),
            auth,
            seal or unopened,
            _usable(row, "extension_values"),
            signer,
        )


def _opened(row: orm.EventMatch, name: str) -> tuple[Mapping[str, Any] | None, BrokenSeal | None]:
    try:
        return _usable(row, name), None
    except BrokenSeal as error:
        return None, error


def _signer(signing: Mapping[str, Any] | None, name: str) -> Signer | None:
    """Give what signs; None where that can't be told: what was to be signed never goes out without."""
    try:
        return None if signing is None else Signer.of(signing, orm.signing_keys(), name)
    except (LookupError, TypeError, ValueError):
        return None


def _usable(row: orm.EventMatch, name: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = getattr(row, name)
    except BrokenSeal:
        raise
    except ValueError:
        return None
    return found


@dataclass(slots=True)
class Work:
    """A claimed delivery with its event and its subscription; ``waited`` once it has waited for the gate."""

    delivery: orm.Claimed
    event: orm.Payload
    subscriber: Subscriber
    policy_status: int | None = None
    waited: bool = False

    @property
    def question(self) -> orm.Question:
        """Give what the gate is asked."""
        return self.event.key, self.subscriber.row.user


class Result(NamedTuple):
    """What came of a delivery, not yet written; ``disable`` says why its subscription is to be disabled."""

    work: Work
    settlement: orm.Settlement
    disable: str = ""
