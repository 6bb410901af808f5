"""Where deliveries go: a target plug-in takes a batch of sendings and gives each outcome as it comes."""

from __future__ import annotations

from .base import Sending, Target
from .http import HttpTarget

__all__ = ["HttpTarget", "Sending", "Target"]
