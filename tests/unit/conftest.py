"""What the pure tests have in common."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run, kept nowhere, and however slow the machine is.
settings.register_profile("same", derandomize=True, database=None, deadline=None, max_examples=60)
settings.load_profile("same")
