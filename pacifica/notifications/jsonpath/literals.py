"""Reads literals: those of JSON, but that nothing in a text is unescaped."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidJSONPath
from .cursor import Cursor

_CONSTANTS = {"true": True, "false": False, "null": None}
#: What a literal may begin with, as a message says it.
LITERAL = "a text in double quotes, a number, 'true', 'false', 'null', '{' or '['"


class Literals(Cursor):
    """Reads the literal at hand. Lists and objects recurse."""

    def _literal(self, expected: str) -> Any:
        kind = self._kind
        if kind == "text":
            return self._take()[1:-1]
        if kind == "number":
            return self._number()
        if kind in _CONSTANTS:
            return _CONSTANTS[self._take()]
        if kind == "[":
            return self._list()
        if kind == "{":
            return self._object()
        raise self._fault(expected)

    def _list(self) -> list[Any]:
        self._enter()
        values = []
        if self._kind != "]":
            values.append(self._literal(f"']', {LITERAL}"))
            while self._kind == ",":
                self._take()
                values.append(self._literal(LITERAL))
        self._leave("]", "',' or ']'")
        return values

    def _object(self) -> dict[str, Any]:
        self._enter()
        values: dict[str, Any] = {}
        if self._kind != "}":
            self._pair(values, "a text in double quotes or '}'")
            while self._kind == ",":
                self._take()
                self._pair(values, "a text in double quotes")
        self._leave("}", "',' or '}'")
        return values

    def _pair(self, values: dict[str, Any], expected: str) -> None:
        if self._kind != "text":
            raise self._fault(expected)
        name = self._take()[1:-1]
        if self._kind != ":":
            raise self._fault("':'")
        self._take()
        values[name] = self._literal(LITERAL)

    def _number(self) -> int | float:
        text = self._tokens[self._at].text
        try:
            number = int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:  # Python converts no integer of thousands of digits, and json.loads gives none
            raise InvalidJSONPath(f"has a number of {len(text)} digits, which is too large") from None
        self._take()
        return number
