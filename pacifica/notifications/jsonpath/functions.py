"""The functions that an expression can call on a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .values import MISSING


@dataclass(frozen=True, slots=True)
class Function:
    """What a function makes of a value and whole numbers: a value, or ``MISSING``; ``counts`` are those it takes."""

    result: Callable[..., Any]
    counts: tuple[int, ...] = (0,)

    def __call__(self, value: Any, *arguments: Any) -> Any:
        """Give the result; other arguments than whole numbers, or too many of them, are no error but give none."""
        if len(arguments) not in self.counts or not all(isinstance(each, int) for each in arguments):
            return MISSING
        return self.result(value, *arguments)


def _length(value: Any) -> Any:
    return len(value) if isinstance(value, str | list) else MISSING


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else MISSING


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else MISSING


def _entries(value: Any) -> Any:
    if isinstance(value, dict):
        return list(map(list, value.items()))
    return list(map(list, enumerate(value))) if isinstance(value, list) else MISSING


def _char_at(value: Any, position: int) -> Any:
    if isinstance(value, str) and -len(value) <= position < len(value):
        return value[position]
    return MISSING


def _substring(value: Any, start: int, end: int | None = None) -> Any:
    return value[start:end] if isinstance(value, str) else MISSING


FUNCTIONS = {
    "length": Function(_length),
    "keys": Function(_keys),
    "values": Function(_values),
    "entries": Function(_entries),
    "charAt": Function(_char_at, counts=(1,)),
    "substring": Function(_substring, counts=(1, 2)),
}
