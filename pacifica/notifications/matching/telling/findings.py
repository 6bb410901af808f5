"""What became of a condition and of each of its parts, with the values that they were about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...jsonpath import syntax
from . import wording
from .places import Place
from .walk import Observer, Walk, Way

#: Values of one side of a comparison that are kept, and ends of one walk.
_VALUES, _ENDS = 5, 1000


class Ends(Observer):
    """Keeps how many places each step came to, and the longest ways that came to an end."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.ways: list[Way] = []
        self.last: Way = ()

    def reached(self, way: Way) -> None:
        """Count."""
        if len(way) > len(self.counts):
            self.counts.append(0)
            # What ended before this was not the furthest.
            self.ways.clear()
        self.counts[len(way) - 1] += 1
        self.last = way

    def ended(self, way: Way) -> None:
        """Keep a way that ended, if none came further."""
        if len(way) == len(self.counts) and len(self.ways) < _ENDS:
            self.ways.append(way)


@dataclass(slots=True)
class Side:
    """One side of a comparison: the first places that a path leads to, how many there are, and where it ended."""

    operand: syntax.Operand
    places: list[Place] = field(default_factory=list)
    count: int = 0
    ends: Ends = field(default_factory=Ends)

    def to_hash(self) -> dict[str, Any]:
        """Give the values, and their number where these are not all."""
        shown: dict[str, Any] = {"values": [place.shown() for place in self.places]}
        return shown | ({"count": self.count} if self.count > len(self.places) else {})


@dataclass(slots=True)
class Finding:
    """A condition, whether it holds (None if it fails), and what that was found from."""

    condition: syntax.Condition
    holds: bool | None = None
    parts: list[Finding] = field(default_factory=list)
    sides: list[Side] = field(default_factory=list)

    def cost(self, wanted: bool = True) -> int:
        """Tell how far it is from what is wanted: 0 if it is that; a value that is not there is further than one."""
        if self.holds is wanted:
            return 0
        match self.condition:
            case syntax.Not():
                return self.parts[0].cost(not wanted)
            case syntax.And() | syntax.Or():
                costs = [part.cost(wanted) for part in self.parts]
                return sum(costs) if isinstance(self.condition, syntax.And) == wanted else min(costs)
            case _:
                if any(not side.count for side in self._paths()):
                    return 3
                return 1 if wanted and self.lookalike() else 2

    def to_blame(self, wanted: bool = True) -> list[tuple[Finding, bool]]:
        """Give the comparisons that would have to be otherwise, and how; of alternatives those of the nearest one."""
        if self.holds is wanted:
            return []
        match self.condition:
            case syntax.Not():
                return self.parts[0].to_blame(not wanted)
            case syntax.And() | syntax.Or():
                parts = self.parts
                if isinstance(self.condition, syntax.And) != wanted:
                    parts = [min(parts, key=lambda part: part.cost(wanted))]
                return [blamed for part in parts for blamed in part.to_blame(wanted)]
            case _:
                return [(self, wanted)]

    def lookalike(self) -> tuple[Any, Any] | None:
        """Give two values that should be equal and only look so: a text and what it spells, or another case."""
        if not isinstance(self.condition, syntax.Comparison) or self.condition.operator != "=":
            return None
        left, right = self.sides
        pairs = ((one.value, other.value) for one in left.places for other in right.places)
        return next((pair for pair in pairs if _spelt(pair[0]) == _spelt(pair[1]) != ""), None)

    def to_hash(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        found: dict[str, Any] = {"expression": wording.condition(self.condition), "holds": self.holds}
        if self.parts:
            found["parts"] = [part.to_hash() for part in self.parts]
        paths = self._paths()
        if paths:
            found |= paths[0].to_hash()
        if len(paths) > 1:
            found["compared_with"] = paths[1].to_hash()
        return found

    def _paths(self) -> list[Side]:
        return [side for side in self.sides if isinstance(side.operand, syntax.Path)]


def find_out(walk: Walk, condition: syntax.Condition, current: Place) -> Finding:
    """Evaluate a condition and each of its parts, also those that decide nothing any more."""
    found = Finding(condition)
    match condition:
        case syntax.Not():
            found.parts = [find_out(walk, condition.condition, current)]
        case syntax.And() | syntax.Or():
            found.parts = [find_out(walk, each, current) for each in condition.conditions]
        case syntax.Comparison():
            found.sides = [_side(walk, each, current) for each in (condition.left, condition.right)]
        case syntax.Exists():
            found.sides = [_side(walk, condition.operand, current)]
    try:
        found.holds = walk.holds(condition, current)
    except ValueError:
        found.holds = None
    return found


def _spelt(value: Any) -> str:
    """Give the letters of a short value that is neither a list nor an object."""
    if isinstance(value, str):
        return value.lower() if len(value) <= 1000 else ""
    return "" if isinstance(value, dict | list) else wording.literal(value).lower()


def _side(walk: Walk, operand: syntax.Operand, current: Place) -> Side:
    side = Side(operand)
    if isinstance(operand, syntax.Value):
        side.places, side.count = [Place(operand.value)], 1
        return side
    try:
        for place in walk.places(operand, current, side.ends):
            side.count += 1
            if len(side.places) < _VALUES:
                side.places.append(place)
    except ValueError:
        # A slice with step 0; whether the comparison fails by it is found out where it is evaluated.
        pass
    return side
