"""Where a request ends and what its headers are, so strictly that no other reader finds another request in it.

Proxies and servers differ in what they forgive (RFC 9112, section 11.2: request smuggling); nothing is forgiven here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: RFC 9112, section 5: a name that is a token, a colon, no control characters; no line goes on in the next one.
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n")
#: RFC 9112, section 7.1: hexadecimal digits, and perhaps extensions, which are ignored.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_LENGTH = re.compile(rb"[0-9]+")


class HeaderLines:
    """The lines of a request's headers."""

    def __init__(self, lines: Any) -> None:
        """Take what has ``readline``."""
        self._lines = lines

    def readline(self) -> bytes:
        """Give the next line, empty at the end; raises ``ValueError`` for one that is no header."""
        line: bytes = self._lines.readline()
        if line in (b"", b"\r\n") or _HEADER.fullmatch(line):
            return line
        raise ValueError("a header must be NAME: VALUE, without control characters, in one line that ends with CR LF")


class Chunks:
    """A body in chunks, as it comes: lines with sizes, and what stands between them."""

    def __init__(self, body: Any) -> None:
        """Take what has ``readline`` and ``read``."""
        self._body = body

    def readline(self) -> bytes:
        """Give the line with the next size; raises ``ValueError`` where it is none.

        Behind the last chunk, which has no bytes, headers may follow; they are dropped.
        """
        line: bytes = self._body.readline()
        found = _CHUNK.fullmatch(line)
        if not found:
            raise ValueError("a chunk must begin with its size in hexadecimal digits")
        if int(found[1], 16) == 0:
            trailer = HeaderLines(self._body)
            while (last := trailer.readline()) != b"\r\n":
                if not last:
                    raise ValueError("the body ends before its end")
        return line

    def read(self, size: int) -> bytes:
        """Give so many bytes."""
        found: bytes = self._body.read(size)
        return found


def check(headers: Mapping[bytes, bytes]) -> None:
    """Raise ``ValueError`` where it can't be told where a request ends, or for whom it is.

    Headers that came twice have both values, with a comma between them.
    """
    length, coding = headers.get(b"Content-Length"), headers.get(b"Transfer-Encoding")
    if length is not None and (coding is not None or not _LENGTH.fullmatch(length)):
        raise ValueError("the body must have one length: digits in Content-Length, or chunks")
    if coding is not None and coding.lower().count(b"chunked") > 1:
        raise ValueError("Transfer-Encoding must name chunked once")
    if b"," in headers.get(b"Host", b""):
        raise ValueError("Host must be sent once")
