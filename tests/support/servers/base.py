"""What all private servers have in common: folder, port, user, start, stop, kill, wipe."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from ..ports import free_port
from ..process import Process, becoming, clean_environment


class Server(ABC):
    """A server that can be started, stopped, killed and wiped; it keeps its port until `close`.

    Making one starts and writes nothing. `kept`: it outlives the test that starts it. As a context manager it
    starts and is closed.
    """

    #: What it is called in messages.
    name: ClassVar[str]
    #: The programs it needs, each with its possible names.
    programs: ClassVar[Sequence[Sequence[str]]]
    #: Where programs stand that are not on the search path, as glob patterns below the root.
    places: ClassVar[Sequence[str]] = ()
    #: Whom root becomes: the first that exists.
    users: ClassVar[Sequence[str]] = ("nobody",)
    #: Seconds it may take to become ready.
    patience: ClassVar[float] = 60

    def __init__(self, *, kept: bool = False) -> None:
        self.port = free_port()
        self._kept = kept
        self._folder: Path | None = None
        self._process: Process | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def available(cls) -> str | None:
        """Return why it can't run here, or None."""
        if os.name != "posix":
            return f"{cls.name}: a private server needs a POSIX system"
        missing = [names[0] for names in cls.programs if cls._find(names) is None]
        if missing:
            return f"{cls.name}: not installed here: {', '.join(missing)}"
        if os.geteuid() == 0:
            if cls._user() is None:
                return f"{cls.name}: there is none of the users {', '.join(cls.users)} to run it"
            folder = Path(tempfile.gettempdir())
            if not all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
                return f"{cls.name}: the user {cls._user()} can't enter {folder}; set TMPDIR to another folder"
        return None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.running

    @property
    def log(self) -> str:
        """What it has printed since its last start."""
        return self._process.log if self._process else ""

    @property
    def process(self) -> Process:
        """Its process, once it was started."""
        if self._process is None:
            raise AssertionError(f"{self.name} was not started")
        return self._process

    @property
    def folder(self) -> Path:
        """Its folder, which belongs to the user it runs as."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"{self.name[:3].lower()}-"))
            self._give_away(self._folder)
        return self._folder

    def start(self) -> None:
        """Start it, on first use with fresh data, and wait until it serves."""
        if self._process is None:
            reason = self.available()
            if reason:
                raise AssertionError(reason)
            self._process = Process(
                self._command(),
                self.folder / "server.log",
                env=self._environment(),
                cwd=self.folder,
                user=self._user(),
                kept=self._kept,
            )
        if not self._data.exists():
            self._data.mkdir()
            self._give_away(self._data)
            self._make_data()
        self._process.start()
        try:
            self._process.until(self._serves, self.patience, f"{self.name} to be ready")
        except AssertionError:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop it in the clean way; data stays."""
        if self.running:
            self.process.stop(self.patience)

    def kill(self) -> None:
        """Kill it and all its children with SIGKILL; data stays."""
        if self._process is not None:
            self._process.kill()

    def wipe(self) -> None:
        """Stop it, delete its data, start it again, empty."""
        self.stop()
        shutil.rmtree(self._data, ignore_errors=True)
        self.start()

    def close(self) -> None:
        """Kill what runs and delete the folder; may be called twice."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = self._process = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command line of the server, which stays in the foreground."""

    @abstractmethod
    def _serves(self) -> bool:
        """Whether it answers."""

    @abstractmethod
    def _make_data(self) -> None:
        """Fill the new data folder before the first start."""

    def _environment(self) -> dict[str, str]:
        return clean_environment(self.folder)

    def _run(self, program: Sequence[str], *args: str, seconds: float = 60) -> str:
        """Run one of its programs as its user and return the output; a failure is an AssertionError."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [self._program(*program), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            env=self._environment(),
            cwd=self.folder,
            check=False,
            **becoming(self._user()),
        )
        if done.returncode:
            raise AssertionError(f"{self.name}: {program[0]} {args} ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def _greets(self, sent: bytes, expected: bytes) -> bool:
        """Whether a new connection answers `sent` with something that begins as expected."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(sent)
            return connection.recv(64).startswith(expected)

    def _give_away(self, folder: Path) -> None:
        wanted = becoming(self._user())
        if wanted:
            shutil.chown(folder, wanted["user"], wanted["group"])

    @classmethod
    def _program(cls, *names: str) -> str:
        found = cls._find(names)
        if found is None:
            raise AssertionError(f"{cls.name}: {names[0]} is not installed here")
        return found

    @classmethod
    def _find(cls, names: Sequence[str]) -> str | None:
        """Return the first of a program's names that is found; the places go before the search path."""
        for name in names:
            for place in cls.places:
                found = sorted(Path("/").glob(f"{place}/{name}"), key=_version)
                if found:
                    return str(found[-1])
            on_path = shutil.which(name)
            if on_path:
                return on_path
        return None

    @classmethod
    def _user(cls) -> str | None:
        """Return whom to become, None for nobody else."""
        if os.name != "posix" or os.geteuid() != 0:
            return None
        import pwd  # POSIX only, as the line above

        known = {entry.pw_name for entry in pwd.getpwall()}
        return next((user for user in cls.users if user in known), None)


def _version(program: Path) -> list[int]:
    """Order programs by the numbers in their path: 15 after 9.6."""
    return [int(number) for number in "".join(c if c.isdigit() else " " for c in str(program)).split()]
