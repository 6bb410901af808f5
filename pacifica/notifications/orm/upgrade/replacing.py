"""Lets new tables take the place of old ones, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import peewee

from ...errors import ConfigError
from ..database import DB, dialect
from .passage import Progress, silent

Models = Sequence[type[peewee.Model]]


def replace(
    old: Models,
    new: Models,
    more_indexes: Callable[[], Sequence[peewee.Index]],
    fill: Callable[[], None],
    check: Callable[[], None] = lambda: None,
    progress: Progress = silent,
) -> None:
    """Make the new tables, ``fill`` them while the old ones can still be read, ``check`` them, let them take over.

    Both are in an order in which each table comes after those that it refers to. Indexes are made last, because a full
    table is put in order faster than each of its rows. An interruption leaves the old tables as they were, and beside
    them at most what ``Dialect.clear_away`` drops.

    Raises ``ConfigError`` where something of somebody else's hangs on the old tables.
    """
    kind = dialect()
    found = [model for model in old if model.table_exists()]
    there = [model._meta.table_name for model in found]
    _refuse_to_harm(found, new)
    kind.set_aside(there)
    with _named(old, kind.old), _named(new, kind.new):
        for model in new:
            model._meta.table_settings = kind.table_settings
            model._schema.create_table(safe=False)
        fill()
        indexes = [index for model in new for index in model._meta.fields_to_index()] + [*more_indexes()]
        for done, index in enumerate(indexes):
            progress("indexes", done, len(indexes))
            _make(index, kind.new)
        progress("indexes", len(indexes), len(indexes))
        check()
    kind.put_in_place(there, [model._meta.table_name for model in new])


def _refuse_to_harm(old: Models, new: Models) -> None:
    """Raise ``ConfigError`` that names what is somebody else's and would be lost, or stands in the way."""
    there = [model._meta.table_name for model in old]
    hanging = dialect().dependents(there) if there else []
    for model, name in zip(old, there, strict=True):
        columns = {column.name for column in DB.get_columns(name)}
        hanging += [f"the column {column} of {name}" for column in sorted(columns - model._meta.columns.keys())]
    if hanging:
        raise ConfigError(
            f"{', '.join(hanging)}: would be lost, because the tables of this release replace the older ones; remove"
            " them, run dbsync, and make them again; nothing was changed"
        )
    names = [model._meta.table_name for model in new if model.table_exists()]
    strangers = [name for name in names if name not in there]
    if strangers:
        raise ConfigError(
            f"the database has tables of these names that are not ours: {', '.join(strangers)}; give this service a"
            " database of its own; nothing was changed"
        )


@contextmanager
def _named(models: Models, prefix: str) -> Iterator[None]:
    """Let models stand for tables whose names have a prefix."""
    names = [model._meta.table_name for model in models]
    for model, name in zip(models, names, strict=True):
        model._meta.set_table_name(prefix + name)
    try:
        yield
    finally:
        for model, name in zip(models, names, strict=True):
            model._meta.set_table_name(name)


def _make(index: peewee.Index, prefix: str) -> None:
    """Make an index under the name that it has for good."""
    index._name = index._name.removeprefix(prefix)
    index._safe = False
    DB.execute(index)
