"""What the dialect sees in a value of ``json.loads``: its members and items, all that is below it, how it compares."""

from __future__ import annotations

import operator
from collections.abc import Callable, ValuesView
from typing import Any, Final

#: Stands for a value that is not there; it is equal to none.
MISSING: Final = object()


def children(value: Any) -> ValuesView[Any] | list[Any] | tuple[()]:
    """Give all members of an object, all items of a list, nothing of anything else."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def item(value: Any, position: int) -> Any:
    """Give the item of a list, counted from its end when below 0, or ``MISSING``."""
    if isinstance(value, list) and -len(value) <= position < len(value):
        return value[position]
    return MISSING


def sliced(length: int, start: int | None, end: int | None, step: int | None) -> range:
    """Give the positions that a slice names in a list, of which those below 0 count from its end.

    It is no slice of Python: from a step below 0 nothing follows for what was left out, and an end too far below 0
    stays where it is, so that an item may come twice. Nothing is given that is in no list of that length, so that
    bounds of any size cost nothing. Raises ``ValueError`` for the step 0.
    """
    start = 0 if start is None else start
    end = length if end is None else end
    step = 1 if step is None else step
    if start < 0:
        start = max(start + length, 0)
    if end < 0:
        end += length
    if step > 0:
        return range(start, min(end, length), step)
    if step < 0 and start >= length:
        start += step * -((length - 1 - start) // -step)
    return range(start, max(end, -length - 1), step)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: isinstance(left, int | float) and isinstance(right, int | float) and compare(left, right)


#: How two values are compared. Equality is Python's: ``1``, ``1.0`` and ``true`` are equal. Texts have no order.
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
}

#: The comparison that says the same with its sides exchanged.
EXCHANGED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
