"""Waits for an answer from outside no longer than a request may take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Patience(Generic[Answer]):
    """Asks in a thread of its own; ``at_once`` questions may be under way, each for as long as it takes."""

    def __init__(self, seconds: float, at_once: int) -> None:
        """Say how long an answer is waited for, and how many may be."""
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(at_once)

    def ask(self, question: Callable[[], Answer], silence: Answer) -> Answer:
        """Give the question's answer, or ``silence`` when there is none in time or too many are waited for.

        The question must not raise.
        """
        if not self._places.acquire(blocking=False):
            return silence
        answers: list[Answer] = []

        def run() -> None:
            try:
                answers.append(question())
            finally:
                self._places.release()

        # A daemon, because a question can't be broken off and must not keep the service from ending.
        thread = threading.Thread(target=run, name="question", daemon=True)
        thread.start()
        thread.join(self._seconds)
        return answers[0] if answers else silence
