"""Reads from a URL, once and for all, where it leads: scheme, host and port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from .kinds import Address

PORTS = {"http": 80, "https": 443}

#: What of a URL says where it leads. Spaces, backslashes and control characters, which programs read in different ways,
#: are nowhere in it.
_URL = re.compile(r"([hH][tT][tT][pP][sS]?)://(?:[^/?#@\s\\\x00-\x1f\x7f]*@)?([^/?#@\s\\\x00-\x1f\x7f]+)(?=[/?#]|\Z)")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: The last label of a host that programs take for an IPv4 address, in whatever form (WHATWG URL, section 3.5).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: ``host`` is a name in small letters, or an address as it is written, without brackets.

    A name may end with a dot: then the system looks for it as it stands, and in no domain of its own.
    """

    scheme: str
    host: str
    port: int
    address: Address | None = None

    @property
    def name(self) -> str:
        """The name that has to be resolved; empty for an address."""
        return "" if self.address else self.host


@lru_cache(maxsize=10000)
def read(url: str) -> Place:
    """Give where a URL leads; raises ``ValueError`` that says what is wrong with it.

    What is taken every program reads in the same way: a name in ASCII, an IPv4 address as four decimal numbers, or an
    IPv6 address without a zone. A user and a password are passed over.
    """
    found = _URL.match(url)
    if not found:
        raise ValueError("must begin with http:// or https:// and a host")
    scheme = found[1].lower()
    authority = _AUTHORITY.fullmatch(found[2])
    if not authority:
        raise ValueError("is no URL: after the host only a port may follow, a decimal number from 1 to 65535")
    port = int(authority[2] or PORTS[scheme]) if len(authority[2] or "") <= 5 else 0
    if not 1 <= port <= 65535:
        raise ValueError("is no URL: its port must be from 1 to 65535")
    # In small letters only once it is known to be ASCII: others than A to Z have some of these, too.
    host = authority[1]
    if host.startswith("["):
        return Place(scheme, host[1:-1].lower(), port, _ipv6(host[1:-1]))
    return Place(scheme, host.lower(), port, _ipv4_or_name(host))


def _ipv6(text: str) -> IPv6Address:
    try:
        found = IPv6Address(text)
    except ValueError:
        found = None
    if found is None or "%" in text:
        raise ValueError("is no URL: a host in brackets must be an IPv6 address without a zone")
    return found


def _ipv4_or_name(host: str) -> IPv4Address | None:
    """Give the address, or None for a name."""
    if not _NAME.fullmatch(host):
        raise ValueError("has a host that is neither a name nor an address; write a name beyond ASCII in its xn-- form")
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        try:
            return IPv4Address(host)
        except ValueError:
            raise ValueError(
                f"has the host {host}, which is no name and no IPv4 address of four decimal numbers"
            ) from None
    try:
        # Python's codec holds labels to their lengths.
        host.encode("idna")
    except UnicodeError:
        raise ValueError("has a host whose name has a label that is empty or longer than 63 characters") from None
    return None
