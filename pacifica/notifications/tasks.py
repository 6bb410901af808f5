"""The Celery application: its tasks, and the worker that starts with Celery's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from celery import Celery, Task, bootsteps, signals
from celery.exceptions import InvalidTaskError
from click import ClickException

from . import orm, resolving
from .config import get_config, load, use
from .errors import ConfigError, NotificationsError
from .waking import DELIVER, ROUTE, SWEEP, celery_settings, start_runner, stop_runner, wake_here

LOG = logging.getLogger(__name__)


def _settings() -> dict[str, Any]:
    """Give Celery's settings when it first asks for them; what is wrong with them its command prints as it is."""
    try:
        return celery_settings()
    except ConfigError as error:
        raise ClickException(str(error)) from error


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


@app.task(name=ROUTE)
def route() -> None:
    """Say to the worker of this process that events may be waiting to be routed."""
    wake_here(ROUTE)


@app.task(name=DELIVER)
def deliver() -> None:
    """Say to the worker of this process that deliveries may be due."""
    wake_here(DELIVER)


@app.task(name=SWEEP)
def sweep() -> None:
    """Say to the worker of this process that anything may have been left behind."""
    wake_here(SWEEP)


class RunnerStep(bootsteps.StartStopStep):
    """Starts the worker's threads with the Celery worker, whether its broker answers or not.

    A step of the worker and not of its consumer: the consumer's start with a connection to the broker.
    """

    requires: ClassVar[set[str]] = {"celery.worker.components:Pool"}

    def start(self, parent: Any) -> None:
        """Start the threads, and say where they may deliver to."""
        said, warned = resolving.summary(get_config())
        for text in said:
            LOG.info("worker.starting %s", text)
        for text in warned:
            LOG.warning("worker.starting %s", text)
        start_runner()

    def stop(self, parent: Any) -> None:
        """Stop them; what is under way has some seconds."""
        stop_runner()

    terminate = stop


app.steps["worker"].add(RunnerStep)


@signals.worker_init.connect
def _check(sender: Any = None, **_: Any) -> None:
    """Wait for the database; refuse to work on a schema that is not ours, or without the keys of what is sealed."""
    try:
        settings = use(load())
        orm.initialize(settings)
        orm.wait_until_up(settings)
        with orm.session():
            if not orm.NotificationSystem.is_safe():
                raise SystemExit(orm.described())
            orm.require_keys()
    except NotificationsError as error:
        raise SystemExit(str(error)) from error
    # Two lines for every hint would bury ours.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
