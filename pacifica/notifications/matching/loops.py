"""Walks to items once for all shapes that ask something of them, and hands each item to those few that may want it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from ..jsonpath.syntax import Child, Key, Slice
from ..jsonpath.values import COMPARE
from .alternatives import BELOW, EACH, SELF_AND_BELOW, Walk, Way
from .masks import sliced_once, walk_of
from .run import Run
from .source import compiled, followed, indented, looked_up

AnyGuard = TypeVar("AnyGuard", "Guard", "LimitGuard")

#: So many guards are asked one after the other; beyond, an item's own members say which guards to ask.
_UNROLLED = 8


class Collects(Protocol):
    """Whatever is handed items."""

    def collect(self, item: Any, run: Run, /) -> None:
        """Look at an item, and note in the run what was found."""


class Several:
    """Collectors that want the same items."""

    __slots__ = ("collectors",)

    def __init__(self, collectors: Iterable[Any]) -> None:
        """Take them."""
        self.collectors = tuple(collectors)

    def collect(self, item: Any, run: Run) -> None:
        """Hand an item to all of them."""
        for collector in self.collectors:
            collector.collect(item, run)


def _size(group: Any) -> int:
    """Count the collectors of a group."""
    return len(group.collectors) if group.__class__ is Several else group is not None


def holds(group: Any, collector: Any) -> bool:
    """Tell whether a collector is in a group."""
    return group is collector or (group.__class__ is Several and collector in group.collectors)


def _with(group: Any, collector: Any) -> Any:
    """Give a group of collectors (one, ``Several`` or None) and one more."""
    if group is None:
        return collector
    return Several([*(group.collectors if group.__class__ is Several else (group,)), collector])


def _without(group: Any, collector: Any) -> Any:
    """Give a group without one of its collectors, None if that was the last."""
    if group.__class__ is not Several:
        return None if group is collector else group
    left = [other for other in group.collectors if other is not collector]
    return left[0] if len(left) == 1 else Several(left)


class Field:
    """Reads what is at the end of a way; None where there is nothing."""

    __slots__ = ("first", "only", "read", "way")

    def __init__(self, way: Way) -> None:
        """Take the way."""
        self.way = way
        #: The member that it begins with, if it begins with one, and whether that is all of it.
        self.first = way[0].name if way and isinstance(way[0], Key) else None
        self.only = len(way) == 1
        self.read = _reader(way)


@lru_cache(1024)
def _reader(way: Way) -> Callable[[Any], Any]:
    lines = ["def read(item):", *indented(looked_up(way, "item", "item")), "    return item"]
    return compiled(lines, "read", {})


class Guard(Field):
    """The values that shapes want at the end of one way, and for each value the collectors that want it."""

    __slots__ = ("values",)

    def __init__(self, way: Way) -> None:
        """Start without values."""
        super().__init__(way)
        self.values: dict[Any, Any] = {}

    def want(self, value: Any, collector: Collects) -> bool:
        """Hand items that have a value to a collector; tell whether it was not handed these before."""
        group = self.values.get(value)
        if group is None:
            self.values[value] = collector
        elif holds(group, collector):
            return False
        else:
            self.values[value] = _with(group, collector)
        return True

    def collect(self, item: Any, run: Run) -> None:
        """Hand an item to the collectors that want the value it has."""
        try:
            group = self.values.get(self.read(item))
        except TypeError:
            return
        if group is not None:
            group.collect(item, run)


class LimitGuard(Field):
    """The loosest of all limits for one number: an item that does not pass it passes none.

    It gets looser with each limit that comes, and not tighter when one goes: it may let through too much for a while.
    """

    __slots__ = ("group", "loosest", "operator", "passes")

    def __init__(self, way: Way, operator: str, loosest: Any) -> None:
        """Start with one limit."""
        super().__init__(way)
        self.operator, self.loosest, self.passes = operator, loosest, COMPARE[operator]
        self.group: Any = None

    def collect(self, item: Any, run: Run) -> None:
        """Hand an item to the collectors if its number passes."""
        if self.passes(self.read(item), self.loosest):
            self.group.collect(item, run)


class Loop:
    """All shapes that ask something of the items at the end of one walk.

    The writer changes the guards, then the version; a reader that meets another version than that of the code it has
    writes the code anew. Guards are asked for a value that the item has at a way; shapes that equal nothing stand under
    a member that the item must have, and if there is none, get every item.
    """

    __slots__ = ("_code", "always", "crowds", "guards", "key", "limits", "present", "shapes", "version", "walk", "way")

    def __init__(self, way: Way, walk: Walk, key: str = "") -> None:
        """Start without shapes."""
        self.way, self.walk, self.key = way, walk, key
        self.guards: dict[Way, Guard] = {}
        #: How many collectors stand behind each guard.
        self.crowds: dict[Way, int] = {}
        self.limits: dict[tuple[Way, str], LimitGuard] = {}
        self.present: dict[str, Any] = {}
        self.always: Any = None
        self.shapes = 0
        self.version = 0
        self._code: tuple[int, Callable[[Any, Run], None]] | None = None

    @property
    def first_key(self) -> str | None:
        """The member that an event must have for this loop to find items; None if it finds some without."""
        return self.way[0].name if self.way and isinstance(self.way[0], Key) else None

    def crowd(self, stand: Way | str) -> int:
        """Count the groups of collectors that stand behind a guard or a member."""
        if isinstance(stand, str):
            return _size(self.present.get(stand))
        return self.crowds.get(stand, 0)

    def guard(self, way: Way) -> Guard:
        """Give the guard for the values at the end of a way; it is the loop's for as long as it has values."""
        guard = self.guards.get(way)
        if guard is None:
            guard = self.guards[way] = Guard(way)
            self.version += 1
        return guard

    def unwant(self, way: Way, value: Any, collector: Collects) -> None:
        """Take back what ``want`` of a guard did."""
        guard = self.guards[way]
        group = _without(guard.values[value], collector)
        if group is not None:
            guard.values[value] = group
            return
        del guard.values[value]
        if not guard.values:
            del self.guards[way]
            self.crowds.pop(way, None)
            self.version += 1

    def loosen(self, way: Way, operator: str, limit: Any, collector: Collects) -> None:
        """Hand items that have a number which passes a limit to a collector."""
        guard = self.limits.get((way, operator))
        if guard is None:
            guard = self.limits[way, operator] = LimitGuard(way, operator, limit)
            self.version += 1
        if limit < guard.loosest if operator[0] == ">" else limit > guard.loosest:
            guard.loosest = limit
        if not holds(guard.group, collector):
            guard.group = _with(guard.group, collector)

    def unlimit(self, way: Way, operator: str, collector: Collects) -> None:
        """Hand a collector nothing more for its limits."""
        guard = self.limits[way, operator]
        group = _without(guard.group, collector)
        if group is None:
            del self.limits[way, operator]
            self.version += 1
        else:
            guard.group = group

    def need(self, key: str | None, collector: Collects) -> None:
        """Hand items that have a member to a collector; None: all items."""
        if key is None:
            self.always = _with(self.always, collector)
        else:
            self.present[key] = _with(self.present.get(key), collector)
        self.version += 1

    def unneed(self, key: str | None, collector: Collects) -> None:
        """Take back what ``need`` did."""
        if key is None:
            self.always = _without(self.always, collector)
        else:
            group = _without(self.present[key], collector)
            if group is None:
                del self.present[key]
            else:
                self.present[key] = group
        self.version += 1

    def run(self, run: Run) -> None:
        """Walk to the items of an event and hand them on."""
        code = self._code
        if code is None or code[0] != self.version:
            version = self.version
            code = self._code = version, self._compiled()
        code[1](run.event, run)

    def _compiled(self) -> Callable[[Any, Run], None]:
        lines, names = self.source()
        return compiled(lines, "loop", names)

    def source(self) -> tuple[list[str], dict[str, Any]]:
        """Give the source of the loop, and what its free names mean."""
        guards, limits = list(self.guards.values()), list(self.limits.values())
        present, always = list(self.present.items()), self.always
        names: dict[str, Any] = {}
        by_member: dict[str, Any] = {}
        body = _asked_one_by_one(_few(guards, by_member), names)
        body += _asked_by_limit(_few(limits, by_member), names)
        for key, group in present:
            by_member[key] = _with(by_member.get(key), group)
        body += _asked_by_members(by_member, names)
        rest: list[str] = []
        for position, guard in enumerate(guard for guard in (*guards, *limits) if not _of_objects(guard)):
            names[f"other_{position}"] = guard
            rest.append(f"other_{position}.collect(item, run)")
        if always is not None:
            names["always"] = always
            rest.append("always.collect(item, run)")
        start = ["def loop(event, run):", *indented(followed(self.way, "event", "base"))]
        if self.way:
            start.append("    if base is MISSING: return")
        return start + indented(_walked(self.walk, body, rest, names)), names


