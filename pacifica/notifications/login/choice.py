"""Which login the settings choose, made once for the process."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from ..config import Settings, get_config
from ..errors import ConfigError
from .base import Login

if TYPE_CHECKING:
    from .signing import Signer

#: Where packages of a site name their logins.
GROUP = "pacifica.notifications.login"


@dataclass(frozen=True, slots=True)
class Logins:
    """Who decides, and what signs; both None where nobody can log in."""

    login: Login | None = None
    signer: Signer | None = None


_in_use: Logins | None = None


def use(settings: Settings) -> Logins:
    """Make the login that the settings choose; raises ``ConfigError`` where it, or its key, can't be used."""
    global _in_use
    auth = settings.auth
    if not (auth.module or auth.class_) and auth.login == "none":
        _in_use = Logins()
        return _in_use
    # Here, because most services have no login, and start sooner without.
    from .signing import Signer

    kind = _of_module(auth.module, auth.class_, auth.login) if auth.module or auth.class_ else _of_entry(auth.login)
    if not (isinstance(kind, type) and issubclass(kind, Login)):
        raise ConfigError(f"auth.login: {kind!r} is no subclass of pacifica.notifications.login.Login")
    _in_use = Logins(kind(settings), Signer(auth))
    return _in_use


def in_use() -> Logins:
    """Give the login of the process."""
    return _in_use or use(get_config())


def _of_module(module: str, name: str, login: str) -> Any:
    if login != "none" or not (module and name):
        raise ConfigError("auth.module and auth.class: both must be set, and auth.login must not be")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"auth.module and auth.class: {error}") from error


def _of_entry(name: str) -> Any:
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = sorted({"none", *entry_points(group=GROUP).names})
        raise ConfigError(f"auth.login: there is no login {name!r}; installed are {', '.join(known)}")
    try:
        return next(iter(found)).load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"auth.login: {name}: {error}") from error
