"""Holds the parsed expressions of all subscriptions and tries each of them on an event."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from .. import jsonpath
from .budget import Budget

#: What is told of an expression that failed on an event: its key and the error (``OutOfTime`` or ``ValueError``).
OnFailure = Callable[[Hashable, Exception], None]


class Index:
    """Expressions by key; one writer, one matching thread.

    ``seconds`` is what one expression may take on one event. An expression that fails or runs away is told to
    ``failed`` and counts as no match; the others are not touched by it.
    """

    def __init__(self, bounds: jsonpath.Bounds, seconds: float, failed: OnFailure) -> None:
        """Start empty."""
        self._bounds = bounds
        self._budget = Budget(seconds)
        self._failed = failed
        self._expressions: dict[Hashable, jsonpath.Expression] = {}

    def __len__(self) -> int:
        """Count the expressions."""
        return len(self._expressions)

    def add(self, key: Hashable, text: str) -> None:
        """Hold an expression under a key, in place of the one that was there.

        Raises ``InvalidJSONPath``; then nothing is held under the key.
        """
        held = self._expressions.get(key)
        if held is not None and held.text == text:
            return
        self.remove(key)
        self._expressions[key] = jsonpath.parse(text, self._bounds)

    def remove(self, key: Hashable) -> None:
        """Forget a key; one that is not there is no error."""
        self._expressions.pop(key, None)

    def match(self, event: Any) -> list[Hashable]:
        """Give the keys of the expressions that find something in an event, a value of ``json.loads``."""
        found = []
        for key, expression in list(self._expressions.items()):
            try:
                matched = self._budget.run(partial(jsonpath.find, expression, event))
            # Whatever an evaluator raises on an expression of a user concerns that user alone.
            except Exception as error:  # noqa: BLE001
                self._failed(key, error)
            else:
                if matched:
                    found.append(key)
        return found
