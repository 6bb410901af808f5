"""Compares a value with what is known before: a literal, some texts, or all that a path gives for the event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .values import COMPARE, MISSING
from .walk import Hop, Test
from .work import Work


def against(operator: str, literal: Any) -> Hop:
    """Go on only with a value that compares with a literal."""
    compare = COMPARE[operator]

    def hop(value: Any, work: Work) -> Any:
        work.left -= 1
        return value if compare(value, literal) else MISSING

    return hop


def among(texts: frozenset[str]) -> Hop:
    """Go on only with a value that is one of some texts."""

    def hop(value: Any, work: Work) -> Any:
        work.left -= 1
        return value if isinstance(value, str) and value in texts else MISSING

    return hop


def member_equals(name: str, literal: Any) -> Test:
    """Test the commonest comparison without a walk."""

    def equals(value: Any, work: Work) -> bool:
        work.left -= 1
        return isinstance(value, dict) and value.get(name, MISSING) == literal

    return equals


class Wanted:
    """Values of which one has to compare with a value, kept so that each of many values is compared in a few steps.

    ``cost`` is how many steps. Only lists and objects are compared one by one.
    """

    def __init__(self, operator: str, values: Iterable[Any]) -> None:
        self._compare = COMPARE[operator]
        self._hashed: frozenset[Any] = frozenset()
        given = list(values)
        if operator == "=":
            # What is not equal to itself is not found in a set only if it is not in there.
            self._hashed = frozenset(each for each in given if not isinstance(each, dict | list) and each == each)
            self._others = [each for each in given if isinstance(each, dict | list)]
        elif operator == "!=":
            # Nothing is equal to two that are unequal.
            self._others = given[:1] + [each for each in given if each != given[0]][:1]
        else:
            # What is less than any number is less than the largest.
            numbers: list[Any] = [each for each in given if isinstance(each, int | float) and each == each]
            self._others = [max(numbers) if operator in ("<", "<=") else min(numbers)] if numbers else []
        self.cost = 1 + len(self._others)

    def met_by(self, value: Any) -> bool:
        """Tell whether a value, as the left side, compares with one of them."""
        if self._hashed and not isinstance(value, dict | list):
            return value in self._hashed
        return any(self._compare(value, each) for each in self._others)
