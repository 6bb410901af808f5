"""The two that are compared: how each is installed, and run on a database and a broker database of its own."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.support.ports import free_port
from tests.support.process import Process, clean_environment
from tests.support.processes import PROXY_SECRET, write_config
from tests.support.servers import PostgreSQL, Redis

#: What release 0.5.2 is installed with.
_REQUIREMENTS = Path(__file__).with_name("release-0.5.2.txt")

CHECKOUT = Path(__file__).parent.parent

_IMPORT = """\
import time
began = time.perf_counter()
import pacifica.notifications.rest
print(time.perf_counter() - began)
"""

#: The documented CherryPy file without its access log.
_CHERRYPY = """\
[global]
log.screen: False

[/]
request.dispatch: cherrypy.dispatch.MethodDispatcher()
tools.response_headers.on: True
tools.response_headers.headers: [('Content-Type', 'application/json')]
"""


@dataclass(frozen=True)
class Release:
    """An installed release: what it is called, and the folder of its programs."""

    name: str
    programs: Path


OURS = Release("ours", Path(sys.executable).parent)


def release_0_5_2(environment: Path, *, uwsgi: bool = False) -> Release:
    """Give release 0.5.2 in an environment of its own, which is made when it is not there or was made otherwise."""
    programs = environment / "bin"
    install: list[str | Path] = [programs / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    made, wanted = environment / ".made", _REQUIREMENTS.read_text()
    if not made.exists() or made.read_text() != wanted:
        print(f"Installing release 0.5.2 into {environment} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        subprocess.run([*install, "-r", _REQUIREMENTS], check=True)
        made.write_text(wanted)
    if uwsgi and not (programs / "uwsgi").exists():
        # Apart, because it is compiled.
        subprocess.run([*install, f"uwsgi=={version('uwsgi')}"], check=True)
    return Release("0.5.2", programs)


@dataclass(frozen=True)
class Usage:
    """What processes used by now: seconds of CPU, and MiB of memory, resident and without what they share."""

    cpu: float
    resident: float
    own: float


def usage(process: Process) -> Usage:
    """Add up what a process, its live descendants and those that ended used, by their own accounting."""
    root = psutil.Process(process.pid)
    cpu = resident = own = 0.0
    for each in [root, *root.children(recursive=True)]:
        times, memory = each.cpu_times(), each.memory_full_info()
        cpu += times.user + times.system + times.children_user + times.children_system
        resident += memory.rss / 2**20
        own += getattr(memory, "pss", memory.rss) / 2**20
    return Usage(cpu, resident, own)


class Installation:
    """A service and a worker of a release; `uwsgi`: two processes with four threads serve, not the embedded server."""

    def __init__(
        self, release: Release, folder: Path, database: str, broker: str, policy: str, *, uwsgi: bool = False
    ) -> None:
        self.release = release
        self.port = free_port()
        self.database = database
        self.keep_alive = not uwsgi
        self._folder = folder
        self._config = write_config(
            folder / "settings.ini",
            {
                "notifications.policy_url": policy,
                "celery.broker_url": broker,
                "database.peewee_url": database,
            },
        )
        cherrypy = folder / "cherrypy.ini"
        cherrypy.write_text(_CHERRYPY)
        self._env = clean_environment(
            folder / "home",
            NOTIFICATIONS_CONFIG=str(self._config),
            NOTIFICATIONS_CPCONFIG=str(cherrypy),
            # Of no interest to release 0.5.2, which believes everybody.
            NOTIFICATIONS_AUTH_PROXY_SECRET=PROXY_SECRET[1],
        )
        address = f"127.0.0.1:{self.port}"
        if uwsgi:
            size = ["--master", "--processes", "2", "--threads", "4"]
            module = "pacifica.notifications.wsgi"
            self.service = self._process("uwsgi", "--http-socket", address, *size, "--module", module)
        else:
            files: list[str | Path] = ["-c", self._config, "--cpconfig", cherrypy]
            self.service = self._process("pacifica-notifications", *files, "-a", "127.0.0.1", "-p", str(self.port))
        self.worker = self._process("celery", "-A", "pacifica.notifications.tasks", "worker", "-l", "INFO")

    def _process(self, program: str, *arguments: str | Path) -> Process:
        command = [self.release.programs / program, *arguments]
        return Process(command, self._folder / f"{program}.log", env=self._env, cwd=self._folder)

    def import_seconds(self) -> float:
        """Give the seconds that the import of the REST module takes."""
        command: list[str | Path] = [self.release.programs / "python", "-c", _IMPORT]
        done = subprocess.run(command, cwd=self._folder, env=self._env, capture_output=True, check=True, timeout=60)
        return float(done.stdout.split()[-1])

    def make_tables(self) -> None:
        """Run `dbsync`."""
        with self._process("pacifica-notifications-cmd", "-c", self._config, "dbsync") as dbsync:
            if dbsync.wait(60) != 0:
                raise AssertionError(dbsync.log)

    def start_service(self) -> float:
        """Start the service; give the seconds until it answered."""
        began = time.monotonic()
        self.service.start()
        while not self._answers():
            if not self.service.running or time.monotonic() > began + 60:
                raise AssertionError(f"{self.service!r} does not answer: {self.service.log[-3000:]}")
        return time.monotonic() - began

    def start_worker(self) -> None:
        """Start the worker and return when it says that it is ready."""
        self.worker.start()
        self.worker.wait_for_output(r"\bready\b", 60)

    def subscribe(self, target: str, user: str) -> None:
        """Make a subscription of a user that matches every ingest."""
        subscription = {
            "name": "every ingest",
            "jsonpath": '$[?(@.eventType = "org.pacifica.metadata.ingest")]',
            "target_url": f"{target}/",
        }
        headers = {"Content-Type": "application/json", "Http-Remote-User": user, **dict([PROXY_SECRET])}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/eventmatch", json.dumps(subscription), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise AssertionError(f"subscribing answered {answer.status}: {answer.read()!r}")
        connection.close()

    def close(self) -> None:
        """Leave nothing running."""
        self.service.close()
        self.worker.close()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
                connection.sendall(b"GET /eventmatch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return bool(connection.recv(1))
        except OSError:
            time.sleep(0.005)
            return False


@contextmanager
def installed(
    release: Release, folder: Path, postgresql: PostgreSQL, redis: Redis, policy: str, *, uwsgi: bool = False
) -> Iterator[Installation]:
    """Give an installation with its tables, nothing of it running yet; all of it is gone in the end."""
    database, broker = postgresql.create_database(), redis.create_database()
    installation = Installation(release, folder, database, broker, policy, uwsgi=uwsgi)
    try:
        installation.make_tables()
        yield installation
    finally:
        installation.close()
        postgresql.drop_database(database)
        redis.drop_database(broker)


class Sink:
    """The sink as a process of its own, on one port or several; see `benchmarks.sink`."""

    def __init__(self, folder: Path, name: str, number: int = 1) -> None:
        ports = [free_port() for _ in range(number)]
        self._port = ports[0]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.url = self.urls[0]
        command = [sys.executable, "-m", "benchmarks.sink", *map(str, ports)]
        self._process = Process(command, folder / f"{name}.log", env=clean_environment(folder / "home"), cwd=CHECKOUT)

    def __enter__(self) -> Sink:
        self._process.__enter__()
        self._process.until(lambda: self.arrivals() is not None, 30, "the sink to answer")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close()

    def arrivals(self, number: int = 0, seconds: float = 30) -> list[int]:
        """Wait until so many have come; give the times of all that have come since the last call, in order."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            connection.request("GET", f"/arrivals/{number}")
            found: list[int] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()
