"""What the policy server said, in the database: asked once for an event and a user, by one worker."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from pacifica.notifications import orm
from pacifica.notifications.orm import Answer, GateAnswer, Question

from .rows import at_once, stored

pytestmark = pytest.mark.usefixtures("database")

#: Seconds of a lease that ends at once, and of one that outlives any test.
NONE, LONG = 0.0, 3600.0


def claim(question: Question, lease: float = LONG) -> Answer:
    """Claim one question."""
    return GateAnswer.claim([question], lease)[question]


def test_a_new_question_is_the_callers_to_ask() -> None:
    """The first who needs an answer asks; everybody else waits for it."""
    question = str(stored()), "alice"

    first, second = claim(question), claim(question)

    assert (first.asking, first.allowed) == (True, None)
    assert (second.asking, second.allowed) == (False, None)
    assert first.id == second.id
    assert GateAnswer.select().count() == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_an_answer_serves_everybody(allowed: bool) -> None:
    """An answer is kept with its status, and is never asked for again."""
    question = str(stored()), "alice"

    GateAnswer.keep([(claim(question), allowed, 200 if allowed else 412)])

    kept = claim(question)
    assert (kept.asking, kept.allowed, kept.status, kept.token) == (False, allowed, 200 if allowed else 412, None)


def test_every_event_and_every_user_is_a_question_of_its_own() -> None:
    """Answers are kept apart by event and by user."""
    events = [str(stored()), str(stored())]
    questions = [(event, user) for event in events for user in ("alice", "bob", "Alice", "")]

    found = GateAnswer.claim(questions, LONG)
    GateAnswer.keep([(found[questions[0]], True, 200)])

    assert found.keys() == set(questions)
    assert all(row.asking for row in found.values())
    later = GateAnswer.claim(questions, LONG)
    assert {question: row.allowed for question, row in later.items()} == {
        question: True if question == questions[0] else None for question in questions
    }
    assert not any(row.asking for row in later.values())


def test_of_many_that_need_the_same_answer_at_once_one_asks() -> None:
    """However many workers claim a question at once, one of them is to ask."""
    questions = [(str(stored()), user) for user in ("alice", "bob", "carol")]

    found = at_once([partial(GateAnswer.claim, questions, LONG)] * 15)

    assert all(answers.keys() == set(questions) for answers in found)
    for question in questions:
        assert [answers[question].asking for answers in found].count(True) == 1
    assert GateAnswer.select().count() == 3


def test_overlapping_batches_at_once_are_no_deadlock() -> None:
    """Workers that claim, answer and forget overlapping batches all get through, and each question has one asker."""
    events = [str(stored()) for _ in range(12)]
    questions = [(event, user) for event in events for user in ("alice", "bob")]

    def work(number: int) -> list[Question]:
        mine = questions[number:] + questions[:number]
        return [question for question, row in GateAnswer.claim(mine[:18], LONG).items() if row.asking]

    asked = [question for each in at_once([partial(work, number * 2) for number in range(12)]) for question in each]

    assert sorted(asked) == sorted(questions)


def test_a_question_that_was_not_answered_is_asked_again_later() -> None:
    """Without an answer nobody asks before the delay is over; then one does."""
    question = str(stored()), "alice"

    claim(question).postpone(1000.0, 500)

    waiting = claim(question)
    assert (waiting.asking, waiting.allowed, waiting.status, waiting.token) == (False, None, 500, None)
    assert 900 < (waiting.ask_at - orm.now()).total_seconds() <= 1000
    GateAnswer.update(ask_at=orm.now()).execute()
    assert [claim(question).asking, claim(question).asking] == [True, False]


def test_a_worker_that_vanished_while_asking_is_replaced() -> None:
    """After its lease somebody else asks, and its own late answer changes nothing."""
    question = str(stored()), "alice"
    late = claim(question, NONE)
    successor = claim(question, LONG)

    GateAnswer.keep([(late, False, 412)])
    late.postpone(5.0, None)

    assert successor.asking
    assert (GateAnswer.get().allowed, str(GateAnswer.get().lease)) == (None, successor.token)
    GateAnswer.keep([(successor, True, 200)])
    assert claim(question).allowed is True


def test_a_question_given_back_is_anybodys_at_once() -> None:
    """A worker that stops while it asks gives the question back; nobody has to wait for its lease."""
    question = str(stored()), "alice"
    first = claim(question)

    first.release()

    second = claim(question)
    assert (second.asking, second.unanswered) == (True, 0)


def test_a_late_failure_does_not_undo_an_answer() -> None:
    """What was answered stays answered."""
    question = str(stored()), "alice"
    late = claim(question, NONE)
    GateAnswer.keep([(claim(question), True, 200)])

    late.postpone(5.0, 500)
    GateAnswer.keep([(late, False, 412)])

    assert (claim(question).allowed, claim(question).status) == (True, 200)


def test_a_replay_asks_anew() -> None:
    """Forgetting an event's answers concerns no other event."""
    questions = [(str(stored()), "alice"), (str(stored()), "alice")]
    for row in GateAnswer.claim(questions, LONG).values():
        GateAnswer.keep([(row, True, 200)])

    GateAnswer.forget([UUID(questions[0][0])])

    found = GateAnswer.claim(questions, LONG)
    assert [(found[question].asking, found[question].allowed) for question in questions] == [
        (True, None),
        (False, True),
    ]


def test_an_answer_to_a_forgotten_question_is_lost() -> None:
    """An answer that comes after a replay began does not count for it."""
    question = str(stored()), "alice"
    late = claim(question)
    GateAnswer.forget([UUID(question[0])])
    fresh = claim(question)

    GateAnswer.keep([(late, False, 412)])

    assert GateAnswer.get_by_id(fresh.id).allowed is None


def test_a_questions_age_counts_from_its_first_time() -> None:
    """Asking again does not make a question younger."""
    question = str(stored()), "alice"
    row = claim(question, NONE)
    GateAnswer.update(first_asked=orm.now() - timedelta(seconds=500)).execute()
    row.postpone(0.0, 500)

    assert 500 <= claim(question).age(orm.now()) < 600


def test_a_whole_batch_of_the_largest_size_can_be_asked() -> None:
    """As many questions as settings allow deliveries in flight are claimed together."""
    event = str(stored())
    questions: list[Question] = [(event, f"user-{number}") for number in range(1000)]

    found = GateAnswer.claim(questions, LONG)

    assert len(found) == 1000
    assert all(row.asking for row in found.values())
