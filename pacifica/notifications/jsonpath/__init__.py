"""The JSONPath dialect of jsonpath2 0.4.5: parse an expression, and find whether an event matches it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import antlr4.error.ErrorListener
import jsonpath2
from jsonpath2.nodes.recursivedescent import RecursiveDescentNode
from jsonpath2.subscripts.arrayslice import ArraySliceSubscript

from ..errors import InvalidJSONPath

# jsonpath2's parser prints every syntax error to stderr beside raising it; the listener it prints with is shared.
antlr4.error.ErrorListener.ConsoleErrorListener.INSTANCE = antlr4.error.ErrorListener.ErrorListener()

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_WHERE = re.compile(r"line (\d+):(\d+) (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an expression may have: characters, nesting of brackets, ``..`` steps, elements that a slice spans."""

    characters: int = 2048
    nesting: int = 32
    descents: int = 2
    slice: int = 10000


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed JSONPath; ``text`` is as it was sent."""

    text: str
    path: Any


def parse(text: str, bounds: Bounds | None = None) -> Expression:
    """Parse an expression; a bare dotted name such as ``data.name`` stands for ``$.data.name``.

    Raises ``InvalidJSONPath`` (a ``ValueError``) that says line, column and what was expected, or which bound the
    expression is beyond. Never raises ``RecursionError`` and prints nothing.
    """
    bounds = bounds or Bounds()
    _check_text(text, bounds)
    bare = _BARE.fullmatch(text)
    try:
        path = jsonpath2.Path.parse_str(f"$.{text}" if bare else text)
    except RecursionError:
        raise InvalidJSONPath("has too many steps or operators; shorten it") from None
    except ValueError as error:
        raise InvalidJSONPath(_sentence(str(error))) from None
    _check_path(path, bounds)
    return Expression(text=text, path=path)


def find(expression: Expression, event: Any) -> bool:
    """Tell whether an event, a value of ``json.loads``, has at least one result.

    Raises ``ValueError`` where the dialect does at match time (a slice with step 0 that meets a list).
    """
    return next(expression.path.match(event), None) is not None


def _check_text(text: str, bounds: Bounds) -> None:
    """Hold the text to the bounds before the parser, which recurses, sees it."""
    if len(text) > bounds.characters:
        raise InvalidJSONPath(f"has {len(text)} characters, at most {bounds.characters} are taken")
    depth = 0
    for character in _STRING.sub("", text):
        depth += (character in "[({") - (character in "])}")
        if depth > bounds.nesting:
            raise InvalidJSONPath(f"is nested more than {bounds.nesting} deep")


def _check_path(path: Any, bounds: Bounds) -> None:
    """Hold to the bounds what costs time when it is matched."""
    parts = list(_parts(path))
    descents = sum(isinstance(part, RecursiveDescentNode) for part in parts)
    if descents > bounds.descents:
        raise InvalidJSONPath(f"has {descents} '..' steps, at most {bounds.descents} are taken")
    for part in parts:
        if isinstance(part, ArraySliceSubscript):
            span = max(abs(part.start or 0), abs(part.end or 0))
            if span > bounds.slice:
                raise InvalidJSONPath(f"has a slice that reaches element {span}, at most {bounds.slice} is taken")


def _parts(part: Any) -> Iterator[Any]:
    """Give every node, subscript and expression of a parsed path."""
    stack = [part]
    while stack:
        part = stack.pop()
        if isinstance(part, list | tuple):
            stack.extend(part)
        elif type(part).__module__.startswith("jsonpath2."):
            yield part
            stack.extend(vars(part).values())


def _sentence(message: str) -> str:
    """Give the parser's words with line and column counted from 1 and without the grammar's own names."""
    where = _WHERE.fullmatch(message)
    if not where:
        return f"is no JSONPath of this dialect: {message}"
    line, column, words = where.groups()
    words = words.replace("'<EOF>'", "the end").replace("<EOF>", "the end")
    words = words.replace("mismatched input", "found").replace("extraneous input", "found")
    words = words.replace(
        "expecting", "where one of these was expected:" if "{" in words else "where this was expected:"
    )
    words = words.replace("no viable alternative at input", "can't go on at")
    words = re.sub("('[{}]')|[{}]", r"\1", words)
    return f"is no JSONPath of this dialect: {words} (line {line}, column {int(column) + 1})"
