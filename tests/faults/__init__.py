"""The fault rig: real processes, faults on purpose, and a verdict on what came of every event."""

from __future__ import annotations

from . import of_networks, of_processes, of_requests, of_servers
from .catalogue import CASES as _ENTERED

__all__ = ["CASES", "of_networks", "of_processes", "of_requests", "of_servers"]

CASES = dict(sorted(_ENTERED.items(), key=lambda entry: (int(entry[0].rstrip("b")), entry[0])))
