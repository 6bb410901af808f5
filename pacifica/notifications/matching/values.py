"""Where one step leads from a value of an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def each(value: Any) -> Iterable[Any]:
    """Give the members of an object, the items of a list, nothing else."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def below(value: Any) -> Iterator[Any]:
    """Give a value and all that is below it, each before what is below itself; without recursion."""
    stack = [value]
    while stack:
        value = stack.pop()
        yield value
        if isinstance(value, dict):
            stack.extend(reversed(value.values()))
        elif isinstance(value, list):
            stack.extend(reversed(value))


def sliced(value: Any, start: int | None, end: int | None, step: int | None) -> list[Any]:
    """Give the items of a slice as the dialect counts them, each once; a huge slice is clipped to the list.

    A start below 0 counts from the end of the list if that is within it, and else is 0; an end below 0 counts from
    the end without a limit. Positions below 0 that the count then runs through are counted from the end once more.
    """
    if not isinstance(value, list) or not value:
        return []
    length = len(value)
    step = 1 if step is None else step
    start = 0 if start is None else start
    if start < 0:
        start = start + length if -start < length else 0
    end = length if end is None else end
    if end < 0:
        end += length
    if step > 0:
        end = min(end, length)
    else:
        end = max(end, -length - 1)
        if start >= length:
            start -= _steps_down(start, length, -step)
    seen = dict.fromkeys(position % length for position in range(start, end, step) if -length <= position < length)
    return [value[position] for position in seen]


def _steps_down(start: int, length: int, step: int) -> int:
    """Give how far a start beyond a list has to go down, in whole steps, to be within it."""
    return -(-(start - length + 1) // step) * step
