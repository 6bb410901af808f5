"""Makes tests of the conditions of filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

from ..errors import OverBudget
from .comparisons import Wanted, against, among, member_equals
from .syntax import And, Child, Comparison, Condition, Exists, Key, Not, Or, Path, Slice, Value, parts
from .values import COMPARE, EXCHANGED, MISSING
from .walk import Hop, Test
from .work import Work

#: Gives the values of a path from a value, in their order.
Results = Callable[[Any, Work], Iterator[Any]]


class Paths(Protocol):
    """Makes the functions of paths that stand in a filter."""

    def finds(self, path: Path, end: Sequence[Hop] = ()) -> Test:
        """Make the test whether a path leads to anything, after the hops at its end."""

    def results(self, path: Path) -> Results:
        """Make what gives all values of a path."""

    def place(self) -> int:
        """Give a number for what is remembered."""


class Conditions:
    """Makes the test of a condition; ``paths`` makes those of the paths in it."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def test(self, condition: Condition) -> Test:
        """Make the test of a condition for a current value."""
        match condition:
            case And(conditions):
                return _all_of([self.test(each) for each in conditions])
            case Or(conditions):
                return _any_of(list(self._choices(conditions)))
            case Not(inner):
                test = self.test(inner)
                return lambda value, work: not test(value, work)
            case Exists(Path() as path):
                return self._paths.finds(path)
            case Exists(Value(literal)):
                return _always(bool(literal))
            case Comparison(Value(left), operator, Value(right)):
                return _always(COMPARE[operator](left, right))
            case Comparison(Path() as path, operator, Value(literal)):
                return self._with_literal(path, operator, literal)
            case Comparison(Value(literal), operator, Path() as path):
                return self._with_literal(path, EXCHANGED[operator], literal)
            case Comparison(Path() as left, operator, Path() as right):
                return self._with_path(left, operator, right)
        raise TypeError(condition)

    def _with_literal(self, path: Path, operator: str, literal: Any) -> Test:
        """Compare all values of a path."""
        match path, operator:
            case Path("@", (Child((Key(name),)),)), "=":
                return member_equals(name, literal)
        return self._paths.finds(path, [against(operator, literal)])

    def _choices(self, conditions: Sequence[Condition]) -> Iterator[Test]:
        """Make the tests of which one is enough; that one path equals one text or another is one test."""
        for path, group in groupby(conditions, _path_equal_to_a_text):
            if path is None:
                yield from map(self.test, group)
            else:
                yield self._paths.finds(path, [among(frozenset(map(_text_of, group)))])

    def _with_path(self, left: Path, operator: str, right: Path) -> Test:
        """Compare the first value of a path with all values of another, as the dialect does."""
        all_left, all_right = self._paths.results(left), self._paths.results(right)
        compare = COMPARE[operator]
        if right.anchor == "$" and not _may_fail(right):
            compare_all = _remembered(all_right, operator, self._paths.place())
        else:

            def compare_all(first: Any, value: Any, work: Work) -> bool:
                for each in all_right(value, work):
                    work.left -= 1
                    if compare(first, each):
                        return True
                return False

        may_fail = _may_fail(left)

        def test(value: Any, work: Work) -> bool:
            lefts = all_left(value, work)
            first = next(lefts, MISSING)
            if first is MISSING:
                return False
            try:
                if compare_all(first, value, work):
                    return True
            except RecursionError:
                raise OverBudget("compared values that are nested too deep") from None
            if may_fail:
                # The others are compared with nothing, but may be an error.
                for _ in lefts:
                    pass
            return False

        return test


def _remembered(results: Results, operator: str, place: int) -> Callable[[Any, Any, Work], bool]:
    """Compare with what a path gives for the event, and look for that only once."""

    def compare_all(first: Any, value: Any, work: Work) -> bool:
        wanted = work.once.get(place)
        if wanted is None:
            wanted = work.once[place] = Wanted(operator, results(value, work))
        work.spend(wanted.cost)
        return wanted.met_by(first)

    return compare_all


def _may_fail(path: Path) -> bool:
    """Tell whether there is a slice with step 0 in a path."""
    return any(isinstance(part, Slice) and part.step == 0 for part in parts(path))


def _always(result: bool) -> Test:
    return lambda value, work: result


# Loops, because `all` and `any` would make a generator for each value.


def _all_of(tests: Sequence[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda value, work: first(value, work) and second(value, work)

    def all_of(value: Any, work: Work) -> bool:
        for test in tests:  # noqa: SIM110
            if not test(value, work):
                return False
        return True

    return all_of


def _any_of(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]

    def any_of(value: Any, work: Work) -> bool:
        for test in tests:  # noqa: SIM110
            if test(value, work):
                return True
        return False

    return any_of


def _path_equal_to_a_text(condition: Condition) -> Path | None:
    match condition:
        case Comparison(Path() as path, "=", Value(str())) | Comparison(Value(str()), "=", Path() as path):
            return path
        case _:
            return None


def _text_of(condition: Condition) -> str:
    match condition:
        case Comparison(_, _, Value(str() as text)) | Comparison(Value(str() as text), _, _):
            return text
    raise TypeError(condition)
