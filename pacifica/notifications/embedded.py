"""The application in one process: mounted, its database ready, and a worker beside it where there is no broker."""

from __future__ import annotations

import atexit
import importlib
import ipaddress
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cherrypy
from cherrypy.process.plugins import SimplePlugin

from . import globals as names
from . import login, orm, resolving, waking
from .config import Settings, get_config, mask_url, use
from .errors import ConfigError
from .rest import Door, Log, Request, Root

LOG = logging.getLogger(__name__)


def prepare(settings: Settings, patient: bool = True) -> None:
    """Put settings in force and see that the database can be used; opens no connection that stays.

    With ``memory://`` and SQLite missing tables are made, with SQLite a missing key too. A patient caller waits for the
    database. Raises ``ConfigError``, also where keys are missing, ``Unavailable``, and ``peewee.OperationalError`` for
    a schema that this release can't use.
    """
    use(settings)
    waking.require_broker(settings)
    login.use(settings)
    orm.initialize(settings)
    if patient:
        orm.wait_until_up(settings)
    with orm.session():
        if settings.embedded and settings.database_url.startswith("sqlite:") and orm.OrmSync.is_empty():
            orm.OrmSync.update_tables()
        orm.require_schema()
        orm.require_keys()
        clear = 0 if settings.secrets.plaintext else orm.in_clear()
    _say(settings)
    if clear:
        LOG.warning(
            "service.starting clear=%s: so many subscriptions have auth in clear; seal them with:"
            " pacifica-notifications-cmd rotate-keys",
            clear,
        )
    # A fork must not inherit an open connection.
    orm.disconnect()


def _say(settings: Settings) -> None:
    """Say at start what an operator would otherwise have to find out."""
    LOG.info("service.starting version=%s database=%s", names.VERSION, mask_url(settings.database_url))
    if settings.policy_url:
        LOG.info("service.starting policy=%s", mask_url(settings.policy_url))
    else:
        LOG.info("service.starting policy=none: every subscriber gets every event that matches (policy_url)")
    said, warned = resolving.summary(settings)
    for text in said:
        LOG.info("service.starting %s", text)
    for text in warned:
        LOG.warning("service.starting %s", text)
    if settings.embedded:
        LOG.info("service.starting worker=embedded: this service routes and delivers itself (broker_url)")
    elif not waking.worker_seen():
        LOG.warning("service.starting worker=none was seen lately; start one with: %s", waking.WORKER_COMMAND)


def say_who_may_send(settings: Settings, addresses: Iterable[str]) -> None:
    """Warn where everybody on the network may send events; ``addresses`` are those that are listened on."""
    open_to_all = [address for address in addresses if not _is_loopback(address)]
    if settings.receive.auth == "none" and open_to_all:
        LOG.warning(
            "service.starting receive=anybody: whoever reaches %s may send events; set receive.auth = any, or limit"
            " /receive by a proxy",
            ", ".join(open_to_all),
        )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return address == "localhost"


def log_to_stderr() -> None:
    """Write our lines, and of CherryPy's only what is wrong; its own files have the rest where they are set."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: not record.name.startswith("cherrypy") or record.levelno >= logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler])


def mount(file: str) -> Any:
    """Mount the application with a CherryPy file on top of our own; raises ``ConfigError`` if there is no such file."""
    if not Path(file).is_file():
        raise ConfigError(f"{file}: there is no such file (the CherryPy file)")
    application = cherrypy.tree.mount(Root(), "/", names.DEFAULT_CHERRYPY_CONFIG)
    application.log = Log(id(application), cherrypy.log.logger_root)
    application.merge(file)
    application.request_class = Request
    application.wsgiapp.pipeline.insert(0, ("door", partial(Door, mounted=application)))
    return application


class WorkerPlugin(SimplePlugin):
    """Runs the worker as long as CherryPy's engine runs."""

    def start(self) -> None:
        """Start the worker's threads."""
        waking.start_runner()

    def stop(self) -> None:
        """Stop them; what is under way has some seconds."""
        waking.stop_runner()

    # After the server, because a request that is still being answered would start the worker again.
    stop.priority = 75  # type: ignore[attr-defined]


def serve_uwsgi() -> bool:
    """Prepare the application that uWSGI is loading; False if it is not uWSGI that loads it.

    The embedded worker starts after the fork, in one of the processes; a lease decides in which.
    """
    try:
        uwsgi: Any = importlib.import_module("uwsgi")
    except ImportError:
        return False
    prepare(get_config())
    say_who_may_send(get_config(), _listened_on(uwsgi.sockets))
    if get_config().embedded and uwsgi.worker_id() > 0:
        # Loaded after the fork (--lazy-apps).
        _after_fork()
    elif get_config().embedded:
        uwsgi.post_fork_hook = _after_fork
    else:
        # Here, so that the processes share it where it is loaded before the fork.
        waking.celery()
    return True


def _listened_on(descriptors: Iterable[int]) -> Iterator[str]:
    """Give the addresses of sockets; those in the file system, which have none, are left out."""
    for descriptor in descriptors:
        with socket.socket(fileno=os.dup(descriptor)) as listening:
            if listening.family in (socket.AF_INET, socket.AF_INET6):
                yield listening.getsockname()[0]


def _after_fork() -> None:
    waking.start_runner(waking.EMBEDDED)
    atexit.register(waking.stop_runner)
