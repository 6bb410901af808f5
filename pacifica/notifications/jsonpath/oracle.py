"""Asks jsonpath2, whose dialect this is. Nothing that runs per event may: it is slow, and one expression can stop it.

``accepts(text)`` tells whether it takes an expression, ``find(text, event)`` whether an event matches it there. Both
take a bare dotted name as ``parse`` does, and print nothing. A text that it can't take because it recurses too deep
counts as not accepted.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import antlr4.error.ErrorListener
import jsonpath2

# jsonpath2's parser prints every syntax error to stderr beside raising it; the listener it prints with is shared.
antlr4.error.ErrorListener.ConsoleErrorListener.INSTANCE = antlr4.error.ErrorListener.ErrorListener()

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


def accepts(text: str) -> bool:
    """Tell whether jsonpath2 takes an expression."""
    try:
        _path(text)
    except (ValueError, RecursionError):
        return False
    return True


def find(text: str, event: Any) -> bool:
    """Tell whether an event, a value of ``json.loads``, has at least one result.

    Raises ``ValueError`` for what it does not accept and for a slice with step 0 that meets a list, and
    ``RecursionError`` for an event that is too deep for it. Has no budget: it may take very long.
    """
    return next(_path(text).match(event), None) is not None


@lru_cache(maxsize=256)
def _path(text: str) -> Any:
    return jsonpath2.Path.parse_str(f"$.{text}" if _BARE.fullmatch(text) else text)
