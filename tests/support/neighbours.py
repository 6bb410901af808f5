"""The true neighbours: Pacifica's metadata and policy servers, in an environment of their own, and a relay."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from . import raw
from .environments import Environment
from .listener import Exchange, Listener
from .ports import free_port
from .process import Process, clean_environment
from .processes import write_config

SERVERS = ["pacifica-metadata==0.13.0", "pacifica-policy==0.8.3", "pacifica-namespace==0.0.2"]
#: What the servers import. Their own list has `psycopg2`, which is compiled at install, and does not say that
#: `pkg_resources` and peewee's `save()` without a change are gone from later releases.
NEEDED = [
    "backports.functools-lru-cache",
    "cherrypy",
    "peewee<3.14",
    "psycopg2-binary",
    "python-dateutil",
    "pytz",
    "requests",
    "setuptools<81",
]

#: One project with one instrument; a project's id may be any text.
PROJECT, INSTRUMENT = "1234é", 54
#: The group whose members policy lets see all events. The id stands in policy's settings too, where 0 is the default.
ADMINS = {"_id": 1, "name": "admin", "display_name": "Admin", "description": "sees all", "is_admin": True}

#: Ids of users, transactions and files: nothing is ever removed from the database of metadata.
_numbers: Iterator[int] = itertools.count(100)


def install(folder: Path) -> Environment:
    """Make the environment that both servers run in; takes seconds, and needs a package index."""
    environment = Environment(folder)
    environment.install(*NEEDED)
    environment.install("--no-deps", *SERVERS)
    return environment


class _Neighbour(Process):
    """A server of Pacifica on 127.0.0.1, set up by files in its home, as its documentation has it.

    It outlives a test, and keeps its port over restarts.
    """

    #: Its name, which is also its command's.
    name: str

    def __init__(self, environment: Environment, folder: Path, settings: dict[str, object]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment
        home = folder / self.name
        files = home / f".{self.name}"
        write_config(files / "config.ini", settings)
        (files / "cpconfig.ini").write_text(
            "[global]\n"
            "log.screen: True\n"
            "engine.autoreload.on: False\n"
            "[/]\n"
            "request.dispatch: cherrypy.dispatch.MethodDispatcher()\n"
            "tools.response_headers.on: True\n"
            "tools.response_headers.headers: [('Content-Type', 'application/json')]\n"
        )
        super().__init__(
            [environment.scripts / self.name, "-a", "127.0.0.1", "-p", str(self.port)],
            folder / f"{self.name}.log",
            env=clean_environment(home),
            cwd=home,
            kept=True,
        )
        self._session = requests.Session()
        self._session.trust_env = False

    def start(self) -> None:
        """Start it and wait until it says that it is running."""
        super().start()
        self.until(lambda: self.ask("GET", "/") is not None, 60, f"{self.name} to be running")

    def ask(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        data: bytes | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Send a JSON value, or bytes of another type, and return the JSON value of the answer, which must be 200."""
        # Each on a connection of its own: the server may have been started again since the last one.
        headers = {"Connection": "close", "Content-Type": content_type}
        answer = self._session.request(method, self.url + path, json=value, data=data, headers=headers, timeout=60)
        if answer.status_code != 200:
            raise AssertionError(f"{method} {path} of {self.name} answered {answer.status_code}: {answer.text[-2000:]}")
        return answer.json()


