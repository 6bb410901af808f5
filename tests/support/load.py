"""Producers: threads that send events at a steady rate and keep what each was answered."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests

from .wait import until

#: Seconds after which a client gives up: an answer that takes longer is a request that hangs.
PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one event that was sent: status and headers, or the error of a client that got none."""

    event: dict[str, Any]
    status: int | None
    headers: dict[str, str]
    uuid: str | None = None
    error: str = ""


class Load:
    """Sends each event once to `/receive`, to the services in turn; `rate` is events in a second, all together.

    As a context manager it starts, and stops at the end whatever is left of the events. `keep_alive` is for a
    server that takes more than one request on a connection, `trusted` the file of the certificate of one with TLS,
    `patience` the seconds for which an answer is waited for.
    """

    def __init__(
        self,
        origins: Sequence[str],
        events: Iterable[dict[str, Any]],
        *,
        rate: float,
        threads: int = 8,
        keep_alive: bool = True,
        trusted: Path | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self._origins = list(origins)
        self._events = enumerate(events)
        self._rate = rate
        self._keep_alive = keep_alive
        self._trusted = trusted
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._stopping = threading.Event()
        self._began = 0.0
        self._threads = [
            threading.Thread(target=self._send, name=f"producer-{number}", daemon=True) for number in range(threads)
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to send."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def run(self, seconds: float = 60) -> Self:
        """Send them all, and return when the last is answered."""
        with self:
            self.wait(seconds)
        return self

    def stop(self) -> None:
        """Send no more, and wait for what is under way."""
        self._stopping.set()
        self.wait(2 * self._patience)

    def wait(self, seconds: float) -> list[Answer]:
        """Wait until all events are sent and answered, and return the answers."""
        until(lambda: not self.running, seconds, "all events to be sent")
        return self.answers

    @property
    def running(self) -> bool:
        """Whether there is anything left to send."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def answers(self) -> list[Answer]:
        """What has been answered so far, in that order."""
        with self._lock:
            return list(self._answers)

    @property
    def accepted(self) -> list[Answer]:
        """The answers 200."""
        return [answer for answer in self.answers if answer.status == 200]

    @property
    def statuses(self) -> Counter[int | str | None]:
        """How many answers there were of each status, or of each error of a client."""
        return Counter(answer.error or answer.status for answer in self.answers)

    def _send(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(self._trusted) if self._trusted else True
            while not self._stopping.is_set():
                with self._lock:
                    number, event = next(self._events, (-1, {}))
                if number < 0:
                    return
                if self._stopping.wait(max(0.0, self._began + number / self._rate - time.monotonic())):
                    return
                answer = _post(session, self._origins[number % len(self._origins)], event, self._patience)
                if not self._keep_alive:
                    session.close()
                with self._lock:
                    self._answers.append(answer)


def _post(session: requests.Session, origin: str, event: dict[str, Any], patience: float) -> Answer:
    body = json.dumps(event, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json"}
    try:
        got = session.post(f"{origin}/receive", data=body, headers=headers, timeout=patience)
    except requests.RequestException as error:
        return Answer(event, None, {}, error=type(error).__name__)
    uuid = got.json().get("uuid") if got.status_code == 200 else None
    return Answer(event, got.status_code, dict(got.headers), uuid)
