"""What several comparisons demand of one value, and whether anything can be all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ...jsonpath import syntax
from ...jsonpath.values import COMPARE, EXCHANGED
from . import wording
from .knowledge import UNKNOWN, Impossible, Something, kind_of

#: Comparisons that are named as contradicting each other.
_NAMED = 4


def against_literal(condition: syntax.Condition) -> tuple[syntax.Path, str, Any] | None:
    """Give path, operator and literal of a comparison of a path with a literal, whichever stands on the left."""
    match condition:
        case syntax.Comparison(syntax.Path() as path, operator, syntax.Value(value)):
            return path, operator, value
        case syntax.Comparison(syntax.Value(value), operator, syntax.Path() as path):
            return path, EXCHANGED[operator], value
        case _:
            return None


def is_single(path: syntax.Path) -> bool:
    """Tell whether a path has one result at most."""
    singles = syntax.Key | syntax.Item | syntax.Filter
    return all(
        isinstance(step, syntax.Child)
        and len(step.subscripts) == 1
        and (
            isinstance(step.subscripts[0], singles)
            or (isinstance(step.subscripts[0], syntax.Call) and _is_fixed(step.subscripts[0]))
        )
        for step in path.steps
    )


def _is_fixed(call: syntax.Call) -> bool:
    return all(isinstance(each, syntax.Value) for each in call.arguments)


@dataclass(slots=True)
class Demands:
    """What is demanded of the value, or the values, of one path."""

    path: syntax.Path
    there: bool = False
    missing: bool = False
    equal: list[Any] = field(default_factory=list)
    unequal: list[Any] = field(default_factory=list)
    ranges: list[tuple[str, Any]] = field(default_factory=list)
    named: list[str] = field(default_factory=list)

    def add(self, condition: syntax.Condition, negated: bool) -> None:
        """Add what a comparison with a literal, or a bare path, demands; or its contrary."""
        self.named.append(("not " if negated else "") + wording.condition(condition))
        compared = against_literal(condition)
        if compared is None:
            self.missing |= negated
            self.there |= not negated
            return
        _, operator, value = compared
        self.there |= not negated
        if not is_single(self.path):
            return
        # Negated, they demand this of a value that is there: what does not demand that it is there does not count.
        if operator in ("=", "!="):
            (self.equal if (operator == "=") != negated else self.unequal).append(value)
        elif not negated:
            self.ranges.append((operator, value))

    def check(self, known: Something) -> None:
        """Raise ``Impossible`` if no value can be all of it."""
        if not self.there:
            return
        if self.missing:
            raise Impossible(f"{self._together()} can't hold together")
        equal = self.equal if known.value is UNKNOWN else [*self.equal, known.value]
        if not (self._can_be(equal) if equal else self._has_room(known)):
            raise Impossible(self._reason(known))

    def _reason(self, known: Something) -> str:
        path = f"`{wording.path(self.path)}`"
        if len(set(self.named)) > 1:
            return (
                f"{self._together()} can't hold together: {path} is one value;"
                " write `or` between them where one is enough"
            )
        if known.value is not UNKNOWN:
            return f"{path} is always {wording.literal(known.value)}"
        return f"{self._together()} never holds: `length()` gives a whole number that is not below 0"

    def _can_be(self, values: list[Any]) -> bool:
        """Tell whether these values are one, which is in all ranges and is none of those that it must not be."""
        value = values[0]
        if any(value != each for each in values) or any(value == each for each in self.unequal):
            return False
        return all(COMPARE[operator](value, bound) for operator, bound in self.ranges)

    def _has_room(self, known: Something) -> bool:
        """Tell whether there is a number in all ranges."""
        ranges = [*self.ranges, (">=", 0)] if known.made_by == "length" and self.ranges else self.ranges
        low = [each for each in ranges if each[0].startswith(">")]
        high = [each for each in ranges if each[0].startswith("<")]
        return all(
            above < below or (above == below and one == ">=" and other == "<=")
            for one, above in low
            for other, below in high
        )

    def _together(self) -> str:
        different = list(dict.fromkeys(self.named))
        more = ", …" if len(different) > _NAMED else ""
        return " and ".join(f"`{each}`" for each in different[:_NAMED]) + more


def check_kinds(condition: syntax.Comparison, left: Something, right: Something) -> None:
    """Raise ``Impossible`` if values of these kinds never compare so."""
    written = f"`{wording.condition(condition)}` never holds"
    if condition.operator not in ("=", "!="):
        for side, known in ((condition.left, left), (condition.right, right)):
            if "a number" not in known.kinds:
                what = "is no number" if _is_literal(side) else f"is always {known.said}"
                said = f"{written}: `{condition.operator}` compares numbers only, and `{wording.operand(side)}` {what}"
                raise Impossible(said + ("; write it without quotes" if _spells_number(known.value) else ""))
    elif condition.operator == "=":
        if not left.kinds & right.kinds:
            one, other = (right, left) if _is_literal(condition.left) else (left, right)
            raise Impossible(f"{written}: on one side is always {one.said}, on the other {other.said}")
        for made, known in ((left, right.value), (right, left.value)):
            if made.made_by == "charAt" and isinstance(known, str) and len(known) != 1:
                raise Impossible(f"{written}: `charAt()` gives a single character; `substring()` gives several")
            if made.made_by == "length" and known is not UNKNOWN and not _is_length(known):
                raise Impossible(f"{written}: `length()` gives a whole number that is not below 0")


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and value >= 0 and (isinstance(value, int) or value.is_integer())


def _spells_number(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value))


def _is_literal(operand: syntax.Operand) -> bool:
    return isinstance(operand, syntax.Value)


def literal(value: Any, current: Something) -> Something:
    """Give what is known of a literal."""
    return current.of(frozenset((kind_of(value),)), value)
