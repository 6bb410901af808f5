"""Throw-away virtual environments, and the package index that they are filled from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .missing import missing

#: A small package, to see whether an index answers.
SMALL = "pacifica-namespace==0.0.2"


class CommandFailed(Exception):
    """A command ended with an error; the text is the command and the end of what it printed."""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from the checkout and return what it printed; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        words = " ".join(map(str, command))
        raise CommandFailed(f"{words}\n{done.stdout[-4000:]}{done.stderr[-4000:]}".strip())
    return done.stdout


def pip(*arguments: str | Path, cwd: Path) -> str:
    """Run the pip of this environment."""
    return run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, cwd=cwd)


class Environment:
    """A throw-away virtual environment."""

    def __init__(self, folder: Path) -> None:
        """Make it, empty."""
        self.folder = folder
        run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
        self.scripts = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.scripts / "python"

    def install(self, *arguments: str | Path) -> None:
        """Install into it."""
        pip("--python", self.python, "install", "--quiet", "--no-compile", *arguments, cwd=self.folder)

    def ask(self, expression: str) -> object:
        """Return the value of an expression; it may use `importlib` and `metadata`."""
        source = f"import importlib, json; from importlib import metadata; print(json.dumps({expression}))"
        return json.loads(run(self.python, "-c", source, cwd=self.folder))

    def file_of(self, module: str) -> Path:
        """Return the file that a module is imported from."""
        return Path(str(self.ask(f"importlib.import_module({module!r}).__file__"))).resolve()

    def faults(self) -> list[str]:
        """Return what pip finds wrong with our requirements here."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "check"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=600, check=False)
        return [line for line in done.stdout.splitlines() if line.startswith("pacifica-notifications ")]


def require_index(folder: Path) -> None:
    """Skip at home, and fail in CI, where no package index can be reached; uses a folder for what it fetches."""
    try:
        pip("download", "--retries=1", "--timeout=20", "--no-deps", "--dest", folder, SMALL, cwd=folder)
    except CommandFailed as error:
        missing(f"no package index can be reached: {str(error).splitlines()[-1]}")
