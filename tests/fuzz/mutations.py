"""Damages expressions, so that some are still legal and most are not."""

from __future__ import annotations

from random import Random

from .paths import NAMES, NUMBERS, OTHERS, TEXTS, Paths

#: What is put in: all tokens, what people bring from elsewhere, and characters that are near to what is legal.
PIECES = (
    *"$ @ . .. ... * [ ] ( ) { } ? ?( , : :: = == != ! < <= <> > >= =< and or not true false null".split(" "),
    *"&& || & | ' \" \\ - + -- 0 00 01 1. .5 1e 1e5 1E-05 1.0 0x1 - -0 99999999999999999999 NaN in contains =~".split(),
    *"AND Or True None length length() keys( charAt(0) substring(1,2) nope() and() # / // ; % ^ ~ ` é ключ 二".split(),
    *('"k"', '"\\x"', '"\\u00"', '"\\u0041"', '"\t"', '"', "'k'", '""', '"\x7f"', '"\ud800"', '"😀"', '"\\"', '"\\/"'),
    *(" ", "  ", "\t", "\n", "\r", "\x0b", "\x0c", "\x00", "\xa0", "\u2028", "\ufeff", "\x1f", "\x85"),
    *("not ", " and ", " or ", "[?(", ")]", "[0]", "[*]", "[1:2:3]", "[::]", '["a"]', "(@.a)", "@.a = 1", "$.a"),
    *NAMES, *NUMBERS, *TEXTS, *OTHERS,
)  # fmt: skip


class Mutations:
    """Texts that are nearly expressions."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._paths = Paths(chance)

    def text(self) -> str:
        """Make one."""
        if self._chance.random() < 0.15:
            start = self._chance.choice(("", "$", "$.", "$[", "$[?(", "$[?(@.a", "$[?(@.a=", "$.charAt("))
            return start + "".join(self._chance.choice(PIECES) for _ in range(self._chance.randint(0, 8)))
        text = self._paths.path()
        for _ in range(self._chance.choice((1, 1, 1, 2, 3))):
            text = self._damaged(text)
        return text

    def _damaged(self, text: str) -> str:
        start = self._chance.randint(0, len(text))
        end = min(len(text), start + self._chance.choice((0, 0, 1, 1, 2, 5)))
        roll = self._chance.random()
        if roll < 0.5:
            return text[:start] + self._chance.choice(PIECES) + text[end:]
        if roll < 0.7:
            return text[:start] + text[end:]
        if roll < 0.8:
            return text[:start] + text[start:end] * 2 + text[end:]
        if roll < 0.9:
            return text[: start + 1]
        other = self._paths.path()
        return text[:start] + other[self._chance.randint(0, len(other)) :]
