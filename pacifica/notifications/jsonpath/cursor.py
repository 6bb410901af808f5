"""Where the reading of an expression is in its tokens, and in how many brackets."""

from __future__ import annotations

from ..errors import InvalidJSONPath
from .faults import fault
from .lexer import tokens_of


class Cursor:
    """Goes through the tokens of a text; ``nesting`` bounds how deep brackets may be.

    ``shift`` is how many characters before the text were put there by somebody else than its author.
    """

    def __init__(self, text: str, nesting: int, shift: int = 0) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._at = 0
        self._kind = self._tokens[0].kind
        self._nesting = nesting
        self._open = 0
        self._shift = shift

    def _take(self) -> str:
        """Go to the next token; the end is never taken."""
        text = self._tokens[self._at].text
        self._at += 1
        self._kind = self._tokens[self._at].kind
        return text

    def _enter(self) -> None:
        self._open += 1
        if self._open > self._nesting:
            raise InvalidJSONPath(f"is nested more than {self._nesting} deep")
        self._take()

    def _leave(self, bracket: str, expected: str) -> None:
        if self._kind != bracket:
            raise self._fault(expected)
        self._open -= 1
        self._take()

    def _fault(self, expected: str) -> InvalidJSONPath:
        return fault(self._text, self._tokens, self._at, expected, self._shift)
