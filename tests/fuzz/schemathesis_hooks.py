"""What schemathesis can't know of the API: texts with a grammar of their own, and rules between two members."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st

schemathesis.openapi.format(
    "jsonpath", st.sampled_from(["$", "data", "$.data[0]", '$[?(@.type = "x")]', "$..id", "$.a.b"])
)
schemathesis.openapi.format("uri", st.sampled_from(["http://127.0.0.1:9/", "https://[::1]/a?b=c", "HTTP://127.0.0.1"]))
schemathesis.openapi.format("entity-tags", st.just("*"))
schemathesis.openapi.format(
    "date-time-or-local", st.sampled_from(["2026-01-31T12:00:00", "2026-01-31t12:00:00.5+01:00"])
)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Keep what is meant to be taken to the rules that a schema can't express."""
    if case.headers and "If-Match" in case.headers:
        # One that was made up names no state, and nothing else would be looked at.
        case.headers["If-Match"] = "*"
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.query, dict):
        # One that was made up is no place in the list; `Link` is followed elsewhere.
        case.query.pop("cursor", None)
    signing = case.body.get("signing") if isinstance(case.body, dict) else None
    if isinstance(signing, dict):
        # Whether one may be given depends on the schemes and on what is stored.
        signing.pop("secret", None)
        signing.pop("previous", None)
    retry = case.body.get("retry") if isinstance(case.body, dict) else None
    if isinstance(retry, dict) and "base" in retry:
        # The longest delay is no shorter than the first.
        retry["cap"] = max(retry["base"], retry.get("cap", retry["base"]))
