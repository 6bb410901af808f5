"""What an alternative becomes: a shape, and which of its literals go where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

from ..jsonpath.syntax import Comparison, Condition, Exists, Key, Operand, Path, Value
from .alternatives import (
    Alternative,
    OneOf,
    Walk,
    Way,
    alternatives,
    at_once,
    based,
    single_beginning,
    steps_of,
    way_of,
)
from .holes import HOLE, lifted, lifted_all

#: Entries that one alternative may take, each being a choice from lists of wanted values.
_MOST_ENTRIES = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one value, in the order in which the literals of an entry stand.

    ``equal`` are ways to values that have to equal a literal each, ``exist`` ways that have to lead somewhere,
    ``checks`` other conditions without holes, ``rest`` those with holes, which stand behind the literals of ``equal``.
    """

    equal: tuple[Way, ...] = ()
    exist: tuple[Way, ...] = ()
    checks: tuple[Condition, ...] = ()
    rest: tuple[Condition, ...] = ()

    def first_keys(self) -> list[str]:
        """Give the names that an object must have for all that is asked to hold; none if it need not be an object."""
        ways = [*self.equal, *self.exist]
        for condition in (*self.checks, *self.rest):
            if isinstance(condition, Comparison | Exists):
                operands = _operands(condition)
                ways.extend(single_beginning(p) for p in operands if isinstance(p, Path) and p.anchor == "@")
        return list(dict.fromkeys(way[0].name for way in ways if way and isinstance(way[0], Key)))


def _operands(condition: Comparison | Exists) -> tuple[Operand, ...]:
    return (condition.left, condition.right) if isinstance(condition, Comparison) else (condition.operand,)


@dataclass(frozen=True, slots=True)
class Form:
    """A shape as a value: what is asked of the event, the walk to the items, what is asked of an item."""

    event: Asked
    way: Way
    walk: Walk
    item: Asked


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to enter an expression in the index: a shape, and the literals for its holes.

    ``key`` tells shapes apart that are equal as values only because `1` and `true` are.
    """

    key: str
    form: Form
    event: tuple[Any, ...]
    item: tuple[Any, ...]
    rest: tuple[Any, ...]


def recipes(path: Path) -> list[Recipe]:
    """Give a recipe for each alternative of an expression. Raises ``NotIndexable``."""
    return [_recipe(alternative) for alternative in alternatives(path)]


def _recipe(alternative: Alternative) -> Recipe:
    event, event_literals, event_rest = _asked(alternative.event)
    item, item_literals, rest = _asked(alternative.item)
    if event.rest:
        if not all(isinstance(c, Comparison) and way_of(c.left) is not None for c in event.rest):
            return _recipe(at_once(alternative))
        # Seen from an item these are conditions on `$`.
        item = replace(item, rest=tuple(based(condition, "$") for condition in event.rest) + item.rest)
        rest = event_rest + rest
        event = replace(event, rest=())
    form = Form(event, alternative.way, alternative.walk, item)
    return Recipe(repr(form), form, tuple(event_literals), tuple(item_literals), tuple(rest))


_Equal: TypeAlias = tuple[str, Way, Any]


def _few_choices(equal: list[_Equal]) -> tuple[list[_Equal], list[Condition]]:
    """Leave only the longest of several lists to be looked up if all together would make too many entries."""
    lists = [one for one in equal if isinstance(one[2], OneOf)]
    if prod(len(literal) for _, _, literal in lists) <= _MOST_ENTRIES or len(lists) < 2:
        return equal, []
    lists.remove(max(lists, key=lambda one: len(one[2])))
    decided: list[Condition] = [Comparison(Path("@", steps_of(way)), "=", Value(literal)) for _, way, literal in lists]
    return [one for one in equal if one not in lists], decided


def _asked(conditions: Iterable[Condition]) -> tuple[Asked, list[Any], list[Any]]:
    """Sort conditions by how they are decided; give them with the literals of `equal` and of `rest`."""
    equal: list[_Equal] = []
    exist: list[Way] = []
    checks: list[Condition] = []
    rest: list[Condition] = []
    for condition in conditions:
        holed, literals = lifted(condition)
        match holed:
            case Comparison(Path("@") as path, "=", right) if right is HOLE and (way := way_of(path)) is not None:
                equal.append((repr(way), way, literals[0]))
            case Exists(Path("@") as path) if (way := way_of(path)) is not None:
                exist.append(way)
            case _:
                (rest if literals else checks).append(condition)
    equal.sort(key=lambda one: one[0])
    equal, lists = _few_choices(equal)
    rest += lists
    lifted_rest, rest_literals = lifted_all(rest)
    asked = Asked(
        tuple(way for _, way, _ in equal),
        tuple(sorted(exist, key=repr)),
        tuple(sorted(checks, key=repr)),
        lifted_rest,
    )
    return asked, [literal for _, _, literal in equal], rest_literals
