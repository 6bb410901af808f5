"""May this user see this event: decided here where nobody needs to be asked, or asked of the policy server."""

from __future__ import annotations

from .base import Ask, Gate, Verdict
from .choice import decide
from .policy import PolicyGate

__all__ = ["Ask", "Gate", "PolicyGate", "Verdict", "decide"]
