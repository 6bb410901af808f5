"""The files of `config/` as systemd, Docker and compose read them, with the paths of the tests in place of theirs."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Sequence
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from .pages import CHECKOUT

CONFIG = CHECKOUT / "config"
#: Where the files say that the programs are.
PROGRAMS = "/opt/pacifica-notifications/bin/"


def unit(name: str) -> RawConfigParser:
    """Read a unit of systemd; of a line that stands several times the last is kept."""
    parser = RawConfigParser(strict=False, delimiters=["="])
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    with (CONFIG / "systemd" / name).open(encoding="utf-8") as text:
        parser.read_file(text)
    return parser


def unit_command(name: str, instance: str = "", option: str = "ExecStart") -> list[str]:
    """Return a command of a unit as systemd runs it."""
    line = unit(name)["Service"][option]
    specifiers = {"%": "%", "i": instance}
    line = re.sub("%(.)", lambda found: specifiers[found[1]], line)
    return [word.replace("$$", "$") for word in shlex.split(line)]


def image_command() -> list[str]:
    """Return what a container of the Dockerfile's image runs."""
    (line,) = re.findall(r"^CMD (.*)$", (CONFIG / "Dockerfile").read_text(encoding="utf-8"), re.M)
    command: list[str] = json.loads(line)
    return command


def compose() -> dict[str, Any]:
    """Return the compose file's content."""
    content: dict[str, Any] = yaml.safe_load((CONFIG / "compose.yaml").read_text(encoding="utf-8"))
    return content


def here(command: Sequence[str]) -> list[str]:
    """Return a command with the programs beside the Python of the tests, and the settings that are shipped."""
    programs = f"{Path(sys.executable).parent.as_posix()}/"
    files = {PROGRAMS: programs, "/etc/pacifica-notifications/uwsgi.ini": str(CONFIG / "uwsgi.ini")}
    words = list(command)
    for old, new in files.items():
        words = [word.replace(old, new) for word in words]
    return words
