"""Settings: read once, checked at start, frozen."""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import MissingDriver
from .reading import environment_name, load
from .sections import Auth, Database, Delivery, Receive, Secrets, Settings, Signing, declared
from .values import Secret, mask_url, secret

__all__ = [
    "Auth",
    "Database",
    "Delivery",
    "Receive",
    "Secret",
    "Secrets",
    "Settings",
    "Signing",
    "declared",
    "environment_name",
    "get_config",
    "load",
    "mask_url",
    "require_driver",
    "secret",
    "use",
]


def require_driver(module: str, extra: str, name: str) -> None:
    """Raise ``MissingDriver`` unless the package that a setting needs, and that an extra brings, is installed.

    It is only looked for: a driver that not everybody needs at once takes a sixth of the time of a start to import.
    """
    if find_spec(module) is None:
        raise MissingDriver(
            f"{name} needs a driver that is not installed: pip install 'pacifica-notifications[{extra}]'"
        )


_in_force: Settings | None = None


def use(settings: Settings) -> Settings:
    """Make these the settings of the process; what runs as a service or a command does it once, at its start."""
    global _in_force
    _in_force = settings
    return settings


def get_config() -> Settings:
    """Give the settings of the process; where nobody called ``use``, read them anew.

    Raises ``ConfigError`` that names all faults.
    """
    return _in_force or load()
