"""Makes functions of an expression, so that what is read once finds fast.

A path is made of hops, which lead from a value to one other value or to none (``.name``, ``[3]``, a filter,
``.length()``), and of forks, which lead to many (``*``, a slice, a union, ``..``). Forks are walked depth first and in
the order of the dialect, because two things depend on it: of a path that is compared with a path only the first value
counts, and a slice with step 0 is an error unless something was found before it. No walk recurses, however deep an
event is; only brackets in brackets do.

Who asks only whether there is anything may leave out a value from where nothing was found before. So each ``..`` that
can come by the same value again remembers where it was: otherwise ``$..*..*`` would take the square of the event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count, groupby, product
from typing import Any

from ..errors import OverBudget
from .functions import FUNCTIONS
from .subscripts import all_below, all_children, by_call, by_key, by_name, by_position, by_slice, union
from .syntax import (
    And,
    Call,
    Child,
    Comparison,
    Condition,
    Descent,
    Exists,
    Filter,
    Item,
    Key,
    Not,
    Operand,
    Or,
    Path,
    Reference,
    Slice,
    Subscript,
    Value,
    Wildcard,
    parts,
)
from .values import COMPARE, EXCHANGED, MISSING
from .walk import Fork, Hop, Route, Test, in_turn
from .work import Work

Results = Callable[[Any, Work], Iterator[Any]]


def compiled(path: Path) -> Test:
    """Give the test whether a path from ``$`` finds anything in an event."""
    return _Compiler().route(path, nested=False).finds()


class _Compiler:
    """Makes the functions of one expression, and numbers the places where something is remembered."""

    def __init__(self) -> None:
        self._places = count()

    # Paths.

    def route(self, path: Path, end: Sequence[Hop] = (), *, nested: bool = True) -> Route:
        """Make the route of a path; ``end`` is what happens to each of its results."""
        hops: list[list[Hop]] = [[]]
        forks: list[Fork] = []
        places = []
        for step in path.steps:
            if isinstance(step, Descent):
                place = next(self._places) if nested or forks else None
                if place is not None:
                    places.append(place)
                forks.append(all_below(place))
                hops.append([])
                continue
            hop, fork = self._child(step)
            if hop is not None:
                hops[-1].append(hop)
            if fork is not None:
                forks.append(fork)
                hops.append([])
        hops[-1].extend(end)
        return Route([in_turn(each) for each in hops], forks, tuple(places))

    def _finds(self, path: Path, end: Sequence[Hop] = ()) -> Test:
        """Test in a filter whether a path leads to anything, after the hops at its ``end``."""
        route = self.route(path, end)
        test = _keeping(route.finds(), route.places) if route.places else route.finds()
        return _once(test, next(self._places)) if path.anchor == "$" else test

    def _results(self, path: Path) -> Results:
        """Give all values of a path in a filter, in their order, but not each that is there twice."""
        route = self.route(path)

        def results(value: Any, work: Work) -> Iterator[Any]:
            for place in route.places:
                work.known[place].clear()
            return route.results(work.root if path.anchor == "$" else value, work)

        return results

    # Steps.

    def _child(self, step: Child) -> tuple[Hop | None, Fork | None]:
        """Make a hop of one subscript if it leads to one value, otherwise a fork."""
        # What is there twice finds nothing more; `repr` tells 1 and true apart, which are equal.
        subscripts = list({repr(each): each for each in step.subscripts}.values())
        if len(subscripts) > 1:
            return None, union([_as_fork(*self._subscript(each)) for each in subscripts])
        return self._subscript(subscripts[0])

    def _subscript(self, subscript: Subscript) -> tuple[Hop | None, Fork | None]:
        match subscript:
            case Key(name):
                return by_key([name]), None
            case Item(position):
                return by_position(position), None
            case Wildcard():
                return None, all_children
            case Slice():
                return None, by_slice(subscript)
            case Filter(condition):
                return _where(self.test(condition)), None
            case Reference(path):
                return None, self._reference(path)
            case Call(function, arguments):
                return self._call(function, arguments)

    def _reference(self, path: Path) -> Fork:
        results = self._results(path)

        def fork(value: Any, work: Work) -> Iterator[Any]:
            for name in results(value, work):
                reached = by_name(value, name)
                if reached is not MISSING:
                    yield reached

        return fork

    def _call(self, name: str, arguments: Sequence[Operand]) -> tuple[Hop | None, Fork | None]:
        function = FUNCTIONS[name]
        constants = [each.value for each in arguments if isinstance(each, Value)]
        if len(constants) == len(arguments):
            return by_call(function, constants), None
        all_results = [self._argument(each) for each in arguments]

        def fork(value: Any, work: Work) -> Iterator[Any]:
            # All arguments are looked at first, even if the function can't take them: one of them may be an error.
            for chosen in product(*[list(results(value, work)) for results in all_results]):
                reached = by_call(function, chosen)(value, work)
                if reached is not MISSING:
                    yield reached

        return None, fork

    def _argument(self, argument: Operand) -> Results:
        if isinstance(argument, Path):
            return self._results(argument)
        constant = argument.value
        return lambda value, work: iter((constant,))

    # Conditions.

    def test(self, condition: Condition) -> Test:
        """Make the test of a filter's condition."""
        match condition:
            case And(conditions):
                return _all_of([self.test(each) for each in conditions])
            case Or(conditions):
                return _any_of(list(self._choices(conditions)))
            case Not(inner):
                test = self.test(inner)
                return lambda value, work: not test(value, work)
            case Exists(Path() as path):
                return self._finds(path)
            case Exists(Value(literal)):
                return _always(bool(literal))
            case Comparison(Path() as path, operator, Value(literal)):
                return self._compared(path, operator, literal)
            case Comparison(Value(literal), operator, Path() as path):
                return self._compared(path, EXCHANGED[operator], literal)
            case Comparison(Value(left), operator, Value(right)):
                return _always(COMPARE[operator](left, right))
            case Comparison(Path() as left, operator, Path() as right):
                return self._path_with_path(left, operator, right)
        raise TypeError(condition)

    def _compared(self, path: Path, operator: str, literal: Any) -> Test:
        """Compare all values of a path with a literal."""
        if operator == "=" and path.anchor == "@" and len(path.steps) == 1:
            name = _only_key(path)
            if name is not None:
                return _member_equals(name, literal)
        compare = COMPARE[operator]
        return self._finds(path, [lambda value, work: value if compare(value, literal) else MISSING])

    def _choices(self, conditions: Sequence[Condition]) -> Iterator[Test]:
        """Make the tests of which one is enough; equalities of the same path that follow one another are one."""
        for path, group in groupby(conditions, _compared_with_text):
            members = list(group)
            if path is None or len(members) == 1:
                yield from map(self.test, members)
                continue
            texts = frozenset(_text_of(each) for each in members)
            yield self._finds(path, [_among(texts)])

    def _path_with_path(self, left: Path, operator: str, right: Path) -> Test:
        """Compare the first value of a path with all values of another, as the dialect does."""
        all_left, all_right = self._results(left), self._results(right)
        compare = COMPARE[operator]
        may_fail = any(isinstance(part, Slice) and part.step == 0 for part in parts(left))

        def test(value: Any, work: Work) -> bool:
            lefts = all_left(value, work)
            first = next(lefts, MISSING)
            if first is MISSING:
                return False
            try:
                for each in all_right(value, work):
                    work.left -= 1
                    if compare(first, each):
                        return True
            except RecursionError:
                raise OverBudget("compared values that are nested too deep") from None
            if may_fail:
                # The others are compared with nothing, but may be an error.
                for _ in lefts:
                    pass
            return False

        return test


