"""The processes of the service: web, worker, commands, each with a config.ini of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from configparser import RawConfigParser
from json import dumps
from pathlib import Path
from typing import Any, NamedTuple

import requests

from .factories import make_subscription
from .ports import free_port
from .process import Process, clean_environment

__all__ = ["PROXY_SECRET", "Command", "Process", "Result", "Service", "Uwsgi", "Worker", "script", "write_config"]

#: The header by which the proxy shows that it is the proxy.
PROXY_SECRET = "Notifications-Proxy-Secret", "5e0c8f1d2b7a4936" * 2


def script(name: str) -> Path:
    """Return the console script that stands beside the Python of the tests."""
    for candidate in (Path(sys.executable).with_name(name), Path(sys.executable).with_name(f"{name}.exe")):
        if candidate.exists():
            return candidate
    raise AssertionError(f"{name} is not installed beside {sys.executable}")


def write_config(path: Path, settings: Mapping[str, object]) -> Path:
    """Write `{"section.key": value}` as an INI file, values word for word."""
    parser = RawConfigParser()
    for name, value in settings.items():
        section, _, key = name.partition(".")
        if section != parser.default_section and not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, key, str(value))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        parser.write(stream)
    return path


class _Part(Process):
    """A process of the service, with a config.ini made of `settings` (see `write_config`).

    Parts with the same folder share a home, and so the default database; the name tells their files apart.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: Mapping[str, object] | None,
        env: Mapping[str, str] | None,
    ) -> None:
        self.config_file = write_config(folder / f"{name}.ini", settings or {})
        environment = {"NOTIFICATIONS_CONFIG": str(self.config_file), **(env or {})}
        super().__init__(
            self.arguments(),
            folder / f"{name}.log",
            env=clean_environment(folder / "home", **environment),
            cwd=folder,
        )

    def arguments(self) -> list[str | Path]:
        """Return the command line."""
        raise NotImplementedError


class _WebPart(_Part):
    """A part that answers HTTP on an address and a port of its own, which it keeps over restarts."""

    #: Whether a connection serves more than one request.
    keep_alive = True

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: Mapping[str, object] | None,
        env: Mapping[str, str] | None,
        args: Sequence[str],
        port: int | None,
        host: str,
    ) -> None:
        self.host = host
        self.port = port or free_port(host)
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host or '127.0.0.1'}:{self.port}"
        self.args = list(args)
        self._session = requests.Session()
        super().__init__(folder, name, settings, env)

    def start(self, seconds: float = 60) -> None:
        """Start it and wait until `GET /health/live` answers 200; `seconds` 0 does not wait."""
        super().start()
        self._session = requests.Session()
        self._session.trust_env = False
        if seconds:
            live = "/health/live"
            self.until(lambda: self.get(live).status_code == 200, seconds, f"{live} to answer 200")

    def request(self, method: str, path: str, *, user: str | None = None, **options: Any) -> requests.Response:
        """Send a request, as `user` when one is named, and return whatever is answered.

        `options` are those of `requests`; redirects are not followed.
        """
        headers = dict(options.pop("headers", None) or {})
        if user is not None:
            headers["Http-Remote-User"] = user
        options = {"timeout": 30, "allow_redirects": False, **options}
        if not self.keep_alive:
            self._session.close()
        return self._session.request(method, self.url + path, headers=headers, **options)

    def get(self, path: str, *, user: str | None = None, **options: Any) -> requests.Response:
        """Send a GET."""
        return self.request("GET", path, user=user, **options)

    def post_event(self, event: object, **headers: str | None) -> requests.Response:
        """Send an event to `/receive`: a JSON value, or bytes as they are.

        The type is `application/json` unless headers say otherwise: `content_type="text/plain"` sets
        Content-Type, None leaves it out.
        """
        body = event if isinstance(event, bytes) else dumps(event, ensure_ascii=False).encode()
        wanted: dict[str, str | None] = {"content_type": "application/json", **headers}
        named = {name.replace("_", "-").title(): value for name, value in wanted.items()}
        return self.request("POST", "/receive", data=body, headers=named)

    def subscribe(self, user: str = "alice", **members: Any) -> dict[str, Any]:
        """Make a subscription (`factories.make_subscription`) and return it as it was answered."""
        answer = self.request("POST", "/eventmatch", user=user, json=make_subscription(**members))
        if answer.status_code != 200:
            raise AssertionError(f"subscribing answered {answer.status_code}: {answer.text}")
        subscription: dict[str, Any] = answer.json()
        return subscription


