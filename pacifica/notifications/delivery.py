"""Delivers: claims what is due, asks the gate, sends, and settles what came of it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from . import events, failpoints, gates, orm
from .config import Settings
from .errors import Refused, Unavailable
from .gates import Ask, Gate, Verdict
from .globals import OWN_TYPES
from .retry import Outcome, Schedule, State, growing
from .targets import Sending, Target

LOG = logging.getLogger(__name__)

#: A subscription is not disabled for fewer failures in a row than this, however long ago the first was.
FEWEST_FAILURES = 10
#: Why a delivery is pending whose question another worker is asking.
WAITS = "waits for the policy server's answer"
#: Seconds between two looks for what is due while something is under way.
_LOOK = 0.2
#: Seconds that one look for answers may take while something is under way.
_LISTEN = 0.02
#: Deliveries that may wait for the policy server, as a multiple of those that may be in flight.
_QUESTIONS = 4
#: Seconds after which a delivery looks again for an answer that another worker is waiting for.
_ASKED_ELSEWHERE = 0.5


@dataclass(slots=True)
class Work:
    """A claimed delivery with its event and its subscription."""

    delivery: orm.EventLogMatch
    event: orm.EventLog
    subscription: orm.EventMatch
    policy_status: int | None = None

    @property
    def question(self) -> orm.Question:
        """Give what the gate is asked."""
        return self.event.uuid, self.subscription.user


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a delivery, not yet written; ``disable`` says why its subscription is to be disabled."""

    work: Work
    settlement: orm.Settlement
    disable: str = ""


