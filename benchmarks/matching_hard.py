"""Measures what is hard: many shapes, what has no place in an index, and the dearest single expressions."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import OverBudget

from .figures import Figure, ratios
from .matching_events import SOURCES, VALUES
from .matching_index import Ground, say
from .matching_subscriptions import HARD, hard, shapes
from .matching_timing import in_turn, indexed, matching

#: Subscriptions that are hard in one way.
_NUMBER = 2_000

#: Looks at every result of `$..*`, and finds nothing.
YARDSTICK = "$..*[?(@.nothing)]"
#: The dearest that the bounds allow, none of which finds anything in the events that they are tried on.
DEAREST = (
    "$..*..*[?(@.nothing)]",
    "$..*..*.nothing",
    '$..[?(@..* = "nothing")]',
    '$..*[?(@..* = "nothing")]',
    "$..[?($..* = 0.5)]",
    "$..*[?(not @..* != @..*)].nothing",
    "$" + "[*,*]" * 32 + "[*].nothing",
    "$.data" + "[*,*,*,*]" * 20 + ".nothing",
    "$.data[*,*,*][*,*,*][?(@.nothing)]",
    "$..[*,*,*,*,*,*,*,*][?(@.nothing)]",
    "$..[0:1000000000,0:1000000000:1,::-1][?(@.nothing)]",
    "$.data[?(" + " or ".join(f"$..x{number}" for number in range(2)) + ")]",
    "$.data[*][?(" + " or ".join(f"$.data[*].value = 0.{number}" for number in range(1, 40)) + ")]",
    "$.data[*][?($.data[*].name = @.value)]",
    "$..[?(@[?(@[?(@[?(@.nothing)])])])]",
    "$" + "..*" * 2 + "[?(" + " and ".join(f"not @.x{number}" for number in range(20)) + " and @.nothing)]",
    "$..[$..*]..nothing",
    "$..[@.*].nothing",
    "$.data[*][?(@.*.charAt($.data[*].value) = 1)]",
    "$.data[*][?(@.name.substring($.data[*].size,$.data[*].size) = 1)]",
)


def many_shapes(ground: Ground) -> list[Figure]:
    """Compare very different subscriptions behind one guard with the same number of few kinds."""
    total = min(10_000, ground.scale.most)
    texts = [text for text in ground.small if SOURCES[0] in text]
    few, many = (indexed(shapes(number, total, ground.seed)) for number in (10, 1_000))
    sides: dict[str, Callable[[], float]] = {
        "10": partial(matching, few.match, texts),
        "1,000": partial(matching, many.match, texts),
    }
    found = in_turn(sides, ground.scale.rounds)
    say("shapes", found)
    medians = {side: f"{statistics.median(values):.0f} us" for side, values in found.items()}
    how = (
        f"{total:,} subscriptions behind one guard that all {len(texts)} events pass; {' and '.join(medians.values())}"
    )
    text = "1,000 shapes behind one guard against 10, 3 KB"
    return [Figure(text, ratios(found["1,000"], found["10"]), " ×", how, most=10)]


def hard_ones(ground: Ground) -> list[Figure]:
    """Compare what is hard for an index with as many of the mix."""
    indexes = {name: indexed(hard(name, _NUMBER, ground.seed)) for name in HARD}
    sides = {"mix": partial(matching, ground.index(_NUMBER).match, ground.small)}
    sides |= {name: partial(matching, index.match, ground.small[:100]) for name, index in indexes.items()}
    found = in_turn(sides, ground.scale.rounds, times=2)
    say("hard", found)
    mix = statistics.median(found["mix"])
    figures = []
    for name, index in indexes.items():
        matches = sum(len(index.match(orjson.loads(text))) for text in ground.small[:20]) / 20
        how = f"{statistics.median(found[name]):.0f} us, {matches:.0f} matches; the mix {mix:.0f} us"
        text = f"{_NUMBER:,} of {name} against {_NUMBER:,} of the mix, 3 KB"
        figures.append(Figure(text, ratios(found[name], found["mix"]), " ×", how, most=20))
    return figures


def dearest(ground: Ground) -> list[Figure]:
    """Compare the dearest expressions that are accepted with one that looks at all results of `$..*`."""
    figures = []
    for size, texts in (("3 KB", ground.small[:5]), ("28 KB", ground.large[:3])):
        sides = {text: partial(matching, partial(_find, _accepted(text)), texts) for text in (YARDSTICK, *_taken())}
        found = in_turn(sides, max(2, ground.scale.rounds // 2), times=2)
        costs = {text: ratios(values, found[YARDSTICK]) for text, values in found.items()}
        worst = max(costs, key=lambda text: statistics.median(costs[text]))
        stopped = sum(_find(_accepted(text), orjson.loads(texts[0])) is None for text in _taken())
        how = (
            f"of {len(_taken())}: `{_short(worst)}`; against `{YARDSTICK}`;"
            f" {stopped} are stopped by their budget, and counted until then"
        )
        figures.append(Figure(f"the dearest expression against `$..*`, {size}", costs[worst], " ×", how, most=10))
    return figures


def _taken() -> list[str]:
    """Give those of the dearest, and some at random, that are within the bounds."""
    chosen = random.Random("dearest")
    steps = ["..*", "[*]", "[*,*]", ".data", '[?(@.* != "x")]', "[::-1]", f'[?(@.value = "{VALUES[0]}")]', "[?($..*)]"]
    some = ["$" + "".join(chosen.choices(steps, k=chosen.randrange(2, 12))) + ".nothing" for _ in range(100)]
    return [text for text in (*DEAREST, *some) if _is_accepted(text)]


def _is_accepted(text: str) -> bool:
    try:
        jsonpath.parse(text)
    except ValueError:
        return False
    return True


_parsed: dict[str, Any] = {}


def _accepted(text: str) -> Any:
    if text not in _parsed:
        _parsed[text] = jsonpath.parse(text)
    return _parsed[text]


def _find(expression: Any, event: Any) -> bool | None:
    """Give whether it finds anything, None where it was stopped or failed."""
    try:
        return jsonpath.find(expression, event)
    except (OverBudget, ValueError):
        return None


def _short(text: str) -> str:
    return (text if len(text) <= 60 else f"{text[:57]}...").replace("|", "\\|")
