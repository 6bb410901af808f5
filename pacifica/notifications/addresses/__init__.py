"""Which addresses a target may have: how its URL is read, what kind of address that is, and what the policy says."""

from __future__ import annotations

from .kinds import METADATA, Address, Kind, Network, canonical, carried, kind_of
from .policy import PORTS, Endpoint, Policy, Verdict
from .reading import Place, read

__all__ = [
    "METADATA",
    "PORTS",
    "Address",
    "Endpoint",
    "Kind",
    "Network",
    "Place",
    "Policy",
    "Verdict",
    "canonical",
    "carried",
    "kind_of",
    "read",
]
