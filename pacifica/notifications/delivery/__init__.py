"""Delivers: claims fairly, asks the gate, sends many at once, and settles what came of it."""

from __future__ import annotations

from .asking import WAITS
from .courier import Courier

__all__ = ["WAITS", "Courier"]
