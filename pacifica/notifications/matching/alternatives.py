"""Rewrites an expression into alternatives without ``or``: an event matches if any one of them does.

That is sound because only existence counts: ``P[?(A or B)]Q`` has a result exactly if ``P[?(A)]Q`` or ``P[?(B)]Q`` has
one, and so it is with the members of a union. Each alternative is then brought into one form:

    conditions on the event  →  a walk to many items  →  conditions on one of the items

``$[?(@.a = 1)].data[*][?(@.b = 2)].c`` has the condition ``@.a = 1`` on the event, walks to the items of ``data``, and
asks of an item ``@.b = 2`` and ``@.c``. What comes behind a second walk is a condition on the item too: that the path
from there has a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, TypeAlias

from ..jsonpath.syntax import (
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
    Step,
    Subscript,
    Value,
    Wildcard,
)
from ..jsonpath.values import COMPARE, EXCHANGED

#: Alternatives that one expression may become; beyond, an `or` is left as it is and tried as a whole.
MOST = 16
#: Steps to many values that may follow a `..`: each of them visits every value of the event once more.
_MOST_BELOW = 3

TRUE, FALSE = Exists(Value(True)), Exists(Value(False))

#: The way to a single value: members and items.
Way: TypeAlias = tuple[Key | Item, ...]
#: A step to many values: `..` stands for the value and all below it, `..*` for all below it alone.
Walk: TypeAlias = Child | tuple[Descent, ...] | None
SELF_AND_BELOW: tuple[Descent, ...] = (Descent(),)
BELOW: tuple[Descent, ...] = (Descent(), Descent())
EACH = Child((Wildcard(),))


class OneOf(tuple[object, ...]):
    """Literals of which a value has to equal one: ``@.a = 1 or @.a = 2``."""


class NotIndexable(Exception):
    """An expression has to be tried by itself; the text says why."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Conditions on the event; how to get to the items (None: the event is the only one); conditions on an item."""

    event: tuple[Condition, ...]
    way: Way
    walk: Walk
    item: tuple[Condition, ...]


def alternatives(path: Path) -> list[Alternative]:
    """Give the alternatives of an expression; none for one that never matches.

    Raises ``NotIndexable`` for what only the single expression can decide, or at a bounded cost only.
    """
    _check(path.steps, 0, 0, within=False)
    found: dict[str, Alternative] = {}
    for line in _lines(path.steps, MOST):
        for alternative in _arranged(line):
            found.setdefault(repr(alternative), alternative)
    return list(found.values())


# A line is a path without branches: each step one subscript, each filter a conjunction.
_Part: TypeAlias = Subscript | Child | Descent | tuple[Condition, ...]


def _lines(steps: Iterable[Step], most: int) -> list[tuple[_Part, ...]]:
    """Give the lines of a path: for each union one of its members, for each filter one of its conjunctions."""
    choices: list[list[tuple[_Part, ...]]]
    choices = [[(step,)] if isinstance(step, Descent) else list(_members(step)) for step in steps]
    whole = [[_whole(step)] for step in steps]
    _keep_few(choices, whole, most)
    return [tuple(part for parts in line for part in parts) for line in product(*choices)]


def _members(step: Child) -> Iterator[tuple[_Part, ...]]:
    for subscript in step.subscripts:
        if isinstance(subscript, Filter):
            for conjunction in _conjunctions(plain(subscript.condition)):
                yield (conjunction,)
        else:
            yield (_plain_subscript(subscript),)


def _whole(step: Step) -> tuple[_Part, ...]:
    """Give a step without branching it."""
    if isinstance(step, Child) and len(step.subscripts) == 1 and isinstance(step.subscripts[0], Filter):
        return ((plain(step.subscripts[0].condition),),)
    return (_plain_step(step),)


def _keep_few(choices: list[list[tuple[_Part, ...]]], whole: list[list[tuple[_Part, ...]]], most: int) -> None:
    """Leave unbranched what has the most branches until there are few enough."""
    while _count(choices) > most:
        widest = max(range(len(choices)), key=lambda position: len(choices[position]))
        choices[widest] = whole[widest]


def _count(choices: Iterable[list[tuple[_Part, ...]]]) -> int:
    count = 1
    for choice in choices:
        count *= len(choice)
    return count


def _conjunctions(condition: Condition) -> list[tuple[Condition, ...]]:
    """Give the disjunctive normal form of a plain condition; parts that would make too much of it stay whole."""
    if condition == FALSE and repr(condition) == repr(FALSE):
        return []
    if isinstance(condition, Or):
        found = [conjunction for part in condition.conditions for conjunction in _conjunctions(part)]
        return found if len(found) <= MOST else [(condition,)]
    if isinstance(condition, And):
        choices = [[(part,) for part in _conjunctions(part)] for part in condition.conditions]
        whole: list[list[tuple[_Part, ...]]] = [[((part,),)] for part in condition.conditions]
        _keep_few(choices, whole, MOST)  # type: ignore[arg-type]
        return [tuple(atom for (atoms,) in line for atom in atoms) for line in product(*choices)]
    return [()] if _same(condition, TRUE) else [(condition,)]


