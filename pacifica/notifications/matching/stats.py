"""Counts what an index holds, and the bytes of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from .buckets import Bucket, Limits, Member
from .collectors import Collector
from .loops import Loop
from .run import Keys


@dataclass(frozen=True, slots=True)
class Stats:
    """What an index holds: expressions, shapes, which expressions are tried singly and why, bytes.

    Bytes are those of its own objects and of the literals, without the keys, which belong to the caller, and without
    compiled code, of which there is some 4 KB for each shape that was of use.
    """

    expressions: int
    shapes: int
    outside: Mapping[Hashable, str]
    bytes: int


#: What the collector of garbage keeps in front of each tuple and object.
_HEADER = 16


def size(held: Mapping[Any, Any], collectors: Iterable[Collector], loops: Iterable[Loop]) -> int:
    """Add up the bytes of an index. Takes about a microsecond for each entry."""
    total = getsizeof(held)
    seen: dict[int, int] = {}

    def look(held: Any) -> None:
        if isinstance(held, str | int | float):
            seen[id(held)] = getsizeof(held)
        elif isinstance(held, list | tuple | Member):
            seen[id(held)] = getsizeof(held) + _HEADER
            for part in (held.entry, held.literals) if isinstance(held, Member) else held:
                look(part)

    for handle in held.values():
        look(handle)
    total += sum(seen.values())
    for collector in collectors:
        total += getsizeof(collector.table)
        for hit in collector.table.values():
            if isinstance(hit, Keys | Limits | Bucket):
                total += getsizeof(hit) + _HEADER
    for loop in loops:
        total += sum(getsizeof(guard.values) for guard in list(loop.guards.values()))
    return total
