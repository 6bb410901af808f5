"""Which subscriptions an event matches."""

from __future__ import annotations

from .explain import explain
from .hints import hints
from .index import Index, Stats
from .telling.places import shortened

__all__ = ["Index", "Stats", "explain", "hints", "shortened"]
