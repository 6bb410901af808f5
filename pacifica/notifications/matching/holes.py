"""Takes the literals out of conditions: what is left is a part of a shape, which thousands of subscriptions share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..jsonpath.syntax import (
    And,
    Child,
    Comparison,
    Condition,
    Descent,
    Exists,
    Filter,
    Not,
    Or,
    Path,
    Step,
    Subscript,
    Value,
)
from .alternatives import OneOf, is_scalar


class _Hole:
    """The place of a literal."""

    def __repr__(self) -> str:
        return "_"


#: Stands in a condition where a literal was.
HOLE = Value(_Hole())


def lifted(condition: Condition) -> tuple[Condition, list[Any]]:
    """Give a condition with holes, and the literals that were there, in the order in which the holes stand in it.

    Conditions that differ in their literals or in the order of `and` and `or` alone give the same.
    """
    match condition:
        case And(parts):
            conditions, literals = lifted_all(parts)
            return And(conditions), literals
        case Or(parts):
            conditions, literals = lifted_all(parts)
            return Or(conditions), literals
        case Not(inner):
            inner, literals = lifted(inner)
            return Not(inner), literals
        case Exists(Path() as path):
            path, literals = _lifted_path(path)
            return Exists(path), literals
        case Comparison(Path() as path, operator, Value(value)) if isinstance(value, OneOf) or is_scalar(value):
            path, literals = _lifted_path(path)
            return Comparison(path, operator, HOLE), [*literals, value]
    return condition, []


def lifted_all(conditions: Iterable[Condition]) -> tuple[tuple[Condition, ...], list[Any]]:
    """Lift several conditions and put them in one order."""
    pairs = sorted((lifted(condition) for condition in conditions), key=lambda pair: repr(pair[0]))
    return tuple(condition for condition, _ in pairs), [literal for _, literals in pairs for literal in literals]


def _lifted_path(path: Path) -> tuple[Path, list[Any]]:
    steps: list[Step] = []
    literals: list[Any] = []
    for step in path.steps:
        if isinstance(step, Descent):
            steps.append(step)
            continue
        subscripts: list[Subscript] = []
        for subscript in step.subscripts:
            if isinstance(subscript, Filter):
                condition, inner = lifted(subscript.condition)
                subscript = Filter(condition)  # noqa: PLW2901
                literals.extend(inner)
            subscripts.append(subscript)
        steps.append(Child(tuple(subscripts)))
    return Path(path.anchor, tuple(steps)), literals
