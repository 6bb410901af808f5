"""Routes events: claims those that are not routed yet, matches them, and makes their deliveries."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Hashable
from uuid import UUID

from . import failpoints, jsonpath, orm, owners
from .config import Settings
from .errors import InvalidJSONPath, OutOfTime
from .globals import SETTLED
from .matching import Index

LOG = logging.getLogger(__name__)

#: An event that was claimed so often without being routed is given up: it may be what its workers died of.
_GIVEN_UP = 5
#: One that was claimed so often is left to a worker that is at work for a while.
_AGAIN = 2
#: Seconds between two looks for what a lost worker had.
_LOOK_FOR_LOST = 1.0


class Router:
    """Follows the subscriptions by their revision and routes with them; used by one thread."""

    def __init__(self, settings: Settings) -> None:
        """Start with no subscriptions; the first batch reads them."""
        matching = settings.matching
        bounds = bounds_of(settings)
        self._batch, self._lease, self._longest = matching.batch, settings.delivery.lease, matching.max_time
        self._index = Index(bounds, self._failed)
        self._lanes: dict[Hashable, str] = {}
        self._ordered: set[Hashable] = set()
        self._revision = -1
        self._event: UUID | None = None
        self._slowest = 0.0
        self._born = time.monotonic()
        self._runaways: dict[UUID, str] = {}

    def drain(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Route until nothing is left; give the number of deliveries made.

        Raises ``Unavailable`` when the database does not answer; what is claimed is then taken up after its lease.
        """
        made, look_for_lost_at = 0, 0.0
        while not stopping():
            # An event that takes longer than a lease to match must not go from router to router for ever.
            lease = max(self._lease, 3 * self._slowest)
            look = time.monotonic() >= look_for_lost_at
            with orm.session():
                young = time.monotonic() < self._born + SETTLED
                lost = orm.EventLog.claim_lost(lease, _AGAIN if young else None) if look else None
                claimed = [lost] if lost else orm.EventLog.claim_unrouted(self._batch, lease)
                if lost and lost.starts >= _GIVEN_UP:
                    self._park(lost)
                elif claimed:
                    self._follow()
                    made += self._route(claimed)
            if look and not lost:
                look_for_lost_at = time.monotonic() + _LOOK_FOR_LOST
            if not lost and len(claimed) < self._batch:
                break
        return made

    def _park(self, event: orm.EventLog) -> None:
        """Give an event up that no worker survived."""
        reason = f"its worker was lost {event.starts} times while it was routing it"
        if event.park(reason):
            LOG.error("event.parked event=%s reason=%r", event.uuid, reason)

    def _follow(self) -> None:
        """Take up what changed about subscriptions since the last batch."""
        revision, changed = orm.EventMatch.changed_since(self._revision)
        for row in changed:
            self._index.remove(row.uuid)
            self._lanes.pop(row.uuid, None)
            self._ordered.discard(row.uuid)
            if row.disabled is None and row.deleted is None:
                self._take_up(row)
        self._revision = revision

    def _take_up(self, row: orm.EventMatch) -> None:
        try:
            self._index.add(row.uuid, row.jsonpath)
            self._lanes[row.uuid] = row.lane
            if row.ordered:
                self._ordered.add(row.uuid)
        except InvalidJSONPath as error:
            LOG.warning("subscription.unusable subscription=%s jsonpath=%s", row.uuid, error)

    def _route(self, claimed: list[orm.EventLog]) -> int:
        """Match a batch; write what was found in one transaction, or in several when matching takes long."""
        made, matched, since = 0, [], time.monotonic()
        for position, event in enumerate(claimed):
            matched.append((event, self._match(event)))
            if time.monotonic() - since > self._lease / 3:
                made += self._write(matched)
                matched, since = [], time.monotonic()
                for waiting in claimed[position + 1 :]:
                    waiting.renew(self._lease)
        return made + self._write(matched)

    def _match(self, event: orm.EventLog) -> list[Hashable]:
        self._event, began = event.uuid, time.monotonic()
        failpoints.hit("routing", event.uuid)
        try:
            value = json.loads(event.jsondata)
        except ValueError:
            LOG.warning("event.unreadable event=%s", event.uuid)
            return []
        found = self._index.match(value)
        self._slowest = max(self._slowest, time.monotonic() - began)
        return found

    def _write(self, matched: list[tuple[orm.EventLog, list[Hashable]]]) -> int:
        """Write what a batch matched; an event that another router has by now is left to it."""
        routed = self._commit(matched)
        for uuid, matches in routed:
            LOG.info("event.routed event=%s revision=%s matches=%s", uuid, self._revision, matches)
        for subscription, reason in self._runaways.items():
            self._index.remove(subscription)
            orm.disable(subscription, reason, tell=owners.disabled)
            LOG.warning("subscription.disabled subscription=%s reason=%r", subscription, reason)
        self._runaways.clear()
        return sum(matches for _uuid, matches in routed)

    @orm.repeated
    def _commit(self, matched: list[tuple[orm.EventLog, list[Hashable]]]) -> list[tuple[UUID, int]]:
        """Mark events routed and insert their deliveries in one transaction; count those of each event."""
        routed: list[tuple[UUID, int]] = []
        with orm.transaction():
            for event, subscriptions in matched:
                if event.finish_routing(self._revision):
                    lanes = {subscription: self._lanes[subscription] for subscription in subscriptions}
                    added = orm.EventLogMatch.add(event.uuid, lanes, 0, event.created, self._ordered)  # type: ignore[arg-type]
                    routed.append((event.uuid, added))
        return routed

    def _failed(self, key: Hashable, error: Exception) -> None:
        """Note an expression that failed on the event at hand; it counts against nobody else."""
        LOG.warning("matching.failed subscription=%s event=%s error=%r", key, self._event, error)
        if isinstance(error, OutOfTime) and isinstance(key, UUID):
            self._runaways[key] = (
                f"jsonpath took more than {self._longest:g} seconds (matching.max_time) on event {self._event}"
            )


def bounds_of(settings: Settings) -> jsonpath.Bounds:
    """Give the bounds for expressions that the settings say."""
    matching = settings.matching
    return jsonpath.Bounds(
        characters=matching.max_expression,
        nesting=matching.max_nesting,
        descents=matching.max_descents,
    )
