"""How the text of a setting becomes its value; each raises ``ValueError`` that says what it must be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .. import globals as names
from ..access import Role
from ..sealing import Key, read_keys
from ..signing.keys import SigningKey
from ..signing.keys import read_keys as read_signing_keys

Parser = Callable[[str], Any]
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@]*):(?:(?!://).)*@")
_PARAMETER_PASSWORD = re.compile(r"(?<=[?&])(passw(?:or)?d)=[^&]*", re.IGNORECASE)
#: Characters of a secret at least, and how many of them are not the same; words that are repeated have fewer.
_LEAST, _DIFFERENT = 32, 8
#: What stands in place of one in examples.
_EXAMPLE = re.compile("change.?me|example|secret|passw|your.?key|0123456789|abcdefgh", re.IGNORECASE)
_VISIBLE = re.compile(rf"[!-~]{{{_LEAST},1024}}")
#: Seconds of some thirty years: a time in the database can be that far away.
LONGEST = 1e9


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret text, or the empty one; written anywhere by accident it shows nothing."""

    text: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        return names.MASK if self.text else ""


def filled(text: str) -> str:
    """Take any text but the empty one."""
    if not text:
        raise ValueError("must not be empty")
    return text


def optional(text: str) -> str:
    """Take any text."""
    return text


def secret(text: str) -> Secret:
    """Read what can stand in a header and is not guessed, or the empty text; what is wrong is said without it."""
    if text and (not _VISIBLE.fullmatch(text) or len(set(text)) < _DIFFERENT or _EXAMPLE.search(text)):
        raise ValueError(
            f"must be random: {_LEAST} or more visible ASCII characters, as `openssl rand -hex 32` prints them"
        )
    return Secret(text)


def flag(text: str) -> bool:
    """Read true or false, and the words that INI files have for them."""
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text.lower() in _TRUE


def number(kind: type[int] | type[float], low: float, high: float = float("inf")) -> Parser:
    """Give what reads a number of a kind, in a range."""

    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"must be {'a whole number' if kind is int else 'a number'}") from None
        if not low <= value <= high:
            limit = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:.15g}"
            raise ValueError(f"must be {limit}")
        return value

    return parse


def choice(*allowed: str) -> Parser:
    """Give what takes one of several words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def seconds_list(text: str) -> tuple[float, ...]:
    """Read delays, separated by commas."""
    try:
        values = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("must be seconds separated by commas, such as 5,30,120") from None
    if any(not 0 <= value <= LONGEST for value in values):
        raise ValueError(f"must hold delays from 0 to {LONGEST:.15g}")
    return values


def words(text: str) -> tuple[str, ...]:
    """Read words, separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def role_names(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``NAME=ROLE``, separated by commas."""
    found = []
    for part in words(text):
        name, mark, role = (piece.strip() for piece in part.rpartition("="))
        if not (name and mark) or role not in set(Role) or name in set(Role):
            raise ValueError(f"{part!r} must be NAME=ROLE, with a new name and one of the roles {', '.join(Role)}")
        found.append((name, role))
    return tuple(found)


def sealing_keys(text: str) -> tuple[Key, ...]:
    """Read keys, separated by commas, the first one first."""
    return read_keys(words(text))


def signing_keys(text: str) -> tuple[SigningKey, ...]:
    """Read keys to sign with, separated by commas."""
    return read_signing_keys(words(text))


def ranges(text: str) -> tuple[str, ...]:
    """Read ranges of addresses, separated by commas; they stay texts."""
    for part in words(text):
        try:
            ipaddress.ip_network(part)
        except ValueError as error:
            raise ValueError(f"{part!r} is no address range such as 10.20.0.0/16 ({error})") from None
    return words(text)


def is_loopback(host: str) -> bool:
    """Tell whether who listens on a host can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def ports(text: str) -> tuple[str, ...]:
    """Read ports and ranges of them, separated by commas; they stay texts."""
    for part in words(text):
        low, _, high = part.partition("-")
        if not (low.isdecimal() and (high or low).isdecimal() and 1 <= int(low) <= int(high or low) <= 65535):
            raise ValueError(f"{part!r} is no port such as 443, and no range of them such as 1024-65535")
    if not words(text):
        raise ValueError("must name a port")
    return words(text)


def http_url(text: str) -> str:
    """Read a URL of http or https, without the slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as http://localhost:8181")
    return text.rstrip("/")


def optional_http_url(text: str) -> str:
    """Read the same, or the empty text."""
    return http_url(text) if text else ""


def broker_url(text: str) -> str:
    """Take what has the form of a URL."""
    if "://" not in text:
        raise ValueError("must be a URL such as memory://, amqp://user:password@host// or redis://host:6379/0")
    return text


def database_url(text: str) -> str:
    """Read the names that older documentation uses as today's."""
    scheme, mark, rest = text.partition("://")
    scheme = {"sqliteext": "sqlite", "postgres": "postgresql"}.get(scheme.lower(), scheme.lower())
    if not mark or scheme not in ("sqlite", "postgresql", "mysql"):
        raise ValueError("must be a URL that starts with sqlite://, postgresql:// or mysql://")
    return f"{scheme}://{rest}"


def header_name(text: str) -> str:
    """Take the name of a header."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", text):
        raise ValueError("must be a header name of letters, digits and dashes")
    return text


def mask_url(text: str) -> str:
    """Put ``***`` in place of a URL's password, wherever it stands."""
    return _PARAMETER_PASSWORD.sub(rf"\1={names.MASK}", _URL_PASSWORD.sub(rf"\1:{names.MASK}@", text))
