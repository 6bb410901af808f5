"""Measures the index in this process: against jsonpath2, against a bare decoder, against itself with more in it."""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jsonpath2
import orjson

from pacifica.notifications.matching import Index

from .figures import Figure, ratios
from .matching_events import LARGE, SMALL, events
from .matching_subscriptions import mix
from .matching_timing import in_turn, indexed, matching, whole


@dataclass(frozen=True)
class Scale:
    """How much is measured: rounds, and different events of each size."""

    rounds: int
    small: int
    large: int
    most: int = 100_000


class Ground:
    """The events that all are measured with, and the mix in indexes of several sizes."""

    def __init__(self, scale: Scale, seed: int) -> None:
        self.scale, self.seed = scale, seed
        self.small = events(scale.small, SMALL, seed)
        self.large = events(scale.large, LARGE, seed)
        self.mix = [one.text for one in mix(scale.most, seed)]
        self._indexes: dict[int, Index] = {}

    def index(self, number: int) -> Index:
        """Give the index of the first so many of the mix."""
        if number not in self._indexes:
            self._indexes[number] = indexed(self.mix[:number])
        return self._indexes[number]

    def sizes(self, *sizes: int) -> list[int]:
        """Give those of the sizes that are not beyond the scale."""
        return [size for size in sizes if size <= self.scale.most]


def over_jsonpath2(ground: Ground) -> list[Figure]:
    """Compare with all expressions parsed once and tried one after the other; a sample stands for all of them."""
    figures = []
    some = ground.small[:10]
    for size, least in zip((1_000, 10_000, 100_000), (4_000, 40_000, 400_000), strict=True):
        if size > ground.scale.most:
            continue
        chosen = random.Random(ground.seed).sample(range(size), 150)
        paths = {key: jsonpath2.Path.parse_str(ground.mix[key]) for key in chosen}
        compare(ground.index(size), ground.mix, paths, some)
        found = in_turn(
            {
                "ours": partial(matching, ground.index(size).match, ground.small),
                "jsonpath2": partial(matching, partial(_each, list(paths.values())), some),
            },
            ground.scale.rounds,
        )
        say(f"{size:,} subscriptions", found)
        each = [value * size / len(paths) for value in found["jsonpath2"]]
        how = f"{len(ground.small)} events, none decoded; jsonpath2: 150 of them on 10 events, parsed, x {size:,}"
        figures.append(
            Figure(
                f"over jsonpath2, {size:,} subscriptions, 3 KB",
                ratios(each, found["ours"]),
                " ×",
                how,
                least=least,
                digits=0,
            )
        )
    return figures


def _each(paths: Sequence[Any], event: Any) -> None:
    for path in paths:
        next(path.match(event), None)


def compare(index: Index, texts: Sequence[str], sample: dict[int, Any], some: Sequence[str]) -> None:
    """Compare with jsonpath2 a sample, and all that the index finds; raises ``AssertionError`` on any difference."""
    for event in map(orjson.loads, some):
        found = set(index.match(event))
        wrong = {key for key, path in sample.items() if (next(path.match(event), None) is not None) != (key in found)}
        wrong |= {key for key in sorted(found)[:50] if next(_parsed(texts[key]).match(event), None) is None}
        if wrong:
            raise AssertionError(f"not as jsonpath2: {[texts[key] for key in wrong]} on {event}")


_paths: dict[str, Any] = {}


def _parsed(text: str) -> Any:
    if text not in _paths:
        _paths[text] = jsonpath2.Path.parse_str(text)
    return _paths[text]


def growth(ground: Ground) -> list[Figure]:
    """Compare decoding and matching past many subscriptions with the same past few."""
    sizes = ground.sizes(100, 1_000, 10_000, 100_000)
    few, many = sizes[0], sizes[-1]
    figures = []
    for name, texts in (("3 KB", ground.small), ("28 KB", ground.large)):
        sides: dict[str, Callable[[], float]] = {}
        for size in sizes:
            index = ground.index(size)
            sides[f"{size} text"] = partial(whole, index.match_json, texts)
            sides[f"{size} orjson"] = partial(whole, partial(_decoded, index.match), texts)
        found = in_turn(sides, ground.scale.rounds)
        say(name, found)
        for way, how in (
            ("text", "`match_json`, as routing does it"),
            ("orjson", "decoded by orjson, then `match`"),
        ):
            figures.append(
                Figure(
                    f"decode + match, {many:,} against {few} subscriptions, {name}",
                    ratios(found[f"{many} {way}"], found[f"{few} {way}"]),
                    " ×",
                    f"{how}; {_steps(found, sizes, way)}",
                    most=1.5,
                    digits=2,
                )
            )
    return figures


