"""Targets on ``http`` and ``https``: an event is POSTed."""

from __future__ import annotations

import binascii
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from ..globals import ATTEMPT_HEADER, DELIVERY_HEADER, REPLAY_HEADER
from ..retry import Failure, Outcome
from ..transfer import Limits, Loop, Post, Transfers
from .base import Sending


class HttpTarget:
    """POSTs the body with the subscription's authentication and our own headers."""

    def __init__(self, limits: Limits, loop: Loop | None = None) -> None:
        """Take the limits that every attempt is under, and where to wait, if others wait there."""
        self._transfers = Transfers(limits, loop)
        self._unusable: list[tuple[Hashable, Outcome]] = []

    def __len__(self) -> int:
        """Count what is under way."""
        return len(self._transfers) + len(self._unusable)

    def start(self, sendings: Iterable[Sending]) -> None:
        """Begin to POST; authentication that can't be sent, as old rows may hold it, fails that sending alone."""
        posts = []
        for sending in sendings:
            try:
                posts.append(Post(sending.key, sending.url, sending.body, _lines(sending)))
            except (LookupError, TypeError, ValueError):
                self._unusable.append((sending.key, Outcome(failure=Failure.HTTP)))
        self._transfers.start(posts)

    def wait(self, seconds: float) -> list[tuple[Hashable, Outcome]]:
        """Give the outcomes of what has ended."""
        unusable, self._unusable = self._unusable, []
        return unusable + self._transfers.wait(0 if unusable else seconds)

    def close(self) -> list[Hashable]:
        """Break off what is under way."""
        return [key for key, _outcome in self._unusable] + self._transfers.close()


def _lines(sending: Sending) -> list[bytes]:
    """Give the header lines of a sending."""
    lines = [
        # Without a value curl leaves it out; without the line it would say that the body is a form.
        f"Content-Type: {sending.content_type}".rstrip().encode(),
        *map(_kept, sending.headers),
        f"{DELIVERY_HEADER}: {sending.delivery}".encode(),
        f"{ATTEMPT_HEADER}: {sending.attempt}".encode(),
    ]
    if sending.replay:
        lines.append(f"{REPLAY_HEADER}: {sending.replay}".encode())
    authorization = _authorization(sending.auth)
    if authorization:
        lines.append(f"Authorization: {authorization}".encode())
    return lines


def _kept(line: bytes) -> bytes:
    """Give a header line so that curl sends it if it has no value: written with a colon it would be left out."""
    name, colon, value = line.partition(b":")
    return line if value.strip() or not colon else name + b";"


def _authorization(auth: Mapping[str, Any]) -> str:
    """Give the value of ``Authorization``: RFC 7617 for basic, else the scheme and credentials as they were set."""
    kind = auth.get("type")
    if kind == "basic":
        pair = f"{auth['basic']['username']}:{auth['basic']['password']}"
        return "Basic " + binascii.b2a_base64(pair.encode(), newline=False).decode()
    if kind == "header":
        value = f"{auth['header']['type']} {auth['header']['credentials']}"
        if not value.isprintable():
            raise ValueError("a header can't hold control characters")
        return value
    return ""
