"""What the names of targets resolve to, and what the settings say about the addresses."""

from __future__ import annotations

from .judging import Checked, check, opening, policy_of, summary
from .names import LookUp, look_up
from .resolver import Resolver

__all__ = ["Checked", "LookUp", "Resolver", "check", "look_up", "opening", "policy_of", "summary"]
