"""Routes and delivers in two threads, woken by a hint or by the clock."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

from . import gates, orm, resolving, targets, transfer
from .config import Settings
from .delivery import Courier
from .errors import Unavailable
from .globals import STALE
from .routing import Router

LOG = logging.getLogger(__name__)

#: Seconds after which work is looked for although nobody said that there is some.
LOOK = 1.0
#: Seconds between two signs of life.
BEAT = 5.0
#: Seconds between two looks for what is held for nobody's sake, and for what has been kept for long enough.
MEND = 60.0
#: Seconds after each sign of life that may be spent on removing the latter.
REMOVING = 1.0
#: Seconds after which a worker that is gone is forgotten.
FORGOTTEN = 86400.0
#: Seconds that what is under way has to end when the worker stops.
GRACE = 5.0


def courier(settings: Settings) -> Courier:
    """Make what delivers: over HTTP, past the policy server."""
    delivery, policy = settings.delivery, settings.policy
    sends = transfer.Limits(
        connect=delivery.connect_timeout,
        total=delivery.timeout,
        ca_file=delivery.ca_file,
        answer=delivery.max_response,
        per_host=delivery.target_in_flight,
        connections=delivery.in_flight,
    )
    # The courier bounds its questions itself; of the policy server's answer only the status counts.
    asks = transfer.Limits(
        min(delivery.connect_timeout, policy.timeout), policy.timeout, delivery.ca_file, per_host=4000
    )
    loop = transfer.Loop()
    target = targets.HttpTarget(sends, resolving.policy_of(settings), loop)
    return Courier(settings, target, gates.PolicyGate(settings.policy_url, asks, loop), loop)


class Runner:
    """The worker of one process.

    ``name`` is the worker's: of several processes that run under one name only one works, another takes over when
    it gives no sign of life. ``announce`` is called when more was routed than one worker claims at once.
    """

    def __init__(self, settings: Settings, name: str = "", announce: Callable[[], None] = lambda: None) -> None:
        """Start nothing yet."""
        self._settings = settings
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._name = name or self._holder
        self._announce = announce
        self._stopping = threading.Event()
        self._mine = threading.Event()
        self._expiring: Iterator[tuple[int, int]] | None = None
        self._hints = {"routing": threading.Event(), "delivery": threading.Event()}
        self._courier = courier(settings)
        self._threads = [
            threading.Thread(target=self._keep, args=("routing", self._router()), name="routing", daemon=True),
            threading.Thread(target=self._deliver, name="delivery", daemon=True),
            threading.Thread(target=self._keep_house, name="housekeeping", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads; call it in the process that works, after any fork."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Say that there may be something to do; may be called as often as one likes."""
        self.wake_routing()
        self.wake_delivery()

    def wake_routing(self) -> None:
        """Say that events may be waiting to be routed; what routing makes wakes delivery."""
        self._hints["routing"].set()

    def wake_delivery(self) -> None:
        """Say that deliveries may be due."""
        self._hints["delivery"].set()
        self._courier.wake()

    def stop(self) -> None:
        """Claim nothing more, wait a little for what is under way, give back the rest; takes some seconds at most."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(GRACE + 5)

    def _router(self) -> Callable[[], None]:
        router = Router(self._settings)

        def route() -> None:
            made = router.drain(self._stopping.is_set)
            if made:
                self.wake_delivery()
            if made > self._settings.delivery.batch:
                self._announce()

        return route

    def _deliver(self) -> None:
        self._keep("delivery", lambda: self._courier.drain(self._stopping.is_set))
        self._courier.stop(GRACE)

    def _keep(self, kind: str, work: Callable[[], None]) -> None:
        """Do the work at every hint and at least every second, whatever happens to the database meanwhile."""
        away = False
        while not self._stopping.is_set():
            self._hints[kind].wait(LOOK)
            self._hints[kind].clear()
            if self._stopping.is_set() or not self._mine.is_set():
                continue
            try:
                work()
                away = False
            except Unavailable as error:
                if not away:
                    LOG.warning("%s.waiting error=%s", kind, error)
                away = True
                self._stopping.wait(LOOK)
            except Exception:
                LOG.exception("%s.failed", kind)
                self._stopping.wait(LOOK)

    def _keep_house(self) -> None:
        """Give signs of life, mend what only time shows, and remove what has been kept for long enough."""
        mend_at = expire_at = 0.0
        while True:
            try:
                with orm.session():
                    if orm.Worker.beat(self._name, self._holder, STALE):
                        self._mine.set()
                        self.wake()
                    else:
                        self._mine.clear()
                    if self._mine.is_set() and time.monotonic() >= mend_at:
                        orm.EventLogMatch.mend_held(self._settings.retention.held)
                        orm.Worker.forget_older(FORGOTTEN)
                        orm.TargetState.forget_older(FORGOTTEN)
                        mend_at = time.monotonic() + MEND
                    if self._mine.is_set() and time.monotonic() >= expire_at and self._expire():
                        expire_at = time.monotonic() + MEND
            except Unavailable as error:
                LOG.warning("housekeeping.waiting error=%s", error)
            except Exception:
                LOG.exception("housekeeping.failed")
            if self._stopping.wait(BEAT):
                break
        self._leave()

    def _expire(self) -> bool:
        """Remove for a moment what has been kept for long enough; False if there is more to look at."""
        until = time.monotonic() + REMOVING
        if self._expiring is None:
            self._expiring = orm.expire(self._settings.retention.events, self._settings.retention.deliveries)
        events = deliveries = 0
        try:
            for some_events, some_deliveries in self._expiring:
                events, deliveries = events + some_events, deliveries + some_deliveries
                if time.monotonic() > until or self._stopping.is_set():
                    return False
            self._expiring = None
            return True
        finally:
            if events or deliveries:
                LOG.info("retention.removed events=%s deliveries=%s", events, deliveries)

    def _leave(self) -> None:
        try:
            with orm.session():
                orm.Worker.leave(self._name, self._holder)
        except Unavailable as error:
            LOG.warning("housekeeping.waiting error=%s", error)
