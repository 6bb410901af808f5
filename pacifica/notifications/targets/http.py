"""Targets on ``http`` and ``https``: an event is POSTed."""

from __future__ import annotations

import base64
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from ..globals import ATTEMPT_HEADER, DELIVERY_HEADER, REPLAY_HEADER
from ..retry import Failure, Outcome
from ..transfer import Limits, Post, Transfers
from .base import Sending


class HttpTarget:
    """POSTs the body with the subscription's authentication and our own headers."""

    def __init__(self, limits: Limits) -> None:
        """Take the limits that every attempt is under."""
        self._transfers = Transfers(limits)
        self._unusable: list[tuple[Hashable, Outcome]] = []

    def __len__(self) -> int:
        """Count what is under way."""
        return len(self._transfers) + len(self._unusable)

    def start(self, sendings: Iterable[Sending]) -> None:
        """Begin to POST; authentication that can't be sent, as old rows may hold it, fails that sending alone."""
        posts = []
        for sending in sendings:
            try:
                posts.append(Post(sending.key, sending.url, sending.body, tuple(_headers(sending))))
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


def _headers(sending: Sending) -> Iterable[tuple[str, str]]:
    yield "Content-Type", sending.content_type
    yield DELIVERY_HEADER, sending.delivery
    yield ATTEMPT_HEADER, str(sending.attempt)
    if sending.replay:
        yield REPLAY_HEADER, str(sending.replay)
    authorization = _authorization(sending.auth)
    if authorization:
        yield "Authorization", authorization


def _authorization(auth: Mapping[str, Any]) -> str:
    """Give the value of ``Authorization``: RFC 7617 for basic, else the scheme and credentials as they were set."""
    kind = auth.get("type")
    if kind == "basic":
        pair = f"{auth['basic']['username']}:{auth['basic']['password']}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    if kind == "header":
        value = f"{auth['header']['type']} {auth['header']['credentials']}"
        if not value.isprintable():
            raise ValueError("a header can't hold control characters")
        return value
    return ""
