"""Conditions of a request (RFC 9110, section 13): what an entity tag is, and whether it is still the one."""

from __future__ import annotations

import hashlib
import re

import cherrypy

from ..errors import InvalidQuery, Outdated

#: RFC 9110, section 8.8.3.
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def tag_of(body: bytes, revision: int | None = None) -> str:
    """Give the strong entity tag of a representation, with the number of the last change where there is one.

    The number alone would not do: a setting, or another release, may show the same row in another form.
    """
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    return f'"{digest}"' if revision is None else f'"{revision}-{digest}"'


def require(tag: str) -> None:
    """Refuse to change what has this tag where the request is meant for another one.

    Raises ``Outdated``, and ``InvalidQuery`` for a condition that can't be read.
    """
    wanted, unwanted = _sent("If-Match"), _sent("If-None-Match")
    if wanted is not None and not {"*", tag} & wanted:
        raise Outdated("If-Match does not name the present state; GET it, and send the change with the ETag of that")
    # Compared weakly (RFC 9110, section 13.1.2).
    if unwanted is not None and {"*", tag, f"W/{tag}"} & unwanted:
        raise Outdated("If-None-Match names the present state; leave that header out to change it")


def is_known(tag: str) -> bool:
    """Tell whether the client has this already, so that 304 says all (``If-None-Match`` of GET and HEAD)."""
    try:
        return bool({"*", tag, f"W/{tag}"} & (_sent("If-None-Match") or set()))
    except InvalidQuery:
        return False


def _sent(header: str) -> set[str] | None:
    """Give the tags that a header names, or ``*``; None without it."""
    text = cherrypy.serving.request.wsgi_environ.get(f"HTTP_{header.upper().replace('-', '_')}")
    if text is None:
        return None
    if text.strip() == "*":
        return {"*"}
    tags = _TAG.findall(text)
    if not tags or _TAG.sub("", text).strip(" \t,"):
        raise InvalidQuery(f"{header} must be * or entity tags as ETag gives them, in quotes, separated by commas")
    return set(tags)
