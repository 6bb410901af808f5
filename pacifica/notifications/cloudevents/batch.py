"""Batches: JSON batch format 1.0.2, section 4."""

from __future__ import annotations

from typing import Any

from .. import documents
from ..errors import InvalidEvent, TooLarge


def read(body: bytes, max_depth: int, max_events: int) -> list[tuple[str, Any]]:
    """Give the members of a batch, each as its slice of the text and its value; each may be ``max_depth`` deep.

    Raises ``InvalidBody`` for what is not I-JSON, ``InvalidEvent`` for what is no array, and ``TooLarge`` for one of
    more than ``max_events``.
    """
    values = documents.read(body, max_depth + 1)
    if not isinstance(values, list):
        raise InvalidEvent(
            {"": "must be a JSON array of CloudEvents, because the Content-Type says that it is a batch"}
        )
    if len(values) > max_events:
        raise TooLarge(
            f"the batch has {len(values)} events, at most {max_events} are taken (receive.max_batch); send smaller ones"
        )
    return list(zip(documents.elements(body.decode()), values, strict=True))
