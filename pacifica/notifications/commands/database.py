"""``dbsync`` and ``dbchk``: the schema."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from datetime import datetime
from typing import Any

import click

from .. import orm
from ..config import Settings
from .differences import KINDS, Difference, differences, sentence
from .output import complain, write_json

#: Subscriptions of each kind that are named; ``--json`` names all.
NAMED = 20


def dbsync(options: Namespace, settings: Settings) -> bool:
    """Create or upgrade the tables; repeatable, and two at once do no harm."""
    with Bars() as bars:
        synced = orm.OrmSync.update_tables(options.timezone, bars.progress)
        sealed, clear = _sealed(bars)
    upgraded = synced.changed and synced.before is not None
    with orm.session(), orm.unlimited():
        found = differences(settings) if upgraded or options.differences else []
    version, before = _text(synced.now), _text(synced.before) if synced.before else None
    if options.json:
        write_json(
            {
                "schema": version,
                "before": before,
                "created": synced.before is None,
                "upgraded": upgraded,
                "found": synced.found,
                "sealed": sealed,
                "clear": clear,
                "differences": [difference.to_hash() for difference in found],
            }
        )
    elif upgraded:
        print(f"the tables were upgraded: schema {before} to {version}")
        for text, count in synced.found.items():
            print(f"{count} {text}")
    else:
        print(f"the tables were {'there already' if synced.before else 'made'}: schema {version}")
    if not options.json and (upgraded or options.differences):
        _tell(found)
    if not options.json and sealed:
        print(f"subscriptions whose secrets were in clear, now sealed with the key {orm.keyring.ids()[0]}: {sealed}")
    if clear:
        complain(
            f"subscriptions whose secrets are in clear: {clear}; seal them with: pacifica-notifications-cmd rotate-keys"
            + ("" if orm.keyring.ids() else ", once there is a key (docs/how-to/keys.md)")
        )
    return True


def _sealed(bars: Bars) -> tuple[int, int]:
    """Seal what is in clear, if there is a key; give how many were sealed, and how many are left."""
    with orm.session(), orm.unlimited():
        done = 0
        if orm.keyring.ids():
            done = orm.reseal(lambda done, rows: bars.progress("secrets", done, rows), clear_only=True).done
        return done, orm.in_clear()


def _tell(found: list[Difference]) -> None:
    """Print what behaves differently now, the most urgent first."""
    if not found:
        print("no subscription will behave differently but as docs/upgrade.md says for all")
        return
    print("What is different about the subscriptions that are there:")
    counts = Counter(difference.kind for difference in found)
    for kind in KINDS:
        if not counts[kind]:
            continue
        print(f"\n{counts[kind]} subscription{'s' * (counts[kind] > 1)} {sentence(kind)}:")
        for difference in [each for each in found if each.kind == kind][:NAMED]:
            row = difference.subscription
            print(f"    {row.uuid} {row.user} {row.name!r} {difference.detail}".rstrip())
        if counts[kind] > NAMED:
            print(f"    and {counts[kind] - NAMED} more; --json names all")


class Bars:
    """Shows how far an upgrade is: a bar for each table on a terminal, else a line for each tenth."""

    def __init__(self) -> None:
        """Begin with none."""
        self._table = ""
        self._bar: Any = None
        self._tenth = -1

    def __enter__(self) -> Bars:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the last bar."""
        self._end()

    def progress(self, table: str, done: int, rows: int) -> None:
        """Take up how many rows of a table are done; of an empty one there is nothing to show."""
        if not rows:
            return
        if table != self._table:
            self._end()
            self._table, self._tenth = table, -1
            if sys.stderr.isatty():
                self._bar = click.progressbar(length=rows, label=table, file=sys.stderr)
                self._bar.__enter__()
        if self._bar is not None:
            self._bar.update(done - self._bar.pos)
        elif done * 10 // rows > self._tenth:
            self._tenth = done * 10 // rows
            complain(f"{datetime.now():%H:%M:%S} {table}: {done} of {rows}")  # noqa: DTZ005 - for whoever looks on

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def dbchk(options: Namespace, settings: Settings) -> bool:
    """Tell whether this release can use the schema, with ``--equal`` whether it is exactly this release's."""
    with orm.session():
        version = orm.NotificationSystem.get_version()
        usable, equal = orm.NotificationSystem.is_safe(), orm.NotificationSystem.is_equal()
        described = "" if usable else orm.described()
    if options.json:
        ours = _text(orm.OrmSync.versions[-1])
        write_json({"schema": _text(version), "needed": ours, "usable": usable, "equal": equal})
    elif described:
        complain(described)
    else:
        print(f"schema {_text(version)}: {'current' if equal else 'usable'}")
    return equal if options.equal else usable


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