def _same(one: object, other: object) -> bool:
    """Tell whether two pieces are the same text too: `1`, `1.0` and `true` are equal values."""
    return repr(one) == repr(other)


# Plain conditions: `not` stands before comparisons and paths only, literals stand on the right, what is constant
# is gone, and equalities of one path with several literals are one.


def plain(condition: Condition) -> Condition:
    """Give an equal condition in plain form."""
    match condition:
        case Not(inner):
            return _denied(plain(inner))
        case And(parts):
            return _joined(And, [plain(part) for part in parts])
        case Or(parts):
            return _joined(Or, [plain(part) for part in parts])
        case Exists(Value(value)):
            return TRUE if value else FALSE
        case Exists(Path(_, ())):
            return TRUE
        case Exists(Path() as path):
            return Exists(_plain_path(path))
        case Comparison(left, operator, right):
            return _plain_comparison(left, operator, right)
    raise TypeError(condition)


def _plain_comparison(left: Operand, operator: str, right: Operand) -> Condition:
    if isinstance(left, Value):
        if isinstance(right, Value):
            return TRUE if COMPARE[operator](left.value, right.value) else FALSE
        left, operator, right = right, EXCHANGED[operator], left
    if isinstance(right, Path):
        return Comparison(_plain_path(left), operator, _plain_path(right))  # type: ignore[arg-type]
    if operator not in ("=", "!=") and not isinstance(right.value, int | float):
        return FALSE
    return Comparison(_plain_path(left), operator, right)  # type: ignore[arg-type]


def _plain_path(path: Path) -> Path:
    return Path(path.anchor, tuple(_plain_step(step) for step in path.steps))


def _plain_step(step: Step) -> Step:
    if isinstance(step, Descent):
        return step
    return Child(tuple(map(_plain_subscript, step.subscripts)))


def _plain_subscript(subscript: Subscript) -> Subscript:
    match subscript:
        case Filter(condition):
            return Filter(plain(condition))
        case Reference(path):
            return Reference(_plain_path(path))
        case Call(function, arguments):
            paths = (_plain_path(each) if isinstance(each, Path) else each for each in arguments)
            return Call(function, tuple(paths))
    return subscript


def _denied(condition: Condition) -> Condition:
    """Give the opposite of a plain condition, by the laws of De Morgan."""
    match condition:
        case And(parts):
            return _joined(Or, [_denied(part) for part in parts])
        case Or(parts):
            return _joined(And, [_denied(part) for part in parts])
        case Not(inner):
            return inner
        case Comparison(path, "=", Value(OneOf() as values)):
            return And(tuple(Not(Comparison(path, "=", Value(value))) for value in values))
    if _same(condition, TRUE) or _same(condition, FALSE):
        return FALSE if _same(condition, TRUE) else TRUE
    return Not(condition)


def _joined(kind: type[And | Or], parts: list[Condition]) -> Condition:
    """Join plain conditions, flat and without constants."""
    nothing, all_of_it = (TRUE, FALSE) if kind is And else (FALSE, TRUE)
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.conditions if isinstance(part, kind) else [part])
    if any(_same(part, all_of_it) for part in flat):
        return all_of_it
    flat = [part for part in flat if not _same(part, nothing)]
    if kind is Or:
        flat = _gathered(flat)
    if len(flat) > 1:
        return kind(tuple(flat))
    return flat[0] if flat else nothing


def _gathered(parts: list[Condition]) -> list[Condition]:
    """Make one condition of all equalities of the same path with scalars."""
    others: list[Condition] = []
    wanted: dict[str, tuple[Path, list[object]]] = {}
    for part in parts:
        match part:
            case Comparison(Path() as path, "=", Value(value)) if isinstance(value, OneOf) or is_scalar(value):
                values = wanted.setdefault(repr(path), (path, []))[1]
                values.extend(value if isinstance(value, OneOf) else [value])
            case _:
                others.append(part)
    gathered: list[Condition] = []
    for path, values in wanted.values():
        literal = Value(values[0] if len(values) == 1 else OneOf(values))
        gathered.append(Comparison(path, "=", literal))
    return gathered + others


def is_scalar(value: object) -> bool:
    """Tell whether a literal can be looked up."""
    return not isinstance(value, list | dict)


# The one form of all alternatives.


