"""``config``: the settings in force."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ..config import Settings, mask_url
from .output import write_json, write_table


def config(options: Namespace, settings: Settings) -> bool:
    """Print every setting, its value with secrets masked, and where it came from."""
    rows = [(name, shown(value), source) for name, value, source in settings.rows()]
    if options.json:
        write_json([{"name": name, "value": value, "source": source} for name, value, source in rows])
    else:
        write_table(("setting", "value", "from"), rows)
    return True


def shown(value: Any) -> str:
    """Give a value as it would stand in the file."""
    if isinstance(value, tuple):
        return ",".join(shown(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else mask_url(str(value))
