"""Says why a path found nothing: of all the ways that ended the one that came nearest, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...jsonpath import syntax
from ...jsonpath.values import EXCHANGED
from . import wording
from .findings import Ends, Finding, Side, find_out
from .places import Place, kind, shortened
from .walk import Walk, Way

#: Sentences about one miss, values in one sentence, characters of a value in it.
_SENTENCES, _VALUES, _CHARACTERS = 3, 3, 60

_WANTED = {
    "=": "{}",
    "!=": "anything but {}",
    "<": "less than {}",
    "<=": "{} or less",
    ">": "more than {}",
    ">=": "{} or more",
}


@dataclass(slots=True)
class Miss:
    """Where a way ended, how far from what was wanted, and why."""

    way: Way
    cost: int
    sentences: list[str]

    def __str__(self) -> str:
        """Say why in one sentence."""
        more = len(self.sentences) - _SENTENCES
        return "; ".join(self.sentences[:_SENTENCES]) + (f"; and {more} more" if more > 0 else "")


def nearest(walk: Walk, path: syntax.Path, ends: Ends) -> Miss | None:
    """Give the nearest of the ways that a walk along a path came to an end at."""
    best: Miss | None = None
    for way in ends.ways:
        taken = len(way) - 1
        step = path.steps[taken]
        if isinstance(step, syntax.Descent):
            # It always leads to where it starts, unless that was seen before.
            continue
        below = taken > 0 and isinstance(path.steps[taken - 1], syntax.Descent)
        for subscript in step.subscripts:
            miss = _miss(walk, subscript, way, below)
            if best is None or miss.cost < best.cost:
                best = miss
    return best


def _miss(walk: Walk, subscript: syntax.Subscript, way: Way, below: bool) -> Miss:
    """Say why a subscript finds nothing at the end of a way, which is one of many ``below`` its start."""
    place = way[-1]
    if isinstance(subscript, syntax.Filter):
        found = find_out(walk, subscript.condition, place)
        blamed = found.to_blame()
        sentences = [said for each, wanted in blamed for said in _said(walk, each, wanted)]
        return Miss(way, found.cost(), list(dict.fromkeys(sentences)))
    if below and isinstance(subscript, syntax.Key):
        return Miss(way, 3, [f"nothing from `{way[-2].location}` downwards has a member {_quoted(subscript.name)}"])
    cost, sentence = _nothing_at(walk, subscript, place)
    return Miss(way, cost, [sentence])


def _nothing_at(walk: Walk, subscript: syntax.Subscript, place: Place) -> tuple[int, str]:
    """Say why a subscript that is no filter finds nothing at a place, and how far that is."""
    where, value = f"`{place.location}`", place.value
    match subscript:
        case syntax.Key():
            return _no_member(subscript.name, where, value)
        case syntax.Item() | syntax.Slice():
            wanted = f"`[{wording.subscript(subscript)}]`"
            if isinstance(value, list):
                return 2, f"{where} is {kind(value)}, none at {wanted}"
            return 4, f"{where} is {kind(value)}, and {wanted} takes items of lists only"
        case syntax.Wildcard():
            empty = isinstance(value, dict | list)
            return (2, f"{where} is empty") if empty else (4, f"{where} is {kind(value)}, with nothing in it")
        case syntax.Reference():
            side = Side(subscript.path)
            named = [shortened(each.value, _CHARACTERS) for each in walk.places(subscript.path, place, side.ends)]
            if not named:
                miss = nearest(walk, subscript.path, side.ends)
                return 3, f"`{wording.path(subscript.path)}` names nothing: {miss}"
            return 3, f"{where} is {kind(value)}, with nothing at {', '.join(named[:_VALUES])}"
        case syntax.Call():
            call = wording.call(subscript.function, subscript.arguments)
            return 3, f"{where} is {kind(value)}, of which `{call}` gives nothing"
        case _:
            raise AssertionError("a filter is found out about")


def _no_member(name: str, where: str, value: Any) -> tuple[int, str]:
    if isinstance(value, list):
        return 4, f"{where} is {kind(value)} and has no members; write `[*]` behind it to look at each item"
    if not isinstance(value, dict):
        return 4, f"{where} is {kind(value)} and has no members"
    alike = next((each for each in value if each.lower() == name.lower()), None)
    if alike is not None:
        return 2, f"{where} has no member {_quoted(name)}, but {_quoted(alike)}: upper and lower case are different"
    return 3, f"{where} has no member {_quoted(name)}"


def _quoted(name: str) -> str:
    return f"`{name[:_CHARACTERS]}`"


def _said(walk: Walk, found: Finding, wanted: bool) -> list[str]:
    """Say why one comparison is not what is wanted of it."""
    written = f"`{wording.condition(found.condition)}`"
    if found.holds is None:
        return [f"{written} fails, because a slice with step 0 meets a list"]
    if not wanted:
        held = next((side for side in found.sides if isinstance(side.operand, syntax.Path)), None)
        return [f"{_values(held)}, wanted `not {wording.condition(found.condition)}`" if held else f"{written} holds"]
    for side in found.sides:
        if isinstance(side.operand, syntax.Path) and not side.count:
            miss = nearest(walk, side.operand, side.ends)
            return miss.sentences if miss else [f"{written} has no value"]
    if not isinstance(found.condition, syntax.Comparison):
        return [f"{written} is not true"]
    return [_differs(found, found.condition.operator)]


def _differs(found: Finding, operator: str) -> str:
    """Say that values are there on both sides, and that they do not compare as they should."""
    left, right = found.sides
    if isinstance(left.operand, syntax.Value):
        if isinstance(right.operand, syntax.Value):
            return f"`{wording.condition(found.condition)}` is never true"
        left, right, operator = right, left, EXCHANGED[operator]
    if isinstance(right.operand, syntax.Path):
        wanted = _WANTED[operator].format(_listed(right))
        return f"{_values(left)}, wanted {wanted}" + (_FIRST_ONLY if left.count > 1 else "")
    value = right.operand.value
    wanted = _WANTED[operator].format(wording.literal(value))
    return f"{_values(left)}, wanted {wanted}{_trap(found, operator, left.places[0].value, value)}"


_FIRST_ONLY = "; between two paths only the first value of the left one is compared"


def _trap(finding: Finding, operator: str, found: Any, wanted: Any) -> str:
    """Say which rule of the dialect somebody may not know who expected these to compare otherwise."""
    if operator not in ("=", "!="):
        numbers = isinstance(found, int | float) and isinstance(wanted, int | float)
        return "" if numbers else f"; `{operator}` compares numbers only"
    pair = finding.lookalike()
    if pair is None:
        return ""
    same = isinstance(pair[0], str) and isinstance(pair[1], str)
    return "; upper and lower case are different" if same else "; a text is different from what it spells"


def _values(side: Side) -> str:
    """Say what the values of a path are."""
    shown = [f"`{each.location}` is {shortened(each.value, _CHARACTERS)}" for each in side.places[:_VALUES]]
    more = side.count - len(shown)
    return ", ".join(shown) + (f", and {more} more" if more > 0 else "")


def _listed(side: Side) -> str:
    shown = [f"{shortened(each.value, _CHARACTERS)} (`{each.location}`)" for each in side.places[:_VALUES]]
    more = side.count - len(shown)
    return ", ".join(shown) + (f", or {more} more" if more > 0 else "")
