"""Delivers: claims what is due, asks the gate, sends, and settles what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence, Set
from uuid import UUID

from .. import failpoints, orm
from ..config import Settings
from ..errors import BrokenSeal, Refused, Unavailable, UnknownKey
from ..gates import Gate, Verdict
from ..globals import SETTLED
from ..retry import Outcome, State
from ..signing.signer import Attempt
from ..targets import Sending, Target
from ..transfer import Loop
from .asking import Questions
from .lanes import Lanes
from .packing import packed, trace
from .settling import LOG, Results, of_the_target
from .work import Result, Subscribers, Work

#: Seconds between two looks for what is due while something is under way.
_LOOK = 0.05
#: Seconds between two looks for what a lost worker had.
_LOOK_FOR_LOST = 1.0
#: Seconds after which a delivery is looked at again whose secrets were sealed with a key that this worker lacks.
_LACKS_KEY = 60.0
#: Seconds in which a delivery that its worker dies of lets it die.
_AT_ONCE = 1.0
#: Seconds for which answers are waited for while results wait to be written.
_WRITE = 0.01
#: Deliveries that may wait for the policy server, as a multiple of those that may be in flight.
_QUESTIONS = 4
#: A delivery that was claimed so often without being settled is left to a worker that is at work for a while; is sent
#: while nothing else is in hand; is given up.
_AGAIN, _ALONE, _GIVEN_UP = 2, 3, 5
#: Bytes of events that are kept for their further deliveries.
_KEPT = 16 * 1024 * 1024


class Courier:
    """Delivers through one target, past one gate; used by one thread at a time.

    What it has claimed it holds by a lease, which it renews until the delivery is settled. Results that can't be
    written because the database is away are kept and written later.
    """

    def __init__(self, settings: Settings, target: Target, gate: Gate, loop: Loop) -> None:
        """Take the settings, where to send, whom to ask, and the loop in which both wait."""
        self._settings = settings
        self._target = target
        self._loop = loop
        self._lanes = Lanes(settings)
        self._subscribers = Subscribers(settings)
        self._events = _Events()
        self._questions = Questions(settings, gate, self._subscribers, self._judge, self._note)
        self._results = Results(settings)
        self._sent: dict[Hashable, Work] = {}
        self._starting: list[Sending] = []
        self._lost: Work | None = None
        self._lost_since = 0.0
        self._only: Sequence[UUID] = ()
        self._woken = False
        self._look_for_lost_at = 0.0
        self._born = self._renewed = time.monotonic()

    @property
    def in_hand(self) -> list[Work]:
        """Give everything that is claimed and not settled."""
        return [*self._questions.waiting, *self._sent.values(), *self._results.works]

    def drain(self, stopping: Callable[[], bool] = lambda: False, only: Sequence[UUID] = ()) -> None:
        """Deliver until nothing is due and nothing is in hand; with ``only``, what belongs to these events.

        Returns early when ``stopping`` says so. Raises ``Unavailable`` when the database does not answer; what is
        in hand is kept for the next call.
        """
        self._only = only
        self._lanes.wake()
        if not any(work is self._lost for work in self.in_hand):
            # The last call ended with an error while it was about to be sent.
            self._lost = None
        # What is under way goes on while the database is waited for.
        with orm.meanwhile(self._loop.wait_for):
            self._drain(stopping)

    def _drain(self, stopping: Callable[[], bool]) -> None:
        look_at = 0.0
        while not stopping():
            # First, because what could not be written while the database was away has no lease left to protect it.
            self._step()
            busy = bool(self._sent or self._results or self._questions.waiting)
            if self._woken:
                self._woken = False
                self._lanes.wake()
            elif not busy:
                self._lanes.look_again()
            room, now = self._room(), time.monotonic()
            # Few at a time are not worth a look at the database, unless it is some time since the last.
            if room > 0 and (not busy or now >= look_at or (room >= self._worth() and self._lanes.due())):
                claimed = self._claim(room)
                look_at = now + _LOOK
                if not (claimed or busy or self._lanes.more):
                    return

    def wake(self) -> None:
        """Let what is due be looked for at once; any thread may say so, as often as it likes."""
        self._woken = True
        self._loop.wake()

    def stop(self, grace: float) -> None:
        """Wait up to ``grace`` seconds for what is in hand; what is left is due again at once, for another worker."""
        deadline = time.monotonic() + grace
        try:
            while self.in_hand and time.monotonic() < deadline:
                self._step()
            self._target.close()
            for work in [*self._questions.close(), *self._sent.values()]:
                self._note(work, State.PENDING, "the worker stopped before an answer came", delay=0.0)
            self._results.write()
            self._results.follow()
        except Unavailable as error:
            LOG.warning("delivery.unsettled in_hand=%s error=%s", len(self.in_hand), error)
        finally:
            self._loop.close()

    def _step(self) -> None:
        """Hear what has come in, write it down, and keep what is still in hand."""
        if self._sent or self._questions.waiting:
            self._loop.wait(_WRITE if self._results else _LOOK)
        self._questions.hear()
        if len(self._target):
            ended = self._target.wait(0)
            failpoints.hit("answered" if ended else "sent")
            for key, outcome in ended:
                self._attempted(self._sent.pop(key), outcome)
        try:
            self._questions.heed()
        finally:
            self._start()
        if self._results.ripe() or not self._sent:
            self._settle()
        elif self._questions.ripe():
            self._questions.keep()
        self._renew()

    def _room(self) -> int:
        """Count what may be claimed now; questions have room of their own.

        A policy server that is silent about one user must not hold the others.
        """
        delivery = self._settings.delivery
        asked = len(self._questions.waiting)
        return min(delivery.batch, delivery.in_flight - len(self._sent), _QUESTIONS * delivery.in_flight - asked)

    def _worth(self) -> int:
        """Count what there has to be room for to make a claim worth it: half of what slow targets leave."""
        delivery = self._settings.delivery
        return min(delivery.batch, max(1, (delivery.in_flight - self._lanes.slow) // 2))

    def _claim(self, room: int) -> int:
        """Claim what is due, at most ``room``, and send each on its way."""
        with orm.session():
            claimed = self._due(room)
            if not claimed:
                return 0
            failpoints.hit("claimed")
            logged = self._events.of({row.event_key for row in claimed})
            subscribers = self._subscribers.of({row.subscription_key for row in claimed})
            # An event that was purged by force takes its deliveries with it.
            works = [
                Work(row, logged[row.event_key], subscribers[row.subscription_key])
                for row in claimed
                if row.event_key in logged
            ]
            if len(works) == 1 and works[0].delivery.starts:
                self._lost, self._lost_since = works[0], time.monotonic()
            try:
                self._questions.ask([work for work in works if self._wanted(work)])
            finally:
                self._start()
        return len(claimed)

    def _due(self, room: int) -> Sequence[orm.Claimed]:
        """Claim what is due: of these events alone, or what a lost worker had, or what any lane has."""
        lease = self._settings.delivery.lease
        if self._only:
            return orm.claim_due(room, lease, self._only)
        now = time.monotonic()
        # What a worker dies of it dies of at once, and not of waiting for an answer.
        waits = self._lost is not None and (self._lost.delivery.starts >= _ALONE or now < self._lost_since + _AT_ONCE)
        alone = self._lost is not None and self._lost.delivery.starts >= _ALONE
        looks = not waits and now >= self._look_for_lost_at
        # Behind what has just come, unless there is always something that has.
        overdue = looks and now >= self._look_for_lost_at + _LOOK_FOR_LOST
        claimed = [] if alone or overdue else self._lanes.claim(room)
        if claimed or not looks:
            return claimed
        lost = self._claim_lost(lease)
        if lost is not None:
            return lost
        return self._lanes.claim(room) if overdue and not alone else []

    def _claim_lost(self, lease: float) -> Sequence[orm.Claimed] | None:
        """Claim one delivery whose worker was lost: it may be what that worker died of.

        One at a time, so that no two of them are lost together again; one that was lost several times only when
        nothing else is in hand. None if there is none.
        """
        young = time.monotonic() < self._born + SETTLED
        lost = orm.claim_lost(lease, _AGAIN if young else _ALONE, self._lanes.shut())
        if lost is not None:
            return [lost]
        if not young and orm.lost_often(_ALONE):
            if self.in_hand:
                # Nothing is claimed until it can be.
                return []
            lost = orm.claim_lost(lease)
            if lost is not None:
                return [lost]
        self._look_for_lost_at = time.monotonic() + _LOOK_FOR_LOST
        return None

    def _wanted(self, work: Work) -> bool:
        """Tell whether it is to be sent; if not, note what becomes of it."""
        row = work.subscriber.row
        if work.delivery.starts >= _GIVEN_UP:
            self._note(work, State.DEAD, f"its worker was lost {work.delivery.starts} times while it had it in hand")
        elif row.deleted is not None:
            self._note(work, State.CANCELLED, "the subscription was deleted")
        elif row.disabled is not None:
            self._note(work, State.PENDING, "held while the subscription is disabled")
        elif work.delivery.lane != work.subscriber.lane and not self._only:
            # As its router read the subscription, which was changed meanwhile.
            orm.EventLogMatch.move(row, strays=True)
            self._note(work, State.PENDING, "queues as its subscription says by now", delay=0.0)
        else:
            return True
        return False

    def _judge(self, work: Work, verdict: Verdict) -> None:
        """Send what may be seen, end what may not."""
        if not verdict.allowed:
            self._note(work, State.REFUSED, verdict.reason, verdict.status)
        elif work.waited and not self._wanted(work):
            return
        elif not self._only and self._must_wait(work):
            self._note(work, State.PENDING, "waits for its target", delay=0.0)
        else:
            self._send(work)

    def _must_wait(self, work: Work) -> bool:
        """Tell whether its target has no room for it, where the claim could not know that."""
        lane, place = work.delivery.lane, work.subscriber.place
        unknown = self._lanes.goes_to(lane, place)
        return (work.waited or unknown) and not work.delivery.starts and self._lanes.full(place)

    def _send(self, work: Work) -> None:
        """Let it be sent with what else was claimed, or heard of, at the same time."""
        delivery, subscriber = work.delivery, work.subscriber
        failpoints.hit("sending", work.event.key)
        if subscriber.seal is not None:
            self._note_sealed(work, subscriber.seal)
            return
        try:
            if subscriber.auth is None or subscriber.extensions is None or subscriber.signer is None:
                raise ValueError("no JSON")
            message = packed(work.event, subscriber)
        except (TypeError, ValueError, Refused):
            self._note(work, State.DEAD, "the subscription's extensions, auth or signing can't be used for this event")
            return
        headers = [*message.lines, *trace(work.event, delivery.key, delivery.attempts + 1)]
        if subscriber.signer.schemes:
            attempt = Attempt(delivery.key, subscriber.row.target_url, *message)
            headers += subscriber.signer.lines(attempt, time.time())
        # With the lease, because what another worker had meanwhile and gave back may be claimed while it is in flight.
        key = delivery.key, delivery.token
        self._starting.append(
            Sending(
                key=key,
                url=subscriber.row.target_url,
                body=message.body,
                content_type=message.content_type,
                delivery=delivery.key,
                attempt=delivery.attempts + 1,
                replay=delivery.replay,
                auth=subscriber.auth,
                headers=headers,
            )
        )
        self._sent[key] = work
        self._lanes.sent(delivery.lane, subscriber.place)

    def _note_sealed(self, work: Work, seal: BrokenSeal) -> None:
        """Let it wait for a key that this worker lacks, as long as a held one waits; what was changed is lost."""
        delivery = work.delivery
        waited = (delivery.at - (delivery.reopened or delivery.created)).total_seconds()
        if isinstance(seal, UnknownKey) and waited < self._settings.retention.held:
            self._note(work, State.PENDING, str(seal), delay=_LACKS_KEY)
        else:
            self._note(work, State.DEAD, str(seal))

    def _start(self) -> None:
        """Send what waits for it: one by one, curl would look at each of them by itself.

        At the end of what made it wait, also if that fails: with each second a lease would have a second less.
        """
        if self._starting:
            starting, self._starting = self._starting, []
            self._target.start(starting)

    def _attempted(self, work: Work, outcome: Outcome) -> None:
        """Decide what an attempt came to."""
        self._lanes.ended(work.delivery.lane, work.subscriber.place, outcome)
        if outcome.delivered:
            self._note(work, State.DELIVERED, outcome.reason, outcome=outcome)
            return
        at_once = self._settings.delivery.disable_after == 0
        delay = None if at_once else self._delay(work, outcome)
        if delay is not None:
            self._note(work, State.PENDING, outcome.reason, delay=delay, outcome=outcome)
        else:
            disable = of_the_target(outcome) if at_once or outcome.permanent else ""
            self._note(work, State.DEAD, outcome.reason, outcome=outcome, disable=disable)

    def _delay(self, work: Work, outcome: Outcome) -> float | None:
        """Give the seconds until the next attempt, at least what the target asked for; None if there is none."""
        delivery = work.delivery
        attempt = delivery.attempts + 1 - delivery.attempts_before
        since = delivery.reopened or delivery.created
        age = (delivery.at - since).total_seconds() + outcome.seconds
        delay = work.subscriber.policy.after(attempt, outcome, age=age)
        if delay is None or outcome.retry_after is None:
            return delay
        return max(delay, min(outcome.retry_after, self._settings.delivery.max_retry_after))

    def _note(
        self,
        work: Work,
        state: State,
        reason: str,
        policy_status: int | None = None,
        delay: float | None = None,
        outcome: Outcome | None = None,
        disable: str = "",
    ) -> None:
        """Keep a result until it is written."""
        status = work.policy_status if policy_status is None else policy_status
        settlement = orm.Settlement(work.delivery, state, reason, delay, outcome, status)
        self._results.add(Result(work, settlement, disable))
        if outcome is None:
            self._lanes.unused(work.subscriber.place)
        if work is self._lost:
            self._lost = None
            self._look_for_lost_at = 0.0

    def _settle(self) -> None:
        """Write what has ended."""
        self._questions.keep()
        written = self._results.write()
        self._lanes.settled(result.work.delivery.lane for result in written)
        if any((outcome := result.settlement.outcome) and outcome.counts_for_target for result in written):
            self._lanes.written()
        self._results.follow()

    def _renew(self) -> None:
        lease = self._settings.delivery.lease
        if time.monotonic() - self._renewed > lease / 3:
            if held := self.in_hand:
                with orm.session():
                    orm.EventLogMatch.renew([work.delivery for work in held], lease)
            self._renewed = time.monotonic()


class _Events:
    """The events that were read last; they never change."""

    def __init__(self) -> None:
        self._known: dict[str, orm.Payload] = {}
        self._bytes = 0

    def of(self, keys: Set[str]) -> dict[str, orm.Payload]:
        """Give those that are there."""
        found = {key: self._known[key] for key in keys if key in self._known}
        missing = orm.payloads(keys - found.keys()) if len(found) < len(keys) else {}
        if self._bytes > _KEPT:
            self._known, self._bytes = {}, 0
        self._known |= missing
        self._bytes += sum(len(event.body) for event in missing.values())
        return found | missing
