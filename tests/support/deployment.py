"""The service as the files of `config/` deploy it: uWSGI and workers with the units' commands, nginx in front."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from configparser import RawConfigParser
from pathlib import Path
from typing import Any, Self

import requests

from . import shipped
from .factories import make_subscription
from .keys import KEY, VARIABLE
from .process import Process, clean_environment
from .processes import write_config
from .servers import Nginx

#: Who has which password at nginx.
USERS = {"alice": "open sesame", "bob": "sesame", "mallory": "let me in", "two words": "x"}
PRODUCERS = {"metadata": "ingested"}


class Deployment:
    """One service with its own folder and keys; the settings are those of `production.ini` with changes.

    As a context manager it starts uWSGI, the workers that are named and nginx, and leaves nothing running. `options`
    overrule those of `uwsgi.ini`. `kept`: it outlives the test that starts it.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object],
        env: Mapping[str, str] | None = None,
        *,
        workers: Sequence[str] = (),
        options: Sequence[str] = (),
        site: Path | None = None,
        kept: bool = False,
    ) -> None:
        self.folder = folder
        # The path of a socket must be short.
        self._run_folder = tempfile.TemporaryDirectory(prefix="run-")
        self.run_folder = Path(self._run_folder.name)
        self.key_file = folder / "keys"
        self.key_file.parent.mkdir(parents=True, exist_ok=True)
        self.key_file.write_text(f"{KEY}\n")
        own = {"secrets.key_file": self.key_file}
        self.config_file = write_config(folder / "config.ini", {**_production(), **own, **settings})
        self.env = clean_environment(
            folder / "home",
            NOTIFICATIONS_CONFIG=str(self.config_file),
            RUNTIME_DIRECTORY=str(self.run_folder),
            NOTIFY_SOCKET=str(self.run_folder / "notify"),
            **{VARIABLE: "", **(env or {})},
        )
        # What systemd listens on for units of `Type=notify`.
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(str(self.run_folder / "notify"))
        command = shipped.here(shipped.unit_command("pacifica-notifications.service"))
        # The counters, which only the tests look at.
        self.uwsgi = self._process("uwsgi", [*command, "--stats", str(self._counters), *options], kept)
        template = "pacifica-notifications-worker@.service"
        self.workers = [
            self._process(f"worker-{name}", shipped.here(shipped.unit_command(template, name)), kept)
            for name in workers
        ]
        file = site or shipped.CONFIG / "nginx.conf"
        self.nginx = Nginx(file, self.run_folder / "uwsgi.sock", USERS, PRODUCERS, kept=kept)
        self.prefix = "/notifications"
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        try:
            for worker in self.workers:
                worker.start()
            self.nginx.start()
            self._session.verify = str(self.nginx.certificate)
            self.start_uwsgi()
            for worker in self.workers:
                worker.wait_for_output(r"\bready\b", 60)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def origin(self) -> str:
        """Where clients find the service."""
        return self.nginx.url + self.prefix

    def start_uwsgi(self) -> None:
        """Start uWSGI and wait until both processes serve, the service through nginx.

        A process that is still loading hears no signal, and would be killed only after the mercy of uwsgi.ini.
        """
        self.uwsgi.start()
        self.wait_until_loaded()
        self.uwsgi.until(lambda: self.request("GET", "/health/live").status_code == 200, 60, "the service to answer")

    def wait_until_loaded(self, times: int = 1) -> None:
        """Wait until both processes of uWSGI have loaded the service, so many times since uWSGI was started."""
        self.uwsgi.until(lambda: self.uwsgi.log.count("WSGI app 0") == 2 * times, 60, "both processes to load")

    def close(self) -> None:
        """Leave nothing."""
        for process in (*self.workers, self.uwsgi):
            process.close()
        self.nginx.close()
        self._session.close()
        self._notified.close()
        self._run_folder.cleanup()

    def request(self, method: str, path: str, *, user: str | None = None, **options: Any) -> requests.Response:
        """Send a request through nginx, with the password of a user or producer when one is named."""
        auth = (user, {**USERS, **PRODUCERS}[user]) if user else None
        options = {"timeout": 30, "allow_redirects": False, "auth": auth, **options}
        origin = options.pop("origin", None) or self.origin
        return self._session.request(method, origin + path, **options)

    def subscribe(self, user: str = "alice", **members: Any) -> dict[str, Any]:
        """Make a subscription and return it as it was answered."""
        answer = self.request("POST", "/eventmatch", user=user, json=make_subscription(**members))
        if answer.status_code != 200:
            raise AssertionError(f"subscribing answered {answer.status_code}: {answer.text}")
        subscription: dict[str, Any] = answer.json()
        return subscription

    def run(self, command: Sequence[str]) -> str:
        """Run a shipped command to its end, which must be a good one, and return what it printed."""
        done = subprocess.run(
            shipped.here(command), env=self.env, cwd=self.folder, capture_output=True, timeout=60, check=False
        )
        printed = (done.stdout + done.stderr).decode()
        if done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}: {printed}")
        return printed

    def said_ready(self) -> bool:
        """Tell whether uWSGI has told the service manager that it is ready."""
        self._notified.setblocking(False)
        try:
            return b"READY=1" in self._notified.recv(4096)
        except BlockingIOError:
            return False

    def served(self) -> dict[int, int]:
        """Return how many requests each process of uWSGI has answered since it began."""
        return {worker["pid"]: worker["requests"] for worker in self._count()}

    def answering(self) -> int:
        """Return how many requests uWSGI is answering now."""
        return sum(core["in_request"] for worker in self._count() for core in worker["cores"])

    def _count(self) -> list[dict[str, Any]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self._counters))
            found: dict[str, Any] = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
        workers: list[dict[str, Any]] = found["workers"]
        return workers

    @property
    def _counters(self) -> Path:
        return self.run_folder / "stats"

    def _process(self, name: str, command: Sequence[str], kept: bool) -> Process:
        return Process(command, self.folder / f"{name}.log", env=self.env, cwd=self.folder, kept=kept)


def _production() -> dict[str, str]:
    """Return the settings of `production.ini`."""
    parser = RawConfigParser()
    with (shipped.CONFIG / "production.ini").open(encoding="utf-8") as text:
        parser.read_file(text)
    return {f"{section}.{key}": value for section in parser.sections() for key, value in parser[section].items()}
