"""Statements that are written out: those of every batch, which peewee takes longer to make up than they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import peewee

from .database import DB


def run(text: str, parameters: Sequence[object] = ()) -> Any:
    """Run a statement whose parameters stand in it as ``?``, and give its cursor."""
    return DB.execute_sql(text.replace("?", DB.param), parameters)


def marks(values: Sequence[object]) -> str:
    """Give as many places for parameters as there are values."""
    return ", ".join("?" * len(values))


def rows(cursor: Any, fields: Sequence[peewee.Field]) -> Iterator[list[Any]]:
    """Give the rows of a cursor with their columns' values as their fields have them."""
    readers = [field.python_value for field in fields]
    for row in cursor.fetchall():
        yield [read(value) for read, value in zip(readers, row, strict=True)]


def keys(field: peewee.Field, values: Iterable[object]) -> list[Any]:
    """Give values as a column holds them."""
    return [field.db_value(value) for value in values]
