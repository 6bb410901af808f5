"""Bodies in and out: reading a request's, writing an answer's, and every error as JSON."""

from __future__ import annotations

import html
import json
import logging
import math
from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import uuid4

import cherrypy

from .. import documents, errors
from ..cloudevents import media
from ..globals import HINT_HEADER, VERSION
from . import conditions, problems

LOG = logging.getLogger(__name__)

_PROBLEM = "application/problem+json"
#: Seconds after which a client may try again while the database is away.
RETRY_AFTER = 5
#: Bytes of a body that is too large which are still read, so that the client reads the answer.
LONGEST_REST = 64 * 1024 * 1024


def answering(method: Callable[..., Any]) -> Callable[..., bytes]:
    """Turn what a handler gives into JSON, bytes left as they are, and our errors into HTTP's."""

    @wraps(method)
    def handler(*args: Any, **parameters: Any) -> bytes:
        try:
            value = method(*args, **parameters)
        except errors.NotificationsError as error:
            raise _http_error(error) from error
        body = b"" if value is None else value if isinstance(value, bytes) else encoded(value)
        return _once(body) if method.__name__ == "GET" else body

    return handler


def _once(body: bytes) -> bytes:
    """Give a body with its tag, or nothing and 304 to a client that has it already."""
    response = cherrypy.response
    tag = response.headers.setdefault("ETag", conditions.tag_of(body))
    # It may be kept, by the client alone, and is to be asked for each time.
    response.headers["Cache-Control"] = "private, no-cache"
    if not conditions.is_known(tag):
        return body
    response.status = 304
    return b""


def encoded(value: Any) -> bytes:
    """Give a value as it stands in an answer."""
    return json.dumps(value, ensure_ascii=False).encode()


def _http_error(error: errors.NotificationsError) -> cherrypy.HTTPError:
    problem = problems.kind_of(error)
    if problem is None:
        raise error
    status = problem.status
    cherrypy.serving.request.problem = problem
    faults = getattr(error, "faults", {})
    cherrypy.serving.request.faults = [{"pointer": pointer, "message": message} for pointer, message in faults.items()]
    if isinstance(error, errors.TooOften):
        cherrypy.serving.request.retry_after = math.ceil(error.seconds)
    if isinstance(error, errors.NoIdentity):
        # RFC 6750, section 3: an error code only where a token was sent.
        invalid = ', error="invalid_token"' if isinstance(error, errors.BadToken) else ""
        cherrypy.response.headers["WWW-Authenticate"] = f'Bearer realm="pacifica-notifications"{invalid}'
    if isinstance(error, errors.Overloaded):
        # Logged where it is counted: one line for each of very many would make it worse.
        return cherrypy.HTTPError(int(status), "Too many events are waiting; send the same request again later.")
    if isinstance(error, errors.NoKey):
        LOG.error("request.refused error=%s", error)
        return cherrypy.HTTPError(int(status), "secrets can't be stored: the operator has set no key (secrets.keys).")
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        LOG.warning("request.unavailable error=%s", error)
        return cherrypy.HTTPError(int(status), "The database does not answer; send the same request again later.")
    return cherrypy.HTTPError(int(status), str(error))


def hint(sentences: list[str]) -> None:
    """Put advice into the answer's header."""
    if sentences:
        text = "; ".join(sentences).encode("ascii", "backslashreplace").decode()
        cherrypy.response.headers[HINT_HEADER] = "".join(c if c.isprintable() else "?" for c in text)[:2000]


def body(allowed: tuple[str, ...], longest: int, known: str = "") -> tuple[bytes, str]:
    """Read the request's body, at most ``longest`` bytes; give it with its media type.

    No media type counts as the first of ``allowed``; ``known`` says what is taken where that is more. Raises
    ``UnsupportedMediaType`` and ``TooLarge``.
    """
    content_type = cherrypy.request.headers.get("Content-Type", "")
    media_type = media.essence(content_type) or allowed[0]
    if media_type not in allowed:
        known = known or f"JSON as {' or '.join(allowed)}"
        raise errors.UnsupportedMediaType(f"Content-Type is {media_type}; send {known}")
    charset = media.charset(content_type)
    if charset.lower() not in ("", "utf-8", "utf8"):
        raise errors.UnsupportedMediaType(f"charset is {charset}; send UTF-8")
    return payload(longest), media_type


