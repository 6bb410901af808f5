"""What an upgrade is told, and what it finds on its way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ...errors import ConfigError

#: Told the table, how many of its rows are done, and how many there are.
Progress = Callable[[str, int, int], None]


def silent(table: str, done: int, rows: int) -> None:
    """Say nothing."""


def zone_of(name: str | None) -> tzinfo | None:
    """Give a time zone by its name, such as ``Europe/Berlin``; none is the machine's. Raises ``ConfigError``."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"--timezone {name}: there is no such time zone; give one such as Europe/Berlin") from error


@dataclass(frozen=True)
class Passage:
    """One upgrade: the zone in which the times of old are written, whom to tell how far it is, what it came across.

    Without a zone it is the machine's. ``found`` counts what could not be taken over as it was, by what is said of it.
    """

    zone: tzinfo | None = None
    progress: Progress = silent
    found: Counter[str] = field(default_factory=Counter)

    def utc(self, value: Any, otherwise: datetime | None = None) -> datetime | None:
        """Give a time of old in UTC without a zone; one that can't be read is ``otherwise``, and counted.

        An hour that a change of clocks repeats is taken as its first passing, one that it skips as if it had not.
        """
        if value is None:
            return otherwise
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                self.found["times that could not be read"] += 1
                return otherwise
        try:
            return self._moment(value).replace(tzinfo=None)
        except (OverflowError, OSError, ValueError):
            self.found["times that could not be read"] += 1
            return otherwise

    def _moment(self, value: datetime) -> datetime:
        """Give a time in UTC, by its own zone, by ``zone``, or by the rules of the machine's."""
        if value.tzinfo or self.zone:
            return (value if value.tzinfo else value.replace(tzinfo=self.zone)).astimezone(UTC)
        passings = [value.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
        # For an hour that was skipped Python takes the two offsets the other way round than for a named zone.
        skipped = passings[0].astimezone().replace(tzinfo=None) != value.replace(fold=0)
        return max(passings) if skipped else min(passings)