class Courier:
    """Delivers through one target, past one gate; used by one thread at a time.

    What it has claimed it holds by a lease, which it renews until the delivery is settled. Results that can't be
    written because the database is away are kept and written later.
    """

    def __init__(self, settings: Settings, target: Target, gate: Gate) -> None:
        """Take the settings, where to send, and whom to ask."""
        self._settings = settings
        self._target = target
        self._gate = gate
        self._schedule = Schedule(settings.delivery.retry_schedule, settings.delivery.jitter)
        self._asked: dict[orm.Question, orm.GateAnswer] = {}
        self._at_gate: dict[orm.Question, list[Work]] = {}
        self._verdicts: list[tuple[orm.Question, Verdict]] = []
        self._sent: dict[Hashable, Work] = {}
        self._results: list[Result] = []
        self._renewed = time.monotonic()

    @property
    def in_hand(self) -> list[Work]:
        """Give everything that is claimed and not settled."""
        at_gate = [work for works in self._at_gate.values() for work in works]
        return [*at_gate, *self._sent.values(), *(result.work for result in self._results)]

    def drain(self, stopping: Callable[[], bool] = lambda: False, only: Sequence[UUID] = ()) -> None:
        """Deliver until nothing is due and nothing is in hand; with ``only``, what belongs to these events.

        Returns early when ``stopping`` says so. Raises ``Unavailable`` when the database does not answer; what is
        in hand is kept for the next call.
        """
        look_at = 0.0
        while not stopping():
            # First, because what could not be written while the database was away has no lease left to protect it.
            self._step()
            room = self._room()
            if room > 0 and (not self.in_hand or time.monotonic() >= look_at):
                claimed = self._claim(room, only)
                look_at = 0.0 if claimed else time.monotonic() + _LOOK
                if not claimed and not self.in_hand:
                    return

    def stop(self, grace: float) -> None:
        """Wait up to ``grace`` seconds for what is in hand; what is left is due again at once, for another worker."""
        deadline = time.monotonic() + grace
        try:
            while self.in_hand and time.monotonic() < deadline:
                self._step()
            self._gate.close()
            self._target.close()
            with orm.session():
                for answer in self._asked.values():
                    answer.release()
            for work in [*(work for works in self._at_gate.values() for work in works), *self._sent.values()]:
                self._note(work, State.PENDING, "the worker stopped before an answer came", delay=0.0)
            self._settle()
        except Unavailable as error:
            LOG.warning("delivery.unsettled in_hand=%s error=%s", len(self.in_hand), error)

    def _step(self) -> None:
        """Hear what has come in, write it down, and keep what is still in hand."""
        if len(self._gate):
            self._verdicts += self._gate.wait(0.0 if len(self._target) else _LISTEN)  # type: ignore[arg-type]
        if len(self._target):
            ended = self._target.wait(_LISTEN)
            failpoints.hit("answered" if ended else "sent")
            for key, outcome in ended:
                self._attempted(self._sent.pop(key), outcome)
        self._heed()
        self._settle()
        self._renew()

    def _room(self) -> int:
        """Count what may be claimed now; questions have room of their own.

        A policy server that is silent about one user must not hold the others.
        """
        delivery = self._settings.delivery
        asked = sum(len(works) for works in self._at_gate.values())
        return min(delivery.batch, delivery.in_flight - len(self._sent), _QUESTIONS * delivery.in_flight - asked)

    def _claim(self, room: int, only: Sequence[UUID]) -> int:
        """Claim what is due, at most ``room``, and send each on its way."""
        with orm.session():
            claimed = orm.EventLogMatch.claim_due(room, self._settings.delivery.lease, only)
            if not claimed:
                return 0
            failpoints.hit("claimed")
            logged = orm.EventLog.by_uuid({row.event_log_id for row in claimed})
            owners = orm.EventMatch.by_uuid({row.event_match_id for row in claimed})
            # An event that was purged by force takes its deliveries with it.
            works = [
                Work(row, logged[row.event_log_id], owners[row.event_match_id])
                for row in claimed
                if row.event_log_id in logged
            ]
            self._admit([work for work in works if self._wanted(work)])
        return len(claimed)

    def _wanted(self, work: Work) -> bool:
        """Tell whether the subscription still wants it; if not, note what becomes of it."""
        if work.subscription.deleted is not None:
            self._note(work, State.CANCELLED, "the subscription was deleted")
        elif work.subscription.disabled is not None:
            self._note(work, State.PENDING, "held while the subscription is disabled")
        else:
            return True
        return False

    def _admit(self, works: Iterable[Work]) -> None:
        """Send what may be seen, end what may not, and ask about the rest."""
        asking: dict[orm.Question, list[Work]] = {}
        for work in works:
            verdict = self._decide(work)
            if verdict is not None:
                self._judge(work, verdict)
            elif work.question in self._at_gate:
                self._at_gate[work.question].append(work)
            else:
                asking.setdefault(work.question, []).append(work)
        if asking:
            self._ask(asking)

    def _decide(self, work: Work) -> Verdict | None:
        kind = work.event.type or ""
        value = json.loads(work.event.jsondata) if kind.startswith(OWN_TYPES) else None
        return gates.decide(kind, value, work.subscription.user, self._settings.policy_url, self._settings.policy.types)

    def _ask(self, asking: dict[orm.Question, list[Work]]) -> None:
        """Use the answers that are kept, ask what nobody asks, and put off what another worker is asking."""
        lease = self._settings.policy.timeout + self._settings.delivery.lease
        answers = orm.GateAnswer.claim(asking, lease)
        at = orm.now()
        for question, works in asking.items():
            # An event that was purged by force takes its deliveries with it.
            answer = answers.get(question)
            if answer is None:
                continue
            if answer.allowed is not None:
                self._judge_all(works, Verdict(answer.allowed, _said(answer.status), answer.status))
            elif answer.asking:
                self._gate.start([Ask(question, question[1], works[0].event.jsondata.encode())])
                self._asked[question] = answer
                self._at_gate[question] = works
            else:
                wait = (answer.ask_at - at).total_seconds() if answer.lease is None else _ASKED_ELSEWHERE
                for work in works:
                    self._note(work, State.PENDING, WAITS, delay=max(0.0, wait))

    def _heed(self) -> None:
        """Keep what the gate said, and act on it."""
        if not self._verdicts:
            return
        with orm.session():
            answered = [(question, verdict) for question, verdict in self._verdicts if verdict.allowed is not None]
            if answered:
                self._answered(answered)
                self._verdicts = [pair for pair in self._verdicts if pair[1].allowed is None]
            while self._verdicts:
                question, verdict = self._verdicts[0]
                self._unanswered(question, self._asked[question], verdict)
                del self._verdicts[0], self._asked[question]

    def _answered(self, answered: Sequence[tuple[orm.Question, Verdict]]) -> None:
        """Judge what waited, by its subscription as it is now: asking may have taken long."""
        self._keep_answers(answered)
        waited = {question: self._at_gate[question] for question, _verdict in answered}
        owners = orm.EventMatch.by_uuid({work.subscription.uuid for works in waited.values() for work in works})
        for question, verdict in answered:
            del self._at_gate[question], self._asked[question]
            for work in waited[question]:
                work.subscription = owners[work.subscription.uuid]
            self._judge_all([work for work in waited[question] if self._wanted(work)], verdict)

    @orm.repeated
    def _keep_answers(self, answered: Sequence[tuple[orm.Question, Verdict]]) -> None:
        """Keep answers in one transaction."""
        with orm.transaction():
            for question, verdict in answered:
                self._asked[question].answer(bool(verdict.allowed), verdict.status or 0)

    def _unanswered(self, question: orm.Question, answer: orm.GateAnswer, verdict: Verdict) -> None:
        """Ask again later, at growing intervals; past ``policy.max_age`` what waits is dead."""
        policy = self._settings.policy
        times = answer.unanswered + 1
        delay = growing(times, policy.max_interval)
        answer.postpone(delay, verdict.status)
        too_old = answer.age(orm.now()) >= policy.max_age
        LOG.warning("gate.unanswered event=%s user=%r times=%s reason=%r", *question, times, verdict.reason)
        for work in self._at_gate.pop(question):
            if too_old:
                self._note(work, State.DEAD, f"{verdict.reason}, for longer than policy.max_age", verdict.status)
            else:
                self._note(work, State.PENDING, verdict.reason, verdict.status, delay=delay)

    def _judge_all(self, works: Iterable[Work], verdict: Verdict) -> None:
        for work in works:
            work.policy_status = verdict.status
            self._judge(work, verdict)

    def _judge(self, work: Work, verdict: Verdict) -> None:
        if verdict.allowed:
            self._send(work)
        else:
            self._note(work, State.REFUSED, verdict.reason, verdict.status)

    def _send(self, work: Work) -> None:
        delivery, subscription = work.delivery, work.subscription
        failpoints.hit("sending", work.event.uuid)
        try:
            body = events.with_extensions(work.event.jsondata, subscription.extension_values).encode()
            auth = subscription.auth_values
        except (ValueError, Refused):
            self._note(work, State.DEAD, "the subscription's extensions or auth can't be used for this event")
            return
        # With the lease, because what another worker had meanwhile and gave back may be claimed while it is in flight.
        key = delivery.uuid, delivery.lease
        self._target.start(
            [
                Sending(
                    key=key,
                    url=subscription.target_url,
                    body=body,
                    content_type=work.event.content_type,
                    delivery=str(delivery.uuid),
                    attempt=delivery.attempts + 1,
                    replay=delivery.replay,
                    auth=auth,
                )
            ]
        )
        self._sent[key] = work

    def _attempted(self, work: Work, outcome: Outcome) -> None:
        """Decide what an attempt came to."""
        attempt = work.delivery.attempts + 1 - work.delivery.attempts_before
        at_once = self._settings.delivery.disable_after == 0
        delay = None if at_once else self._schedule.after(attempt, outcome)
        if outcome.delivered:
            self._note(work, State.DELIVERED, outcome.reason, outcome=outcome)
        elif delay is not None:
            self._note(work, State.PENDING, outcome.reason, delay=delay, outcome=outcome)
        else:
            disable = _of_the_target(outcome) if at_once or outcome.permanent else ""
            self._note(work, State.DEAD, outcome.reason, outcome=outcome, disable=disable)

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
        self._results.append(Result(work, settlement, disable))

    def _settle(self) -> None:
        """Write all results in one transaction, say what was written, and disable subscriptions for it."""
        if not self._results:
            return
        results = list(self._results)
        with orm.session():
            disabling = self._record(results)
            self._results = []
            failpoints.hit("recorded")
            for result in results:
                _log(result.settlement)
            # Each in a transaction of its own: whoever changes a subscription takes its revision before its row.
            for subscription, reason in disabling:
                if orm.disable(subscription.uuid, reason, subscription.target_url):
                    LOG.warning("subscription.disabled subscription=%s reason=%r", subscription, reason)

    @orm.repeated
    def _record(self, results: Sequence[Result]) -> list[tuple[orm.EventMatch, str]]:
        """Write results in one transaction; give the subscriptions that are to be disabled, with the reason."""
        with orm.transaction():
            disabling = self._count(results)
            settlements = [result.settlement for result in results]
            orm.EventLogMatch.settle(settlements, self._settings.delivery.keep_response)
        return disabling

    def _count(self, results: Sequence[Result]) -> list[tuple[orm.EventMatch, str]]:
        """Count successes and failures of subscriptions; give those that are to be disabled, with the reason."""
        attempted = [(result, outcome) for result in results if (outcome := result.settlement.outcome)]
        reached = {result.work.subscription.uuid for result, outcome in attempted if outcome.delivered}
        if reached:
            orm.EventMatch.succeeded(sorted(reached))
        disabling = []
        for result, outcome in sorted(attempted, key=lambda pair: pair[0].work.subscription.uuid):
            subscription = result.work.subscription
            reason = result.disable
            if not reason and subscription.uuid not in reached:
                reason = self._worn_out(subscription.uuid, outcome)
            if reason:
                disabling.append((subscription, reason))
        return disabling

    def _worn_out(self, subscription: UUID, outcome: Outcome) -> str:
        """Count one failure; say why the subscription is to be disabled, or nothing."""
        at = orm.now()
        since, failures = orm.EventMatch.failed(subscription, at)
        if failures < FEWEST_FAILURES or (at - since).total_seconds() < self._settings.delivery.disable_after:
            return ""
        last = _of_the_target(outcome)
        return f"no delivery succeeded in {failures} attempts since {since.isoformat()}Z; at last {last}"

    def _renew(self) -> None:
        lease = self._settings.delivery.lease
        if self.in_hand and time.monotonic() - self._renewed > lease / 3:
            with orm.session():
                orm.EventLogMatch.renew([work.delivery for work in self.in_hand], lease)
            self._renewed = time.monotonic()


def _of_the_target(outcome: Outcome) -> str:
    return f"the target {outcome.reason}" if outcome.status is not None else f"the target: {outcome.reason}"


def _said(status: int | None) -> str:
    return f"the policy server answered {status}"


def _log(settlement: orm.Settlement) -> None:
    """Write one line about an attempt, or about what was decided without one."""
    delivery, outcome = settlement.delivery, settlement.outcome
    LOG.info(
        "%s delivery=%s event=%s subscription=%s state=%s attempt=%s status=%s failure=%s seconds=%.3f delay=%s"
        " policy=%s reason=%r",
        "delivery.attempted" if outcome else "delivery.decided",
        delivery.uuid,
        delivery.event_log_id,
        delivery.event_match_id,
        settlement.state,
        settlement.attempt,
        outcome.status if outcome else None,
        outcome.failure if outcome else None,
        outcome.seconds if outcome else 0.0,
        settlement.delay,
        settlement.policy_status,
        settlement.reason,
    )
