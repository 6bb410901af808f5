"""Holds the expressions of all subscriptions, and gives those that find something in an event."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from .. import jsonpath
from .alternatives import NotIndexable, OneOf
from .collectors import Handle, Shape
from .loops import Loop
from .recipes import Form, Recipe, recipes
from .run import Run
from .signatures import Signature, Token

#: What is told of an expression that failed on an event: its key and the error.
OnFailure = Callable[[Hashable, Exception], None]


@dataclass(frozen=True, slots=True)
class Stats:
    """How many expressions and shapes there are, what is outside the index and why, and the bytes of it all."""

    expressions: int
    shapes: int
    outside: dict[Hashable, str] = field(default_factory=dict)
    bytes: int = 0


class _Outside:
    """An expression that is tried by itself."""

    __slots__ = ("expression", "why")

    def __init__(self, expression: jsonpath.Expression, why: str) -> None:
        self.expression, self.why = expression, why


class Index:
    """Expressions by key; for one writer and any number of readers at the same time.

    What fails on an event, or would take more work than an expression may on an event of its size, is told to
    ``failed`` and counts as no match; the others are not touched by it.
    """

    def __init__(self, bounds: jsonpath.Bounds | None = None, failed: OnFailure | None = None) -> None:
        """Start empty."""
        self._bounds = bounds or jsonpath.Bounds()
        self._failed = failed
        self._held: dict[Hashable, Any] = {}
        self._outside: dict[Hashable, _Outside] = {}
        self._shapes: dict[str, Shape] = {}
        self._signatures: dict[str, Signature] = {}
        self._loops: dict[str, Loop] = {}
        self._event = Loop((), None)
        self._always = Token(())
        self._several = 0

    def __len__(self) -> int:
        """Count the expressions."""
        return len(self._held)

    def add(self, key: Hashable, text: str) -> None:
        """Hold an expression under a key, in place of the one that was there.

        Raises ``InvalidJSONPath``; then nothing is held under the key.
        """
        before = self._held.get(key, self)
        try:
            expression = jsonpath.parse(text, self._bounds)
        except ValueError:
            self.remove(key)
            raise
        try:
            made = recipes(expression.path)
        except NotIndexable as error:
            handles: Any = self._outside[key] = _Outside(expression, str(error))
        else:
            handles = self._entered(made, key)
        # The new one is there before the old one goes: a reader in between sees one of them.
        if before is not self:
            self._leave(before, key)
        self._held[key] = handles

    def remove(self, key: Hashable) -> None:
        """Forget a key; one that is not there is no error."""
        held = self._held.pop(key, self)
        if held is not self:
            self._leave(held, key)

    def match(self, event: Any) -> list[Hashable]:
        """Give the keys of the expressions that find something in an event, a value of ``json.loads``."""
        run = Run(event)
        self._event.run(run)
        self._always.found(run)
        for loop in run.loops:
            loop.run(run)
        found = list(run.keys())
        if self._several:
            found = list(dict.fromkeys(found))
        return found
