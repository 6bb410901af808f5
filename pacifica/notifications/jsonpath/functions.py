"""The functions that an expression can call on a value."""

from __future__ import annotations

#: Their names, as a message lists them.
FUNCTIONS = ("length", "keys", "values", "entries", "charAt", "substring")
