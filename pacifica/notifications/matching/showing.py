"""Shows the Python that the index makes of an expression."""

from __future__ import annotations

from ..jsonpath import Bounds
from .index import Index


def show(text: str, bounds: Bounds | None = None) -> str:
    """Give the generated source for one expression: the loop over the event, the loops over items, the collectors.

    Literals stand in none of them; they are the keys of the tables that ``table`` and ``wanted_…`` look into. Raises
    ``InvalidJSONPath``.
    """
    index = Index(bounds)
    index.add(text, text)
    outside = index.stats().outside
    if outside:
        return f"# The expression {outside[text]}; it is tried by itself.\n"
    return "\n".join(f"# {what}\n{source}" for what, source in index.sources())