def _keeping(test: Test, places: Sequence[int]) -> Test:
    """Keep what is known of values from where nothing was found; where something was found, that run tells nothing."""

    def keeping(value: Any, work: Work) -> bool:
        sizes = [len(work.known[place]) for place in places]
        if not test(value, work):
            return False
        for place, size in zip(places, sizes, strict=True):
            known = work.known[place]
            while len(known) > size:
                known.popitem()
        return True

    return keeping


def _once(test: Test, place: int) -> Test:
    """Test the event instead of the current value, and only once."""

    def once(value: Any, work: Work) -> bool:
        result = work.results.get(place)
        if result is None:
            result = work.results[place] = test(work.root, work)
        return result

    return once


def _as_fork(hop: Hop | None, fork: Fork | None) -> Fork:
    if fork is not None:
        return fork
    assert hop is not None

    def as_fork(value: Any, work: Work) -> Sequence[Any]:
        reached = hop(value, work)
        return () if reached is MISSING else (reached,)

    return as_fork


def _where(test: Test) -> Hop:
    return lambda value, work: value if test(value, work) else MISSING


def _always(result: bool) -> Test:
    return lambda value, work: result


def _all_of(tests: Sequence[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda value, work: first(value, work) and second(value, work)

    def all_of(value: Any, work: Work) -> bool:
        for test in tests:
            if not test(value, work):
                return False
        return True

    return all_of


def _any_of(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]

    def any_of(value: Any, work: Work) -> bool:
        for test in tests:
            if test(value, work):
                return True
        return False

    return any_of


def _member_equals(name: str, literal: Any) -> Test:
    """Test the commonest comparison without a walk."""

    def equals(value: Any, work: Work) -> bool:
        work.left -= 1
        return isinstance(value, dict) and value.get(name, MISSING) == literal

    return equals


def _only_key(path: Path) -> str | None:
    """Give the name if a path has one step that is a member."""
    match path.steps:
        case (Child((Key(name),)),):
            return name
        case _:
            return None


def _among(texts: frozenset[str]) -> Hop:
    return lambda value, work: value if isinstance(value, str) and value in texts else MISSING


def _compared_with_text(condition: Condition) -> Path | None:
    """Give the path that is tested for equality with a text."""
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
