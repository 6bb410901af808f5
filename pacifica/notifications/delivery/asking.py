"""Asks the gate about what is claimed: once for each event and user, and again later where no answer comes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from .. import gates, orm
from ..config import Settings
from ..gates import Ask, Gate, Verdict
from ..globals import OWN_TYPES
from ..retry import State, growing
from .work import Subscribers, Work

LOG = logging.getLogger(__name__)

#: Why a delivery is pending whose question another worker is asking.
WAITS = "waits for the policy server's answer"
#: Seconds after which a delivery looks again for an answer that another worker is waiting for.
_ASKED_ELSEWHERE = 0.5


class Note(Protocol):
    """Keeps what a delivery came to until it is written; ``delay`` is in seconds."""

    def __call__(
        self, work: Work, state: State, reason: str, policy_status: int | None = None, delay: float | None = None
    ) -> None:
        """Keep it."""


class Questions:
    """Deliveries that wait for the gate's answer; what it says goes to ``judge``, what it does not say to ``note``."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        subscribers: Subscribers,
        judge: Callable[[Work, Verdict], None],
        note: Note,
    ) -> None:
        """Ask nothing yet."""
        self._settings = settings
        self._gate = gate
        self._subscribers = subscribers
        self._judge = judge
        self._note = note
        self._asked: dict[orm.Question, orm.GateAnswer] = {}
        self._waiting: dict[orm.Question, list[Work]] = {}
        self._verdicts: list[tuple[orm.Question, Verdict]] = []

    @property
    def waiting(self) -> list[Work]:
        """Give the deliveries that wait."""
        return [work for works in self._waiting.values() for work in works]

    def ask(self, works: Iterable[Work]) -> None:
        """Judge what may be seen and what may not, and ask about the rest."""
        asking: dict[orm.Question, list[Work]] = {}
        for work in works:
            verdict = self._decide(work)
            if verdict is not None:
                self._judge(work, verdict)
            elif work.question in self._waiting:
                self._waiting[work.question].append(work)
            else:
                asking.setdefault(work.question, []).append(work)
        if asking:
            self._ask(asking)

    def hear(self) -> None:
        """Take up what the gate has said."""
        if len(self._gate):
            self._verdicts += self._gate.wait(0)  # type: ignore[arg-type]

    def heed(self) -> None:
        """Keep what the gate said, and act on it; raises ``Unavailable``, and keeps it for the next call."""
        if not self._verdicts:
            return
        with orm.session():
            answered = [(question, verdict) for question, verdict in self._verdicts if verdict.allowed is not None]
            if answered:
                self._answered(answered)
            while self._verdicts:
                question, verdict = self._verdicts[0]
                self._unanswered(question, self._asked[question], verdict)
                del self._verdicts[0], self._asked[question]

    def close(self) -> list[Work]:
        """Ask no more, let others ask, and give what waited."""
        self._gate.close()
        with orm.session():
            for answer in self._asked.values():
                answer.release()
        waited, self._waiting = self.waiting, {}
        return waited

    def _decide(self, work: Work) -> Verdict | None:
        kind = work.event.type
        value = json.loads(work.event.body) if kind.startswith(OWN_TYPES) else None
        settings = self._settings
        return gates.decide(kind, value, work.subscriber.row.user, settings.policy_url, settings.policy.types)

    def _ask(self, asking: dict[orm.Question, list[Work]]) -> None:
        """Use the answers that are kept, ask what nobody asks, and put off what another worker is asking."""
        lease = self._settings.policy.timeout + self._settings.delivery.lease
        answers = orm.GateAnswer.claim(asking, lease)
        at = orm.now()
        for question, works in asking.items():
            # An event that was purged by force takes its deliveries with it.
            answer = answers.get(question)
            if answer is None:
                for work in works:
                    self._note(work, State.CANCELLED, "the event was removed")
            elif answer.allowed is not None:
                self._judge_all(works, Verdict(answer.allowed, _said(answer.status), answer.status))
            elif answer.asking:
                self._gate.start([Ask(question, question[1], works[0].event.body)])
                self._asked[question] = answer
                self._waiting[question] = works
            else:
                wait = (answer.ask_at - at).total_seconds() if answer.lease is None else _ASKED_ELSEWHERE
                for work in works:
                    self._note(work, State.PENDING, WAITS, delay=max(0.0, wait))

    def _answered(self, answered: Sequence[tuple[orm.Question, Verdict]]) -> None:
        """Judge what waited, by its subscription as it is now: asking may have taken long."""
        self._keep(answered)
        waited = {question: self._waiting[question] for question, _verdict in answered}
        now = self._subscribers.of({work.subscriber.key for works in waited.values() for work in works})
        # All of it before anything is judged: what fails then must not be judged again, by an answer that is gone.
        self._verdicts = [pair for pair in self._verdicts if pair[1].allowed is None]
        for question, _verdict in answered:
            del self._waiting[question], self._asked[question]
        for question, verdict in answered:
            for work in waited[question]:
                work.subscriber, work.waited = now[work.subscriber.key], True
            self._judge_all(waited[question], verdict)

    @orm.repeated
    def _keep(self, answered: Sequence[tuple[orm.Question, Verdict]]) -> None:
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
        for work in self._waiting.pop(question):
            if too_old:
                self._note(work, State.DEAD, f"{verdict.reason}, for longer than policy.max_age", verdict.status)
            else:
                self._note(work, State.PENDING, verdict.reason, verdict.status, delay=delay)

    def _judge_all(self, works: Iterable[Work], verdict: Verdict) -> None:
        for work in works:
            work.policy_status = verdict.status
            self._judge(work, verdict)


def _said(status: int | None) -> str:
    return f"the policy server answered {status}"
