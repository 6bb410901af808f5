"""The commands of ``pacifica-notifications-cmd``."""

from __future__ import annotations

from .parser import run

__all__ = ["run"]
