"""``dbsync`` and ``dbchk``: the schema."""

from __future__ import annotations

from argparse import Namespace

from .. import orm
from ..config import Settings
from .output import complain, write_json


def dbsync(options: Namespace, settings: Settings) -> bool:
    """Create the tables; repeatable, and two at once do no harm."""
    created = orm.OrmSync.update_tables()
    with orm.session():
        version = _text(orm.NotificationSystem.get_version())
    if options.json:
        write_json({"schema": version, "created": created})
    else:
        print(f"the tables were {'made' if created else 'there already'}: schema {version}")
    return True


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
