"""The steps from one schema to the next; a step that was shipped is never edited."""

from __future__ import annotations

from .from_0_0 import make_version_table
from .from_1_0 import add_auth
from .from_2_0 import make_log_tables
from .from_3_0 import make_4_0, move_to_4_0
from .from_4_0 import widen
from .from_4_1 import open_lanes
from .from_4_2 import add_modes
from .from_4_3 import add_signing
from .from_4_4 import add_tokens, refuse_stranger
from .passage import Passage, Progress, silent, zone_of

__all__ = [
    "Passage",
    "Progress",
    "add_auth",
    "add_modes",
    "add_signing",
    "add_tokens",
    "make_4_0",
    "make_log_tables",
    "make_version_table",
    "move_to_4_0",
    "open_lanes",
    "refuse_stranger",
    "silent",
    "widen",
    "zone_of",
]
