"""Inserts rows whose columns are always the same ones, with a statement that is made up once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import peewee

from .database import DB, clock, dialect


class Insertion:
    """Inserts rows of one table; peewee, which makes up the statement anew each time, takes ten times as long."""

    def __init__(
        self,
        model: type[peewee.Model],
        columns: Sequence[str],
        now: Sequence[str],
        always: Mapping[str, str] | None = None,
    ) -> None:
        """Take the columns that have values, and those that have the time by the database's clock.

        ``always`` are those that have the same in every row, as SQL has it.
        """
        self._model = model
        # In the order of the table, as they stand in the statement.
        self._fields = [field for field in model._meta.sorted_fields if field.name in columns]
        self._now = now
        self._always = always or {}
        self._parts: dict[type, tuple[str, str, str]] = {}

    def missing(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert the rows that break no unique index, leave out the others, and count what was inserted."""
        before, values, after = self._statement()
        parameters = [field.db_value(row[field.name]) for row in rows for field in self._fields]
        text = f"{before}{', '.join([values] * len(rows))}{after}"
        with dialect().turn:
            return dialect().insert_missing(lambda: int(DB.execute_sql(text, parameters).rowcount))

    def _statement(self) -> tuple[str, str, str]:
        """Give what stands before the rows, for each of them, and after them."""
        kind = type(dialect())
        if kind not in self._parts:
            row: dict[str, Any] = dict.fromkeys([field.name for field in self._fields])
            row |= {name: clock() for name in self._now}
            row |= {name: peewee.SQL(text) for name, text in self._always.items()}
            one, two = (self._model.insert_many([row] * number).on_conflict_ignore().sql()[0] for number in (1, 2))
            begin = one.index(" VALUES ") + len(" VALUES ")
            end = begin + len(two) - len(one) - len(", ")
            self._parts[kind] = one[:begin], one[begin:end], one[end:]
        return self._parts[kind]