def payload(longest: int) -> bytes:
    """Read the request's body of whatever type, at most ``longest`` bytes; raises as ``body``."""
    if cherrypy.request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise errors.UnsupportedMediaType("Content-Encoding is not taken; send the body as it is")
    return _read(longest)


def nothing_more(path: tuple[str, ...] = (), query: Mapping[str, Any] | None = None) -> None:
    """Refuse what a request names beneath its resource, and query parameters where there are none."""
    if path:
        raise cherrypy.NotFound()
    if query:
        raise errors.InvalidQuery(
            {f"/{documents.escape(name)}": "is no query parameter of this request" for name in query}
        )


def _length() -> int | None:
    """Give the length of the request's body, None for chunks; raises ``InvalidBody`` where two readers could differ."""
    headers = cherrypy.request.headers
    length = headers.get("Content-Length", "")
    chunked = "Transfer-Encoding" in headers
    if (length and chunked) or not (length or "0").isascii() or not (length or "0").isdigit():
        # What follows can't be told from the body.
        cherrypy.response.headers["Connection"] = "close"
        raise errors.InvalidBody("the body must have one length: digits in Content-Length, or chunks")
    return None if chunked else int(length or "0")


def _read(longest: int) -> bytes:
    length = _length()
    stream = cherrypy.request.body.fp
    too_large = errors.TooLarge(f"the body has more than {longest} bytes (receive.max_body); send a smaller one")
    if length is not None and length > longest:
        _swallow(stream, length)
        raise too_large
    if length is not None:
        return whole(stream, length)
    found = _pulled(stream, longest + 1)
    if len(found) > longest:
        _swallow(stream, LONGEST_REST)
        raise too_large
    return found


def whole(stream: Any, length: int) -> bytes:
    """Read a body of this length; raises ``InvalidBody`` if it has less."""
    found = _pulled(stream, length)
    if len(found) < length:
        raise errors.InvalidBody(f"the body has {len(found)} of {length} bytes; send it again, whole")
    return found


def _pulled(stream: Any, most: int) -> bytes:
    try:
        found: bytes = stream.read(most)
    except (OSError, ValueError) as error:
        raise errors.InvalidBody(f"the body broke off ({type(error).__name__}); send it again") from error
    return found


def _swallow(stream: Any, length: int) -> None:
    """Read on and forget, because a client that can't finish sending does not read why."""
    left = min(length, LONGEST_REST)
    try:
        while left > 0 and (chunk := stream.read(min(left, 65536))):
            left -= len(chunk)
    except (OSError, ValueError):
        cherrypy.response.headers["Connection"] = "close"


def error_page_default(status: str, message: str, traceback: str = "", version: str = "", **_: Any) -> bytes:
    """Give an error's body: the four keys that clients know and RFC 9457's members; never a traceback.

    ``type`` is the path of a page about this kind of error. With ``Accept: application/problem+json`` it is a problem
    document (RFC 9457, section 3).
    """
    # CherryPy has made HTML of it.
    message = html.unescape(message)
    code = str(status).partition(" ")[0]
    request = cherrypy.serving.request
    if code in ("429", "503"):
        # Here, because CherryPy takes the header off before it asks for an error's body.
        cherrypy.response.headers["Retry-After"] = str(getattr(request, "retry_after", RETRY_AFTER))
    problem = getattr(request, "problem", None)
    if problem is None or int(problem.status) != int(code):
        problem = problems.OTHERS.get(int(code))
    faults = getattr(request, "faults", [])
    cherrypy.response.headers["Content-Type"] = _media_type()
    return _error_body(str(status), message, problem, faults, wants_problem())


