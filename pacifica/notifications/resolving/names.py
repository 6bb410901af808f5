"""Asks the system what a name resolves to, and which addresses are the machine's own."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from ipaddress import ip_address

from ..addresses import Address, canonical

#: Gives all addresses of a name, none where it does not resolve; takes as long as it takes, and raises nothing.
LookUp = Callable[[str], tuple[Address, ...]]


def look_up(name: str) -> tuple[Address, ...]:
    """Ask the system, as every program on the machine does: hosts file, search domains, DNS."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    found = (canonical(ip_address(str(answer[4][0]).partition("%")[0])) for answer in answers)
    return tuple(dict.fromkeys(found))


#: What the system says of an address that is none of its own, or of a kind that it has not.
_ELSEWHERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})


def is_here(address: Address) -> bool:
    """Tell whether an address is one of this machine's: only such a one can be bound.

    It counts as one, too, where that can't be found out, as without a file descriptor.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as bound:
            bound.bind((str(address), 0))
    except OSError as error:
        return error.errno not in _ELSEWHERE
    return True
