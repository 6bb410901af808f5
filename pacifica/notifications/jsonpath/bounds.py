"""What an expression may have, so that none of them stops whoever matches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from ..errors import InvalidJSONPath
from .syntax import (
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
    Reference,
    Subscript,
    Value,
    parts,
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an expression may have.

    Characters; nesting of brackets; ``..`` steps; members of one union ``[a,b]``; alternatives, that is how many
    expressions without ``or`` and without unions say the same. Equalities of one path that are joined by ``or`` are
    one alternative, however many they are.
    """

    characters: int = 2048
    nesting: int = 32
    descents: int = 2
    union: int = 64
    alternatives: int = 256


def check(path: Path, bounds: Bounds) -> None:
    """Hold a parsed expression to the bounds that concern its parts; raises ``InvalidJSONPath``."""
    descents = sum(isinstance(part, Descent) for part in parts(path))
    if descents > bounds.descents:
        raise InvalidJSONPath(f"has {descents} '..' steps, at most {bounds.descents} are taken")
    widest = max((len(part.subscripts) for part in parts(path) if isinstance(part, Child)), default=0)
    if widest > bounds.union:
        raise InvalidJSONPath(f"has a union of {widest} members, at most {bounds.union} are taken")
    count = alternatives(path)
    if count > bounds.alternatives:
        raise InvalidJSONPath(
            f"has {count} alternatives (by 'or' and unions, multiplied), at most {bounds.alternatives} are taken"
        )


def alternatives(path: Path) -> int:
    """Count the expressions without ``or`` and without unions that say the same as a path together."""
    return prod(sum(map(_of_subscript, step.subscripts)) for step in path.steps if isinstance(step, Child))


def _of_subscript(subscript: Subscript) -> int:
    match subscript:
        case Filter(condition):
            return _of_condition(condition)
        case Reference(path):
            return alternatives(path)
        case _:
            return 1


def _of_condition(condition: Condition, negated: bool = False) -> int:
    """Count those of a condition; under ``not``, `and` and `or` change places and a comparison stays whole."""
    match condition:
        case Not(inner):
            return _of_condition(inner, not negated)
        case And(conditions) | Or(conditions):
            if isinstance(condition, Or) != negated:
                return _of_choice(conditions, negated)
            return prod(_of_condition(each, negated) for each in conditions)
        case Exists(Path() as path) if not negated:
            return alternatives(path)
        case Comparison(Path() as path, _, Value()) | Comparison(Value(), _, Path() as path) if not negated:
            return alternatives(path)
        case _:
            # The results of a path beside a path stay together: which of them is the first one counts.
            return 1


def _of_choice(conditions: Iterable[Condition], negated: bool) -> int:
    """Count those of conditions of which one is enough, equalities of the same path once."""
    total = 0
    compared: set[str] = set()
    for condition in conditions:
        path = None if negated else _compared_for_equality(condition)
        if path is not None:
            name = repr(path)
            if name in compared:
                continue
            compared.add(name)
        total += _of_condition(condition, negated)
    return total


def _compared_for_equality(condition: Condition) -> Path | None:
    match condition:
        case Comparison(Path() as path, "=", Value()) | Comparison(Value(), "=", Path() as path):
            return path
        case _:
            return None
