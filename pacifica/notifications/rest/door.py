"""The short way of an event: what is plainly one goes past CherryPy, whose machinery takes most of the time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import cherrypy
from cherrypy._cpdispatch import MethodDispatcher
from cherrypy._cprequest import LazyUUID4
from cherrypy.lib import httputil

from ..config import get_config
from ..globals import EVENT_MEDIA_TYPES
from . import answers, identity
from .receive import PREFIX, TRIED, ReceiveEvent, take
from .root import Root

LOG = logging.getLogger(__name__)

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

#: How a media type that is taken is written in nearly every request; other ways are the page handler's.
_TYPES = {"": EVENT_MEDIA_TYPES[0]} | {
    f"{name}{parameter}": name
    for name in EVENT_MEDIA_TYPES
    for parameter in ("", "; charset=utf-8", ";charset=utf-8", "; charset=UTF-8", ";charset=UTF-8")
}
#: What a request must not have: a body in chunks or encoded, what may be refused, a header under a second name.
_NOT_PLAIN = (
    "HTTP_TRANSFER_ENCODING",
    "HTTP_CONTENT_ENCODING",
    "HTTP_COOKIE",
    "HTTP_ACCEPT_CHARSET",
    "HTTP_CONTENT_TYPE",
    "HTTP_CONTENT_LENGTH",
    "HTTP_REMOTE_ADDR",
    "HTTP_REMOTE_HOST",
)
_PROTOCOLS = ("HTTP/1.1", "HTTP/1.0", "HTTP/2.0")

#: What a CherryPy file may say without a difference to an event that is taken: it is about other things, or errors.
_ELSEWHERE = ("log.", "server.", "engine.", "checker.", "error_page.")
_INDIFFERENT = {
    "environment",
    "request.show_tracebacks",
    "request.show_mismatched_params",
    "tools.log_tracebacks.on",
    "tools.log_headers.on",
    "tools.trailing_slash.on",
    "tools.encode.on",
    # These are honoured here.
    "request.dispatch",
    "tools.response_headers.on",
    "tools.response_headers.headers",
}
#: Headers that belong to one answer alone.
_OF_ONE = {"Date", "Content-Length", "Connection", "Transfer-Encoding", "Keep-Alive"}


class Door:
    """Stands before the page handlers (WSGI), and answers ``POST /receive`` itself where all of the following is so.

    The request has nothing unusual about it, the event is stored, and the CherryPy file turns on nothing that would
    have a part in the answer. Everything else goes on as it came, so that there is one place which knows how to refuse.
    """

    def __init__(self, behind: Application, mounted: cherrypy.Application) -> None:
        """Take what is behind the door, and the application that has the configuration."""
        self._behind = behind
        self._mounted = mounted

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        if not _is_plain(environ) or not self._headers:
            return self._behind(environ, start_response)
        try:
            sender = identity.sender(environ)
            body = answers.whole(environ["wsgi.input"], int(environ["CONTENT_LENGTH"]))
            answer = answers.encoded(take(body, _TYPES[environ.get("CONTENT_TYPE", "")], sender))
        except Exception as error:  # noqa: BLE001 - raised again by the page handler, whose business it is
            environ[TRIED] = error
            return self._behind(environ, start_response)
        own = {"Date": httputil.HTTPDate(), "Content-Length": str(len(answer))}
        if self._logged:
            self._log(environ, own)
        start_response("200 OK", [(name, own.get(name, value)) for name, value in self._headers])
        return [answer]

    @cached_property
    def _headers(self) -> list[tuple[str, str]]:
        """The headers of an answer, those of ``_OF_ONE`` yet without a value; none where the door stays shut.

        Found out with the first event, when all configuration has been read.
        """
        config = self._config()
        strange = [name for name, value in config.items() if not _is_indifferent(name, value)]
        if strange or type(config.get("request.dispatch")) is not MethodDispatcher:
            LOG.info("receive.slower because=%s", ",".join(strange) or "request.dispatch")
            return []
        headers = httputil.HeaderMap({"Content-Type": "", "Server": f"CherryPy/{cherrypy.__version__}", "Date": ""})
        headers["Allow"] = "OPTIONS, POST"
        if config.get("tools.response_headers.on"):
            for name, value in config.get("tools.response_headers.headers") or []:
                if name.title() in _OF_ONE:
                    LOG.info("receive.slower because=%s in tools.response_headers.headers", name)
                    return []
                headers[name] = value
        headers["Content-Type"] = "application/json"
        headers["Content-Length"] = ""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.output()]

    @cached_property
    def _logged(self) -> bool:
        """Whether the access log goes anywhere, found out with the first event too."""
        return self._mounted.log.wanted

    def _config(self) -> dict[str, Any]:
        """Give what CherryPy would find out about ``/receive`` for each request."""
        found = dict(cherrypy.config)
        for owner, path in ((Root, "/"), (ReceiveEvent, "/receive"), (None, "/receive/index")):
            found |= getattr(owner, "_cp_config", {}) | self._mounted.config.get(path, {})
        return found

    def _log(self, environ: dict[str, Any], headers: dict[str, str]) -> None:
        """Write the line of the access log, which CherryPy makes of what it is serving."""
        address, port = environ.get("REMOTE_ADDR", ""), int(environ.get("REMOTE_PORT") or -1)
        path = httputil.urljoin(environ.get("SCRIPT_NAME", ""), environ["PATH_INFO"])
        request = SimpleNamespace(
            app=self._mounted,
            wsgi_environ=environ,
            remote=httputil.Host(address, port, environ.get("REMOTE_HOST", "")),
            login=environ.get("LOGON_USER") or environ.get("REMOTE_USER") or None,
            request_line=f"POST {path} {environ['SERVER_PROTOCOL']}",
            headers={name[5:].replace("_", "-").title(): value.strip() for name, value in _headers_of(environ)},
            unique_id=LazyUUID4(),
        )
        cherrypy.serving.load(request, SimpleNamespace(output_status=b"200 OK", headers=headers))
        try:
            self._mounted.log.access()
        finally:
            cherrypy.serving.clear()


def _is_indifferent(name: str, value: Any) -> bool:
    """Tell whether an entry of the configuration makes no difference to an answer, or none that is not made here."""
    off = name.startswith("tools.") and name.endswith(".on") and not value
    ours = name in answers.CONFIG and answers.CONFIG[name] == value
    return off or ours or name in _INDIFFERENT or name.startswith(_ELSEWHERE)


def _headers_of(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in environ.items() if name.startswith("HTTP_"))


def _is_plain(environ: dict[str, Any]) -> bool:
    """Tell whether a request is one for an event, with nothing that anybody would have to think about."""
    length, prefix = environ.get("CONTENT_LENGTH") or "", environ.get("SCRIPT_NAME", "")
    return (
        environ.get("PATH_INFO") == "/receive"
        and environ["REQUEST_METHOD"] == "POST"
        and not environ.get("QUERY_STRING")
        and environ.get("CONTENT_TYPE", "") in _TYPES
        and length.isascii()
        and length.isdigit()
        and len(length) < 16
        and 0 < int(length) <= get_config().receive.max_body
        and environ.get("SERVER_PROTOCOL") in _PROTOCOLS
        and bool(environ.get("HTTP_HOST"))
        and prefix.isascii()
        and "//" not in prefix
        and not any(name in environ for name in _NOT_PLAIN)
        # It would be decoded (RFC 2047), and may be nothing that can be; or the event is in binary mode.
        and not any("=?" in value or name.startswith(PREFIX) for name, value in _headers_of(environ))
    )
