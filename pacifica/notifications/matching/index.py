"""Holds the parsed expressions of all subscriptions and tries each of them on an event."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from .. import jsonpath

#: What is told of an expression that failed on an event: its key and the error (``OverBudget`` or ``ValueError``).
OnFailure = Callable[[Hashable, Exception], None]


@dataclass(frozen=True, slots=True)
class Stats:
    """How many expressions and shapes there are, what is outside the index and why, and the bytes of it all."""

    expressions: int
    shapes: int
    outside: dict[Hashable, str] = field(default_factory=dict)
    bytes: int = 0


class Index:
    """Expressions by key; one writer, one matching thread."""

    def __init__(self, bounds: jsonpath.Bounds | None = None, failed: OnFailure | None = None) -> None:
        """Start empty."""
        self._bounds = bounds or jsonpath.Bounds()
        self._failed = failed
        self._expressions: dict[Hashable, jsonpath.Expression] = {}

    def __len__(self) -> int:
        """Count the expressions."""
        return len(self._expressions)

    def add(self, key: Hashable, text: str) -> None:
        """Hold an expression under a key, in place of the one that was there.

        Raises ``InvalidJSONPath``; then nothing is held under the key.
        """
        self.remove(key)
        self._expressions[key] = jsonpath.parse(text, self._bounds)

    def remove(self, key: Hashable) -> None:
        """Forget a key; one that is not there is no error."""
        self._expressions.pop(key, None)

    def stats(self) -> Stats:
        """Count."""
        return Stats(len(self._expressions), 0)

    def match_json(self, text: str) -> list[Hashable]:
        """Give what ``match`` gives for the value of a text; raises ``ValueError`` if it is no JSON."""
        return self.match(json.loads(text))

    def match(self, event: Any) -> list[Hashable]:
        """Give the keys of the expressions that find something in an event, a value of ``json.loads``."""
        found = []
        for key, expression in list(self._expressions.items()):
            try:
                matched = jsonpath.find(expression, event)
            # Whatever an evaluator raises on an expression of a user concerns that user alone.
            except Exception as error:  # noqa: BLE001
                if self._failed:
                    self._failed(key, error)
            else:
                if matched:
                    found.append(key)
        return found
