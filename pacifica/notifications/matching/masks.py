"""Decides conditions for many subscriptions at once, one bit of a whole number for each of them.

Subscriptions of one shape differ in their literals only. What the values of an event say about all their literals at a
place is looked up as a mask of bits: for ``=`` under the value, for ``<`` by bisection among the sorted literals. `and`
and `or` of conditions are then ``&`` and ``|`` of masks: a thousand subscriptions cost as much as a few.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, product
from typing import Any, TypeAlias

from ..errors import OverBudget
from ..jsonpath.functions import FUNCTIONS, Function
from ..jsonpath.subscripts import by_name
from ..jsonpath.syntax import (
    And,
    Call,
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
    Step,
    Subscript,
    Value,
    Wildcard,
)
from ..jsonpath.values import COMPARE, MISSING, children, sliced
from .alternatives import OneOf
from .holes import HOLE

#: A condition on a value and the event, for the subscriptions of a block: the mask of those for which it holds.
Decision: TypeAlias = "Callable[[Any, Any, Block], int]"

_BITS = bytes.maketrans(b"01", b"\0\1")
#: Up to so many literals are looked at one by one.
_FEW = 4


class Block:
    """The literals of some subscriptions of one shape; the number of each is its bit."""

    __slots__ = ("_leaves", "full", "keys", "literals", "version")

    def __init__(self, members: Iterable[tuple[Any, tuple[Any, ...]]], version: int) -> None:
        """Take keys with their literals, all of the same number, in the order of the holes."""
        pairs = list(members)
        self.keys = [key for key, _ in pairs]
        self.literals = [literals for _, literals in pairs]
        self.full = (1 << len(pairs)) - 1
        self.version = version
        self._leaves: dict[int, Callable[[Any], int]] = {}

    def leaf(self, number: int, operator: str) -> Callable[[Any], int]:
        """Give the function from a value to the mask of those whose literal at a hole it satisfies."""
        leaf = self._leaves.get(number)
        if leaf is None:
            leaf = self._leaves[number] = _leaf([literals[number] for literals in self.literals], operator)
        return leaf

    def chosen(self, mask: int) -> Iterable[Any]:
        """Give the keys of a mask."""
        if mask == self.full:
            return self.keys
        return compress(self.keys, bin(mask)[:1:-1].encode().translate(_BITS))


#: One subscription without literals: its mask is the truth value of a condition that has no holes.
TRUTH = Block([(None, ())], 0)


def _leaf(literals: list[Any], operator: str) -> Callable[[Any], int]:
    if operator in ("=", "!="):
        equal = _equalities(literals)
        if operator == "=":
            return equal
        full = (1 << len(literals)) - 1
        return lambda value: full & ~equal(value)
    if len(literals) <= _FEW:
        compare = COMPARE[operator]
        return lambda value: sum(1 << bit for bit, literal in enumerate(literals) if compare(value, literal))
    return _ranges(literals, operator)


def _equalities(literals: list[Any]) -> Callable[[Any], int]:
    """Give the mask of the literals that a value equals; a list or an object equals none that is looked up."""
    masks: dict[Any, int] = {}
    for bit, literal in enumerate(literals):
        for one in literal if isinstance(literal, OneOf) else (literal,):
            masks[one] = masks.get(one, 0) | 1 << bit

    def leaf(value: Any) -> int:
        try:
            return masks.get(value, 0)
        except TypeError:
            return 0

    return leaf


def _ranges(literals: list[Any], operator: str) -> Callable[[Any], int]:
    """Give the mask of the literals that a number is below or above; the masks of all beginnings are made once."""
    order = sorted(range(len(literals)), key=literals.__getitem__)
    limits = [literals[bit] for bit in order]
    beginnings = [0]
    for bit in order:
        beginnings.append(beginnings[-1] | 1 << bit)
    full = beginnings[-1]
    if operator in ("<", ">="):
        # value < literal: all but the literals up to and with the value; value >= literal: just these.
        find, rest = bisect_right, full if operator == "<" else 0
    else:
        find, rest = bisect_left, full if operator == "<=" else 0

    def leaf(value: Any) -> int:
        # What is no number, and the one that is not equal to itself, compares with nothing.
        if not isinstance(value, int | float) or value != value:
            return 0
        return beginnings[find(limits, value)] ^ rest

    return leaf


def condition(tree: Condition, holes: Iterator[int]) -> Decision:
    """Give a condition as a function; ``holes`` numbers the holes in the order in which they stand in the tree."""
    match tree:
        case And(parts):
            return _all([condition(part, holes) for part in parts])
        case Or(parts):
            return _any([condition(part, holes) for part in parts])
        case Not(inner):
            denied = condition(inner, holes)
            return lambda value, event, block: block.full & ~denied(value, event, block)
        case Exists(Path() as path):
            return _exists(_masked(path, holes), lambda value: True)
        case Exists(Value(constant)):
            return lambda value, event, block: block.full if constant else 0
        case Comparison(Path() as left, operator, Path() as right):
            return _of_paths(left, operator, right)
        case Comparison(Path() as left, operator, Value(literal)):
            return _with_literal(left, operator, literal, holes)
    raise TypeError(tree)


def _all(parts: list[Decision]) -> Decision:
    def conjunction(value: Any, event: Any, block: Block) -> int:
        mask = block.full
        for part in parts:
            mask &= part(value, event, block)
            if not mask:
                break
        return mask

    return conjunction


def _any(parts: list[Decision]) -> Decision:
    def disjunction(value: Any, event: Any, block: Block) -> int:
        mask, full = 0, block.full
        for part in parts:
            mask |= part(value, event, block)
            if mask == full:
                break
        return mask

    return disjunction


def _exists(walk: _MaskedWalk, test: Callable[[Any], bool]) -> Decision:
    """Decide whether a walk leads to a value that passes a test without holes."""

    def exists(value: Any, event: Any, block: Block) -> int:
        mask, full = 0, block.full
        for found, reached in walk(value, event, block):
            if test(found):
                mask |= reached
                if mask == full:
                    break
        return mask

    return exists


def _with_literal(path: Path, operator: str, literal: Any, holes: Iterator[int]) -> Decision:
    walk = _masked(path, holes)
    if literal is not HOLE.value:
        compare = COMPARE[operator]
        return _exists(walk, lambda value: compare(value, literal))
    number = next(holes)

    def compared(value: Any, event: Any, block: Block) -> int:
        mask, full, leaf = 0, block.full, block.leaf(number, operator)
        for found, reached in walk(value, event, block):
            mask |= leaf(found) & reached
            if mask == full:
                break
        return mask

    return compared


def _of_paths(left: Path, operator: str, right: Path) -> Decision:
    """Compare two paths: only the first value on the left is compared, with each on the right."""
    lefts, rights, compare = _plain_walk(left), _plain_walk(right), COMPARE[operator]

    def compared(value: Any, event: Any, block: Block) -> int:
        for first in lefts(value, event):
            found = any(compare(first, second) for second in rights(value, event))
            return block.full if found else 0
        return 0

    def guarded(value: Any, event: Any, block: Block) -> int:
        try:
            return compared(value, event, block)
        except RecursionError:
            raise OverBudget("compared values that are nested too deep") from None

    return guarded


# Walks: the values that a path leads to, in the order of the dialect.

_Walk: TypeAlias = Callable[[Any, Any], Iterable[Any]]
_MaskedWalk: TypeAlias = Callable[[Any, Any, Block], Iterable[tuple[Any, int]]]
_StepWalk: TypeAlias = Callable[[Any, Any, Block], Iterable[tuple[Any, int]]]


def walk_of(step: Step) -> Callable[[Any, Any], Iterable[Any]]:
    """Give the walk of one step that has no holes."""
    return _plain_walk(Path("@", (step,)))


def _plain_walk(path: Path) -> _Walk:
    walk = _masked(path, iter(()))
    return lambda value, event: (found for found, reached in walk(value, event, TRUTH) if reached)


def _masked(path: Path, holes: Iterator[int]) -> _MaskedWalk:
    """Give a path as a walk to values, each with the mask of those whose filters on the way let it through."""
    steps = [_step(step, holes) for step in path.steps]
    absolute = path.anchor == "$"

    def walk(value: Any, event: Any, block: Block) -> Iterable[tuple[Any, int]]:
        values: Iterable[tuple[Any, int]] = ((event if absolute else value, block.full),)
        for step in steps:
            values = _onward(step, values, event, block)
        return values

    return walk


def _onward(step: _StepWalk, values: Iterable[tuple[Any, int]], event: Any, block: Block) -> Iterator[tuple[Any, int]]:
    for value, mask in values:
        for found, reached in step(value, event, block):
            if both := mask & reached:
                yield found, both


def _step(step: Step, holes: Iterator[int]) -> _StepWalk:
    if isinstance(step, Descent):
        return lambda value, event, block: ((found, block.full) for found in _below(value))
    subscripts = [_subscript(subscript, holes) for subscript in step.subscripts]
    return subscripts[0] if len(subscripts) == 1 else _union(subscripts)


def _union(subscripts: list[_StepWalk]) -> _StepWalk:
    """Give what several subscripts give, each value once: the number of ways to it must not grow with each step."""

    def union(value: Any, event: Any, block: Block) -> Iterable[tuple[Any, int]]:
        found: dict[int, tuple[Any, int]] = {}
        for subscript in subscripts:
            for one, mask in subscript(value, event, block):
                found[id(one)] = one, mask | found.get(id(one), (one, 0))[1]
        return found.values()

    return union


def _subscript(subscript: Subscript, holes: Iterator[int]) -> _StepWalk:
    match subscript:
        case Key(name):
            return lambda value, event, block: (
                ((value[name], block.full),) if isinstance(value, dict) and name in value else ()
            )
        case Item(position):
            return lambda value, event, block: (
                ((value[position], block.full),)
                if isinstance(value, list) and -len(value) <= position < len(value)
                else ()
            )
        case Wildcard():
            return lambda value, event, block: [(found, block.full) for found in children(value)]
        case Slice(start, end, step):
            return lambda value, event, block: [(found, block.full) for found in sliced_once(value, start, end, step)]
        case Filter(tree):
            held = condition(tree, holes)
            return lambda value, event, block: ((value, held(value, event, block)),)
        case Reference(path):
            names = _plain_walk(path)
            return lambda value, event, block: [
                (found, block.full) for name in names(value, event) if (found := by_name(value, name)) is not MISSING
            ]
        case Call(name, arguments):
            return _call(FUNCTIONS[name], [_argument(argument) for argument in arguments])
    raise TypeError(subscript)


def _call(function: Function, arguments: list[_Walk]) -> _StepWalk:
    """Call a function with each choice of arguments."""

    def call(value: Any, event: Any, block: Block) -> Iterable[tuple[Any, int]]:
        for chosen in product(*(argument(value, event) for argument in arguments)):
            if (made := function(value, *chosen)) is not MISSING:
                yield made, block.full

    return call


def _argument(argument: Operand) -> _Walk:
    if isinstance(argument, Path):
        return _plain_walk(argument)
    constant = (argument.value,)
    return lambda value, event: constant


def _below(value: Any) -> Iterator[Any]:
    """Give a value and all that is below it, each before what is below itself; without recursion."""
    stack = [value]
    while stack:
        value = stack.pop()
        yield value
        stack.extend(reversed(list(children(value))))


def sliced_once(value: Any, start: int | None, end: int | None, step: int | None) -> list[Any]:
    """Give the items of a slice, each once."""
    if not isinstance(value, list):
        return []
    length = len(value)
    return [value[position] for position in {position % length: None for position in sliced(length, start, end, step)}]
