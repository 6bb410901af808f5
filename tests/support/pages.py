"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
#: Pages that a test walks through, command by command.
WALKED = ("README.md", "docs/tutorial.md")

_BLOCK = re.compile(
    r"^(?P<fence>`{3,}|~{3,}|:{3,})[ ]*(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=fence)[ ]*$", re.M | re.S
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the page and line where it starts, its language, its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Give the blocks of a page's text in order."""
    for found in _BLOCK.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found["language"], found["text"])


def read(page: str) -> str:
    """Give the text of a page, named from the checkout."""
    return (CHECKOUT / page).read_text(encoding="utf-8")


def pages() -> list[str]:
    """Name every page that a reader may copy from."""
    found = {*CHECKOUT.glob("*.md"), *CHECKOUT.glob("config/*.md"), *CHECKOUT.glob("benchmarks/*.md")}
    found |= {page for page in CHECKOUT.glob("docs/**/*.md") if "_build" not in page.parts}
    return sorted(page.relative_to(CHECKOUT).as_posix() for page in found)
