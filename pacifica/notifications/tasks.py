"""The Celery application, and the one worker that a process may have."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from celery import Celery, Task, bootsteps, signals
from celery.exceptions import InvalidTaskError
from click import ClickException

from . import orm
from .config import Settings, get_config, load, require_driver, use
from .errors import ConfigError, NotificationsError
from .globals import STALE

if TYPE_CHECKING:
    from .runner import Runner

LOG = logging.getLogger(__name__)

QUEUE = "notifications"
#: Name under which processes that serve and work agree which of them works.
EMBEDDED = "embedded"
#: The line that starts a worker.
WORKER_COMMAND = "celery -A pacifica.notifications.tasks worker"
#: Seconds between two wake-ups at least: one takes Celery 1 to 2 ms of processor time, as much as a request.
_PAUSE = 0.05
#: Seconds for which a worker that was not seen is not looked for again.
_UNSEEN = 1.0
#: Seconds after which a wake-up that nobody took is worthless.
_WORTHLESS = 30


def _settings() -> dict[str, Any]:
    """Give Celery's settings when it first asks for them; what is wrong with them its command prints as it is."""
    try:
        settings = get_config()
        require_broker(settings)
    except ConfigError as error:
        raise ClickException(str(error)) from error
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


class Hint(Task):
    """A task that says that there may be something to do; a message that is none ends no worker."""

    Strategy = "pacifica.notifications.tasks:take_hints"


def take_hints(task: Task, app: Celery, consumer: Any) -> Callable[..., Any]:
    """Take messages as Celery does; one whose body is not of its form is refused, as Celery refuses other forms.

    Otherwise its worker ends of it, gives it back, and so does every other one.
    """
    # Here, because only a worker takes messages.
    from celery.worker.strategy import default

    take = default(task, app, consumer)

    def refusing(*message: Any, **named: Any) -> Any:
        try:
            return take(*message, **named)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InvalidTaskError(f"not of the form of a task: {type(error).__name__}") from error

    return refusing


app = Celery("pacifica.notifications", set_as_current=False, task_cls=Hint)
app.add_defaults(_settings)


@app.task(name="pacifica.notifications.route")
def route() -> None:
    """Say to the worker of this process that events may be waiting to be routed."""
    _wake_here()


@app.task(name="pacifica.notifications.deliver")
def deliver() -> None:
    """Say to the worker of this process that deliveries may be due."""
    _wake_here()


@app.task(name="pacifica.notifications.sweep")
def sweep() -> None:
    """Say to the worker of this process that anything may have been left behind."""
    _wake_here()


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
            runner = Runner(get_config(), name, announce=_waker.wake_delivery)
            runner.start()
            _runner = os.getpid(), runner


def stop_runner() -> None:
    """Stop this process's worker if it has one."""
    global _runner
    runner = _mine()
    _runner = None
    if runner is not None:
        runner.stop()


def wake() -> None:
    """Say that there may be something to do; never waits, never fails, and may be lost without harm.

    With ``memory://`` and no worker in this process, one is started: an answer of 200 always has somebody to route.
    """
    if _mine() is None and get_config().embedded:
        start_runner(EMBEDDED)
    if not _wake_here():
        _waker.wake_routing()


def _wake_here() -> bool:
    """Wake this process's worker; False if it has none."""
    runner = _mine()
    if runner is not None:
        runner.wake()
    return runner is not None


class Waker:
    """Sends wake-ups from a thread of its own, many in one, and none while no worker was seen lately."""

    def __init__(self) -> None:
        """Start nothing; the thread comes with the first wake-up, after any fork."""
        self._process = 0
        self._wanted = threading.Event()
        self._tasks: set[str] = set()
        self._seen_until = 0.0
        self._away = False

    def wake_routing(self) -> None:
        """Wake a worker that routes."""
        self._wake(route.name)

    def wake_delivery(self) -> None:
        """Wake a worker that delivers; nothing without a broker."""
        if not get_config().embedded:
            self._wake(deliver.name)

    def _wake(self, task: str) -> None:
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
            task = self._tasks.pop()
            app.tasks[task].apply_async(retry=False, expires=_WORTHLESS, expiration=_WORTHLESS)
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


class RunnerStep(bootsteps.StartStopStep):
    """Starts the worker's threads with the Celery worker, whether its broker answers or not.

    A step of the worker and not of its consumer: the consumer's start with a connection to the broker.
    """

    requires: ClassVar[set[str]] = {"celery.worker.components:Pool"}

    def start(self, parent: Any) -> None:
        """Start the threads."""
        start_runner()

    def stop(self, parent: Any) -> None:
        """Stop them; what is under way has some seconds."""
        stop_runner()

    terminate = stop


app.steps["worker"].add(RunnerStep)


@signals.worker_init.connect
def _check(sender: Any = None, **_: Any) -> None:
    """Wait for the database and refuse to work on a schema that is not ours."""
    try:
        settings = use(load())
        orm.initialize(settings)
        orm.wait_until_up(settings)
        with orm.session():
            if not orm.NotificationSystem.is_safe():
                raise SystemExit(orm.described())
    except NotificationsError as error:
        raise SystemExit(str(error)) from error
    # Two lines for every hint would bury ours.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
