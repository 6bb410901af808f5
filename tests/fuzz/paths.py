"""Makes expressions of the whole dialect from a source of chance."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

#: Names of members, most of them in the events too; some of them can't stand after a dot.
NAMES = ("a", "b", "c", "d", "e_1", "name", "value", "key", "data")
ODD_NAMES = ("or", "length", "x-y", "é", "", " ", "0", "\\u0061", 'q\\"', "\\\\", "'")
#: Literals as they are written; the events have most of these values.
TEXTS = ('"x"', '"y"', '"xy"', '""', '"a"', '"é"', '"\\u0078"', '"1"', '"\\n"')
NUMBERS = ("0", "1", "2", "-1", "3", "-0", "1.0", "0.0", "-0.0", "1.5", "2e0", "1E1", "1e400", "18446744073709551616")
OTHERS = ("true", "false", "null", "{}", "[]", "[1]", '{"a": 1}', '{"b": [true, "x"]}', "[[]]", "[1, 2]")
POSITIONS = ("0", "1", "2", "-1", "-2", "3", "-4", "-0", "99", "18446744073709551616")
OPERATORS = ("=", "=", "=", "!=", "<", "<=", ">", ">=")
#: Numbers of arguments that each function is called with, the wrong ones seldom.
CALLS = {
    "length": (0, 0, 0, 1),
    "keys": (0, 0, 0, 1),
    "values": (0, 0, 0, 1),
    "entries": (0, 0, 0, 1),
    "charAt": (1, 1, 1, 1, 0, 2),
    "substring": (1, 2, 1, 2, 0, 3),
}
SPACES = ("", "", "", "", "", "", "", "", " ", "\t", "\n", "\r", "  ")


#: What can stand after a dot, and what in quotes without being escaped.
DOTTED = re.compile(r"(?!(?:and|or|not|true|false|null)$)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
PLAIN = re.compile(r'[^"\\\x00-\x1f]*')


class Paths:
    """Expressions that are legal and within the bounds.

    An expression that is made for an event mostly follows what is in it, so that it finds something more often.
    ``failing`` says how often a slice has step 0.
    """

    def __init__(self, chance: Random, failing: float = 0.03) -> None:
        self._chance = chance
        self._failing = failing
        self._descents = 0
        self._depth = 0
        self._event: Any = None
        self._here: Any = None

    def path(self, event: Any = None) -> str:
        """Make an expression from ``$``, or seldom a bare name."""
        if self._chance.random() < 0.01:
            return ".".join(self._some(lambda: self._one_of(NAMES), 1, 3))
        self._descents = 2 if self._chance.random() < 0.3 else 1
        self._depth = 0
        self._event = self._here = event
        return self._path("$", 1, 5)

    def _path(self, anchor: str, fewest: int, most: int) -> str:
        return "".join([self._spaced(anchor), *self._some(self._step, fewest, most)])

    def _step(self) -> str:
        roll = self._chance.random()
        if roll < 0.10 and self._descents:
            self._descents -= 1
            return self._spaced("..") + self._after_dots()
        if roll < 0.45:
            return self._member()
        if roll < 0.58:
            self._go_down()
            return self._spaced(".") + self._spaced("*")
        if roll < 0.62:
            return self._spaced(".") + self._call()
        return self._brackets()

    def _member(self) -> str:
        """Name a member, mostly one that is there; of a list take an item."""
        if isinstance(self._here, dict) and self._here and self._chance.random() < 0.85:
            name = self._chance.choice([*self._here])
            if PLAIN.fullmatch(name):
                self._here = self._here[name]
                dotted = DOTTED.fullmatch(name) and self._chance.random() < 0.7
                return self._spaced(".") + self._spaced(name) if dotted else f'["{name}"]'
        if isinstance(self._here, list) and self._here and self._chance.random() < 0.6:
            self._go_down()
            return self._chance.choice(("[*]", "[*]", ".*", "[0]", "[-1]", "[0:2]", "[1:]"))
        self._here = None
        return self._spaced(".") + self._spaced(self._one_of(NAMES))

    def _go_down(self) -> None:
        """Follow any of what is below."""
        below = [*self._here.values()] if isinstance(self._here, dict) else self._here
        self._here = self._chance.choice(below) if isinstance(below, list) and below else None

    def _after_dots(self) -> str:
        roll = self._chance.random()
        if roll < 0.4:
            self._here = None
            return self._spaced(self._one_of(NAMES))
        if roll < 0.6:
            self._go_down()
            return self._spaced("*")
        return self._call() if roll < 0.65 else self._brackets()

    def _brackets(self) -> str:
        members = self._some(self._subscript, 2, 4) if self._chance.random() < 0.15 else [self._subscript()]
        return self._spaced("[") + ",".join(members) + self._spaced("]")

    def _subscript(self) -> str:
        roll = self._chance.random()
        if roll < 0.45 and self._depth < 3:
            return self._spaced("?") + self._parenthesis()
        if roll < 0.5 and self._depth < 3:
            return self._nested()
        if roll < 0.55:
            return self._call()
        if isinstance(self._here, dict):
            self._here = self._here.get(name := self._one_of(NAMES))
            return self._spaced(f'"{name}"')
        self._go_down()
        if roll < 0.67:
            return self._spaced(self._one_of(POSITIONS))
        if roll < 0.82:
            return self._slice()
        return self._spaced("*" if roll < 0.95 else f'"{self._one_of(ODD_NAMES)}"')

    def _slice(self) -> str:
        # jsonpath2 goes through every number between the bounds, so they are small.
        start, end = (self._one_of(("", *POSITIONS[:-1])) for _ in range(2))
        if self._chance.random() < self._failing:
            return f"{self._spaced(start)}:{end}:0"
        step = self._one_of(("", "", ":", ":1", ":2", ":-1", ":-2", ":3", ":-18446744073709551616"))
        return f"{self._spaced(start)}:{self._spaced(end)}{step}"

    def _call(self) -> str:
        function = self._one_of([*CALLS])
        arguments = [self._argument() for _ in range(self._chance.choice(CALLS[function]))]
        return self._spaced(function) + self._spaced("(") + ",".join(arguments) + self._spaced(")")

    def _argument(self) -> str:
        roll = self._chance.random()
        if roll < 0.3 and self._depth < 3:
            return self._nested()
        return self._spaced(self._one_of(("0", "1", "-1", "2", "true", "false"))) if roll < 0.85 else self._literal()

    def _nested(self) -> str:
        """Make a path in a filter, a bracket or a call."""
        with self._aside():
            return self._nested_path()

    def _nested_path(self) -> str:
        anchor = self._one_of("@@@@$")
        if anchor == "$":
            self._here = self._event
        return self._path(anchor, 0 if self._chance.random() < 0.1 else 1, 3)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Come back to the same value afterwards."""
        here = self._here
        self._depth += 1
        yield
        self._depth -= 1
        self._here = here

    def _parenthesis(self) -> str:
        self._depth += 1
        condition = self._condition()
        self._depth -= 1
        return self._spaced("(") + condition + self._spaced(")")

    def _condition(self) -> str:
        joined = self._one
        if self._depth < 4 and self._chance.random() < 0.35:
            words = self._chance.choice((["and"], ["or"], ["and", "or"], ["or", "or", "and"]))
            parts = self._some(joined, 2, 4)
            return " ".join([parts[0], *(f"{self._one_of(words)} {part}" for part in parts[1:])])
        return joined()

    def _one(self) -> str:
        roll = self._chance.random()
        if roll < 0.12:
            return f"not {self._one()}"
        if roll < 0.22 and self._depth < 4:
            return self._parenthesis()
        if roll < 0.42:
            return self._nested()
        if roll < 0.44:
            return self._literal()
        return self._compared()

    def _compared(self) -> str:
        operator = self._spaced(self._one_of(OPERATORS))
        roll = self._chance.random()
        if roll < 0.22:
            return self._nested() + operator + self._nested()
        if roll < 0.24:
            return self._literal() + operator + self._literal()
        with self._aside():
            sides = [self._nested_path(), self._spaced(self._likely())]
        if roll < 0.35:
            sides.reverse()
        return operator.join(sides)

    def _likely(self) -> str:
        """Write the value that was come to, if it can be written."""
        written = json.dumps(self._here, ensure_ascii=False)
        if self._chance.random() < 0.4 or not PLAIN.fullmatch(written.strip('"')) or "Infinity" in written:
            return self._literal()
        return written

    def _literal(self) -> str:
        roll = self._chance.random()
        return self._spaced(self._one_of(TEXTS if roll < 0.4 else NUMBERS if roll < 0.8 else OTHERS))

    def _spaced(self, token: str) -> str:
        return token + self._one_of(SPACES) if self._chance.random() < 0.1 else token

    def _one_of(self, choices: Sequence[str]) -> str:
        return self._chance.choice(choices)

    def _some(self, make: Callable[[], T], fewest: int, most: int) -> list[T]:
        return [make() for _ in range(self._chance.randint(fewest, most))]