def _arranged(line: tuple[_Part, ...]) -> Iterator[Alternative]:
    """Arrange a line; one that never leaves the event may have to be branched once more on the way."""
    conditions, way, walk, rest = _until_many(line)
    if walk is None:
        yield from _promoted(_needed(conditions, way))
        return
    item, onward, again, rest = _until_many(rest)
    if again is not None:
        item.append(Exists(Path("@", (*steps_of(onward), *_steps_of_walk(again), *_steps_of_line(rest)))))
    else:
        item = _needed(item, onward)
    yield Alternative(tuple(_at_event(conditions)), way, walk, tuple(_without_repeats(item)))


def _until_many(line: tuple[_Part, ...]) -> tuple[list[Condition], Way, Walk, tuple[_Part, ...]]:
    """Follow a line as long as it leads to a single value; give conditions, way, the first walk and what is left."""
    conditions: list[Condition] = []
    way: Way = ()
    for position, part in enumerate(line):
        match part:
            case Key() | Item():
                way = (*way, part)
            case tuple():
                conditions = _needed(conditions, way)
                conditions.extend(based(condition, "@", way) for condition in part)
            case Descent():
                rest = line[position + 1 :]
                if isinstance(rest[0], Wildcard):
                    return conditions, way, BELOW, rest[1:]
                return conditions, way, SELF_AND_BELOW, rest
            case Child():
                return conditions, way, part, line[position + 1 :]
            case _:
                return conditions, way, Child((part,)), line[position + 1 :]
    return conditions, way, None, ()


def _needed(conditions: list[Condition], way: Way) -> list[Condition]:
    """Add that there is something at the end of a way."""
    return [*conditions, Exists(Path("@", steps_of(way)))] if way else conditions


def _promoted(conditions: list[Condition]) -> Iterator[Alternative]:
    """Arrange conditions on the event alone: one that looks into many items becomes the walk to these items.

    ``$[?(@.data[*][?(@.k = 1)])]`` is then the same as ``$.data[*][?(@.k = 1)]``.
    """
    conditions = _at_event(conditions)
    lines = {position: line for position, c in enumerate(conditions) if (line := _line_of(c)) is not None}
    if not lines:
        yield Alternative((), (), None, tuple(conditions))
        return
    chosen = max(lines, key=lambda position: repr(lines[position]).count("Value("))
    others = tuple(condition for position, condition in enumerate(conditions) if position != chosen)
    steps, end = lines[chosen]
    for parts in _lines(steps, MOST):
        yield from _arranged((others, *parts, end))


def _line_of(condition: Condition) -> tuple[tuple[Step, ...], tuple[Condition, ...]] | None:
    """Give a condition as steps from the event to many values and a condition on one of these."""
    match condition:
        case Exists(Path("@", steps) as path) if way_of(path) is None:
            return steps, ()
        case Comparison(Path("@", steps) as path, operator, Value() as literal) if way_of(path) is None:
            return steps, (Comparison(Path("@", ()), operator, literal),)
    return None


def way_of(path: Operand) -> Way | None:
    """Give a path as the way to a single value, None if it may lead to several."""
    if not isinstance(path, Path):
        return None
    way: list[Key | Item] = []
    for step in path.steps:
        if isinstance(step, Descent) or len(step.subscripts) != 1:
            return None
        subscript = step.subscripts[0]
        if not isinstance(subscript, Key | Item):
            return None
        way.append(subscript)
    return tuple(way)


def steps_of(way: Way) -> tuple[Step, ...]:
    """Give a way as the steps of a path."""
    return tuple(Child((part,)) for part in way)


def _steps_of_walk(walk: Walk) -> tuple[Step, ...]:
    if walk is SELF_AND_BELOW:
        return (Descent(),)
    if walk is BELOW:
        return (Descent(), EACH)
    return () if walk is None else (walk,)  # type: ignore[return-value]


