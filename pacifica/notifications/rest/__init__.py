"""HTTP to values and back."""

from __future__ import annotations

from .answers import Request, error_page_default
from .eventmatch import EventMatch
from .receive import ReceiveEvent
from .root import Root

__all__ = ["EventMatch", "ReceiveEvent", "Request", "Root", "error_page_default"]
