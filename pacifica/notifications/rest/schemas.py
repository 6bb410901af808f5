"""``/schemas``: the JSON Schemas that bodies are checked with."""

from __future__ import annotations

from typing import Any

from . import answers
from .eventmatch import EventMatch
from .receive import ReceiveEvent


class Document:
    """A document that never changes."""

    exposed = True
    _cp_config = answers.CONFIG

    def __init__(self, value: Any) -> None:
        """Take the document's value."""
        self._value = value

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Give a schema that bodies are checked with."""
        answers.nothing_more(path, query)
        return self._value


class Schemas:
    """``/schemas``: the JSON Schemas that bodies are checked with."""

    exposed = False
    eventmatch = Document(EventMatch.json_schema)
    event = Document(ReceiveEvent.event_json_schema)
