"""Routes events: claims those that are not routed yet, matches them, and makes their deliveries."""

from __future__ import annotations

from .router import Router
from .subscribers import Subscribers, bounds_of

__all__ = ["Router", "Subscribers", "bounds_of"]
