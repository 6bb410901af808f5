"""Wakes whoever routes and delivers: the one worker that this process may have, or those behind the broker."""

from __future__ import annotations

import logging
import os
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from . import orm
from .config import Settings, get_config, require_driver
from .globals import STALE

if TYPE_CHECKING:
    from celery import Celery

    from .runner import Runner

LOG = logging.getLogger(__name__)

QUEUE = "notifications"
#: The tasks by their names.
ROUTE, DELIVER, SWEEP = (f"pacifica.notifications.{name}" for name in ("route", "deliver", "sweep"))
#: Name under which processes that serve and work agree which of them works.
EMBEDDED = "embedded"
#: The line that starts a worker.
WORKER_COMMAND = "celery -A pacifica.notifications.tasks worker"
#: Seconds between two wake-ups at least: one takes Celery 1 to 2 ms of processor time, as much as a request.
_PAUSE = 0.05
#: Seconds for which a worker that was not seen is not looked for again.
_UNSEEN = 1.0
#: How a wake-up is sent: once, not kept on a disk, and worthless when nobody took it within these seconds.
_LOSSY = {"retry": False, "delivery_mode": "transient", "expires": 30, "expiration": 30}


def celery_settings() -> dict[str, Any]:
    """Give Celery's settings; raises ``ConfigError``."""
    settings = get_config()
    require_broker(settings)
    url = settings.celery.broker_url
    amqp = url.startswith(("amqp", "pyamqp"))
    return {
        "broker_url": url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {"confirm_publish": True} if amqp else {},
        "task_default_queue": QUEUE,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # What works runs in threads of its own, so the pool has only hints to take; set here, "-P prefork" is ignored.
        "worker_pool": "threads",
        "worker_concurrency": 2,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "enable_utc": True,
    }


_guard = threading.Lock()
_runner: tuple[int, Runner] | None = None


def _mine() -> Runner | None:
    """Give this process's worker; one that a parent process has does not count."""
    return _runner[1] if _runner and _runner[0] == os.getpid() else None


def start_runner(name: str = "") -> None:
    """Start this process's worker unless it has one; call it after any fork."""
    # Here, because a service with a broker routes and delivers nothing, and starts sooner without.
    from .runner import Runner

    global _runner
    with _guard:
        if _mine() is None:
            runner = Runner(get_config(), name, announce=lambda: _waker.wake(DELIVER))
            runner.start()
            _runner = os.getpid(), runner


def stop_runner() -> None:
    """Stop this process's worker if it has one."""
    global _runner
    runner = _mine()
    _runner = None
    if runner is not None:
        runner.stop()


def wake(task: str = ROUTE) -> None:
    """Say that there may be something to do; never waits, never fails, and may be lost without harm.

    With ``memory://`` and no worker in this process, one is started: an answer of 200 always has somebody to route.
    """
    if _mine() is None and get_config().embedded:
        start_runner(EMBEDDED)
    if not wake_here(task):
        _waker.wake(task)


def wake_here(task: str) -> bool:
    """Wake that part of this process's worker which a task is for; False if it has none.

    The other part would look for work in vain, and get in the way of the one that has some.
    """
    runner = _mine()
    if runner is not None:
        wakes = {ROUTE: runner.wake_routing, DELIVER: runner.wake_delivery}
        wakes.get(task, runner.wake)()
    return runner is not None


@cache
def celery() -> Celery:
    """Give what sends messages: Celery, which knows nothing of the tasks but their names."""
    # Here, because it takes as long to import as nearly all else, and whoever accepts events can begin without.
    from celery import Celery

    made = Celery("pacifica.notifications", set_as_current=False)
    made.add_defaults(celery_settings)
    return made


class Waker:
    """Sends wake-ups from a thread of its own, many in one, and none while no worker was seen lately."""

    def __init__(self) -> None:
        """Start nothing; the thread comes with the first wake-up, after any fork."""
        self._process = 0
        self._wanted = threading.Event()
        self._tasks: set[str] = set()
        self._seen_until = 0.0
        self._away = False

    def wake(self, task: str) -> None:
        """Wake a worker by a task; nothing without a broker."""
        if get_config().embedded:
            return
        self._tasks.add(task)
        if self._process != os.getpid():
            with _guard:
                if self._process != os.getpid():
                    self._wanted = threading.Event()
                    threading.Thread(target=self._keep, args=(self._wanted,), name="wake-ups", daemon=True).start()
                    self._process = os.getpid()
        self._wanted.set()

    def _keep(self, wanted: threading.Event) -> None:
        while True:
            wanted.wait()
            wanted.clear()
            try:
                self._send()
            # Whatever it is, the wake-up is lost without harm: workers look at the database by themselves.
            except Exception as error:  # noqa: BLE001 - every transport has errors of its own
                if not self._away:
                    LOG.warning("broker.away error=%s", type(error).__name__)
                self._away = True
                time.sleep(1.0)
            time.sleep(_PAUSE)

    def _send(self) -> None:
        if time.monotonic() > self._seen_until:
            with orm.session():
                seen = orm.Worker.seen_within(3 * STALE)
            if not seen:
                # A worker that starts looks for work by itself.
                self._tasks.clear()
                time.sleep(_UNSEEN)
                return
            self._seen_until = time.monotonic() + STALE
        while self._tasks:
            celery().send_task(self._tasks.pop(), **_LOSSY)
        if self._away:
            LOG.info("broker.back")
        self._away = False


_waker = Waker()


def require_broker(settings: Settings) -> None:
    """Raise ``MissingDriver`` unless the broker's driver is installed; waking would fail again and again without it."""
    if settings.celery.broker_url.startswith(("redis:", "rediss:", "sentinel:")):
        require_driver("redis", "redis", "celery.broker_url")


def worker_seen() -> bool:
    """Tell whether any worker gave a sign of life lately; raises ``Unavailable``."""
    with orm.session():
        return orm.Worker.seen_within(2 * STALE)
