"""The socket that takes connections, also in a process that has no file descriptor left for one."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from typing import Any, Self

LOG = logging.getLogger(__name__)

#: Seconds between two lines about connections that were closed.
QUIET = 5.0
#: Seconds of rest where not even the one descriptor that is kept could be had back.
REST = 0.1

_NONE_LEFT = errno.EMFILE, errno.ENFILE


class Listener(socket.socket):
    """A listening socket that closes the connections which the process can't hold, so that their clients go elsewhere.

    Without it they wait as long as they have patience, while the server tries to take the first of them without end,
    serves nobody else meanwhile and writes every failure down. It keeps one file descriptor for that.
    """

    __slots__ = ("_kept", "_lock", "_refused", "_silent_until")

    @classmethod
    def instead_of(cls, listening: socket.socket) -> Self:
        """Take the place of a socket that listens, with its file descriptor and its timeout."""
        timeout = listening.gettimeout()
        made = cls(listening.family, listening.type, listening.proto, listening.detach())
        made.settimeout(timeout)
        return made

    def __init__(self, *of_socket: Any) -> None:
        """Make it as any socket is made."""
        super().__init__(*of_socket)
        self._kept: int | None = _one()
        self._lock = threading.Lock()
        self._refused, self._silent_until = 0, 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Take a connection; raises ``BlockingIOError`` after one that had to be closed."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _NONE_LEFT:
                raise
        with self._lock:
            self._refuse()
        raise BlockingIOError(errno.EAGAIN, "no file descriptor was left for the connection, which was closed")

    def close(self) -> None:
        """Close it, and what it keeps."""
        self._give_up_kept()
        super().close()

    def _refuse(self) -> None:
        """Close the connection that waits first, in the place of the descriptor that is kept."""
        self._give_up_kept()
        try:
            super().accept()[0].close()
            self._refused += 1
        except OSError:
            # Another thread was faster, or the client is gone.
            time.sleep(REST)
        self._kept = _one()
        self._say()

    def _give_up_kept(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            os.close(kept)

    def _say(self) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + QUIET
            LOG.error("connections.refused closed=%s: the process has no file descriptor left", self._refused)
            self._refused = 0


def _one() -> int | None:
    """Open something, to have its file descriptor; None where there is none."""
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
