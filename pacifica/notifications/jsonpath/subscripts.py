"""Hops and forks of the subscripts that need nothing but the value at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .functions import Function
from .syntax import Slice
from .values import MISSING, children, item, sliced
from .walk import Fork, Hop
from .work import Work


def by_key(name: str) -> Hop:
    """Go to a member."""
    return lambda value, work: value.get(name, MISSING) if isinstance(value, dict) else MISSING


def by_position(position: int) -> Hop:
    """Go to an item of a list."""
    return lambda value, work: item(value, position)


def by_name(value: Any, name: Any) -> Any:
    """Give what another path's value names: a member by a text, an item by a whole number, as which a bool counts."""
    if isinstance(name, int):
        return item(value, name)
    return value.get(name, MISSING) if isinstance(name, str) and isinstance(value, dict) else MISSING


def by_call(function: Function, arguments: Sequence[Any]) -> Hop:
    """Go to what a function makes of the value."""

    def hop(value: Any, work: Work) -> Any:
        result = function(value, *arguments)
        work.spend(weight(result))
        return result

    return hop


def weight(result: Any) -> int:
    """Count the steps of a function: the list or the text that it gives may have been made by it."""
    if isinstance(result, list):
        return 1 + len(result)
    return 1 + (len(result) >> 10) if isinstance(result, str) else 1


def all_children(value: Any, work: Work) -> Iterable[Any]:
    """Go to all members or items."""
    found = children(value)
    work.left -= len(found)
    return found


def by_slice(part: Slice) -> Fork:
    """Go to the items that a slice names; with step 0 raises ``ValueError`` where it meets a list."""
    start, end, step = part.start, part.end, part.step

    def fork(value: Any, work: Work) -> Iterable[Any]:
        if not isinstance(value, list):
            return ()
        positions = sliced(len(value), start, end, step)
        work.left -= len(positions)
        return map(value.__getitem__, positions)

    return fork


def all_below(place: int | None) -> Fork:
    """Go to the value and all that is below it, in pre-order.

    With a ``place``, what is at and below a value where it has been before is left out.
    """

    def fork(value: Any, work: Work) -> Iterator[Any]:
        stack = [value]
        while stack:
            value = stack.pop()
            yield value
            if isinstance(value, dict):
                work.left -= len(value)
                stack.extend(reversed(value.values()))
            elif isinstance(value, list):
                work.left -= len(value)
                stack.extend(reversed(value))

    if place is None:
        return fork

    def fork_once(value: Any, work: Work) -> Iterator[Any]:
        known = work.memory(place)
        stack = [value]
        while stack:
            value = stack.pop()
            if not isinstance(value, dict | list):
                yield value
                continue
            work.left -= 1
            if id(value) in known:
                continue
            known[id(value)] = value
            yield value
            work.left -= len(value)
            stack.extend(reversed(value.values() if isinstance(value, dict) else value))

    return fork_once


def union(forks: Sequence[Fork]) -> Fork:
    """Go to what each member leads to, but not twice to the same value."""

    def fork(value: Any, work: Work) -> Iterator[Any]:
        work.left -= 2
        given: dict[int, Any] = {}
        for each in forks:
            work.left -= 1
            for reached in each(value, work):
                if id(reached) not in given:
                    given[id(reached)] = reached
                    yield reached

    return fork
