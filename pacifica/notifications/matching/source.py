"""Writes the Python of collectors and loops: flat code, in which no text of a user stands but as a plain literal.

Names of members stand in it by ``ascii``, which escapes quotes, backslashes, line ends and all that is not ASCII;
positions are whole numbers. Everything else that an expression brings is handed in as an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..jsonpath.syntax import Key
from ..jsonpath.values import MISSING
from .alternatives import Way


def compiled(lines: Iterable[str], name: str, names: dict[str, Any]) -> Callable[..., Any]:
    """Give the function ``name`` that the lines define, with what their free names mean."""
    scope = {"MISSING": MISSING, **names}
    exec(compile("\n".join(lines), f"<{name}>", "exec"), scope)  # noqa: S102
    function: Callable[..., Any] = scope[name]
    return function


def followed(way: Way, start: str, end: str, *, known: bool = False) -> list[str]:
    """Give lines that follow a way from one variable to another, and return where it can't go on.

    ``end`` is MISSING where the last member is. ``known``: the start is an object for certain.
    """
    if not way:
        return [f"{end} = {start}"]
    lines = []
    for part in way:
        if isinstance(part, Key):
            if not known:
                lines.append(f"if type({start}) is not dict: return")
            lines.append(f"{end} = {start}.get({str(part.name)!a}, MISSING)")
        else:
            place = int(part.position)
            inside = f"type({start}) is list and {-place - 1 if place < 0 else place} < len({start})"
            lines += [f"if not ({inside}): return", f"{end} = {start}[{place}]"]
        start, known = end, False
    return lines


def looked_up(way: Way, start: str, end: str) -> list[str]:
    """Give lines that follow a way from one variable to another, which is None where it can't go on."""
    if not way:
        return [f"{end} = {start}"]
    lines = []
    for part in way:
        if isinstance(part, Key):
            lines.append(f"{end} = {start}.get({str(part.name)!a}) if type({start}) is dict else None")
        else:
            place = int(part.position)
            inside = f"type({start}) is list and {-place - 1 if place < 0 else place} < len({start})"
            lines.append(f"{end} = {start}[{place}] if {inside} else None")
        start = end
    return lines


def indented(lines: Iterable[str], levels: int = 1) -> list[str]:
    """Give lines further to the right."""
    return ["    " * levels + line for line in lines]
