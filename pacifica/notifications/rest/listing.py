"""The query parameters of a list: which rows, in which order, page by page."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import cherrypy

from .. import documents, orm
from ..errors import InvalidQuery, Refused

#: Rows of one page at most.
LONGEST_PAGE = 1000
#: What a list can be sorted by.
SORTABLE = ("name", "created", "updated")
_KEY = f"-?(?:{'|'.join(SORTABLE)})"

#: What a list takes, each with its description and JSON Schema as OpenAPI has them.
PARAMETERS: dict[str, dict[str, Any]] = {
    "name": {"description": "Only those with exactly this name.", "schema": {"type": "string"}},
    "disabled": {"description": "Only those that are disabled, or are not.", "schema": {"type": "boolean"}},
    "target_url": {"description": "Only those whose target begins so.", "schema": {"type": "string"}},
    "since": {
        "description": "Only those that were changed at this time or later (RFC 3339).",
        "schema": {"type": "string", "format": "date-time"},
    },
    "sort": {
        "description": f"The order: {', '.join(SORTABLE)}, separated by commas, each once, with `-` before it for the"
        " largest first. Without it: `created`.",
        "schema": {
            "type": "string",
            "pattern": rf"^(?!.*({'|'.join(SORTABLE)}).*\1){_KEY}(?:,{_KEY}){{0,{len(SORTABLE) - 1}}}$",
        },
    },
    "limit": {
        "description": "So many at most; `Link` then leads to the next page. Without it all come.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE},
    },
    "cursor": {
        "description": "What comes behind a page: as in the `Link` of that page, with the same `sort`.",
        "schema": {"type": "string", "format": "cursor"},
    },
}


def narrowed(query: Mapping[str, Any]) -> dict[str, Any]:
    """Read the parameters as ``EventMatch.all_of`` takes them; raises ``InvalidQuery`` that names every bad one."""
    faults: dict[str, str] = {}
    found: dict[str, Any] = {}
    for name, value in query.items():
        if name not in PARAMETERS:
            faults[f"/{documents.escape(name)}"] = f"is no query parameter; known are {', '.join(PARAMETERS)}"
            continue
        try:
            if not isinstance(value, str):
                raise ValueError("must be given once")
            key, read = _read(name, value)
            found[key] = read
        except ValueError as error:
            faults[f"/{name}"] = str(error)
    if "after" in found:
        try:
            found["after"] = _position(found["after"], found.get("order", orm.OLDEST_FIRST))
        except ValueError as error:
            faults["/cursor"] = str(error)
    if faults:
        raise InvalidQuery(faults)
    return found


def _read(name: str, value: str) -> tuple[str, Any]:
    if name == "disabled":
        if value not in ("true", "false"):
            raise ValueError("must be true or false")
        return name, value == "true"
    if name == "since":
        moment = documents.rfc3339(value)
        if moment is None:
            raise ValueError("must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z")
        return name, moment
    if name == "limit":
        if not re.fullmatch(r"[0-9]{1,4}", value) or not 1 <= int(value) <= LONGEST_PAGE:
            raise ValueError(f"must be a whole number from 1 to {LONGEST_PAGE}")
        return name, int(value)
    if name == "sort":
        return "order", _order(value)
    if name == "cursor":
        return "after", value
    if "\0" in value:
        raise ValueError("must not hold the character U+0000")
    return name, value


def _order(value: str) -> orm.Order:
    found = [(key.removeprefix("-"), key.startswith("-")) for key in value.split(",")]
    known = all(key in SORTABLE for key, _descending in found)
    if not known or len({key for key, _descending in found}) < len(found):
        raise ValueError(f"must be members of {', '.join(SORTABLE)}, each once, with - before it for the largest first")
    return found


def _position(cursor: str, order: orm.Order) -> list[Any]:
    """Read a cursor: the order that it was made for, and where a row stands in that."""
    try:
        made_for, *values, uuid = documents.read(base64.urlsafe_b64decode(cursor.encode("ascii")))
        position = [_value(key, text) for (key, _descending), text in zip(order, values, strict=True)]
        last = UUID(uuid)
    except (ValueError, TypeError, AttributeError, binascii.Error, Refused):
        raise ValueError("must be the cursor of a Link header of an earlier answer with the same sort") from None
    if made_for != _written(order):
        raise ValueError("is the cursor of another order; send it with the same sort")
    return [*position, last]


def _value(key: str, text: Any) -> str | datetime:
    if not isinstance(text, str) or "\0" in text:
        raise ValueError
    if key == "name":
        return text
    moment = documents.rfc3339(text)
    if moment is None:
        raise ValueError
    return moment


def _written(order: orm.Order) -> str:
    return ",".join(f"{'-' * descending}{key}" for key, descending in order)


def link_next(query: Mapping[str, str], order: orm.Order, last: orm.EventMatch) -> None:
    """Say where the page behind a row is (RFC 8288)."""
    position: Sequence[Any] = [orm.plain(value) for value in last.position(order)]
    text = json.dumps([_written(order), *position])
    cursor = base64.urlsafe_b64encode(text.encode()).decode()
    parameters = urlencode({**query, "cursor": cursor})
    cherrypy.response.headers["Link"] = f'<{cherrypy.url("/eventmatch")}?{parameters}>; rel="next"'
