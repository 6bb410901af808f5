"""What ``Retry-After`` says in the header lines of an answer (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

#: The three forms of a date in a header (RFC 9110, section 5.6.7); a space stands for any number of them.
_FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
#: More digits are no number of seconds that anybody means.
_SECONDS = re.compile(r"[+-]?[0-9]{1,12}")


def seconds(lines: Iterable[bytes], now: datetime) -> float | None:
    """Give the seconds to wait, at least 0, or None when nothing is said that can be understood.

    ``lines`` are the header lines as they came, those of interim answers before the others. A date is counted from the
    answer's own ``Date``, because the sender's clock made both; where it has none, from ``now``.
    """
    found = _headers(lines)
    value = found.get("retry-after", "")
    if _SECONDS.fullmatch(value):
        return max(0.0, float(value))
    moment = _date(value)
    if moment is None:
        return None
    return max(0.0, (moment - (_date(found.get("date", "")) or now)).total_seconds())


def _headers(lines: Iterable[bytes]) -> dict[str, str]:
    """Read the headers of the last answer among the lines, names in small letters."""
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"HTTP/"):
            found.clear()
        else:
            name, _, value = line.decode("latin-1").partition(":")
            found[name.strip().lower()] = value.strip()
    return found


def _date(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
