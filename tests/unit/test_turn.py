"""The lock at which the writers of a process queue."""

from __future__ import annotations

import threading
from itertools import groupby

from pacifica.notifications.orm.dialects.turn import Turn
from tests.support.together import together

ROUNDS = 100


def test_whoever_waits_is_next() -> None:
    """A thread that lets the turn go and asks for it again at once comes after those that were waiting."""
    turn, pause = Turn(), threading.Event()
    order: list[int] = []

    def write(number: int) -> None:
        for _ in range(ROUNDS):
            with turn:
                order.append(number)
                # Long enough for the others to ask.
                pause.wait(0.001)

    together([lambda number=number: write(number) for number in range(3)])  # type: ignore[misc]

    # Until the first of them is done nobody has it twice in a row, but where another had not asked in time.
    last = min(len(order) - order[::-1].index(number) for number in range(3))
    changes = len(list(groupby(order[:last])))
    assert len(order) == 3 * ROUNDS
    assert changes > 0.85 * last


def test_the_holder_may_take_it_again() -> None:
    """A transaction inside another one does not wait for itself, and only the end of the outer one lets others in."""
    turn = Turn()
    order: list[str] = []

    def other() -> None:
        with turn:
            order.append("other")

    with turn:
        thread = threading.Thread(target=other)
        with turn:
            thread.start()
        order.append("mine")
    thread.join(30)

    assert order == ["mine", "other"]
