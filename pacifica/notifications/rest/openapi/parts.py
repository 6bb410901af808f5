"""Parts that operations are put together from: parameters, bodies, answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from ..problems import BY_NAME
from .schemas import reference

JSON = "application/json"
PROBLEM = "application/problem+json"

UUID = {
    "name": "uuid",
    "in": "path",
    "required": True,
    "description": "Of a subscription.",
    "schema": {"type": "string", "format": "uuid"},
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "Only change the state that has this `ETag`; another one is answered 412.",
    "schema": {"type": "string", "format": "entity-tags"},
    "example": '"17-f25cefdffc14f9d6c7a28f06"',
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of what the client has: the same is answered 304, without a body.",
    "schema": {"type": "string"},
    "example": '"17-f25cefdffc14f9d6c7a28f06"',
}

ETAG = {"description": "Names the state that is shown.", "schema": {"type": "string"}}
HINT = {"description": "What may not be as you expect of a subscription that was taken.", "schema": {"type": "string"}}
LINK = {"description": 'Leads to the next page, with `rel="next"` (RFC 8288).', "schema": {"type": "string"}}
ALLOW = {"description": "The methods of this place.", "required": True, "schema": {"type": "string"}}
RETRY_AFTER = {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer"}}

#: Who asks may bring a token; otherwise the proxy names the user, or nobody is asked.
BEARER = "bearer"
SECURITY: list[dict[str, list[str]]] = [{}, {BEARER: []}]
SECURITY_SCHEMES = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `/auth/login`, or one that the operator made.",
    }
}


def texts(handler: Callable[..., Any]) -> dict[str, str]:
    """Give the summary and description of an operation: the first sentence of a docstring, and all of it."""
    summary, _, rest = (inspect.getdoc(handler) or "").partition("\n\n")
    return {"summary": summary.removesuffix("."), "description": (rest or summary).replace("``", "`")}


def sent(schema: str, examples: Mapping[str, Any], *media_types: str) -> dict[str, Any]:
    """Describe a body that is sent."""
    return {name: {"schema": reference(schema), "examples": dict(examples)} for name in media_types}


def answer(description: str, schema: Mapping[str, Any] | None, example: Any = None, **headers: Any) -> dict[str, Any]:
    """Describe an answer; underscores in names of headers stand for dashes."""
    found: dict[str, Any] = {"description": description}
    if headers:
        found["headers"] = {name.replace("_", "-"): rule for name, rule in headers.items()}
    if schema is not None:
        found["content"] = {JSON: {"schema": dict(schema)} | ({"example": example} if example else {})}
    return found


UNCHANGED = {"description": "The client has it already.", "headers": {"ETag": ETAG}}


def refusals(*names: str) -> dict[str, Any]:
    """Describe the answers for kinds of errors, by their statuses."""
    found: dict[str, Any] = {}
    for name in names:
        problem = BY_NAME[name]
        status = str(int(problem.status))
        said = f"`{name}`: {problem.title}."
        if status in found:
            found[status]["description"] += f" {said}"
            continue
        found[status] = {"description": said, "content": _error()}
        if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            found[status]["headers"] = {"Retry-After": RETRY_AFTER}
    return found


def _error() -> dict[str, Any]:
    return {JSON: {"schema": reference("Error")}, PROBLEM: {"schema": reference("Problem")}}
