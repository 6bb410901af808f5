"""Files of keys: one on each line, made for their owner alone, and never seen half written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Generic, Protocol, TypeVar

from .errors import ConfigError


class Key(Protocol):
    """A key of any kind."""

    @property
    def id(self) -> str:
        """Give its name."""

    @property
    def text(self) -> str:
        """Give it as it stands in a file."""


K = TypeVar("K", bound=Key)


@dataclass(frozen=True, slots=True)
class Kind(Generic[K]):
    """A kind of keys: how one is made and several are read, what a new file begins with, how to get one.

    ``new`` and ``read`` raise ``ValueError`` that says what is wrong, without a key in it.
    """

    new: Callable[[str], K]
    read: Callable[[Iterable[str]], tuple[K, ...]]
    head: str
    remedy: str


def read(kind: Kind[K], file: Path, place: str = "") -> tuple[K, ...]:
    """Read a file of keys, empty lines and those that begin with ``#`` left out.

    Raises ``ConfigError`` that begins with ``place``, also where there is no key in it.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{place}{file}: can't be read: {error.strerror}; {kind.remedy} {file}") from error
    except UnicodeDecodeError:
        # Without the cause, which holds the text.
        raise ConfigError(f"{place}{file}: must be text, one key on each line; {kind.remedy} {file}") from None
    found: list[str] = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                kind.read([line])
            except ValueError as error:
                raise ConfigError(f"{place}{file}: line {number}: {error}") from None
            found.append(line)
    if not found:
        raise ConfigError(f"{place}{file}: has no key; {kind.remedy} {file}")
    try:
        return kind.read(found)
    except ValueError as error:
        raise ConfigError(f"{place}{file}: {error}") from None


def add(kind: Kind[K], file: Path, key_id: str | None = None) -> tuple[str, bool]:
    """Make a key, behind the others of a file, or in a new file that only its owner can read.

    Gives its id, and whether it is the only one. Raises ``ConfigError``.
    """
    key = new(kind, key_id)
    try:
        if made(kind, file, key):
            return key.id, True
        others = read(kind, file)
        if key.id in {other.id for other in others}:
            raise ConfigError(f"{file}: has a key with the id {key.id} already; choose another with --id")
        missing = "" if file.read_bytes().endswith(b"\n") else "\n"
        with file.open("a", encoding="utf-8") as text:
            text.write(f"{missing}{key.text}\n")
            text.flush()
            os.fsync(text.fileno())
    except OSError as error:
        raise ConfigError(f"{file}: can't be written: {error.strerror}") from error
    return key.id, False


def new(kind: Kind[K], key_id: str | None = None) -> K:
    """Make a key, named after the day unless told otherwise; raises ``ConfigError`` for an id of another form."""
    try:
        return kind.new(key_id or f"{time.strftime('%Y%m%d', time.gmtime())}-{token_hex(2)}")
    except ValueError as error:
        raise ConfigError(f"--id: {error}") from None


def made(kind: Kind[K], file: Path, key: K) -> bool:
    """Write a key into a file that was not there; False if it was. Nobody ever sees it without its content."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as text:
            text.write(f"{kind.head}{key.text}\n")
            text.flush()
            os.fsync(text.fileno())
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    _settle(file.parent)
    return True


def _settle(folder: Path) -> None:
    """See to it that a new name in a folder survives the loss of power, as what was made with the key does."""
    with suppress(OSError):  # not on Windows
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
