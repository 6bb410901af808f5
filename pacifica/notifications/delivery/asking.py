"""Asks the gate about what is claimed: once for each event and user, and again later where no answer comes."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
#: Seconds that an answer waits for others to be kept with.
_WAIT = 0.02


class Note(Protocol):
    """Keeps what a delivery came to until it is written; ``delay`` is in seconds."""

    def __call__(
        self, work: Work, state: State, reason: str, policy_status: int | None = None, delay: float | None = None
    ) -> None:
        """Keep it."""


@dataclass(slots=True)
class _Asked:
    """A question that the gate has, and what waits for it."""

    answer: orm.Answer
    works: list[Work]


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
        self._asked: dict[orm.Question, _Asked] = {}
        self._verdicts: list[tuple[orm.Question, Verdict]] = []
        self._said: list[tuple[orm.Answer, bool, int]] = []
        self._said_since = 0.0

    @property
    def waiting(self) -> list[Work]:
        """Give the deliveries that wait."""
        return [work for asked in self._asked.values() for work in asked.works]

    def ask(self, works: Iterable[Work]) -> None:
        """Judge what may be seen and what may not, and ask about the rest."""
        asking: dict[orm.Question, list[Work]] = {}
        for work in works:
            verdict = self._decide(work)
            if verdict is not None:
                self._judge(work, verdict)
            elif (question := work.question) in self._asked:
                self._asked[question].works.append(work)
            else:
                asking.setdefault(question, []).append(work)
        if asking:
            self._ask(asking)

    def hear(self) -> None:
        """Take up what the gate has said."""
        if len(self._gate):
            self._verdicts += self._gate.wait(0)  # type: ignore[arg-type]

    def heed(self) -> None:
        """Act on what the gate said; raises ``Unavailable``, and keeps it for the next call."""
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

    def ripe(self) -> bool:
        """Tell whether an answer has waited long enough for others to be kept with."""
        return bool(self._said and time.monotonic() - self._said_since >= _WAIT)

    def keep(self) -> None:
        """Keep for other workers what the gate said; raises ``Unavailable``, and holds it for the next call.

        It need not be kept before it is acted on: a worker that is lost in between lets somebody ask again.
        """
        if self._said:
            with orm.session():
                orm.GateAnswer.keep(self._said)
            self._said = []

    def close(self) -> list[Work]:
        """Ask no more, let others ask, and give what waited."""
        self._gate.close()
        self.keep()
        with orm.session():
            for asked in self._asked.values():
                asked.answer.release()
        waited, self._asked = self.waiting, {}
        return waited

    def _decide(self, work: Work) -> Verdict | None:
        kind = work.event.type
        value = json.loads(work.event.body) if kind.startswith(OWN_TYPES) else None
        settings = self._settings
        return gates.decide(kind, value, work.subscriber.row.user, settings.policy_url, settings.policy.types)

    def _ask(self, asking: dict[orm.Question, list[Work]]) -> None:
        """Use the answers that are kept, ask what nobody asks, and put off what another worker is asking."""
        self.keep()
        lease = self._settings.policy.timeout + self._settings.delivery.lease
        answers = orm.GateAnswer.claim(asking, lease)
        at = orm.now()
        asks: list[Ask] = []
        try:
            self._sort(asking, answers, at, asks)
        finally:
            self._gate.start(asks)

    def _sort(
        self,
        asking: dict[orm.Question, list[Work]],
        answers: Mapping[orm.Question, orm.Answer],
        at: datetime,
        asks: list[Ask],
    ) -> None:
        """Judge what is answered, put off what others ask, and add to ``asks`` what is ours to ask."""
        for question, works in asking.items():
            # An event that was purged by force takes its deliveries with it.
            answer = answers.get(question)
            if answer is None:
                for work in works:
                    self._note(work, State.CANCELLED, "the event was removed")
            elif answer.allowed is not None:
                self._judge_all(works, Verdict(answer.allowed, _said(answer.status), answer.status))
            elif answer.asking:
                asks.append(Ask(question, question[1], works[0].event.body))
                self._asked[question] = _Asked(answer, works)
            else:
                wait = (answer.ask_at - at).total_seconds() if answer.token is None else _ASKED_ELSEWHERE
                for work in works:
                    self._note(work, State.PENDING, WAITS, delay=max(0.0, wait))

    def _answered(self, answered: Sequence[tuple[orm.Question, Verdict]]) -> None:
        """Judge what waited, by its subscription as it is now: asking may have taken long."""
        waited = [work for question, _verdict in answered for work in self._asked[question].works]
        now = self._subscribers.of({work.subscriber.key for work in waited})
        # All of it before anything is judged: what fails then must not be judged again, by an answer that is gone.
        self._verdicts = [pair for pair in self._verdicts if pair[1].allowed is None]
        heard = [(self._asked.pop(question), verdict) for question, verdict in answered]
        if not self._said:
            self._said_since = time.monotonic()
        self._said += [(asked.answer, bool(verdict.allowed), verdict.status or 0) for asked, verdict in heard]
        for asked, verdict in heard:
            for work in asked.works:
                work.subscriber, work.waited = now[work.subscriber.key], True
            self._judge_all(asked.works, verdict)

    def _unanswered(self, question: orm.Question, asked: _Asked, verdict: Verdict) -> None:
        """Ask again later, at growing intervals; past ``policy.max_age`` what waits is dead."""
        policy, answer = self._settings.policy, asked.answer
        times = answer.unanswered + 1
        delay = growing(times, policy.max_interval)
        answer.postpone(delay, verdict.status)
        too_old = answer.age(orm.now()) >= policy.max_age
        LOG.warning("gate.unanswered event=%s user=%r times=%s reason=%r", *question, times, verdict.reason)
        works, asked.works = asked.works, []
        for work in works:
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
