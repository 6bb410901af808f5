"""``config``: the settings in force."""

from __future__ import annotations

import ast
import configparser
from argparse import Namespace
from dataclasses import replace
from typing import Any

from .. import globals as names
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


def serving(settings: Settings) -> Settings:
    """Add where the service that delivers itself listens by the CherryPy file: its targets may depend on that."""
    if not settings.embedded:
        return settings
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read([names.DEFAULT_CHERRYPY_CONFIG, names.CHERRYPY_CONFIG], encoding="utf-8")
        if ast.literal_eval(parser.get("global", "server.socket_file", fallback="None")):
            return settings
        host, port = (ast.literal_eval(parser.get("global", f"server.socket_{name}")) for name in ("host", "port"))
        return replace(settings, listens=(str(host or ""), int(port)))
    except (configparser.Error, SyntaxError, TypeError, ValueError):
        # The service itself will say what is wrong with the file.
        return settings
