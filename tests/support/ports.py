"""Free ports for private servers."""

from __future__ import annotations

import os
import random
import socket

#: Below the range from which systems take the ports of outgoing connections (from 32768 on Linux, 49152
#: elsewhere). A port of that range could be taken by a client while its server is down, even by the client's
#: own attempt to connect to it.
LOWEST, HIGHEST = 15_000, 32_000
#: Of several processes that run tests beside one another each takes ports of its own: one may be free for a moment only
#: because its server is being started again.
_OWN, _OF = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

_given: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on now and that this process was not given before."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(1000):
        port = random.randrange(LOWEST, HIGHEST - _OF) // _OF * _OF + _OWN
        if port in _given:
            continue
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise OSError(f"no free port on {host} between {LOWEST} and {HIGHEST}")
