"""Which subscriptions an event matches."""

from __future__ import annotations

from .index import Index

__all__ = ["Index"]
