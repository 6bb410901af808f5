"""A producer that numbers its events, and sends each again until it is answered 2xx."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

from tests.support.wait import until

#: Seconds after which an answer is given up; the event is then sent again.
PATIENCE = 30.0
#: Seconds between two tries of the same event.
AGAIN = 0.1

#: One event in so many is one of those for rare subscriptions: its number is a multiple of it.
TURNS = 20


class Sender:
    """Sends events 1, 2, 3, … of one type from several threads, to the services in turn, at a rate in a second.

    What is unknown (no answer, 503) is sent again with the same id, to the next service. As a context manager it
    starts; `finish` ends it. `size` is the length of the padding of each event.
    """

    def __init__(self, ports: Sequence[int], type_: str, *, rate: float, threads: int = 8, size: int = 300) -> None:
        self.type = type_
        #: Events that were answered 2xx, with the uuid that they were given.
        self.acked: dict[int, str] = {}
        #: When that was, by the machine's monotonic clock.
        self.acked_at: dict[int, float] = {}
        self.statuses: Counter[int | str] = Counter()
        #: Seconds that the slowest answer took.
        self.slowest = 0.0
        #: Answers 503 without Retry-After.
        self.rude = 0
        self._ports = itertools.cycle(ports)
        self._rate, self._padding = rate, "." * size
        self._numbers = itertools.count(1)
        self._last = 0
        self._most: int | None = None
        self._lock = threading.Lock()
        self._ending, self._broken_off = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._keep, name=f"sender-{n}", daemon=True) for n in range(threads)]
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._broken_off.set()
        self._ending.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)

    @property
    def sent(self) -> int:
        """How many events were sent, each counted once."""
        return self._last

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Wait until so many more events are answered 2xx."""
        wanted = len(self.acked) + count
        until(lambda: len(self.acked) >= wanted, seconds, f"{count} more events to be accepted")

    def finish(self, seconds: float = 90, *, total: int | None = None) -> None:
        """Begin no more events, or none after `total` of them, and wait until every one is answered 2xx."""
        with self._lock:
            self._most = self._last if total is None else max(total, self._last)
        until(lambda: self._last == self._most, 3600 if total else seconds, "all events to be sent")
        self._ending.set()
        until(lambda: len(self.acked) == self._last, seconds, "every event to be accepted")

    def take(self, number: int, uuid: str) -> None:
        """Keep that an event was answered 2xx."""
        self.acked_at[number] = time.monotonic()
        self.acked[number] = uuid
        self._last = max(self._last, number)

    def event(self, number: int) -> dict[str, Any]:
        """Return an event by its number."""
        return {
            "specversion": "1.0",
            "id": str(number),
            "source": f"urn:{self.type}",
            "type": self.type,
            "datacontenttype": "application/json",
            "data": {"number": number, "turn": number % TURNS, "padding": self._padding},
        }

    def _keep(self) -> None:
        while not self._ending.is_set():
            with self._lock:
                if self._most is not None and self._last >= self._most:
                    return
                number = next(self._numbers)
                self._last = number
            self._ending.wait(max(0.0, self._began + number / self._rate - time.monotonic()))
            body = json.dumps(self.event(number)).encode()
            while not self._broken_off.is_set() and not self._send(number, body):
                self._broken_off.wait(AGAIN)

    def _send(self, number: int, body: bytes) -> bool:
        """Send an event once; tell whether it is done with."""
        with self._lock:
            port = next(self._ports)
        began = time.monotonic()
        status, answer = post(port, body)
        with self._lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.statuses[status] += 1
            if isinstance(status, int) and 200 <= status < 300:
                self.take(number, answer["uuid"])
                return True
            self.rude += status == 503 and "retry-after" not in answer
        # Any other status is a fault, which the verdict names; sending it again would hide it no better.
        return isinstance(status, int) and status != 503


def post(port: int, body: bytes) -> tuple[int | str, dict[str, Any]]:
    """Send an event to `/receive`; give the status and the JSON of a 2xx or else the headers, or the error's name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/receive", body, {"Content-Type": "application/cloudevents+json"})
        answer = connection.getresponse()
        content = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(content) if 200 <= answer.status < 300 else headers
    except (OSError, http.client.HTTPException, ValueError) as error:
        return type(error).__name__, {}
    finally:
        connection.close()
