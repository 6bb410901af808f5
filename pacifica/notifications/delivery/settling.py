"""Writes down what deliveries came to, and what follows from it for their subscriptions and targets."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .. import failpoints, orm, owners
from ..config import Settings
from ..globals import OWN_TYPES
from ..retry import Failure, Outcome
from . import lines
from .work import Result, Work

LOG = logging.getLogger(__name__)

#: A subscription is not disabled for fewer failures in a row than this, however long ago the first was.
FEWEST_FAILURES = 10
#: What tells of a port that nothing answers there over HTTP.
_ALIKE = frozenset({Failure.REFUSED, Failure.TIMEOUT, Failure.RESET, Failure.TLS, Failure.HTTP})
#: Results that are written at once, and seconds that one waits for others.
_MANY, _WAIT = 200, 0.02


@dataclass(frozen=True, slots=True)
class _Failing:
    """A subscription that is to be disabled, or will be at ``disable_at`` if it goes on; ``tell`` its owner or not."""

    subscription: orm.EventMatch
    reason: str
    disable_at: datetime | None = None
    tell: bool = True


class Results:
    """What deliveries came to, until it is written; nothing is lost while the database is away."""

    def __init__(self, settings: Settings) -> None:
        """Hold none yet."""
        self._settings = settings
        self._held: list[Result] = []
        self._failing: list[_Failing] = []
        self._since = 0.0

    def __len__(self) -> int:
        """Count what is not written yet."""
        return len(self._held)

    @property
    def works(self) -> list[Work]:
        """Give the deliveries whose results are not written yet."""
        return [result.work for result in self._held]

    def add(self, result: Result) -> None:
        """Hold one more."""
        if not self._held:
            self._since = time.monotonic()
        self._held.append(result)

    def ripe(self) -> bool:
        """Tell whether there are many, or one that has waited long enough for others."""
        return len(self._held) >= _MANY or bool(self._held and time.monotonic() - self._since >= _WAIT)

    def write(self) -> list[Result]:
        """Write all in one transaction and give them, and say what was written; what follows from it is for ``follow``.

        Raises ``Unavailable``, and holds them for the next call.
        """
        results = list(self._held)
        if not results:
            return results
        with orm.session():
            self._failing += self._record(results)
            self._held = []
            failpoints.hit("recorded")
            lines.write(LOG, logging.INFO, _LINE, [_facts(result.settlement) for result in results])
        return results

    def follow(self) -> None:
        """Disable subscriptions for what was written, and warn owners; raises ``Unavailable``, and holds the rest."""
        if self._failing:
            with orm.session():
                while self._failing:
                    self._act(self._failing[0])
                    del self._failing[0]

    @orm.repeated
    def _record(self, results: Sequence[Result]) -> list[_Failing]:
        """Write results in one transaction; give the subscriptions for which something follows from them."""
        with orm.transaction():
            failing = self._count(results)
            self._tell_targets(results)
            settlements = [result.settlement for result in results]
            orm.EventLogMatch.settle(settlements, self._settings.delivery.keep_response)
        return failing

    def _count(self, results: Sequence[Result]) -> list[_Failing]:
        """Count successes and failures of subscriptions; give those that are to be disabled, or their owners told.

        An event of our own counts for nobody: its failure would be told by another one, and so on.
        """
        attempted = [(result, outcome) for result in results if (outcome := result.settlement.outcome)]
        reached = {result.work.subscriber.key for result, outcome in attempted if outcome.delivered}
        if reached:
            orm.EventMatch.succeeded(sorted(reached))
        failing = []
        for result, outcome in sorted(attempted, key=lambda pair: pair[0].work.subscriber.key):
            subscriber = result.work.subscriber
            if result.disable:
                failing.append(_Failing(subscriber.row, result.disable, tell=not is_own(result.work)))
            elif not (outcome.delivered or subscriber.key in reached or is_own(result.work)):
                failing += self._counted(subscriber.row, outcome)
        return failing

    def _counted(self, subscription: orm.EventMatch, outcome: Outcome) -> list[_Failing]:
        """Count one failure of a subscription; give it if it has failed for so long that something follows."""
        at = orm.now()
        since, failures = orm.EventMatch.failed(subscription.uuid, at)
        longest, lasted = self._settings.delivery.disable_after, (at - since).total_seconds()
        if failures < FEWEST_FAILURES or lasted < longest / 2:
            return []
        last = of_the_target(outcome)
        reason = f"no delivery succeeded in {failures} attempts since {since.isoformat()}Z; at last {last}"
        return [_Failing(subscription, reason, None if lasted >= longest else since + timedelta(seconds=longest))]

    def _act(self, failing: _Failing) -> None:
        """Disable a subscription, or warn its owner, in a transaction of its own.

        Because whoever changes a subscription takes its revision before its row.
        """
        row, reason, disable_at = failing.subscription, failing.reason, failing.disable_at
        if disable_at is None:
            tell = owners.disabled if failing.tell else None
            if orm.disable(row.uuid, reason, row.target_url, tell):
                LOG.warning("subscription.disabled subscription=%s reason=%r", row, reason)
        elif orm.warn(row.uuid, lambda now: owners.failing(now, reason, disable_at), row.target_url):
            LOG.warning("subscription.failing subscription=%s reason=%r", row, reason)

    def _tell_targets(self, results: Sequence[Result]) -> None:
        """Count what targets failed, and let those that answered be open again."""
        failed: dict[str, int] = {}
        held: dict[str, float] = {}
        answered: set[str] = set()
        delivery = self._settings.delivery
        for result in results:
            place, outcome = result.work.subscriber.place, result.settlement.outcome
            if outcome is None or not place:
                continue
            if not outcome.counts_for_target:
                if not outcome.unsent:
                    failed.pop(place, None)
                    answered.add(place)
                continue
            failed[place] = failed.get(place, 0) + 1
            if outcome.retry_after is not None:
                held[place] = max(held.get(place, 0.0), min(outcome.retry_after, delivery.max_retry_after))
        if answered:
            orm.TargetState.answered(sorted(answered))
        for place in sorted(failed):
            until = orm.TargetState.failed(place, failed[place], held.get(place), delivery)
            if until:
                LOG.warning("target.shut target=%s until=%sZ", place, until.isoformat())


def of_the_target(outcome: Outcome) -> str:
    """Say what a target did, as the reason of something that its subscription's owner reads.

    A port that is closed, one that is filtered and one that speaks something else are one thing here: nobody is to scan
    a network through us. Operators have the difference in the delivery and its attempts.
    """
    if outcome.status is not None:
        return f"the target {outcome.reason}"
    return "the target: no answer" if outcome.failure in _ALIKE else f"the target: {outcome.reason}"


def is_own(work: Work) -> bool:
    """Tell whether a delivery is of an event of our own; such a one never causes another."""
    return work.event.type.startswith(OWN_TYPES)


#: A line about an attempt, or about what was decided without one.
_LINE = (
    "%s delivery=%s event=%s subscription=%s state=%s attempt=%s status=%s failure=%s seconds=%.3f delay=%s policy=%s"
    " reason=%r"
)


def _facts(settlement: orm.Settlement) -> tuple[object, ...]:
    """Give what stands in the line about a settlement."""
    delivery, state, reason, delay, outcome, policy_status = settlement
    keys = delivery.key, delivery.event_key, delivery.subscription_key
    if outcome is None:
        return "delivery.decided", *keys, state, delivery.attempts, None, None, 0.0, delay, policy_status, reason
    status, failure, seconds = outcome[:3]
    attempt = delivery.attempts + 1
    return "delivery.attempted", *keys, state, attempt, status, failure, seconds, delay, policy_status, reason
