"""A small policy server, which says whether a user may see an event."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import unquote

from .factories import INGEST
from .listener import Exchange, Listener
from .wait import until


class Verdict(Enum):
    """What is answered for a user."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    FAILED = "failed"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: for whom, about which event."""

    user: str
    event: Any


class PolicyServer(Listener):
    """Answers `POST /events/{user}` as Pacifica's policy service does; users without a rule are allowed.

    With `ingest_only` other event types are refused to everybody but `admins`, as the true service does.
    `stop` and `start` make it go away and come back on the same port, its rules and records stay.
    """

    def __init__(
        self,
        *,
        ingest_only: bool = True,
        admins: Collection[str] = (),
        host: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        super().__init__(host=host, port=port)
        self.ingest_only = ingest_only
        self.admins = frozenset(admins)
        self._lock = threading.Lock()
        self._rules: dict[str, Verdict] = {}
        self._asks: list[Ask] = []

    @property
    def policy_url(self) -> str:
        """The value of the setting `notifications.policy_url`."""
        return self.origin

    def allow(self, user: str) -> None:
        """Let a user see everything."""
        self._rule(user, Verdict.ALLOWED)

    def refuse(self, user: str) -> None:
        """Answer 412 for a user: no right to see it."""
        self._rule(user, Verdict.REFUSED)

    def fail(self, user: str) -> None:
        """Answer 500 for a user, as the true service does for one it does not know."""
        self._rule(user, Verdict.FAILED)

    def hang(self, user: str) -> None:
        """Give no answer for a user until the server stops."""
        self._rule(user, Verdict.SILENT)

    def asks(self, user: str | None = None) -> list[Ask]:
        """Return what was asked, in order, for one user or for all."""
        with self._lock:
            return [ask for ask in self._asks if user is None or ask.user == user]

    def wait_for(self, count: int, user: str | None = None, seconds: float = 30) -> list[Ask]:
        """Wait for at least `count` questions and return all there are."""

        def asked() -> list[Ask] | None:
            seen = self.asks(user)
            return seen if len(seen) >= count else None

        return until(asked, seconds, f"{count} questions about {user or 'anybody'}") or []

    def handle(self, exchange: Exchange) -> None:
        """Answer the root, and questions."""
        path = exchange.path.partition("?")[0]
        if exchange.command == "GET" and path == "/":
            _answer(exchange, 200, {"message": "Pacifica Policy Up and Running"})
        elif exchange.command != "POST" or not path.startswith("/events/"):
            _error(exchange, 404, "Not Found", f"The path {path!r} was not found.")
        elif exchange.headers.get_content_type() != "application/json":
            _error(exchange, 415, "Unsupported Media Type", "Expected an entity of content type application/json")
        else:
            self._decide(exchange, unquote(path.removeprefix("/events/")))

    def _decide(self, exchange: Exchange, user: str) -> None:
        try:
            event = json.loads(exchange.content)
        except ValueError:
            return _error(exchange, 400, "Bad Request", "Invalid JSON document")
        with self._lock:
            self._asks.append(Ask(user, event))
            verdict = self._rules.get(user, Verdict.ALLOWED)
        if verdict is Verdict.SILENT:
            self.stopping.wait()
            exchange.close_connection = True
            return None
        if verdict is Verdict.FAILED:
            return _error(exchange, 500, "Internal Server Error", "The server encountered an unexpected condition")
        event_type = event.get("eventType", event.get("type")) if isinstance(event, dict) else None
        if self.ingest_only and event_type != INGEST and user not in self.admins:
            return _error(exchange, 412, "Precondition Failed", f"Invalid eventType for {event_type}", event)
        if verdict is Verdict.REFUSED:
            reason = "Invalid values for submitter, project, instrument"
            return _error(exchange, 412, "Precondition Failed", reason, event)
        return _answer(exchange, 200, {"status": "success"})

    def _rule(self, user: str, verdict: Verdict) -> None:
        with self._lock:
            self._rules[user] = verdict


def _answer(exchange: Exchange, status: int, value: object) -> None:
    exchange.answer(status, [("Content-Type", "application/json")], json.dumps(value).encode())


def _error(exchange: Exchange, status: int, title: str, message: str, postdata: object = None) -> None:
    error = {
        "status": f"{status} {title}",
        "message": f"{title}: {message}",
        "traceback": "",
        "version": "18.10.0",
        "postdata": postdata,
    }
    _answer(exchange, status, error)