def _asked_one_by_one(guards: list[Guard], names: dict[str, Any]) -> list[str]:
    """Give lines that ask each guard for an object."""
    lines: list[str] = []
    for position, guard in enumerate(guards):
        names[f"wanted_{position}"] = guard.values.get
        value = _value_at(guard.way, lines)
        lines += [
            "try:",
            f"    group = wanted_{position}({value})",
            "except TypeError:",
            "    group = None",
            "if group is not None:",
            "    group.collect(item, run)",
        ]
    return lines


def _few(guards: list[AnyGuard], by_member: dict[str, Any]) -> list[AnyGuard]:
    """Give the guards that are asked of every object; if they are many, put them under the members they ask for."""
    guards = [guard for guard in guards if _of_objects(guard)]
    if len(guards) <= _UNROLLED:
        return guards
    for guard in guards:
        key = guard.way[0].name  # type: ignore[union-attr]
        by_member[key] = _with(by_member.get(key), guard)
    return []


def _of_objects(guard: Field) -> bool:
    """Tell whether a guard asks for a member of the item."""
    return bool(guard.way) and isinstance(guard.way[0], Key)


def _value_at(way: Way, lines: list[str]) -> str:
    """Give an expression for what is at the end of a way from an object; it may need lines before it."""
    first, *others = way
    value = f"item.get({str(first.name)!a})"  # type: ignore[union-attr]
    if not others:
        return value
    lines += [f"value = {value}", *looked_up(tuple(others), "value", "value")]
    return "value"


