"""Rows in an order that a client chose, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peewee

from .database import dialect

#: Members to sort by, the first one first, each with whether its largest value comes first.
Order = Sequence[tuple[str, bool]]
#: The order of a list of which nothing else is said.
OLDEST_FIRST: Order = (("created", False),)


def by(model: type[peewee.Model], order: Order) -> list[peewee.Ordering]:
    """Give the clauses of an order, in which no two rows stand equal."""
    return [field.desc() if descending else field.asc() for field, descending in _keys(model, order)]


def behind(model: type[peewee.Model], order: Order, position: Sequence[Any]) -> peewee.Expression:
    """Say that a row comes behind a position, which is a row's values of the members of the order and its uuid."""
    found: peewee.Expression | None = None
    for (field, descending), value in reversed(list(zip(_keys(model, order), position, strict=True))):
        beyond = field < value if descending else field > value
        found = beyond if found is None else beyond | ((field == value) & found)
    return found


def _keys(model: type[peewee.Model], order: Order) -> list[tuple[Any, bool]]:
    """Give the fields with their directions, texts compared by their code points on every database."""
    fields = [(getattr(model, name), descending) for name, descending in order]
    collation = dialect().by_code_point
    return [
        (field.collate(collation) if collation and isinstance(field, peewee.CharField) else field, descending)
        for field, descending in fields
    ] + [(model.uuid, False)]