def _error_body(
    status: str, message: str, problem: problems.Problem | None, faults: list[dict[str, str]], short: bool
) -> bytes:
    code, _space, phrase = status.partition(" ")
    found: dict[str, Any] = {
        "status": status,
        "message": message,
        "traceback": "",
        "version": VERSION,
        "type": path_of(problem) if problem else "about:blank",
        "title": problem.title if problem else phrase,
        "detail": message,
        "errors": faults,
    }
    if short:
        found = {name: found[name] for name in ("type", "title", "detail", "errors")} | {"status": int(code)}
    return json.dumps(found, ensure_ascii=False).encode()


def early_error(status: str, message: str, accept: str) -> tuple[str, bytes]:
    """Give the media type and body of an error that a server finds before there is a request."""
    code, _space, phrase = status.partition(" ")
    problem = problems.OTHERS.get(int(code))
    short = _PROBLEM in accept.lower()
    return _PROBLEM if short else "application/json", _error_body(status, message or phrase, problem, [], short)


def unexpected() -> None:
    """Answer a fault of our own: the log has it, the client gets its number."""
    number = uuid4()
    LOG.error("request.failed error=%s", number, exc_info=True)  # noqa: LOG014 - CherryPy calls it while handling one
    response = cherrypy.serving.response
    response.status = 500
    response.body = error_page_default(
        "500 Internal Server Error", f"The service failed; its log has the reason under {number}."
    )
    response.headers["Content-Length"] = str(len(b"".join(response.body)))


def path_of(problem: problems.Problem) -> str:
    """Give the path of the page about a kind of error, with where clients find the application before it."""
    return str(cherrypy.url(problem.path, relative="server"))


def wants_page() -> bool:
    """Tell whether a browser asks, and would show JSON as it is."""
    return "text/html" in cherrypy.serving.request.headers.get("Accept", "").lower()


def page(media_type: str, policy: str) -> None:
    """Say what the body is where it is no JSON, and what a browser may do with it (a Content-Security-Policy)."""
    headers = cherrypy.response.headers
    cherrypy.serving.response.media_type = media_type
    headers["Content-Security-Policy"] = policy
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"


def wants_problem() -> bool:
    """Tell whether the client asked for problem documents."""
    return _PROBLEM in cherrypy.serving.request.headers.get("Accept", "").lower()


def _media_type() -> str:
    return _PROBLEM if wants_problem() else "application/json"


def _finish() -> None:
    """Set the media type after all tools, because a configured one may have overwritten an error's.

    CherryPy pads the bodies of errors for a browser of long ago; that is taken off.
    """
    response = cherrypy.serving.response
    failed = int(str(response.status or 200).split()[0]) >= 400
    media_type = getattr(response, "media_type", "application/json")
    response.headers["Content-Type"] = _media_type() if failed else media_type
    if response.status == 304:
        # It describes what the client has (RFC 9110, section 15.4.5).
        del response.headers["Content-Type"]
    request = cherrypy.serving.request
    if "Transfer-Encoding" in request.headers and (failed or request.method not in ("POST", "PUT")):
        # What was not read of a chunked body would be taken for the next request.
        response.headers["Connection"] = "close"
    if failed:
        response.body = b"".join(response.body or []).rstrip()
        response.headers.pop("Content-Length", None)


#: After the tools that an operator's CherryPy file may switch on.
_finish.priority = 95  # type: ignore[attr-defined]

#: Configuration of everything that we answer.
CONFIG: dict[str, Any] = {
    "error_page.default": error_page_default,
    "request.error_response": unexpected,
    "request.show_tracebacks": False,
    "request.process_request_body": False,
    "hooks.before_finalize": _finish,
}


class Request(cherrypy.Application.request_class):
    """A request whose errors are ours from its first header on; ``CONFIG`` holds only once its path is known."""

    error_page: ClassVar[dict[str, Any]] = {"default": error_page_default}
    show_tracebacks = False


def allow(methods: str) -> None:
    """Name the methods that a resource has."""
    cherrypy.response.headers["Allow"] = methods
