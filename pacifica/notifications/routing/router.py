"""Claims events in batches, matches them, and writes what was found in one transaction."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from uuid import UUID

from .. import failpoints, orm, owners
from ..config import Settings
from ..errors import OverBudget
from ..globals import SETTLED
from .subscribers import Subscribers

LOG = logging.getLogger(__name__)

#: An event that was claimed so often without being routed is given up: it may be what its workers died of.
_GIVEN_UP = 5
#: One that was claimed so often is left to a worker that is at work for a while.
_AGAIN = 2
#: Seconds between two looks for what a lost worker had.
_LOOK_FOR_LOST = 1.0
#: Deliveries after which a transaction takes no further event.
_MANY = 5000

#: An event, and those whom it goes to.
Matched = tuple[orm.ClaimedEvent, list[UUID]]


class Router:
    """Routes with the subscriptions that it follows; used by one thread."""

    def __init__(self, settings: Settings) -> None:
        """Start with no subscriptions; they are read before the first event is claimed."""
        self._batch, self._lease = settings.matching.batch, settings.delivery.lease
        self._subscribers = Subscribers(settings, self._failed)
        self._event: UUID | None = None
        self._slowest = 0.0
        self._born = time.monotonic()
        self._look_for_lost_at = 0.0
        self._runaways: dict[UUID, str] = {}

    def drain(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Route until nothing is left; give the number of deliveries made.

        Raises ``Unavailable`` when the database does not answer; what is claimed is then taken up after its lease.
        """
        made = 0
        if self._subscribers.revision < 0:
            # It may take seconds, in which nobody waits yet for what this router has claimed.
            with orm.session():
                self._subscribers.follow()
        while not stopping():
            with orm.session():
                began = time.monotonic()
                claimed = orm.EventLog.claim_unrouted(self._batch, self._hold())
                if claimed:
                    made += self._route(claimed, began)
                # Behind what has just come, and one at a time, so that no two of them are lost together again.
                began = time.monotonic()
                looks = not claimed or began >= self._look_for_lost_at
                lost = self._claim_lost(began) if looks else None
                if lost and lost.starts >= _GIVEN_UP:
                    self._park(lost)
                elif lost:
                    made += self._route([lost], began)
            if not lost and len(claimed) < self._batch:
                break
        return made

    def _claim_lost(self, now: float) -> orm.ClaimedEvent | None:
        """Claim an event whose worker was lost: it may be what that worker died of."""
        young = now < self._born + SETTLED
        lost = orm.EventLog.claim_lost(self._hold(), _AGAIN if young else None)
        if lost is None:
            self._look_for_lost_at = now + _LOOK_FOR_LOST
        return lost

    def _hold(self) -> float:
        """Give the seconds of a lease: an event that takes longer than one must not go from router to router."""
        return max(self._lease, 3 * self._slowest)

    def _park(self, event: orm.ClaimedEvent) -> None:
        """Give an event up that no worker survived."""
        reason = f"its worker was lost {event.starts} times while it was routing it"
        if orm.EventLog.park(event, reason):
            LOG.error("event.parked event=%s reason=%r", event.uuid, reason)

    def _route(self, claimed: list[orm.ClaimedEvent], since: float) -> int:
        """Match what was claimed at a time; write it in one transaction, in several if it takes long or is much."""
        # After the claim: whoever subscribed before an event was accepted sees it.
        self._subscribers.follow()
        waiting, matched, made, found = deque(claimed), list[Matched](), 0, 0
        while waiting:
            event = waiting.popleft()
            matched.append((event, self._match(event)))
            found += len(matched[-1][1])
            late = time.monotonic() - since > self._lease / 3
            if late or found >= _MANY or not waiting:
                made += self._write(matched)
                matched, found = [], 0
            if late:
                since = time.monotonic()
                waiting = deque(orm.EventLog.renew(waiting, self._hold()))
        return made

    def _match(self, event: orm.ClaimedEvent) -> list[UUID]:
        self._event, began = event.uuid, time.monotonic()
        failpoints.hit("routing", event.uuid)
        try:
            return self._subscribers.match(event.jsondata)
        except ValueError:
            LOG.warning("event.unreadable event=%s", event.uuid)
            return []
        finally:
            self._slowest = max(self._slowest, time.monotonic() - began)

    def _write(self, matched: list[Matched]) -> int:
        """Write what a batch matched; an event that another router has by now is left to it."""
        revision = self._subscribers.revision
        routed, made = self._commit(matched, revision)
        for event, to in matched:
            if event in routed:
                LOG.info("event.routed event=%s revision=%s matches=%s", event.uuid, revision, len(to))
        for subscription, reason in self._runaways.items():
            self._subscribers.drop(subscription)
            if orm.disable(subscription, reason, tell=owners.disabled, revision=revision):
                LOG.warning("subscription.disabled subscription=%s reason=%r", subscription, reason)
        self._runaways.clear()
        return made

    @orm.repeated
    def _commit(self, matched: list[Matched], revision: int) -> tuple[set[orm.ClaimedEvent], int]:
        """Mark events routed and insert their deliveries in one transaction; give those events, and count these."""
        with orm.transaction():
            mine = set(orm.EventLog.finish_routing([event for event, _to in matched], revision))
            made = orm.EventLogMatch.add_all(
                delivery
                for event, to in matched
                if event in mine
                for delivery in self._subscribers.deliveries(event.uuid, event.created, to)
            )
        return mine, made

    def _failed(self, subscription: UUID, error: Exception) -> None:
        """Note an expression that failed on the event at hand; it counts against nobody else."""
        LOG.warning("matching.failed subscription=%s event=%s error=%r", subscription, self._event, error)
        if isinstance(error, OverBudget):
            self._runaways[subscription] = (
                f"jsonpath {error} on event {self._event}, more than one may on an event of that size"
            )
