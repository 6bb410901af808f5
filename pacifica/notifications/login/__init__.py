"""Logging in by name and password: who may, and the token that says so afterwards."""

from __future__ import annotations

from .base import Login, listed_roles
from .choice import Logins, in_use, use

__all__ = ["Login", "Logins", "in_use", "listed_roles", "use"]
