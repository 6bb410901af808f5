"""What an expression consists of: frozen values, made by the parser, read by everything that matches or explains.

Two literals that are equal in Python (``1``, ``1.0`` and ``true``) make equal values here too, although functions tell
them apart as arguments. Whoever keeps things by a piece of an expression has to take that into account.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Key:
    """``.name`` or ``["name"]``: the member of an object; ``name`` is the raw text, in which nothing is unescaped."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """``[3]``: an item of a list, counted from its end when below 0."""

    position: int


@dataclass(frozen=True, slots=True)
class Slice:
    """``[start:end:step]``: items of a list; None is what was left out."""

    start: int | None
    end: int | None
    step: int | None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """``*``: all members of an object, all items of a list."""


@dataclass(frozen=True, slots=True)
class Filter:
    """``[?(condition)]``: the current value itself, where the condition holds for it."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Reference:
    """``[$.path]``: what the values of another path name, members by texts and items by whole numbers."""

    path: Path


@dataclass(frozen=True, slots=True)
class Call:
    """``.length()`` or ``[charAt(0)]``: what a function makes of the current value."""

    function: str
    arguments: tuple[Operand, ...]


Subscript: TypeAlias = Key | Item | Slice | Wildcard | Filter | Reference | Call


@dataclass(frozen=True, slots=True)
class Child:
    """``[a,b]``: what each subscript gives, one after the other; ``.name`` has a single one."""

    subscripts: tuple[Subscript, ...]


@dataclass(frozen=True, slots=True)
class Descent:
    """``..``: the current value and all that is below it, in pre-order. A ``Child`` follows."""


Step: TypeAlias = Child | Descent


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from the event (``$``) or from the current value of a filter (``@``)."""

    anchor: Literal["$", "@"]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A literal, as ``json.loads`` would give it, but that nothing in its texts is unescaped."""

    value: Any


Operand: TypeAlias = Path | Value


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left operator right``, of which either side may be a path: true for the first pair that satisfies it."""

    left: Operand
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    right: Operand


@dataclass(frozen=True, slots=True)
class Exists:
    """A bare path: true where it has a result; a bare literal: its truth value."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """``not`` and the one condition that it covers."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    """Conditions of which all hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Conditions of which at least one holds; it binds tighter than ``and``."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Exists | Not | And | Or


def parts(part: Any) -> Iterator[Any]:
    """Give a part of an expression and all parts in it, in no order."""
    stack = [part]
    while stack:
        part = stack.pop()
        if isinstance(part, tuple):
            stack.extend(part)
        elif hasattr(part, "__dataclass_fields__"):
            yield part
            stack.extend(getattr(part, name) for name in part.__dataclass_fields__)
