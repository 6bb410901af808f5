"""A real process: started in a group of its own, followed through its log, never left behind."""

from __future__ import annotations

import atexit
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil  # type: ignore[import-untyped]

from .keys import KEY, VARIABLE
from .wait import Hopeless, until

T = TypeVar("T")

#: Documented environment names without our prefix: a developer's own must not reach a process of the tests.
OUR_ENVIRONMENT = {
    "BROKER_URL",
    "BACKEND_URL",
    "USER_HEADER",
    "POLICY_URL",
    "PEEWEE_URL",
    "DATABASE_CONNECT_ATTEMPTS",
    "DATABASE_CONNECT_WAIT",
    "DEFAULT_USER",
}

#: The settings that let targets be where those of the tests are: on this machine, on any port.
HERE = {"targets.allow": "127.0.0.1/32, 127.0.0.2/32, ::1/128", "targets.ports": "1-65535"}

_started: set[Process] = set()


class Process:
    """One command with its children, in a process group of its own; it can be started again after its end.

    `log_file` takes what it prints, also over several starts; `env` is the whole environment; `user` is whom
    root becomes for it; `kept` marks a process that outlives the test which started it (a server shared by
    the session). As a context manager it starts and is closed.
    """

    #: Seconds that its children may outlive it when it is asked to end.
    grace: float = 5

    def __init__(
        self,
        command: Sequence[str | Path],
        log_file: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        kept: bool = False,
    ) -> None:
        self.command = [str(word) for word in command]
        self.log_file = log_file
        self.env = dict(env if env is not None else os.environ)
        self.cwd = cwd
        self.user = user
        self.kept = kept
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._groups: set[int] = set()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended with {self.returncode}"
        return f"<{type(self).__name__} {' '.join(self.command)!r}, {state}>"

    def start(self) -> None:
        """Start the command; it must not be running."""
        if self.running:
            raise AssertionError(f"{self!r} is already running")
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._log_start = log.seek(0, os.SEEK_END)
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
                **becoming(self.user),
            )
        self._groups.add(self._popen.pid)
        _started.add(self)

    @property
    def running(self) -> bool:
        """Whether the command itself has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """The id of the last started process."""
        return self._started_popen().pid

    @property
    def children(self) -> list[int]:
        """The ids of its live descendants."""
        return [process.pid for process in self._tree() if process.pid != self.pid]

    @property
    def returncode(self) -> int | None:
        """The exit status as `subprocess` gives it, None while it runs or before its start."""
        return self._popen.poll() if self._popen else None

    @property
    def log(self) -> str:
        """What it has printed since its last start."""
        if not self.log_file.exists():
            return ""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end and return the exit status."""
        popen = self._started_popen()
        try:
            return popen.wait(seconds)
        except subprocess.TimeoutExpired:
            late = AssertionError(f"{self!r} did not end within {seconds} s")
            late.add_note(self._log_end())
            raise late from None

    def until(self, condition: Callable[[], T], seconds: float = 30, what: str = "the condition") -> T:
        """Wait as `wait.until` does, no longer than it runs; a failure shows the end of its log."""

        def look() -> T:
            running = self.running
            try:
                value = condition()
            except Exception as error:
                if running:
                    raise
                raise Hopeless(f"{self!r}: {error!r}") from error
            if not value and not running:
                raise Hopeless(repr(self))
            return value

        try:
            return until(look, seconds, what)
        except AssertionError as error:
            error.add_note(self._log_end())
            raise

    def wait_for_output(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        """Return the first match of `pattern` in what it printed since its last start."""
        what = f"{pattern!r} in the output of {self!r}"
        found = self.until(lambda: re.search(pattern, self.log, re.MULTILINE), seconds, what)
        assert found is not None
        return found

    def signal(self, number: int) -> None:
        """Send a signal to the command itself, not to its children."""
        self._started_popen().send_signal(number)

    def end(self, number: int, seconds: float = 30) -> int:
        """Ask it with a signal to end, return the exit status; a child left behind is an AssertionError."""
        before = self._tree()
        self.signal(number)
        return self._ended(before, seconds)

    def terminate(self, seconds: float = 30) -> int:
        """End it with SIGTERM, as a service manager does."""
        return self.end(signal.SIGTERM, seconds)

    def interrupt(self, seconds: float = 30) -> int:
        """End it with SIGINT, as Ctrl-C does."""
        return self.end(signal.SIGINT, seconds)

    def stop(self, seconds: float = 30) -> int:
        """End it in the way that is polite for this command."""
        return self.terminate(seconds)

    def kill(self) -> None:
        """End it and every descendant with SIGKILL, and return when none is left."""
        if self._popen is None or self not in _started:
            return
        found: set[psutil.Process] = set()

        def killed() -> bool:
            found.update(self._tree())
            left = [process for process in found if _alive(process)]
            _kill(left)
            return not left

        until(killed, 30, f"the end of all processes of {self!r}")
        self._popen.wait()
        self._forget()

    def close(self) -> None:
        """Leave nothing running; may be called at any time, also twice."""
        self.kill()

    def _started_popen(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise AssertionError(f"{self.command} was not started")
        return self._popen

    def _ended(self, before: list[psutil.Process], seconds: float) -> int:
        """Wait for the end of the command and of those that lived before it was asked to end."""
        status = self.wait(seconds)
        try:
            until(lambda: not any(map(_alive, before)) and not self._tree(), self.grace)
        except AssertionError:
            left = {process.pid: process for process in [*before, *self._tree()] if _alive(process)}
            names = [f"{process.pid} {' '.join(process.cmdline())}" for process in left.values()]
            _kill(left.values())
            raise AssertionError(f"{self!r} left processes behind: {names}") from None
        self._forget()
        return status

    def _forget(self) -> None:
        self._groups.clear()
        _started.discard(self)

    def _tree(self) -> list[psutil.Process]:
        """Return the live ones of the command, its descendants and the groups of all its starts.

        Descendants are not enough (an orphan has another parent), nor is the group (PostgreSQL's children
        leave it).
        """
        found: set[psutil.Process] = set()
        if self.running:
            leader = self.pid
            with suppress(psutil.NoSuchProcess):
                found = {psutil.Process(leader), *psutil.Process(leader).children(recursive=True)}
        if hasattr(os, "getpgid"):
            grouped = {process: _group(process.pid) for process in psutil.process_iter()}
            found |= {process for process, group in grouped.items() if group in self._groups}
            # Once nobody is left in a group, its number may become that of somebody else's.
            self._groups &= set(grouped.values())
        return [process for process in found if _alive(process)]

    def _log_end(self) -> str:
        return f"the end of its log:\n{self.log[-3000:]}"


def left_running() -> list[Process]:
    """Return the processes that were neither ended with their children nor marked as kept."""
    return [process for process in _started if not process.kept and (process.running or process.children)]


def becoming(user: str | None) -> dict[str, Any]:
    """Return the options that make `subprocess` become a user with the user's own group, if one is named."""
    if user is None:
        return {}
    import pwd  # POSIX only, as changing the user is

    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


@atexit.register
def close_all() -> None:
    """Kill whatever is still running when the tests are left."""
    for process in list(_started):
        process.close()


def _group(pid: int) -> int | None:
    """Return the group of a process that is in the session of the same number, as what is started here is."""
    try:
        group = os.getpgid(pid)
        return group if os.getsid(pid) == group else None
    except OSError:
        return None


def _alive(process: psutil.Process) -> bool:
    """Whether a process still holds anything: a zombie does while one of its threads has not ended."""
    try:
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return process.is_running() and (not zombie or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def clean_environment(home: Path, **changes: str) -> dict[str, str]:
    """Return the environment without what steers our service, with a home and a key of its own, and `changes` last.

    Proxies are left out as well: everything that the tests talk to is on loopback. So are their targets, which the
    service may send to.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in OUR_ENVIRONMENT and not name.startswith("NOTIFICATIONS_") and not name.lower().endswith("_proxy")
    }
    home.mkdir(parents=True, exist_ok=True)
    ours = {"HOME": str(home), "USERPROFILE": str(home), "PYTHONUNBUFFERED": "1", VARIABLE: KEY}
    return {**kept, **ours, **variables(HERE), **changes}


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings of the newer sections as the environment has them."""
    return {f"NOTIFICATIONS_{name.replace('.', '_')}".upper(): value for name, value in settings.items()}
