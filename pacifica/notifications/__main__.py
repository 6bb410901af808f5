"""The two commands: the service, and what looks after it."""

from __future__ import annotations

import argparse
import configparser
import io
import logging
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import cherrypy

from . import globals as names
from . import orm
from .config import load
from .embedded import WorkerPlugin, log_to_stderr, mount, prepare, say_who_may_send
from .errors import ConfigError, NotificationsError
from .rest.server import Server

LOG = logging.getLogger(__name__)


def main(*argv: str) -> int:
    """Run the service until it is told to stop; without arguments those of the process are read.

    Raises ``ConfigError``, ``Unavailable``, and ``peewee.OperationalError`` for a schema that this release can't use.
    """
    options = _parser().parse_args(argv or sys.argv[1:])
    settings_file, cherrypy_file = _told_apart(options)
    log_to_stderr()
    settings = load(settings_file)
    chosen = cherrypy_file or names.CHERRYPY_CONFIG
    for file in filter(lambda file: Path(file).is_file(), (names.DEFAULT_CHERRYPY_CONFIG, chosen)):
        cherrypy.config.update(file)
    if options.address:
        cherrypy.config.update({"server.socket_host": options.address})
    if options.port is not None:
        cherrypy.config.update({"server.socket_port": options.port})
    if not cherrypy.config.get("server.socket_file"):
        listens = str(cherrypy.config["server.socket_host"] or ""), int(cherrypy.config["server.socket_port"])
        settings = replace(settings, listens=listens)
    prepare(settings)
    mount(chosen)
    # Bodies are bounded by receive.max_body, with an answer that says so.
    cherrypy.config.update({"server.max_request_body_size": 0})
    say_who_may_send(settings, [] if cherrypy.server.socket_file else [cherrypy.server.socket_host or "every address"])
    cherrypy.server.instance = Server()
    if settings.embedded:
        WorkerPlugin(cherrypy.engine).subscribe()
    return _serve()


def _serve() -> int:
    """Listen until a signal comes; 1 if nothing could be listened on."""
    host, port = cherrypy.server.socket_host, cherrypy.server.socket_port
    fault = _fault_of(host, port)
    if fault:
        LOG.error("service.refused address=%s:%s: %s", host, port, fault)
        return 1
    _end_at_signals()
    cherrypy.engine.start()
    LOG.info("service.listening url=http://%s:%s/", f"[{host}]" if ":" in host else host, port)
    cherrypy.engine.block()
    return 0


def _end_at_signals() -> None:
    """Let SIGTERM and Ctrl-C end the service in good order, once it has started.

    They are only noted where they come in: told to end before it has started, CherryPy ends as if it had failed.
    """
    ending = threading.Event()
    cherrypy.engine.signal_handler.handlers |= {"SIGTERM": ending.set, "SIGINT": ending.set}
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.subscribe("main", lambda: cherrypy.engine.exit() if ending.is_set() else None)


def _fault_of(host: str, port: int) -> str:
    """Say why an address can't be listened on, or nothing; CherryPy would wait long, and then fail with much text."""
    try:
        with socket.create_connection((host or "localhost", port), timeout=1):
            return "another program listens there; choose another with -p"
    except OSError:
        pass
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return f"{error.strerror}; choose another with -a and -p"
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pacifica-notifications", description="Takes CloudEvents and delivers them to those who subscribed."
    )
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="CONFIG",
        help="settings or CherryPy file; may be given twice",
    )
    parser.add_argument("--cpconfig", action="append", default=[], metavar="CONFIG", help="the CherryPy file")
    parser.add_argument("-p", "--port", type=_port, help="port to listen on (default: the CherryPy file's, or 8070)")
    parser.add_argument("-a", "--address", help="address to listen on (default: the CherryPy file's, or localhost)")
    parser.add_argument("--version", action="version", version=names.VERSION)
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 1 to 65535")
    return int(text)


def _told_apart(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """Find out which file is which: CherryPy's has a section ``global`` or one that is a path."""
    settings: list[str] = []
    cherrypys: list[str] = list(options.cpconfig)
    for file in options.config:
        (cherrypys if _is_cherrypys(file) else settings).append(file)
    for kind, files in (("settings", settings), ("CherryPy", cherrypys)):
        if len(files) > 1:
            raise ConfigError(f"{' and '.join(files)}: only one {kind} file can be used")
    for file in cherrypys:
        _sections(file)
    return next(iter(settings), None), next(iter(cherrypys), None)


def _is_cherrypys(file: str) -> bool:
    return any(section == "global" or section.startswith("/") for section in _sections(file))


def _sections(file: str) -> list[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        with Path(file).open(encoding="utf-8") as text:
            parser.read_file(text)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {' '.join(str(error).split())}") from error
    return parser.sections()


def cmd(*argv: str) -> int:
    """Run one of the commands; 0 for true, -1 for false. Without arguments those of the process are read."""
    # Here, because the service needs none of it, and starts sooner without.
    from . import commands

    return commands.run(*(argv or sys.argv[1:]))


def main_script() -> None:
    """Run the service as a program: what can't be used is one line, not a traceback."""
    try:
        sys.exit(main())
    except (NotificationsError, orm.DatabaseError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def cmd_script() -> None:
    """Run a command as a program."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a terminal can't show must not break off what is being told.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(cmd())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main_script()
