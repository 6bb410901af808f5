"""HTTP to values and back."""

from __future__ import annotations

from .accesslog import Log
from .answers import Request, error_page_default
from .door import Door
from .eventmatch import EventMatch
from .receive import ReceiveEvent
from .root import Root

__all__ = ["Door", "EventMatch", "Log", "ReceiveEvent", "Request", "Root", "error_page_default"]
