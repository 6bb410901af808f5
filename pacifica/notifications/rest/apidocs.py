"""``/openapi.json`` and ``/docs``: what the API is, for programs and for people."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cherrypy

from ..config import get_config
from . import answers, openapi

#: Swagger UI as it is published, and the few lines that start it.
_FOLDER = Path(__file__).with_name("swagger")
#: The files that are served, and what each is.
FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
#: All of it comes from here, and no script or style stands in a page.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pacifica Notifications</title>
<link rel="icon" href="{place}/docs/favicon-32x32.png">
<link rel="stylesheet" href="{place}/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<noscript>Without scripts: <a href="{place}/openapi.json">openapi.json</a>.</noscript>
<script src="{place}/docs/swagger-ui-bundle.js"></script>
<script src="{place}/docs/start.js" data-description="{place}/openapi.json"></script>
</body>
</html>
"""


def _place() -> str:
    """Give the path at which clients find the service, empty at the root; raises ``NotFound`` where this is off."""
    if not get_config().notifications.api_docs:
        raise cherrypy.NotFound()
    return str(cherrypy.url("/", relative="server")).rstrip("/")


class Description:
    """``/openapi.json``: the description of the API."""

    exposed = True
    _cp_config = answers.CONFIG

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Give this description."""
        place = _place()
        answers.nothing_more(path, query)
        return openapi.document(get_config(), place or "/")


class Pages:
    """``/docs``: the description as a page to read and to try things out in, all of it from local files."""

    exposed = True
    _cp_config = answers.CONFIG

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> bytes:
        """Give the page, or a file of it."""
        place = _place()
        answers.nothing_more(query=query)
        if not path:
            answers.page("text/html; charset=utf-8", _POLICY)
            return _PAGE.format(place=place).encode()
        if len(path) > 1 or path[0] not in FILES:
            raise cherrypy.NotFound()
        answers.page(FILES[path[0]], _POLICY)
        return _file(path[0])


@cache
def _file(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
