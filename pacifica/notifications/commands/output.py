"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def write_json(value: Any) -> None:
    """Print a value as one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def write_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows in columns as wide as what stands in them."""
    lines = [tuple(header), *(tuple("-" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())


def complain(text: str) -> None:
    """Print what went wrong where it is not taken for a result."""
    print(text, file=sys.stderr)


def write_lines(section: str, lines: Sequence[str]) -> None:
    """Print lines of the settings, as they would stand in the file."""
    print("\n".join(f"    {line}" for line in (f"[{section}]", *lines)))
