"""The old releases themselves, installed and run as they were; nothing is asked of them but what is documented."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from ..environments import Environment
from ..ports import free_port
from ..process import Process, clean_environment

NAME = "pacifica-notifications"
#: What they import, in versions that they work with; their own lists ask for `psycopg2`'s source.
NEEDED = [
    "celery[redis]",
    "cherrypy",
    "jsonpath2",
    "jsonschema",
    "peewee<4",
    "psycopg2-binary",
    "requests",
    "setuptools<81",
    "six",
]
#: The documented file for CherryPy, without logs.
_CHERRYPY = """
[global]
engine.autoreload.on: False

[/]
request.dispatch: cherrypy.dispatch.MethodDispatcher()
tools.response_headers.on: True
tools.response_headers.headers: [('Content-Type', 'application/json')]
"""

#: Calls steps of `OrmSync`, then writes a version down as each release since 1.0 had it, if one is named.
_STEPS = """
import sys
from pacifica.notifications.orm import EventMatch, NotificationSystem, OrmSync
version, *steps = sys.argv[1:]
OrmSync.dbconn_blocking()
EventMatch.database_connect()
for step in steps:
    getattr(OrmSync, step)()
NotificationSystem.create_table()
for part, value in zip(("major", "minor"), version.split(".")):
    NotificationSystem.create(part=part, value=int(value))
EventMatch.database_close()
"""


class Doors:
    """The doors of an old service."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def request(self, method: str, path: str, value: Any = None, user: str = "alice") -> requests.Response:
        """Send a JSON value and return the answer."""
        headers = {"Http-Remote-User": user}
        return self._session.request(method, self._url + path, json=value, headers=headers, timeout=30)

    def subscribe(self, user: str, **members: Any) -> str:
        """Make a subscription and return its uuid."""
        answer = self.request("POST", "/eventmatch", members, user)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["uuid"])

    def unsubscribe(self, user: str, uuid: str) -> None:
        """Delete a subscription."""
        assert self.request("DELETE", f"/eventmatch/{uuid}", user=user).status_code == 200

    def accept(self, event: object) -> None:
        """Send an event, or anything else."""
        assert self.request("POST", "/receive", event).status_code == 200


class Release:
    """One old release in an environment of its own."""

    def __init__(self, folder: Path, version: str) -> None:
        """Install it; takes seconds, and needs a package index."""
        self.version = version
        self.folder = folder
        self.environment = Environment(folder / "venv")
        self.environment.install(*NEEDED)
        self.environment.install("--no-deps", f"{NAME}=={version}", "pacifica-namespace==0.0.2")
        self.cherrypy = folder / "cherrypy.ini"
        self.cherrypy.write_text(_CHERRYPY)

    def environ(self, url: str, **more: str) -> dict[str, str]:
        """Return the environment in which it uses a database."""
        environ = clean_environment(self.folder / "home", PEEWEE_URL=url, DATABASE_CONNECT_ATTEMPTS="1", **more)
        return {name: value for name, value in environ.items() if name != "PYTHONPATH"}

    def dbsync(self, url: str) -> int:
        """Run its `dbsync` and return the exit status."""
        return self._run([self.environment.scripts / f"{NAME}-cmd", "dbsync"], url)

    def command(self, url: str, *arguments: str, **more: str) -> int:
        """Run its command for administrators and return the exit status."""
        return self._run([self.environment.scripts / f"{NAME}-cmd", *arguments], url, **more)

    def step(self, url: str, version: str, *steps: str) -> None:
        """Call single steps of its `OrmSync`, and write a version down."""
        assert self._run([self.environment.python, "-c", _STEPS, version, *steps], url) == 0

    def _run(self, command: list[str | Path], url: str, **more: str) -> int:
        log = self.folder / "commands.log"
        with Process(command, log, env=self.environ(url, **more), cwd=self.folder) as process:
            return process.wait(60)

    @contextmanager
    def service(self, url: str, **more: str) -> Iterator[Doors]:
        """Run its service, which makes the tables of 0.0 in release 0.2.3."""
        port = free_port()
        option = "--config" if self.version < "0.3" else "--cpconfig"
        words: list[str | Path] = [
            self.environment.scripts / NAME,
            option,
            self.cherrypy,
            "-a",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        doors = Doors(f"http://127.0.0.1:{port}")
        with Process(words, self.folder / "service.log", env=self.environ(url, **more), cwd=self.folder) as service:
            service.until(lambda: doors.request("GET", "/").status_code, 60, "an answer")
            yield doors
            service.terminate()

    @contextmanager
    def worker(self, url: str, **more: str) -> Iterator[None]:
        """Run its worker."""
        app = "pacifica.notifications.tasks"
        words: list[str | Path] = [self.environment.scripts / "celery", "-A", app, "worker", "-l", "INFO", "-P", "solo"]
        with Process(words, self.folder / "worker.log", env=self.environ(url, **more), cwd=self.folder) as worker:
            worker.wait_for_output(r"\bready\b", 60)
            yield
            worker.terminate()
