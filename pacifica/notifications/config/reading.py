"""Reads the settings from a file, the environment and the command line, and names all faults at once."""

from __future__ import annotations

import configparser
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import globals as names
from ..errors import ConfigError
from .sections import Settings, declared, sections


def environment_name(name: str, spec: dataclasses.Field[Any]) -> str:
    """Name the environment variable that gives a setting's default."""
    return str(spec.metadata["env"] or f"NOTIFICATIONS_{name.replace('.', '_')}".upper())


def load(
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    override: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings: ``override`` beats the file, the file beats the environment, that beats the defaults.

    ``file`` must exist if it is given; without it the file of ``NOTIFICATIONS_CONFIG`` is read, which must exist
    if that is set, or else ``~/.pacifica-notifications/config.ini`` if there is one. Raises ``ConfigError`` that
    names all faults.
    """
    environ = os.environ if environ is None else environ
    path, written, faults = _read_file(file, environ)
    known = {name: (section, spec) for name, section, spec in declared()}
    for name in (name for name in written if name not in known):
        faults.append(f"{path}: {_place(name)}: {_unknown(name, known)}")
    chosen: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    for name, (_section, spec) in known.items():
        variable = environment_name(name, spec)
        if override and name in override:
            text, source, place = override[name], "command line", f"command line: {name}"
        elif name in written:
            text, source, place = written[name], f"file {path}", f"{path}: {_place(name)}"
        elif variable in environ:
            text, source, place = environ[variable], f"environment {variable}", f"environment: {variable}"
        else:
            continue
        try:
            value = spec.metadata["parse"](text.strip())
        except ValueError as error:
            faults.append(f"{place}: {error}")
            continue
        chosen.setdefault(name.partition(".")[0].lower(), {})[spec.name] = value
        sources[name] = source
    faults.extend(_unknown_variables(environ, known))
    if faults:
        raise ConfigError("\n".join(faults))
    made = {section: kind(**chosen.get(section, {})) for section, kind in sections().items()}
    return Settings(**made, sources=sources)


def _read_file(
    file: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> tuple[str, dict[str, str], list[str]]:
    """Read the INI file into ``section.key`` to text, with what is wrong with the file as such."""
    chosen = str(file) if file else environ.get("NOTIFICATIONS_CONFIG")
    path = Path(chosen) if chosen else names.HOME / "config.ini"
    if not path.is_file():
        return str(path), {}, [f"{path}: there is no such file"] if chosen else []
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        # Some editors begin a file with a byte order mark.
        parser.read(path, encoding="utf-8-sig")
    except configparser.Error as error:
        return str(path), {}, [f"{path}: {' '.join(str(error).split())}"]
    except UnicodeDecodeError:
        return str(path), {}, [f"{path}: must be UTF-8 text"]
    return str(path), {f"{s}.{k}": v or "" for s in parser.sections() for k, v in parser[s].items()}, []


def _place(name: str) -> str:
    section, _, key = name.partition(".")
    return f"[{section}] {key}"


def _unknown(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Say what is wrong with a name that is no setting, and where the same key would stand."""
    section, _, key = name.partition(".")
    elsewhere = [other for other in known if other.partition(".")[2] == key]
    if elsewhere:
        return f"is no setting here; did you mean {_place(elsewhere[0])}?"
    if not any(other.startswith(f"{section}.") for other in known):
        return "is in a section that has no settings"
    return "is no setting"


def _unknown_variables(environ: Mapping[str, str], known: Mapping[str, Any]) -> list[str]:
    """Find misspelt variables of ours: those that start with one of our sections and name no setting."""
    names_known = {environment_name(name, spec) for name, (_section, spec) in known.items()}
    prefixes = tuple({f"NOTIFICATIONS_{name.partition('.')[0].upper()}_" for name in known})
    return [
        f"environment: {variable}: is no setting"
        for variable in sorted(environ)
        if variable.startswith(prefixes) and variable not in names_known
    ]