def _steps_of_line(line: tuple[_Part, ...]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for part in line:
        match part:
            case Descent() | Child():
                steps.append(part)
            case tuple():
                steps.append(Child((Filter(_joined(And, list(part))),)))
            case _:
                steps.append(Child((part,)))
    return tuple(steps)


def based(condition: Condition, anchor: Literal["$", "@"], way: Way = ()) -> Condition:
    """Say a condition on the end of a way as one on its beginning, which ``anchor`` stands for."""
    beginning = steps_of(way)

    def operand(path: Operand) -> Operand:
        if isinstance(path, Path) and path.anchor == "@":
            return Path(anchor, beginning + path.steps)
        return path

    return _with_operands(condition, operand)


def _at_event(conditions: Iterable[Condition]) -> list[Condition]:
    """Say `@` for the event where it is the current value."""

    def operand(path: Operand) -> Operand:
        return Path("@", path.steps) if isinstance(path, Path) else path

    return list(_without_repeats([_with_operands(condition, operand) for condition in conditions]))


def _with_operands(condition: Condition, operand: Callable[[Operand], Operand]) -> Condition:
    """Give a condition with other operands; those inside the filters of its paths stay."""
    match condition:
        case Comparison(left, operator, right):
            return Comparison(operand(left), operator, operand(right))
        case Exists(path):
            return Exists(operand(path))
        case Not(inner):
            return Not(_with_operands(inner, operand))
        case And(parts) | Or(parts):
            return replace(condition, conditions=tuple(_with_operands(part, operand) for part in parts))
    raise TypeError(condition)


def at_once(alternative: Alternative) -> Alternative:
    """Give an alternative that does not walk: what is asked of an item is part of one condition on the event."""
    there = (*steps_of(alternative.way), *_steps_of_walk(alternative.walk))
    item = _joined(And, list(alternative.item))
    found = Exists(Path("@", (*there, Child((Filter(item),)))))
    return Alternative((), (), None, (*alternative.event, found))


def _without_repeats(conditions: list[Condition]) -> Iterator[Condition]:
    """Leave out that a way leads somewhere where another condition needs it anyway."""
    needed: set[Way] = set()
    for condition in conditions:
        if isinstance(condition, Comparison):
            needed.update(_beginnings(condition.left, whole=True))
            needed.update(_beginnings(condition.right, whole=True))
        elif isinstance(condition, Exists):
            needed.update(_beginnings(condition.operand, whole=False))
    seen: set[Way] = set()
    for condition in conditions:
        way = way_of(condition.operand) if isinstance(condition, Exists) else None
        if way is None or not isinstance(condition, Exists) or condition.operand.anchor != "@":  # type: ignore[union-attr]
            yield condition
        elif way not in needed and way not in seen:
            seen.add(way)
            yield condition


def _beginnings(path: Operand, *, whole: bool) -> Iterator[Way]:
    """Give the ways that lead somewhere if a path does."""
    if isinstance(path, Path) and path.anchor == "@":
        way = single_beginning(path)
        last = len(way) + (whole or len(way) < len(path.steps))
        for length in range(1, last):
            yield way[:length]


def single_beginning(path: Path) -> Way:
    """Give the part of a path that leads to a single value."""
    way: list[Key | Item] = []
    for step in path.steps:
        if isinstance(step, Descent) or len(step.subscripts) != 1 or not isinstance(step.subscripts[0], Key | Item):
            break
        way.append(step.subscripts[0])
    return tuple(way)


# What only the single expression, which counts its work, may try.


def _check(steps: tuple[Step, ...], descents: int, below: int, *, within: bool) -> None:
    """Refuse what fails at match time or whose cost could grow faster than the event."""
    many = within
    for step in steps:
        if isinstance(step, Descent):
            descents, many = descents + 1, True
            if descents > 1:
                raise NotIndexable("has one '..' below another")
            continue
        for subscript in step.subscripts:
            if isinstance(subscript, Slice) and subscript.step == 0:
                raise NotIndexable("has a slice with step 0, which fails on lists")
            if isinstance(subscript, Reference):
                _check_operand(subscript.path, descents, below, within=many)
            if isinstance(subscript, Call):
                if sum(isinstance(argument, Path) and way_of(argument) is None for argument in subscript.arguments) > 1:
                    raise NotIndexable("calls a function with each of many values and each of many others")
                for argument in subscript.arguments:
                    _check_operand(argument, descents, below, within=many)
            if isinstance(subscript, Filter):
                _check_condition(subscript.condition, descents, below, within=many)
        if len(step.subscripts) > 1 or not isinstance(step.subscripts[0], Key | Item | Filter):
            many = True
            below += descents
            if below > _MOST_BELOW:
                raise NotIndexable("walks again and again below '..'")


def _check_condition(condition: Condition, descents: int, below: int, *, within: bool) -> None:
    match condition:
        case Comparison(left, _, right):
            _check_operand(left, descents, below, within=within)
            _check_operand(right, descents, below, within=within)
        case Exists(operand):
            _check_operand(operand, descents, below, within=within)
        case Not(inner):
            _check_condition(inner, descents, below, within=within)
        case And(parts) | Or(parts):
            for part in parts:
                _check_condition(part, descents, below, within=within)


def _check_operand(operand: Operand, descents: int, below: int, *, within: bool) -> None:
    if not isinstance(operand, Path):
        return
    if operand.anchor == "$":
        if within and way_of(operand) is None:
            raise NotIndexable("looks from each of many values at many values of the event")
        descents, below = 0, 0
    _check(operand.steps, descents, below, within=within)
