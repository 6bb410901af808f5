"""Which subscriptions an event matches."""

from __future__ import annotations

from .index import Index, Stats

__all__ = ["Index", "Stats"]
