"""Makes pages of the documentation from the code: settings, kinds of errors, roles, the help of every command.

A line ``<!-- settings -->``, ``<!-- errors -->``, ``<!-- roles -->`` or ``<!-- help NAME -->`` of a page is replaced
when Sphinx reads it. Knows nothing of Sphinx but the one event, so that the tests use it without Sphinx.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pacifica.notifications import __main__ as service
from pacifica.notifications import access, config
from pacifica.notifications.commands.parser import make_parser
from pacifica.notifications.commands.settings import shown
from pacifica.notifications.config import sections
from pacifica.notifications.rest import problems

_WIDTH = 96
_SETTINGS = re.compile(r"^<!-- settings -->$", re.MULTILINE)
_ERRORS = re.compile(r"^<!-- errors -->$", re.MULTILINE)
_ROLES = re.compile(r"^<!-- roles -->$", re.MULTILINE)
_HELP = re.compile(r"^<!-- help ([a-z-]+(?: [a-z-]+)*) -->$", re.MULTILINE)
_KINDS = {
    "str": "text",
    "str | None": "text",
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
    "Secret": "text, a secret",
    "tuple[float, ...]": "numbers separated by commas",
    "tuple[str, ...]": "words separated by commas",
    "tuple[tuple[str, str], ...]": "pairs separated by commas",
    "tuple[Key, ...]": "keys separated by commas",
    "tuple[SigningKey, ...]": "keys separated by commas",
}


def setup(app: Any) -> dict[str, bool]:
    """Hand Sphinx the one function that it calls for each page."""
    app.connect("source-read", _on_read)
    return {"parallel_read_safe": True}


def _on_read(app: Any, page: str, source: list[str]) -> None:
    filled = fill(source[0])
    if filled != source[0]:
        for module in (access, config, service, problems, inspect.getmodule(make_parser)):
            app.env.note_dependency(inspect.getfile(module))
        source[0] = filled


def fill(page: str) -> str:
    """Give a page's text with what is made from the code in its place."""
    page = _SETTINGS.sub(lambda _: settings(), page)
    page = _ERRORS.sub(lambda _: kinds_of_errors(), page)
    page = _ROLES.sub(lambda _: roles(), page)
    return _HELP.sub(lambda found: help_of(found[1]), page)


def roles() -> str:
    """Tell how far each role reaches, one row for each request."""
    names = {access.Reach.NONE: "403", access.Reach.OWN: "own", access.Reach.ALL: "all"}
    lines = [f"| request | {' | '.join(f'`{role}`' for role in access.Role)} |", f"|---|{'---|' * len(access.Role)}"]
    for method, place in access.TABLE:
        cells = [names[access.reach(method, place, role)] for role in access.Role]
        lines.append(f"| `{method} {place}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def settings() -> str:
    """Describe every setting that is declared: a section of the page for each section of the file."""
    comments = _comments()
    lines: list[str] = []
    for name, kind, spec in config.declared():
        section, _, key = name.partition(".")
        heading = f"## `[{section}]`"
        if heading not in lines:
            about = (inspect.getdoc(kind) or "").partition(":")[2].strip()
            lines += [heading, "", *([about[:1].upper() + about[1:], ""] if about else [])]
        default = shown(spec.default) if spec.default is not None else ""
        default = f"default `{default}`" if default else "no default"
        facts = f"{_KINDS[str(spec.type)]}; {default}; environment `{config.environment_name(name, spec)}`"
        lines += [f"`{key}`", f": {comments[kind.__name__, spec.name]}", "", f"  *{facts[0].upper()}{facts[1:]}*", ""]
    return "\n".join(lines)


def kinds_of_errors() -> str:
    """Describe every kind of error: a section of the page for each."""
    return "\n\n".join(
        f"## `{problem.name}`\n\n{int(problem.status)} {problem.status.phrase}: {problem.title}.\n\n{problem.remedy}"
        for problem in sorted(problems.BY_NAME.values(), key=lambda problem: (problem.status, problem.name))
    )


def _comments() -> dict[tuple[str, str], str]:
    """Give the ``#:`` comment above each field of the classes in ``config.sections``, by class and field."""
    source = inspect.getsource(sections)
    lines = source.splitlines()
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(source).body:
        for field in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                above = reversed(list(_above(lines, field.lineno - 1)))
                found[node.name, field.target.id] = " ".join(above)
    return found


def _above(lines: list[str], at: int) -> Iterator[str]:
    while at > 0 and lines[at - 1].strip().startswith("#:"):
        at -= 1
        yield lines[at].strip()[2:].strip()


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Give the parser of every command by its name; the two programs are among them."""
    parser = make_parser()
    return {"pacifica-notifications": service._parser(), "pacifica-notifications-cmd": parser, **_commands(parser)}


def _commands(parser: argparse.ArgumentParser, before: str = "") -> dict[str, argparse.ArgumentParser]:
    """Give the commands of a parser, those of a command with its name before their own."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                found |= {before + name: command, **_commands(command, f"{before}{name} ")}
    return found


def help_of(name: str) -> str:
    """Give what a command prints with ``--help``, with no folder of this machine in it."""
    parser = parsers()[name]
    parser.formatter_class = partial(argparse.HelpFormatter, width=_WIDTH)
    for action in parser._actions:
        action.help = (action.help or "").replace(str(Path.home()), "~")
    text = parser.format_help()
    return f"```text\n{textwrap.dedent(text).strip()}\n```"
