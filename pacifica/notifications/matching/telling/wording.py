"""Writes the parts of an expression as somebody would send them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...jsonpath import syntax
from .places import is_name


def path(written: syntax.Path) -> str:
    """Write a path."""
    text, below = str(written.anchor), False
    for step in written.steps:
        text += _child(step, below) if isinstance(step, syntax.Child) else ".."
        below = isinstance(step, syntax.Descent)
    return text


def step(written: syntax.Step) -> str:
    """Write a step by itself."""
    return _child(written, False) if isinstance(written, syntax.Child) else ".."


def condition(written: syntax.Condition) -> str:
    """Write the condition of a filter, with no more parentheses than it needs."""
    negations = ""
    while isinstance(written, syntax.Not):
        negations, written = f"{negations}not ", written.condition
    if isinstance(written, syntax.And | syntax.Or):
        parts = [_part(each, inside=type(written)) for each in written.conditions]
        text = (" and " if isinstance(written, syntax.And) else " or ").join(parts)
        return f"{negations}({text})" if negations else text
    if isinstance(written, syntax.Comparison):
        return f"{negations}{operand(written.left)} {written.operator} {operand(written.right)}"
    return negations + operand(written.operand)


def operand(written: syntax.Operand) -> str:
    """Write one side of a comparison, or an argument."""
    return path(written) if isinstance(written, syntax.Path) else literal(written.value)


def literal(value: Any) -> str:
    """Write a literal; in its texts nothing is escaped, as nothing was unescaped."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{name}": {literal(each)}' for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(each) for each in value)}]"
    # What is too large for a double came from a number all the same.
    return json.dumps(value).replace("Infinity", "1e999")


def call(function: str, arguments: Iterable[syntax.Operand]) -> str:
    """Write a call of a function."""
    return f"{function}({', '.join(operand(each) for each in arguments)})"


def _part(written: syntax.Condition, inside: type[syntax.And | syntax.Or]) -> str:
    """Write a condition within another; ``or`` binds tighter than ``and``, and each takes the rest to its right."""
    text = condition(written)
    bare = not isinstance(written, syntax.And | syntax.Or) or (inside is syntax.And and isinstance(written, syntax.Or))
    return text if bare else f"({text})"


def _child(written: syntax.Child, below: bool) -> str:
    """Write a step to children, ``below`` those of any depth."""
    if len(written.subscripts) == 1:
        single = written.subscripts[0]
        dot = "" if below else "."
        if isinstance(single, syntax.Key) and is_name(single.name):
            return dot + single.name
        if isinstance(single, syntax.Call):
            return dot + call(single.function, single.arguments)
        if isinstance(single, syntax.Wildcard) and below:
            return "*"
    return f"[{', '.join(subscript(each) for each in written.subscripts)}]"


def subscript(written: syntax.Subscript) -> str:
    """Write what stands between brackets."""
    match written:
        case syntax.Key():
            return f'"{written.name}"'
        case syntax.Item():
            return str(written.position)
        case syntax.Slice():
            bounds = ["" if each is None else str(each) for each in (written.start, written.end)]
            return ":".join(bounds if written.step is None else [*bounds, str(written.step)])
        case syntax.Wildcard():
            return "*"
        case syntax.Filter():
            return f"?({condition(written.condition)})"
        case syntax.Reference():
            return path(written.path)
        case syntax.Call():
            return call(written.function, written.arguments)