def _asked_by_limit(guards: list[LimitGuard], names: dict[str, Any]) -> list[str]:
    """Give lines that hand on an object whose number passes the loosest limit."""
    lines: list[str] = []
    for position, guard in enumerate(guards):
        limit = f"limit_{position}"
        names |= {limit: guard, "numeric": (int, float)}
        lines += [
            f"value = {_value_at(guard.way, lines)}",
            f"if isinstance(value, numeric) and value {guard.operator} {limit}.loosest:",
            f"    {limit}.group.collect(item, run)",
        ]
    return lines


def _asked_by_members(by_member: dict[str, Any], names: dict[str, Any]) -> list[str]:
    """Give lines that ask those that an object's own members name: their number may be in the thousands."""
    if not by_member:
        return []
    if len(by_member) == 1:
        ((key, names["only"]),) = by_member.items()
        return [f"if {str(key)!a} in item: only.collect(item, run)"]
    names["by_member"] = by_member.get
    names["no_member"] = frozenset(by_member).isdisjoint
    return [
        "if not no_member(item):",
        "    for key in item:",
        "        group = by_member(key)",
        "        if group is not None:",
        "            group.collect(item, run)",
    ]


def _walked(walk: Walk, body: list[str], rest: list[str], names: dict[str, Any]) -> list[str]:
    """Give lines that go to each item; ``body`` is done with objects, ``rest`` with every item."""
    objects = ["if type(item) is dict:", *indented(body)] if body else []
    if walk is None:
        return ["item = base", *objects, *rest, "return"]
    if walk is SELF_AND_BELOW or walk is BELOW:
        return _all_below(walk, body, rest)
    if walk == EACH:
        items = [
            "if type(base) is list: items = base",
            "elif type(base) is dict: items = base.values()",
            "else: return",
        ]
    elif isinstance(walk, Child) and len(walk.subscripts) == 1 and isinstance(walk.subscripts[0], Slice):
        names |= {"sliced": sliced_once, "part": walk.subscripts[0]}
        items = ["items = sliced(base, part.start, part.end, part.step)"]
    else:
        names["items_of"] = walk_of(walk)  # type: ignore[arg-type]
        items = ["items = items_of(base, event)"]
    return [*items, "for item in items:", *indented(objects + rest or ["pass"])]


def _all_below(walk: Walk, body: list[str], rest: list[str]) -> list[str]:
    """Give lines that go through a value and all below it; what has nothing below it only if somebody asks."""
    start = ["stack = [base]"]
    if walk is BELOW:
        start = [
            "if type(base) is list: stack = base.copy()",
            "elif type(base) is dict: stack = list(base.values())",
            "else: return",
        ]
    if rest:
        objects, lists = ["stack.extend(item.values())"], ["stack.extend(item)"]
    else:
        # Most values are texts.
        choose = "    if type(value) is not str and (type(value) is dict or type(value) is list): stack.append(value)"
        objects, lists = ["for value in item.values():", choose], ["for value in item:", choose]
    return [
        *start,
        "while stack:",
        "    item = stack.pop()",
        "    if type(item) is dict:",
        *indented(objects + body, 2),
        "    elif type(item) is list:",
        *indented(lists, 2),
        *indented(rest),
    ]
