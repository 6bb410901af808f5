"""The JSONPath dialect of jsonpath2 0.4.5: parse an expression, and find whether an event matches it.

A text goes through ``lexer`` and ``parser`` (with ``cursor``, ``literals``; ``faults`` says what is wrong) and becomes
what ``syntax`` has; ``bounds`` says what is too much. ``evaluation`` makes a function of it once (with ``subscripts``,
``functions``, ``conditions``, ``comparisons``), which ``walk`` leads through an event, while ``work`` counts the steps.
``oracle`` asks jsonpath2 itself, and nothing that runs per event does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import InvalidJSONPath
from .bounds import Bounds, alternatives, check
from .evaluation import compiled
from .parser import Parser
from .syntax import Path
from .walk import Test
from .work import Work, size_of

__all__ = ["Bounds", "Expression", "alternatives", "find", "full", "parse", "size_of", "steps"]

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class Expression:
    """A parsed JSONPath; ``text`` is as it was sent."""

    text: str
    path: Path

    @cached_property
    def test(self) -> Test:
        """The function that finds; it is made when it is asked for."""
        return compiled(self.path)


def full(text: str) -> str:
    """Give the expression that a text stands for: ``$.data.name`` for a bare dotted name such as ``data.name``."""
    return f"$.{text}" if _BARE.fullmatch(text) else text


def parse(text: str, bounds: Bounds | None = None) -> Expression:
    """Parse an expression; a bare dotted name such as ``data.name`` stands for ``$.data.name``.

    Raises ``InvalidJSONPath`` (a ``ValueError``) that says line, column and what was expected, or which bound the
    expression is beyond. Never raises ``RecursionError`` and prints nothing.
    """
    bounds = bounds or Bounds()
    if len(text) > bounds.characters:
        raise InvalidJSONPath(f"has {len(text)} characters, at most {bounds.characters} are taken")
    whole = full(text)
    try:
        parser = Parser(whole, bounds.nesting, shift=len(whole) - len(text))
        path = parser.expression()
        check(path, bounds)
    except RecursionError:  # only where the bounds allow it
        raise InvalidJSONPath("is nested too deep; shorten it") from None
    return Expression(text=text, path=path)


def find(expression: Expression, event: Any, size: Callable[[], int] | None = None) -> bool:
    """Tell whether an event, a value of ``json.loads``, has at least one result.

    ``size`` may give the number of values in the event, for whoever tries many expressions on it. Raises
    ``ValueError`` where the dialect does at match time (a slice with step 0 that meets a list), and ``OverBudget`` when
    the expression takes more than 16 steps for each value in the event, of which ``$..*`` takes two.
    """
    return expression.test(event, Work(event, size))


def steps(expression: Expression, event: Any) -> int:
    """Count the steps that ``find`` takes, values visited and values compared; raises what it raises."""
    work = Work(event)
    expression.test(event, work)
    return work.steps
