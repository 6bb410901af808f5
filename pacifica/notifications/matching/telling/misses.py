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
    """A way that ended: the subscript that found nothing, how far it was from finding something, and by what."""

    way: Way
    subscript: syntax.Subscript
    cost: int
    finding: Finding | None = None
    #: Whether the end is one of all the values at any depth below a place.
    below: bool = False

    def sentences(self, walk: Walk) -> list[str]:
        """Say why, in a sentence for each thing that would have to be otherwise."""
        place = self.way[-1]
        if self.finding is not None:
            said = [each for blamed, wanted in self.finding.to_blame() for each in _said(walk, blamed, wanted)]
            return list(dict.fromkeys(said))
        if self.below and isinstance(self.subscript, syntax.Key):
            name = _quoted(self.subscript.name)
            return [f"nothing from `{self.way[-2].location}` downwards has a member {name}"]
        return [_nothing_at(walk, self.subscript, place)]

    def told(self, walk: Walk) -> str:
        """Say why in one sentence."""
        sentences = self.sentences(walk)
        more = len(sentences) - _SENTENCES
        return "; ".join(sentences[:_SENTENCES]) + (f"; and {more} more" if more > 0 else "")


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
            finding = find_out(walk, subscript.condition, way[-1]) if isinstance(subscript, syntax.Filter) else None
            cost = _distance(subscript, way[-1].value) if finding is None else finding.cost()
            if best is None or cost < best.cost:
                best = Miss(way, subscript, cost, finding, below)
    return best


def _distance(subscript: syntax.Subscript, value: Any) -> int:
    """Tell how far a value is from having what a subscript takes: 2 if it is of the right kind, or nearly has it."""
    match subscript:
        case syntax.Key():
            if not isinstance(value, dict):
                return 4
            return 3 if _alike(subscript.name, value) is None else 2
        case syntax.Item() | syntax.Slice():
            return 2 if isinstance(value, list) else 4
        case syntax.Wildcard():
            return 2 if isinstance(value, dict | list) else 4
        case _:
            return 3


def _nothing_at(walk: Walk, subscript: syntax.Subscript, place: Place) -> str:
    """Say why a subscript that is no filter finds nothing at a place."""
    where, value = f"`{place.location}`", place.value
    match subscript:
        case syntax.Key():
            return _no_member(subscript.name, where, value)
        case syntax.Item() | syntax.Slice():
            wanted = f"`[{wording.subscript(subscript)}]`"
            if isinstance(value, list):
                return f"{where} is {kind(value)}, none at {wanted}"
            return f"{where} is {kind(value)}, and {wanted} takes items of lists only"
        case syntax.Wildcard():
            return f"{where} is {'empty' if isinstance(value, dict | list) else f'{kind(value)}, with nothing in it'}"
        case syntax.Reference():
            side = Side(subscript.path)
            named = [shortened(each.value, _CHARACTERS) for each in walk.places(subscript.path, place, side.ends)]
            if not named:
                miss = nearest(walk, subscript.path, side.ends)
                why = miss.told(walk) if miss else "it has no value"
                return f"`{wording.path(subscript.path)}` names nothing: {why}"
            return f"{where} is {kind(value)}, with nothing at {', '.join(named[:_VALUES])}"
        case syntax.Call():
            call = wording.call(subscript.function, subscript.arguments)
            return f"{where} is {kind(value)}, of which `{call}` gives nothing"
        case _:
            raise AssertionError("a filter is found out about")


def _alike(name: str, value: dict[str, Any]) -> str | None:
    """Give a member whose name differs by upper and lower case only."""
    return next((each for each in value if each.lower() == name.lower()), None)


def _no_member(name: str, where: str, value: Any) -> str:
    if isinstance(value, list):
        return f"{where} is {kind(value)} and has no members; write `[*]` behind it to look at each item"
    if not isinstance(value, dict):
        return f"{where} is {kind(value)} and has no members"
    alike = _alike(name, value)
    if alike is not None:
        return f"{where} has no member {_quoted(name)}, but {_quoted(alike)}: upper and lower case are different"
    return f"{where} has no member {_quoted(name)}"


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
            return miss.sentences(walk) if miss else [f"{written} has no value"]
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
