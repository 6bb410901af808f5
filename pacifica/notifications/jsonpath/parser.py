"""Makes the syntax tree of an expression: one method per rule of the grammar, in the order of the grammar."""

from __future__ import annotations

from typing import Any, cast

from .functions import FUNCTIONS
from .literals import LITERAL, Literals
from .syntax import (
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

_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_SUBSCRIPT = "a whole number, a text in double quotes, '*', ':', '?(', '$', '@' or a function"


class Parser(Literals):
    """Reads one text. Only brackets recurse, and ``nesting`` bounds how deep they are."""

    def expression(self) -> Path:
        """Read the whole text: a path from ``$``."""
        if self._kind != "$":
            raise self._fault("'$'")
        path = self._path()
        if self._kind != "end":
            raise self._fault("'.', '..', '[' or the end")
        return path

    def _path(self) -> Path:
        anchor = self._take()
        steps: list[Step] = []
        while True:
            kind = self._kind
            if kind == ".":
                self._take()
                steps.append(Child((self._member("a name or '*'"),)))
            elif kind == "[":
                steps.append(self._brackets())
            elif kind == "..":
                self._take()
                steps.append(Descent())
                after = self._kind == "["
                steps.append(self._brackets() if after else Child((self._member("a name, '*' or '['"),)))
            else:
                return Path(cast(Any, anchor), tuple(steps))

    def _member(self, expected: str) -> Subscript:
        if self._kind == "*":
            self._take()
            return Wildcard()
        if self._kind != "name":
            raise self._fault(expected)
        return self._call() if self._tokens[self._at + 1].kind == "(" else Key(self._take())

    def _brackets(self) -> Child:
        self._enter()
        subscripts = [self._subscript()]
        while self._kind == ",":
            self._take()
            subscripts.append(self._subscript())
        self._leave("]", "',' or ']'")
        return Child(tuple(subscripts))

    def _subscript(self) -> Subscript:
        kind = self._kind
        if kind == "text":
            return Key(self._take()[1:-1])
        if kind in ("number", ":"):
            return self._item_or_slice()
        if kind == "*":
            self._take()
            return Wildcard()
        if kind == "?":
            self._take()
            if self._kind != "(":
                raise self._fault("'('")
            return Filter(self._parenthesis())
        if kind in ("$", "@"):
            return Reference(self._path())
        if kind == "name":
            return self._call()
        raise self._fault(_SUBSCRIPT)

    def _item_or_slice(self) -> Subscript:
        if self._kind == "number":
            start = self._whole_number()
            if self._kind != ":":
                return Item(start)
        else:
            start = None
        self._take()
        end = self._whole_number() if self._kind == "number" else None
        step = None
        if self._kind == ":":
            self._take()
            step = self._whole_number() if self._kind == "number" else None
        return Slice(start, end, step)

    def _whole_number(self) -> int:
        if not self._tokens[self._at].text.lstrip("-").isdigit():
            raise self._fault("a whole number")
        return cast(int, self._number())

    def _call(self) -> Call:
        at = self._at
        function = self._take()
        if self._kind != "(":
            raise self._fault("'('")
        if function not in FUNCTIONS:
            self._at = at
            raise self._fault(f"one of the functions {', '.join(FUNCTIONS)}")
        self._enter()
        arguments: list[Operand] = []
        if self._kind != ")":
            arguments.append(self._operand("')', '$', '@' or a literal"))
            while self._kind == ",":
                self._take()
                arguments.append(self._operand(f"'$', '@', {LITERAL}"))
        self._leave(")", "',' or ')'")
        return Call(function, tuple(arguments))

    def _parenthesis(self) -> Condition:
        self._enter()
        condition = self._all_of()
        self._leave(")", "a comparison, 'and', 'or' or ')'")
        return condition

    # `or` binds tighter than `and`: that is the dialect. What is joined by the same word is one condition, also where
    # parentheses are around a part of it, so that a long chain is wide and not deep.
    def _all_of(self) -> Condition:
        conditions = [self._any_of()]
        while self._kind == "and":
            self._take()
            conditions.append(self._any_of())
        return conditions[0] if len(conditions) == 1 else And(_flat(And, conditions))

    def _any_of(self) -> Condition:
        conditions = [self._one()]
        while self._kind == "or":
            self._take()
            conditions.append(self._one())
        return conditions[0] if len(conditions) == 1 else Or(_flat(Or, conditions))

    def _one(self) -> Condition:
        negated = False
        while self._kind == "not":
            self._take()
            negated = not negated
        condition = self._parenthesis() if self._kind == "(" else self._comparison()
        if negated:
            return condition.condition if isinstance(condition, Not) else Not(condition)
        return condition

    def _comparison(self) -> Condition:
        left = self._operand(f"'$', '@', 'not', '(', {LITERAL}")
        if self._kind not in _OPERATORS:
            return Exists(left)
        operator = self._take()
        return Comparison(left, cast(Any, operator), self._operand(f"'$', '@', {LITERAL}"))

    def _operand(self, expected: str) -> Operand:
        return self._path() if self._kind in ("$", "@") else Value(self._literal(expected))


def _flat(kind: type[And | Or], conditions: list[Condition]) -> tuple[Condition, ...]:
    """Put the parts of parts of the same kind in their place."""
    flat: list[Condition] = []
    for condition in conditions:
        flat.extend(condition.conditions if isinstance(condition, kind) else (condition,))
    return tuple(flat)
