"""Statements that are written out: those of every batch, which peewee takes longer to make up than they run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .database import DB, dialect


def run(text: str, parameters: Sequence[object] = ()) -> Any:
    """Run a statement whose parameters stand in it as ``?``, and give its cursor."""
    return DB.execute_sql(text.replace("?", DB.param), parameters)


def marks(values: Sequence[object]) -> str:
    """Give as many places for parameters as there are values."""
    return ", ".join("?" * len(values))


def keys(texts: Iterable[str]) -> list[str]:
    """Give UUIDs, as they are written, as parameters for columns that hold some."""
    return [dialect().key(text) for text in texts]
