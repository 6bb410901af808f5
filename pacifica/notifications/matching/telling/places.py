"""Where a value is in an event, and how a value is shown however large it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

#: Characters of a value, and of a location, that are shown.
SHOWN, LONGEST_LOCATION = 200, 500

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset(("and", "or", "not", "true", "false", "null"))
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The step to a value that a function makes: the call as it is written."""

    call: str


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A value, and how it is reached: from the place that it is in, by a name, a position or a function."""

    value: Any
    within: Place | None = None
    step: str | int | Made = ""

    @property
    def location(self) -> str:
        """Give the location in normalised form, such as ``$.data[3].name``; of a very long one both ends."""
        steps = []
        place = self
        while place.within is not None:
            steps.append(_written(place.step))
            place = place.within
        text = "$" + "".join(reversed(steps))
        if len(text) <= LONGEST_LOCATION:
            return text
        return f"{text[: LONGEST_LOCATION // 2]}…{text[-LONGEST_LOCATION // 2 :]}"

    @property
    def identity(self) -> tuple[object, ...]:
        """Tell it from other places, for as long as they are all held: containers by themselves, others by where.

        However a container was reached, what can be found in it is the same.
        """
        if isinstance(self.value, dict | list) or self.within is None:
            return (id(self.value),)
        return id(self.within.value), self.step

    def shown(self) -> dict[str, Any]:
        """Give location and ``value``; in place of a long value ``text``, its beginning."""
        text, whole = _as_json(self.value, SHOWN)
        return {"location": self.location} | ({"value": self.value} if whole else {"text": text})


def member(name: str) -> str:
    """Write the step to a member of an object."""
    return f".{name}" if is_name(name) else f"[{shortened(name)}]"


def is_name(name: str) -> bool:
    """Tell whether a member's name can stand behind a dot."""
    return bool(_NAME.fullmatch(name)) and name not in _WORDS


def shortened(value: Any, longest: int = SHOWN) -> str:
    """Give a value as JSON, of a long one the beginning and ``…``; takes no longer for a large or deep one."""
    return _as_json(value, longest)[0]


def kind(value: Any) -> str:
    """Name the kind of a value in words, as they stand behind ``is``."""
    if isinstance(value, dict):
        return f"an object of {len(value)} {'member' if len(value) == 1 else 'members'}"
    if isinstance(value, list):
        return f"a list of {len(value)} {'item' if len(value) == 1 else 'items'}"
    return shortened(value, 60)


def _written(step: str | int | Made) -> str:
    if isinstance(step, Made):
        return step.call
    return f"[{step}]" if isinstance(step, int) else member(step)


def _as_json(value: Any, longest: int) -> tuple[str, bool]:
    """Give a value as JSON, and whether that is all of it, and JSON that anybody can read."""
    text, whole = "", True
    if isinstance(value, str):
        value = value[: longest + 1]
    try:
        # A piece at a time, and so no deeper nor further than what is shown.
        for piece in _ENCODER.iterencode(value):
            whole = whole and not piece.endswith(("NaN", "Infinity"))
            text += piece[: longest + 1]
            if len(text) > longest:
                text, whole = f"{text[:longest]}…", False
                break
    except ValueError:
        # An integer of more digits than Python writes.
        text, whole = f"{text}…", False
    # A lone surrogate can't leave as UTF-8.
    written = text.encode("utf-8", "backslashreplace").decode()
    return written, whole and written == text
