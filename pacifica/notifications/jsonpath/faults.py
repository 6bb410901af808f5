"""Says in plain English what is wrong with an expression, where, and what to write instead."""

from __future__ import annotations

from ..errors import InvalidJSONPath
from .lexer import KEYWORDS, Token

#: What people write who know another dialect, and what it is called here.
_ELSEWHERE = {
    "'": "a text stands in double quotes",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or '!=' for unequal",
    "~": "there are no regular expressions in this dialect",
    "AND": "write 'and'",
    "OR": "write 'or'",
    "NOT": "write 'not'",
    "TRUE": "write 'true'",
    "FALSE": "write 'false'",
    "NULL": "write 'null'",
    "NONE": "write 'null'",
    "CONTAINS": "there is no 'contains' in this dialect",
    "IN": "there is no 'in' in this dialect; join comparisons by 'or'",
}


def fault(text: str, tokens: list[Token], at: int, expected: str, shift: int = 0) -> InvalidJSONPath:
    """Give the error for a token that can't stand where it does.

    The first ``shift`` characters of the text are not the user's.
    """
    found = tokens[at]
    line = text.count("\n", 0, found.start) + 1
    column = found.start - text.rfind("\n", 0, found.start) - (shift if line == 1 else 0)
    said = f"found {_named(found)} where {expected} was expected (line {line}, column {column})"
    remedy = _remedy(text, tokens, at)
    return InvalidJSONPath(f"is no JSONPath of this dialect: {said}" + (f"; {remedy}" if remedy else ""))


def _named(token: Token) -> str:
    """Name what was found in a few words."""
    if token.kind == "end":
        return "the end"
    text = token.text if token.text.isprintable() else repr(token.text)[1:-1]
    return f"'{text}'" if len(text) <= 40 else f"'{text[:40]}…'"


def _remedy(text: str, tokens: list[Token], at: int) -> str | None:
    """Say what to write instead, where the mistake is a known one."""
    found = tokens[at]
    before = tokens[at - 1] if at else Token("", "", 0)
    touches = before.start + len(before.text) == found.start
    if found.kind == "=" and before.kind == "=":
        return "equality is a single '='"
    if found.text == '"':
        return _why_no_text(text[found.start :])
    if before.kind in (".", ".."):
        return _remedy_for_member(found, before)
    if found.kind == "stray" and before.kind in ("name", *KEYWORDS) and touches and found.text not in _ELSEWHERE:
        return f'a name with such a character is written ["{before.text}{found.text}…"]'
    if found.kind == "number" and before.kind == "number" and touches:
        return "a number, and an exponent, has no leading zeros and no sign inside"
    if found.kind == "number" and not found.text.lstrip("-").isdigit():
        return "a position in a list is a whole number"
    if found.kind == "@" and not at:
        return "'@' is the current value of a filter; an expression begins with '$'"
    if before.kind == "?":
        return "a filter is written [?(…)]"
    if found.kind == "]" and before.kind == "name" and at > 1 and tokens[at - 2].kind in ("[", ","):
        return f'a member is written ["{before.text}"]'
    return None if found.kind in KEYWORDS else _ELSEWHERE.get(found.text.upper())


def _remedy_for_member(found: Token, before: Token) -> str | None:
    """Say how to name a member, after a dot that is followed by something else than a name."""
    if found.kind in KEYWORDS:
        return f"'{found.text}' means something of its own; a member of that name is written [\"{found.text}\"]"
    if found.kind == "number":
        return f'an item of a list is written [{found.text}], a member ["{found.text}"]'
    if found.kind == "[" and before.kind == ".":
        return "leave out the '.' before '['"
    if found.kind == "text":
        return f"write [{found.text}] without the '.'" if before.kind == "." else f"write ..[{found.text}]"
    if found.kind == "stray":
        return f'a member with such a name is written ["{found.text}…"]'
    return None


def _why_no_text(rest: str) -> str:
    """Say why what begins with a double quote is no text."""
    at = 1
    while at < len(rest) and rest[at] != '"':
        if rest[at] < " ":
            return "a text can't have a control character such as a line break or a tab"
        if rest[at] == "\\":
            escape = rest[at : at + 2]
            if escape[1:] not in tuple('"\\/bfnrtu'):
                return f"the escape {escape} is none of JSON"
            digits = rest[at + 2 : at + 6]
            if escape == "\\u" and (len(digits) < 4 or digits.strip("0123456789abcdefABCDEF")):
                return "an escape \\u has four hexadecimal digits"
            at += 1
        at += 1
    return "the text that begins here has no closing quote"
