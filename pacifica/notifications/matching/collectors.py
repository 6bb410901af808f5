"""Collects the values that an event has where the subscriptions of one shape differ, and looks them up."""

from __future__ import annotations

from itertools import count
from typing import Any, ClassVar, TypeAlias

from ..errors import OverBudget
from ..jsonpath.syntax import And, Comparison, Key, Path
from .alternatives import Way, way_of
from .buckets import Bucket, Limits, Member, keys_of
from .loops import Field, Loop
from .masks import TRUTH, Decision, condition
from .recipes import Asked
from .run import Keys, Run
from .source import compiled, followed, indented
from .stands import best, moved

#: So many entries of a shape must there be before it looks again which of its values tell them apart best.
_LOOK_AGAIN = frozenset({16, 256, 4096, 65536})
#: What is kept of an expression to remove it.
Handle: TypeAlias = "tuple[Any, ...] | Member"


class Collector:
    """What is asked of an item by all who ask the same but for literals, and a table from these to who they are.

    An entry is the tuple of literals, then a token if something is asked of the event too, then the collector itself.
    A reader finds an entry by its guard: therefore the table is filled before the guard is set, and emptied after.
    """

    #: Whether the guard with the fewest values is best, and not the one with the most.
    prefers_few: ClassVar[bool] = False

    __slots__ = ("asked", "collect", "fields", "key", "limit", "loop", "parent", "stand", "table")

    def __init__(self, key: str, asked: Asked, loop: Loop, parent: Collector | None = None) -> None:
        """Start without entries; the code is made when an event first needs it."""
        self.key, self.asked, self.loop, self.parent = key, asked, loop, parent
        self.table: dict[tuple[Any, ...], Any] = {}
        #: What reads the values of an entry.
        self.fields = tuple(map(Field, asked.equal))
        self.limit = _limit(asked)
        self.stand = best(self, self.limit, ())
        self.collect = self._collect_first

    def enter(self, entry: tuple[Any, ...], hit: Any) -> None:
        """Put something under a new entry."""
        self.table[entry] = hit
        self.entered(entry)

    def entered(self, entry: tuple[Any, ...]) -> None:
        """Let items that may have an entry, which is new in the table, be handed on."""
        table = self.table
        self.stand.enter(entry, first=len(table) == 1)
        if len(table) in _LOOK_AGAIN:
            before, self.stand = self.stand, best(self, self.limit, table)
            if before.name == self.stand.name:
                self.stand = before
            else:
                moved(before, self.stand, table, self.limits())

    def leave(self, entry: tuple[Any, ...]) -> None:
        """Forget an entry."""
        self.stand.leave(entry, last=len(self.table) == 1)
        del self.table[entry]

    def limits(self) -> list[Any]:
        """Give the literals that are not part of entries, where these are limits."""
        return [member.literals[0] for hit in self.table.values() for member in hit.members] if self.limit else []

    # What readers do.

    def _collect_first(self, item: Any, run: Run) -> None:
        """Make the code, and run it from then on."""
        lines, names = self.source()
        collect = compiled(lines, "collect", names)
        self.collect = collect
        collect(item, run)

    def source(self) -> tuple[list[str], dict[str, Any]]:
        """Give the source of the collector, and what its free names mean."""
        names: dict[str, Any] = {"table": self.table.get, "me": self}
        lines: list[str] = []
        entry = [f"value_{number}" for number in range(len(self.asked.equal))]
        ways = list(zip(self.asked.equal, entry, strict=True))
        if self.parent is not None:
            names["parent"] = self.parent
            lines += ["token = run.tokens.get(parent)", "if token is None: return"]
            entry.append("token")
        entry.append("me")
        keys = self.asked.first_keys()
        if keys:
            lines.append("if type(item) is not dict: return")
        asked_for = {way[0] for way in (*self.asked.equal, *self.asked.exist) if way}
        lines += [f"if {str(key)!a} not in item: return" for key in keys if Key(key) not in asked_for]
        for way, name in ways:
            lines += followed(way, "item", name, known=bool(keys))
        for way in self.asked.exist:
            lines += [*followed(way, "item", "there", known=bool(keys)), "if there is MISSING: return"]
        lines += [
            "try:",
            f"    hit = table(({', '.join(entry)},))",
            "except TypeError: return",
            "if hit is None: return",
        ]
        if self.asked.checks:
            lines.append("try:")
            names |= {"truth": TRUTH, "OverBudget": OverBudget, "keys_of": keys_of}
        for number, check in enumerate(self.asked.checks):
            names[f"check_{number}"] = condition(check, iter(()))
            lines.append(f"    if not check_{number}(item, run.event, truth): return")
        if self.asked.checks:
            lines += ["except OverBudget as error: return run.fail(keys_of(hit), error)"]
        lines += self._found(names)
        return ["def collect(item, run):", *indented(lines)], names

    def _found(self, names: dict[str, Any]) -> list[str]:
        """Give the lines for a hit."""
        raise NotImplementedError


class Shape(Collector):
    """What subscriptions that differ in literals alone ask of an item; its hits are their keys."""

    __slots__ = ("_decide",)

    def __init__(self, key: str, asked: Asked, loop: Loop, parent: Collector | None) -> None:
        """Start without entries."""
        self._decide: Decision | None = None
        super().__init__(key, asked, loop, parent)
        loop.shapes += 1

    def add(self, entry: tuple[Any, ...], literals: tuple[Any, ...], key: Any) -> Handle:
        """Take a subscription in; give what removes it."""
        table = self.table
        if self.asked.rest:
            hit = table.get(entry)
            member = Member(entry, literals, key)
            if hit is not None:
                hit.add(member)
            else:
                hit = Limits(self.limit[1]) if self.limit else Bucket(self._decision())
                hit.add(member)
                self.enter(entry, hit)
            self.stand.loosen(literals[0])
            return member
        before = len(table)
        # In one look-up, which is most of the work.
        hit = table.setdefault(entry, Keys.fromkeys((key,)) if key is None else key)
        if len(table) > before:
            self.entered(entry)
        elif hit.__class__ is Keys:
            hit[key] = None
        elif hit != key:
            table[entry] = Keys.fromkeys((hit, key))
        return entry

    def remove(self, handle: Handle, key: Any) -> None:
        """Let a subscription go."""
        if isinstance(handle, Member):
            bucket = self.table[handle.entry]
            bucket.remove(handle)
            if not bucket:
                self.leave(handle.entry)
            return
        hit = self.table[handle]
        if hit.__class__ is not Keys or len(hit) == 1:
            self.leave(handle)
        else:
            del hit[key]

    def _decision(self) -> Decision:
        if self._decide is None:
            rest = self.asked.rest
            self._decide = condition(rest[0] if len(rest) == 1 else And(rest), count())
        return self._decide

    def _found(self, names: dict[str, Any]) -> list[str]:
        if self.limit:
            way, operator = self.limit
            names["numeric"] = (int, float)
            return [
                *followed(way, "item", "number"),
                "if not isinstance(number, numeric) or number != number: return",
                "best = run.numbers.get(hit)",
                f"if best is None or number {operator[0]} best: run.numbers[hit] = number",
            ]
        return ["hit.match(item, run)" if self.asked.rest else "run.found[id(hit)] = hit"]


def _limit(asked: Asked) -> tuple[Way, str] | None:
    """Give way and operator if all that is left to decide is one limit for one number of the item."""
    match asked.rest:
        case (Comparison(Path("@") as path, "<" | "<=" | ">" | ">=" as operator, _),):
            way = way_of(path)
            return None if way is None else (way, operator)
    return None