class Metadata(_Neighbour):
    """The metadata server, on an empty PostgreSQL database; it posts its events to `events_url`."""

    name = "pacifica-metadata"

    def __init__(self, environment: Environment, folder: Path, database_url: str, events_url: str) -> None:
        super().__init__(environment, folder, {"database.peewee_url": database_url, "notifications.url": events_url})

    def make_tables(self) -> None:
        """Make its tables, with its own command."""
        log = self.log_file.with_name(f"{self.name}-cmd.log")
        with Process([self.environment.scripts / f"{self.name}-cmd", "dbsync"], log, env=self.env) as command:
            assert command.wait(60) == 0, command.log

    def add(self, kind: str, **columns: Any) -> None:
        """Add an object."""
        self.ask("PUT", f"/{kind}", columns)

    def add_user(self, name: str, *, admin: bool = False, project: bool = False) -> int:
        """Add a user, as a member of the group of admins or of the project, and return the id."""
        number = next(_numbers)
        self.add(
            "users",
            _id=number,
            network_id=name,
            first_name=name.title(),
            middle_initial="",
            last_name="Müller",
            email_address=f"{name}@example.org",
        )
        if admin:
            self.add("user_group", user=number, group=ADMINS["_id"])
        if project:
            self.add("project_user", user=number, project=PROJECT, relationship=self.relationship("member_of"))
        return number

    def add_project(self) -> None:
        """Add the project with its instrument, and the group of admins."""
        texts = dict.fromkeys(("title", "short_name", "abstract", "science_theme", "project_type"), "µ-CT")
        self.add("projects", _id=PROJECT, **texts)
        self.add("instruments", _id=INSTRUMENT, name="NMR", display_name="NMR", name_short="NMR", active=True)
        member = self.relationship("member_of")
        self.add("project_instrument", project=PROJECT, instrument=INSTRUMENT, relationship=member)
        self.add("groups", **ADMINS)

    def relationship(self, name: str) -> str:
        """Return the id of a relationship; those that Pacifica knows are there from the start."""
        (found,) = self.ask("GET", f"/relationships?name={name}")
        return str(found["uuid"])

    def ingest(self, submitter: int, files: int = 3) -> int:
        """Put a new transaction of the project with key-values and files, as the ingest server does; return its id."""
        number = next(_numbers)
        what: list[dict[str, Any]] = [
            {"destinationTable": "Transactions._id", "value": number},
            {"destinationTable": "Transactions.submitter", "value": submitter},
            {"destinationTable": "Transactions.project", "value": PROJECT},
            {"destinationTable": "Transactions.instrument", "value": INSTRUMENT},
            {"destinationTable": "TransactionKeyValue", "key": f"Temperature {number}", "value": "4 °C"},
        ]
        for file in range(number * 1000, number * 1000 + files):
            what += [
                {
                    "destinationTable": "Files",
                    "_id": file,
                    "name": f"größe {file}.dat",
                    "subdir": "raw/",
                    "size": 1024,
                    "mimetype": "application/octet-stream",
                    "ctime": "2026-11-22T17:29:00",
                    "mtime": "2026-11-22T17:29:30",
                    "hashtype": "sha1",
                    "hashsum": f"{file:040x}",
                },
                {"destinationTable": "FileKeyValue", "key": f"axis {number}", "value": "x", "file_id": file},
            ]
        self.ask("PUT", "/ingest", what)
        return number

    def release(self, transaction: int, releaser: int) -> None:
        """Release a transaction to the public."""
        relationship = self.relationship("authorized_releaser")
        self.add("transaction_user", transaction=transaction, user=releaser, relationship=relationship)

    def register_doi(self, transaction: int, owner: str) -> str:
        """Register a DOI for a transaction that is released, then tell of its publication; return it."""
        infix = f"data.{transaction}"
        doi = f"10.25584/{infix}/{next(_numbers)}"
        page = f"https://example.org/released/{transaction}"
        meta = {"title": "Größe", "doi_infix": infix, "site_url": page}
        self.ask("POST", "/doiupload/new_entry", {"id": 1, "doi": doi, "owner_network_id": owner, "meta": meta})
        record = (
            '<?xml version="1.0" encoding="utf-8"?><records start="0" rows="1" numfound="1">'
            f'<record status="Completed" released="Y"><title>Größe</title><doi status="COMPLETED">{doi}</doi>'
            f"<site_url>{page}</site_url><creatorsblock/></record></records>"
        )
        self.ask("POST", "/doiupload/update", data=record.encode(), content_type="application/xml")
        return doi


class Policy(_Neighbour):
    """The policy server, which asks metadata; members of the group `ADMINS` may see everything."""

    name = "pacifica-policy"

    def __init__(self, environment: Environment, folder: Path, metadata: Metadata) -> None:
        super().__init__(
            environment,
            folder,
            {
                "policy.admin_group": ADMINS["name"],
                "policy.admin_group_id": ADMINS["_id"],
                "metadata.endpoint_url": metadata.url,
                "metadata.status_url": f"{metadata.url}/groups",
            },
        )


@dataclass(frozen=True, slots=True)
class Passed:
    """What metadata sent, and the status that it was answered."""

    body: bytes
    status: int

    @property
    def event(self) -> dict[str, Any]:
        """Return the event."""
        event: dict[str, Any] = json.loads(self.body)
        return event


class Relay(Listener):
    """Stands between metadata and `/receive`: passes on what metadata sends, byte for byte, and keeps it.

    Metadata does not try again and says nothing of what it sends: this is how a test can count it.
    """

    #: Headers that belong to one connection.
    _LEFT_OUT: Collection[str] = ("host", "connection", "content-length", "transfer-encoding", "expect")

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._port: int | None = None
        self._passed: list[Passed] = []

    def pass_on_to(self, port: int | None) -> None:
        """Send what comes to a port of this machine; None: answer 200 and keep nothing."""
        with self._lock:
            self._port = port
            self._passed.clear()

    @property
    def passed(self) -> list[Passed]:
        """What has been passed on and answered so far."""
        with self._lock:
            return list(self._passed)

    def forget(self) -> None:
        """Forget what has been passed on."""
        with self._lock:
            self._passed.clear()

    def handle(self, exchange: Exchange) -> None:
        """Pass one request on."""
        port = self._port
        if port is None:
            return exchange.answer(200)
        headers = [header for header in exchange.headers.items() if header[0].lower() not in self._LEFT_OUT]
        answer = raw.send(port, exchange.command, exchange.path, headers, exchange.content)
        with self._lock:
            self._passed.append(Passed(exchange.content, answer.status))
        return exchange.answer(answer.status, [("Content-Type", "application/json")], answer.body)
