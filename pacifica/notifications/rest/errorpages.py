"""``/errors``: a page about each kind of error, to which ``type`` of an error leads."""

from __future__ import annotations

import html
from typing import Any

import cherrypy

from . import answers, problems
from .problems import Problem

#: Nothing is loaded, run or framed.
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Errors:
    """The kinds of errors; for a browser as HTML, else as JSON."""

    exposed = True
    _cp_config = answers.CONFIG

    @answers.answering
    def GET(self, /, *path: str, **query: Any) -> Any:
        """Give one kind of error by its name, or all of them."""
        answers.nothing_more(query=query)
        if len(path) > 1 or (path and path[0] not in problems.BY_NAME):
            raise cherrypy.NotFound()
        found = [problems.BY_NAME[path[0]]] if path else list(problems.BY_NAME.values())
        cherrypy.response.headers["Vary"] = "Accept"
        if answers.wants_page():
            answers.page("text/html; charset=utf-8", _POLICY)
            return _page(found)
        shown = [problem.shown(answers.path_of(problem)) for problem in found]
        return shown[0] if path else shown


def _page(found: list[Problem]) -> bytes:
    title = found[0].title if len(found) == 1 else "Errors"
    sections = "".join(_section(problem) for problem in found)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{html.escape(title)}</title></head>\n'
        f"<body>\n{sections}</body>\n</html>\n"
    ).encode()


def _section(problem: Problem) -> str:
    link = html.escape(answers.path_of(problem))
    return (
        f'<h1>{html.escape(problem.title)}</h1>\n<p><a href="{link}"><code>{problem.name}</code></a>,'
        f" {int(problem.status)} {problem.status.phrase}</p>\n<p>{html.escape(problem.remedy)}</p>\n"
    )
