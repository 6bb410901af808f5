"""How matching is timed: CPU of this thread, on values that were decoded for it, the sides in turn."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pacifica.notifications.matching import Index

#: Events that are decoded before they are matched, so that looking at the clock costs nothing beside it.
_CHUNK = 20

Decode = Callable[[str], Any]
Match = Callable[[Any], Any]


def matching(match: Match, texts: Sequence[str], decode: Decode = json.loads) -> float:
    """Give the microseconds of matching an event, without decoding it; each is decoded anew, its hashes are cold."""
    taken = 0
    for start in range(0, len(texts), _CHUNK):
        values = [decode(text) for text in texts[start : start + _CHUNK]]
        began = time.thread_time_ns()
        for value in values:
            match(value)
        taken += time.thread_time_ns() - began
    return taken / 1000 / len(texts)


def whole(take: Callable[[str], Any], texts: Sequence[str]) -> float:
    """Give the microseconds of what takes the text of an event: decoding it, or decoding and matching it."""
    began = time.thread_time_ns()
    for text in texts:
        take(text)
    return (time.thread_time_ns() - began) / 1000 / len(texts)


def in_turn(
    sides: Mapping[str, Callable[[], float]], rounds: int, times: int = 3, warm: bool = True
) -> dict[str, list[float]]:
    """Measure each side ``times`` times in turn, keep the best of each; so many rounds, every second one reversed."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    if warm:
        for measure in sides.values():
            measure()
    for number in range(rounds):
        best = dict.fromkeys(sides, float("inf"))
        for _ in range(times):
            for name in sides if number % 2 == 0 else reversed(sides):
                best[name] = min(best[name], sides[name]())
        for name, value in best.items():
            found[name].append(value)
    return found


def indexed(texts: Iterable[str]) -> Index:
    """Give an index of these, under their numbers, out of the garbage collector's sight as in a worker."""
    index = Index()
    for key, text in enumerate(texts):
        index.add(key, text)
    gc.collect()
    gc.freeze()
    return index
