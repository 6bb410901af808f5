"""Follows a path through an event and keeps where it is: slow, for an explanation, as the dialect has it.

What ``jsonpath.find`` answers fast is answered here in the order of jsonpath2 and with all results. A place that is
reached again at the same step is left out; what follows from it is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, TypeAlias

from ...jsonpath import syntax
from ...jsonpath.functions import FUNCTIONS
from ...jsonpath.values import COMPARE, MISSING, item, sliced
from .places import Made, Place, shortened

#: The places that a path has come to, one for each step that was taken; the first is where it begins.
Way: TypeAlias = tuple[Place, ...]
Seen: TypeAlias = dict[tuple[object, ...], Place]


class Weary(Exception):
    """The walk has looked at as much as it may."""


class Observer:
    """Is told about a walk along a path; this one takes no notice."""

    def reached(self, way: Way) -> None:
        """Take up that there is another place at the end of a way."""

    def ended(self, way: Way) -> None:
        """Take up that the next step finds nothing at the end of a way."""


_NOBODY = Observer()


class Walk:
    """Walks through one event; ``limit`` is how much may be looked at, after which it raises ``Weary``."""

    def __init__(self, event: Any, limit: int) -> None:
        self.event = Place(event)
        self.left = limit

    def places(self, path: syntax.Path, current: Place, observer: Observer = _NOBODY) -> Iterator[Place]:
        """Give the places that a path leads to from the current value of a filter.

        Raises ``ValueError`` where the dialect does: a slice with step 0 that meets a list.
        """
        for way in self.ways(path, current, observer):
            yield way[-1]

    def ways(self, path: syntax.Path, current: Place, observer: Observer = _NOBODY) -> Iterator[Way]:
        """Give the ways that lead to those places. It does not recurse: a path may have a thousand steps."""
        seen: list[Seen] = [{} for _ in range(len(path.steps) + 1)]
        branches: list[Iterator[Place]] = [iter([self.event if path.anchor == "$" else current])]
        way: list[Place] = []
        barren = False
        while branches:
            place = next(branches[-1], None)
            taken = len(branches) - 1
            if place is None:
                branches.pop()
                if barren:
                    observer.ended(tuple(way[:taken]))
                    barren = False
                continue
            barren = False
            if place.identity in seen[taken]:
                continue
            seen[taken][place.identity] = place
            self._look()
            way[taken:] = [place]
            observer.reached(tuple(way))
            if taken == len(path.steps):
                yield tuple(way)
            else:
                branches.append(self._next(path.steps[taken], place, seen[taken + 1]))
                barren = True

    def holds(self, condition: syntax.Condition, current: Place) -> bool:
        """Tell whether a condition holds for the current value; evaluates no more than decides it."""
        match condition:
            case syntax.Not():
                return not self.holds(condition.condition, current)
            case syntax.And():
                return all(self.holds(each, current) for each in condition.conditions)
            case syntax.Or():
                return any(self.holds(each, current) for each in condition.conditions)
            case syntax.Comparison():
                return self.compares(condition, current)
            case syntax.Exists():
                operand = condition.operand
                if isinstance(operand, syntax.Value):
                    return bool(operand.value)
                return any(True for _ in self.places(operand, current))

    def compares(self, comparison: syntax.Comparison, current: Place) -> bool:
        """Tell whether some pair of values satisfies a comparison.

        The values of a path on the right are used up by the first value on the left: those after it meet none. They
        are looked for all the same, as the dialect does, and so may raise.
        """
        rights = self._values(comparison.right, current)
        return any(
            self._satisfy(one.value, comparison.operator, other.value)
            for one in self._values(comparison.left, current)
            for other in rights
        )

    def _values(self, operand: syntax.Operand, current: Place) -> Iterable[Place]:
        if isinstance(operand, syntax.Value):
            return [Place(operand.value)]
        return self.places(operand, current)

    def _satisfy(self, one: Any, operator: str, other: Any) -> bool:
        self._look()
        return COMPARE[operator](one, other)

    def _look(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Weary

    def _next(self, step: syntax.Step, place: Place, seen: Seen) -> Iterator[Place]:
        """Give where a step leads."""
        if isinstance(step, syntax.Descent):
            yield from self._below(place, seen)
        else:
            for subscript in step.subscripts:
                yield from self._children(subscript, place)

    def _below(self, place: Place, seen: Seen) -> Iterator[Place]:
        """Give a place and all below it in pre-order, without what was seen at this step with all below it."""
        stack = [place]
        while stack:
            place = stack.pop()
            if place.identity not in seen:
                yield place
                self._look()
                stack.extend(reversed(list(_members(place))))

    def _children(self, subscript: syntax.Subscript, place: Place) -> Iterator[Place]:
        value = place.value
        match subscript:
            case syntax.Key():
                yield from _at(place, subscript.name)
            case syntax.Item():
                yield from _at(place, subscript.position)
            case syntax.Slice():
                if isinstance(value, list):
                    for position in sliced(len(value), subscript.start, subscript.end, subscript.step):
                        yield from _at(place, position)
            case syntax.Wildcard():
                yield from _members(place)
            case syntax.Filter():
                if self.holds(subscript.condition, place):
                    yield place
            case syntax.Reference():
                for named in self.places(subscript.path, place):
                    yield from _at(place, named.value)
            case syntax.Call():
                yield from self._call(subscript, place)

    def _call(self, written: syntax.Call, place: Place) -> Iterator[Place]:
        """Give what a function makes for each combination of its arguments, which are looked for in any case."""
        lists = [list(self._values(each, place)) for each in written.arguments]
        for arguments in product(*lists):
            self._look()
            values = [each.value for each in arguments]
            result = FUNCTIONS[written.function](place.value, *values)
            if result is not MISSING:
                shown = ", ".join(shortened(each, 40) for each in values)
                yield Place(result, place, Made(f".{written.function}({shown})"))


def _members(place: Place) -> Iterator[Place]:
    value = place.value
    if isinstance(value, dict):
        for name, each in value.items():
            yield Place(each, place, name)
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield Place(each, place, position)


def _at(place: Place, named: Any) -> Iterator[Place]:
    """Give the member of an object or the item of a list, if there is one; ``true`` is the item 1."""
    value = place.value
    if isinstance(value, dict) and isinstance(named, str):
        if named in value:
            yield Place(value[named], place, named)
    elif isinstance(named, int) and item(value, named) is not MISSING:
        yield Place(value[named], place, named % len(value))
