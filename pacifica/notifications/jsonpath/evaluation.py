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

from collections.abc import Iterator, Sequence
from itertools import count, product
from typing import Any

from .conditions import Conditions, Results
from .functions import FUNCTIONS
from .subscripts import all_below, all_children, by_call, by_key, by_name, by_position, by_slice, union, weight
from .syntax import Call, Child, Descent, Filter, Item, Key, Operand, Path, Reference, Slice, Subscript, Value, Wildcard
from .values import MISSING
from .walk import Fork, Hop, Route, Test, in_turn
from .work import Work


def compiled(path: Path) -> Test:
    """Give the test whether a path from ``$`` finds anything in an event."""
    return _Paths().route(path, nested=False).finds()


class _Paths:
    """Makes the functions of one expression, and numbers the places where something is remembered."""

    def __init__(self) -> None:
        self._places = count()
        self._conditions = Conditions(self)

    def place(self) -> int:
        """Give the next number."""
        return next(self._places)

    def route(self, path: Path, end: Sequence[Hop] = (), *, nested: bool = True) -> Route:
        """Make the route of a path; ``end`` is what happens to each of its results."""
        hops: list[list[Hop]] = [[]]
        forks: list[Fork] = []
        places = []
        for step in path.steps:
            if isinstance(step, Descent):
                place = self.place() if nested or forks else None
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

    def finds(self, path: Path, end: Sequence[Hop] = ()) -> Test:
        """Test in a filter whether a path leads to anything, after the hops at its ``end``."""
        route = self.route(path, end)
        test = _keeping(route.finds(), route.places) if route.places else route.finds()
        return _once(test, self.place()) if path.anchor == "$" else test

    def results(self, path: Path) -> Results:
        """Give all values of a path in a filter, in their order, but not each that is there twice."""
        route = self.route(path)

        def results(value: Any, work: Work) -> Iterator[Any]:
            for place in route.places:
                work.memory(place).clear()
            return route.results(work.root if path.anchor == "$" else value, work)

        return results

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
                return by_key(name), None
            case Item(position):
                return by_position(position), None
            case Wildcard():
                return None, all_children
            case Slice():
                return None, by_slice(subscript)
            case Filter(condition):
                return _where(self._conditions.test(condition)), None
            case Reference(path):
                return None, self._reference(path)
            case Call(function, arguments):
                return self._call(function, arguments)

    def _reference(self, path: Path) -> Fork:
        results = self.results(path)

        def fork(value: Any, work: Work) -> Iterator[Any]:
            for name in results(value, work):
                work.left -= 1
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
            work.left -= 3
            # All arguments are looked at first, even if the function can't take them: one of them may be an error.
            for chosen in product(*[list(results(value, work)) for results in all_results]):
                reached = function(value, *chosen)
                work.spend(3 + weight(reached))
                if reached is not MISSING:
                    yield reached

        return None, fork

    def _argument(self, argument: Operand) -> Results:
        if isinstance(argument, Path):
            return self.results(argument)
        constant = argument.value
        return lambda value, work: iter((constant,))


def _keeping(test: Test, places: Sequence[int]) -> Test:
    """Keep what is known of values from where nothing was found; where something was found, that run tells nothing."""

    def keeping(value: Any, work: Work) -> bool:
        sizes = [len(work.memory(place)) for place in places]
        if not test(value, work):
            return False
        for place, size in zip(places, sizes, strict=True):
            known = work.memory(place)
            while len(known) > size:
                known.popitem()
        return True

    return keeping


def _once(test: Test, place: int) -> Test:
    """Test the event instead of the current value, and only once."""

    def once(value: Any, work: Work) -> bool:
        known: bool | None = work.once.get(place)
        if known is None:
            known = work.once[place] = test(work.root, work)
        return known

    return once


def _where(test: Test) -> Hop:
    def hop(value: Any, work: Work) -> Any:
        work.left -= 1
        return value if test(value, work) else MISSING

    return hop


def _as_fork(hop: Hop | None, fork: Fork | None) -> Fork:
    if hop is None:
        return fork or (lambda value, work: ())

    def as_fork(value: Any, work: Work) -> Sequence[Any]:
        reached = hop(value, work)
        return () if reached is MISSING else (reached,)

    return as_fork