class Service(_WebPart):
    """`pacifica-notifications`; `args` are added to the command line."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        args: Sequence[str] = (),
        name: str = "service",
        port: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(folder, name, settings, env, args, port, host)

    def arguments(self) -> list[str | Path]:
        """Return the command line."""
        command = script("pacifica-notifications")
        return [command, "-c", self.config_file, "-a", self.host, "-p", str(self.port), *self.args]


#: What uWSGI writes when a process has loaded the application: each with --lazy-apps, otherwise one for all.
_LOADED = "WSGI app 0 (mountpoint='') ready in "


class Uwsgi(_WebPart):
    """The REST application under uWSGI, with a master process; `args` are added to the command line.

    Without a host it listens on every address. Who is asked for in a request is believed, because the requests bring
    the secret of the proxy.
    """

    # Its HTTP socket closes after each answer and does not say so.
    keep_alive = False

    @staticmethod
    def available() -> str | None:
        """Return why it can't run here, or None."""
        return None if Path(sys.executable).with_name("uwsgi").exists() else "uwsgi is not installed here"

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        args: Sequence[str] = (),
        name: str = "uwsgi",
        port: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        settings = {"auth.proxy_secret": PROXY_SECRET[1], **(settings or {})}
        super().__init__(folder, name, settings, env, args, port, host)

    def request(self, method: str, path: str, *, user: str | None = None, **options: Any) -> requests.Response:
        """Send a request as the proxy does."""
        headers = {**dict([PROXY_SECRET]), **dict(options.pop("headers", None) or {})}
        return super().request(method, path, user=user, headers=headers, **options)

    def arguments(self) -> list[str | Path]:
        """Return the command line."""
        socket = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        module = "pacifica.notifications.wsgi"
        return [script("uwsgi"), "--http-socket", socket, "--master", "--module", module, *self.args]

    def start(self, seconds: float = 60) -> None:
        """Start it, and wait until it answers and each of its processes has loaded; `seconds` 0 does not wait."""
        super().start(seconds)
        if seconds:
            each = {"--lazy-apps", "--processes"} <= set(self.args)
            loads = int(self.args[self.args.index("--processes") + 1]) if each else 1
            self.until(lambda: self.log.count(_LOADED) >= loads, seconds, f"{loads} loads")

    def stop(self, seconds: float = 30) -> int:
        """End it with SIGINT to all of it, as Ctrl-C does; SIGTERM would reload it.

        Again and again: a worker takes no notice while it is starting, and the master asks it only once.
        """
        before = self._tree()

        def ended() -> bool:
            if self.running:
                os.killpg(self.pid, signal.SIGINT)
            return not self.running

        self.until(ended, seconds, f"the end of {self!r}")
        return self._ended(before, seconds)


class Worker(_Part):
    """`celery worker`, configured through the environment; `args` are added, the node is called `name`."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        args: Sequence[str] = (),
        name: str = "worker",
    ) -> None:
        self.node = f"{name}@localhost"
        self.args = list(args)
        super().__init__(folder, name, settings, env)

    def arguments(self) -> list[str | Path]:
        """Return the command line."""
        app = "pacifica.notifications.tasks"
        return [script("celery"), "-A", app, "worker", "-n", self.node, "-l", "INFO", *self.args]

    def start(self, seconds: float = 60) -> None:
        """Start it and wait until it says that it is ready; `seconds` 0 does not wait."""
        super().start()
        if seconds:
            self.wait_for_output(r"\bready\b", seconds)


class Result(NamedTuple):
    """What a command that has ended gave."""

    returncode: int
    stdout: str
    stderr: str


class Command:
    """`pacifica-notifications-cmd` with a config.ini made of `settings`; it shares the home of its folder."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        name: str = "command",
    ) -> None:
        self.folder = folder
        self.config_file = write_config(folder / f"{name}.ini", settings or {})
        self.env = clean_environment(folder / "home", **(env or {}))

    def arguments(self, *args: str) -> list[str]:
        """Return the command line, for a command that a test wants to start as a `Process`."""
        return [str(script("pacifica-notifications-cmd")), "-c", str(self.config_file), *args]

    def run(self, *args: str, stdin: str = "", seconds: float = 60) -> Result:
        """Run it to its end."""
        done = subprocess.run(
            self.arguments(*args),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            env=self.env,
            cwd=self.folder,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)
