"""Remembers what expressions that differ in their literals alone become, so that such a one need not be parsed.

A text is split into the literals that stand right of a comparison and all the rest, its *template*. The first
expression of a template is parsed with marks in place of these literals; where the marks come out in its recipes,
there the literals of every other one belong. What a parser might read differently (a backslash, a character that is
not printable) never has a template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .. import jsonpath
from .alternatives import OneOf
from .recipes import Form, Recipe, recipes

#: Templates that are remembered, and texts that are kept once for many entries; a cache that is full starts anew.
_MOST = 4096

# Splits into text, operator, number, text, operator, number, … text.
_NUMBER = re.compile(r"([=<>] *)(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9A-Za-z_.+-])")

_OPERATORS = ("=", "<", ">")

#: Where a literal comes from: a place among the values, or several where one of them is wanted.
Place: TypeAlias = int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slots:
    """A recipe with places among values instead of literals; ``single`` are the same if no place is several."""

    key: str
    form: Form
    event: tuple[Place, ...]
    item: tuple[Place, ...]
    rest: tuple[Place, ...]
    single: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None


@dataclass(frozen=True, slots=True)
class Planned:
    """What an expression becomes, apart from the values of its literals; ``constants`` come behind these."""

    slots: tuple[Slots, ...]
    constants: tuple[Any, ...]


#: For expressions of which a literal decides what they become.
_NEVER = Planned((), ())


class Templates:
    """The templates that were met last; used by the one who writes."""

    def __init__(self, bounds: jsonpath.Bounds) -> None:
        """Remember nothing yet."""
        self._bounds = bounds
        self._planned: dict[Any, Planned] = {}
        self._layouts: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._shared: dict[str, str] = {}

    def plan(self, text: str) -> tuple[Planned, list[Any]]:
        """Give what an expression becomes, and the values for it.

        Raises ``InvalidJSONPath`` and ``NotIndexable``.
        """
        parts = text.split('"')
        code = parts[0] if len(parts) == 1 else '"'.join(parts[::2])
        if "\\" in text or len(text) > self._bounds.characters or not text.isprintable() or not len(parts) % 2:
            return self._alone(text)
        numbers: list[str] = []
        layout = self._layouts.get(code)
        if layout is None:
            # One with numbers is remembered without them; that is why it was not there.
            pieces = _NUMBER.split(code)
            numbers = pieces[2::3]
            if numbers:
                del pieces[2::3]
                code = "\0".join(pieces)
            layout = self._layouts.get(code) or self._layout(code, parts)
        places, names = layout
        key = (code, *[parts[place] for place in names]) if names else code
        planned = self._planned.get(key)
        if planned is None:
            planned = self._learnt(key, text, parts, places, numbers)
        if planned is _NEVER:
            return self._alone(text)
        shared = self._shared
        if len(shared) > _MOST:
            shared.clear()
        values: list[Any] = [shared.setdefault(parts[place], parts[place]) for place in places]
        if numbers:
            values += map(_number, numbers)
        if planned.constants:
            values += planned.constants
        return planned, values

    def _alone(self, text: str) -> tuple[Planned, list[Any]]:
        """Plan an expression that has no template."""
        planned = _planned(recipes(jsonpath.parse(text, self._bounds).path), {})
        return planned, list(planned.constants)

    def _layout(self, code: str, parts: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give the places of the texts that are compared with, behind an operator, and of those that are names."""
        if len(self._layouts) > _MOST:
            self._layouts.clear()
        texts = range(1, len(parts), 2)
        places = tuple(place for place in texts if parts[place - 1].rstrip(" ").endswith(_OPERATORS))
        layout = self._layouts[code] = places, tuple(place for place in texts if place not in places)
        return layout

    def _learnt(self, key: Any, text: str, parts: list[str], places: tuple[int, ...], numbers: list[str]) -> Planned:
        """Parse the first expression of a template with marks in it; ``_NEVER`` if not all marks come out again."""
        if len(self._planned) > _MOST:
            self._planned.clear()
        jsonpath.parse(text, self._bounds)
        # The first is parsed as it is too, for its bounds and for the places of its faults.
        marked = list(parts)
        marks: dict[Any, int] = {}
        for number, place in enumerate(places):
            # A text with this character has no template.
            marked[place] = f"\ue000{number}"
            marks[marked[place]] = number
        base = 10**15
        while str(base)[:-3] in text:
            base += 1000
        fresh = iter(range(base, base + len(numbers)))
        if numbers:
            for place in range(0, len(parts), 2):
                marked[place] = _NUMBER.sub(lambda found: f"{found[1]}{next(fresh)}", parts[place])
            marks.update((base + number, len(places) + number) for number in range(len(numbers)))
        bounds = replace(self._bounds, characters=len(text) + 32 * len(marks))
        planned = _planned(recipes(jsonpath.parse('"'.join(marked), bounds).path), marks)
        if len(marks) != len(_used(planned, len(marks))):
            planned = _NEVER
        self._planned[key] = planned
        return planned


def _number(text: str) -> Any:
    """Give the value of a number as the parser does."""
    return float(text) if "." in text or "e" in text or "E" in text else int(text)


def _used(planned: Planned, marks: int) -> set[int]:
    """Give the marks that came out."""
    places: set[int] = set()
    for slots in planned.slots:
        for place in (*slots.event, *slots.item, *slots.rest):
            places.update((place,) if isinstance(place, int) else place)
    return {place for place in places if place < marks}


def _planned(made: list[Recipe], marks: dict[Any, int]) -> Planned:
    """Put places in place of literals: those of the marks, and further ones for what is no mark."""
    constants: list[Any] = []

    def place(literal: Any) -> int:
        if isinstance(literal, str | int) and literal in marks:
            return marks[literal]
        constants.append(literal)
        return len(marks) + len(constants) - 1

    def places(literals: tuple[Any, ...]) -> Iterator[Place]:
        for literal in literals:
            yield tuple(map(place, literal)) if isinstance(literal, OneOf) else place(literal)

    slots = []
    for recipe in made:
        event, item, rest = tuple(places(recipe.event)), tuple(places(recipe.item)), tuple(places(recipe.rest))
        several = any(isinstance(one, tuple) for one in (*event, *item, *rest))
        single: Any = None if several else (event, item, rest)
        slots.append(Slots(recipe.key, recipe.form, event, item, rest, single))
    return Planned(tuple(slots), tuple(constants))
