"""Many HTTP POSTs at once from one thread, each answer given as it ends."""

from __future__ import annotations

from .exchange import Limits, Pin, Post
from .loop import Loop
from .transfers import Transfers

__all__ = ["Limits", "Loop", "Pin", "Post", "Transfers"]
