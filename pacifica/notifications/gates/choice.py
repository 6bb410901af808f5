"""Which events need to be asked about; for the others the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..globals import OWN_TYPES
from .base import Verdict

_NOBODY_ASKED = Verdict(True, "nobody is asked")


def decide(event_type: str, value: Any, user: str, policy_url: str, types: Sequence[str]) -> Verdict | None:
    """Give the verdict about a user and an event, or None when the policy server must be asked.

    Events of our own go to the user that their ``data.user`` names; ``types`` are the patterns of the types that the
    policy server is asked for.
    """
    if event_type.startswith(OWN_TYPES):
        data = value.get("data") if isinstance(value, Mapping) else None
        owner = data.get("user") if isinstance(data, Mapping) else None
        mine = owner == user
        return Verdict(mine, "names its owner" if mine else "is for the owner that it names")
    if not policy_url or not any(fnmatchcase(event_type, pattern) for pattern in types):
        return _NOBODY_ASKED
    return None