def _decoded(match: Callable[[Any], Any], text: str) -> None:
    match(orjson.loads(text))


def _steps(found: dict[str, list[float]], sizes: Sequence[int], way: str) -> str:
    medians = [statistics.median(found[f"{size} {way}"]) for size in sizes]
    return ", ".join(f"{median:.0f}" for median in medians) + " us at " + ", ".join(f"{size:,}" for size in sizes)


def against_orjson(ground: Ground) -> list[Figure]:
    """Compare matching alone with decoding by orjson."""
    most = ground.scale.most
    without = indexed(one.text for one in mix(most, ground.seed, "guarded nested range"))
    sides: dict[str, Callable[[], float]] = {}
    for size, texts in (("3 KB", ground.small), ("28 KB", ground.large)):
        sides[f"{size} orjson"] = partial(whole, orjson.loads, texts)
        sides[f"{size} with"] = partial(matching, ground.index(most).match, texts, orjson.loads)
        sides[f"{size} without"] = partial(matching, without.match, texts, orjson.loads)
    found = in_turn(sides, ground.scale.rounds)
    say("against orjson", found)
    wanted = {"3 KB with": 3, "28 KB with": 2, "3 KB without": 1.1, "28 KB without": 0.7}
    figures = []
    for side, bound in wanted.items():
        size, kind = side.rsplit(" ", 1)
        median = statistics.median(found[side])
        figures.append(
            Figure(
                f"match / orjson decode, {most:,} subscriptions, {kind} `..`, {size}",
                ratios(found[side], found[f"{size} orjson"]),
                " ×",
                f"{median:.1f} us; {_matches(ground.index(most) if kind == 'with' else without, ground, size)}",
                most=bound,
                digits=2,
            )
        )
    return figures


def _matches(index: Index, ground: Ground, size: str) -> str:
    texts = ground.small if size == "3 KB" else ground.large
    number = sum(len(index.match(orjson.loads(text))) for text in texts) / len(texts)
    return f"{number:.0f} matches an event"


def unwanted(ground: Ground) -> list[Figure]:
    """Compare an event of a type that nobody asks for with decoding it."""
    index = indexed(one.text for one in mix(8_000, ground.seed, "guarded"))
    texts = events(ground.scale.small, SMALL, ground.seed, "org.example.unwanted")
    if any(index.match_json(text) for text in texts):
        raise AssertionError("somebody wants it")
    sides: dict[str, Callable[[], float]] = {
        "ours": partial(whole, index.match_json, texts),
        "orjson": partial(whole, orjson.loads, texts),
    }
    found = in_turn(sides, ground.scale.rounds)
    say("unwanted", found)
    how = "`match_json`, 8,000 guarded subscriptions; orjson decodes all of it"
    return [
        Figure(
            "an event that nobody wants, 3 KB, as a share of a full decode",
            ratios(found["ours"], found["orjson"]),
            " ×",
            how,
            most=0.6,
            digits=2,
        )
    ]


def changes(ground: Ground) -> list[Figure]:
    """Time adding and removing one more of a known kind, and the first match afterwards."""
    index = ground.index(ground.scale.most)
    more = [one.text for one in mix(ground.scale.most + 2_000, ground.seed)][ground.scale.most :]
    event = orjson.loads(ground.small[0])
    added: list[float] = []
    removed: list[float] = []
    for _ in range(ground.scale.rounds):
        added.append(_median(index.add, enumerate(more, ground.scale.most)))
        removed.append(
            _median(index.remove, ((key,) for key in range(ground.scale.most, ground.scale.most + len(more))))
        )
    index.add(ground.scale.most, more[0])
    began = time.perf_counter_ns()
    index.match(event)
    after = (time.perf_counter_ns() - began) / 1000
    index.remove(ground.scale.most)
    how = f"median of {len(more):,} others of the mix, at {ground.scale.most:,}"
    return [
        Figure("add, known shape", added, " us", f"{how}; the next match took {after:.0f} us", most=10),
        Figure("remove, known shape", removed, " us", how, most=5),
    ]


def _median(change: Callable[..., None], calls: Any) -> float:
    clock, taken = time.perf_counter_ns, []
    gc.collect()
    for arguments in list(calls):
        began = clock()
        change(*arguments)
        taken.append(clock() - began)
    return statistics.median(taken) / 1000


def say(name: str, found: dict[str, list[float]]) -> None:
    """Say what was measured, in microseconds."""
    print(f"{name}: " + ", ".join(f"{side} {statistics.median(v):.4g}" for side, v in found.items()), file=sys.stderr)
