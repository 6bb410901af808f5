"""Values of ``ce-`` headers (CloudEvents HTTP binding 1.0.2, section 3.1.3.2)."""

from __future__ import annotations

import json
import re
from typing import Any

#: All but U+0021 to U+007E, and of these the quotation mark and the percent sign.
_ENCODED = re.compile(r"[^!#$&-~]")
_ENCODED_OF_JSON = re.compile(r"[^ -$&-~]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PERCENT = re.compile(rb"%(..?|)", re.DOTALL)
_HEX = re.compile(rb"[0-9A-Fa-f]{2}")


def encode(text: str) -> str:
    """Give an attribute's value as a header has it; raises ``ValueError`` for a lone surrogate."""
    return _ENCODED.sub(percented, text)


def encode_json(value: Any) -> str:
    """Give a value as a header of 0.1 or 0.2 has it: JSON, of which what is not printable ASCII is percent-encoded."""
    return _ENCODED_OF_JSON.sub(percented, json.dumps(value, ensure_ascii=False))


def percented(found: re.Match[str]) -> str:
    """Give what a pattern found, percent-encoded as UTF-8."""
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def decode(value: str) -> str:
    """Give the attribute of a header's value, whose bytes stand for themselves as in Latin-1 (PEP 3333).

    A quoted string (RFC 9110, section 5.6.4) is unquoted first; then percent-encoding is undone once. Raises
    ``ValueError`` whose text says what is wrong.
    """
    value = value.strip(" \t")
    if value.startswith('"'):
        if not _QUOTED.fullmatch(value):
            raise ValueError("begins with a quotation mark and is no quoted string; write the mark as %22")
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return unpercented(value)


def unpercented(value: str) -> str:
    """Undo percent-encoding (RFC 3986, section 2.1) once, of UTF-8; raises as ``decode``."""
    try:
        return _PERCENT.sub(_byte, value.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is no UTF-8 once its percent-encoding is undone") from None
    except UnicodeEncodeError:
        raise ValueError("holds characters that no header has; percent-encode them as UTF-8") from None


def _byte(found: re.Match[bytes]) -> bytes:
    if not _HEX.fullmatch(found[1]):
        raise ValueError("has a percent sign without two hexadecimal digits behind it; write the sign as %25")
    return bytes.fromhex(found[1].decode())
