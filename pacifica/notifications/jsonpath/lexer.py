"""Cuts the text of an expression into tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Names that mean something of their own; a member of such a name is written ``["or"]``.
KEYWORDS = frozenset({"and", "or", "not", "true", "false", "null"})

# White space is what the dialect has: no form feed, nothing beyond ASCII. A sign or a number takes what it can get,
# so that `01` is two numbers and `...` is `..` and `.`; the parser refuses both. A text may have any character but a
# control character, and the escapes of JSON, which stay as they are.
_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
      (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>\.\.|!=|<=|>=|[$@.*\[\](){},:?=<>])
    | (?P<text>"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*)*")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?(?:0|[1-9][0-9]*))?)
    | (?P<end>\Z)
    | (?P<stray>.)
    )""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A piece of an expression; ``kind`` is a sign or a keyword itself, or name, text, number, end or stray."""

    kind: str
    text: str
    start: int


def tokens_of(text: str) -> list[Token]:
    """Cut a text; the last token is the end, or a stray character that can't begin a token."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "stray"
        piece = match[kind]
        start = match.start(kind)
        found.append(Token(piece if kind == "sign" or piece in KEYWORDS else kind, piece, start))
        if kind in ("end", "stray"):
            break
    return found
