"""HTTP Message Signatures (RFC 9421) with a digest of the body (RFC 9530): what is signed, written and read."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

#: Headers of a message that is signed so.
DIGEST, INPUT, SIGNATURE = "content-digest", "signature-input", "signature"
#: Names of algorithms (RFC 9421, section 6.2).
HMAC, ED25519 = "hmac-sha256", "ed25519"

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
#: Characters of a header that is read: more than any sender has signatures.
LONGEST = 8192
_KEY = r"[a-z*][a-z0-9_.*-]*"
#: A key in whose middle no other attempt begins: a header of nothing but letters would take the square of its length.
_LABEL = rf"(?<![a-z0-9_.*-])({_KEY})"
#: An inner list of components without parameters of their own, and the parameters behind it, as a sender wrote it.
_MEMBER = re.compile(rf'{_LABEL}=(\((?:"[^"\\]*"(?: (?!\))|(?=\))))*\)((?:;{_KEY}(?:=(?:"[^"\\]*"|-?\d+|:[^:]*:))?)*))')
_PARAMETER = re.compile(rf';({_KEY})=(?:"([^"\\]*)"|(-?\d{{1,15}}))(?=;|$)')
_VALUE = re.compile(rf"{_LABEL}=:([A-Za-z0-9+/]*={{0,2}}):")
_SHA_256 = re.compile(r"(?:^|,)\s*sha-256=(:[A-Za-z0-9+/]*={0,2}:)")


class Signature(NamedTuple):
    """One signature as it was read: the names of what it covers, its parameters as text and as values, its bytes."""

    components: tuple[str, ...]
    parameters: str
    said: Mapping[str, str]
    value: bytes


def digest(body: bytes) -> str:
    """Give the value of ``Content-Digest`` (RFC 9530, section 2)."""
    return f"sha-256={_bytes(hashlib.sha256(body).digest())}"


def is_digest(header: str, body: bytes) -> bool:
    """Tell whether a ``Content-Digest`` is that of a body, by its SHA-256."""
    found = _SHA_256.findall(header)
    return bool(found) and f"sha-256={found[-1]}" == digest(body)


@lru_cache(maxsize=1000)
def target_uri(url: str) -> str:
    """Give a target's URL as its host sees it: scheme and host in small letters, no default port, a path always."""
    scheme, mark, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    host = authority.lower().removesuffix(_DEFAULT_PORTS.get(scheme.lower(), ":")).removesuffix(":")
    return f"{scheme.lower()}{mark}{host}{tail if tail.startswith('/') else f'/{tail}'}"


def parameters(components: Iterable[str], created: int, key_id: str, algorithm: str = "") -> str:
    """Give the value of ``@signature-params`` (RFC 9421, section 2.3); the key's id must need no escaping."""
    named = " ".join(f'"{name}"' for name in components)
    return f'({named});created={created};keyid="{key_id}"' + (f';alg="{algorithm}"' if algorithm else "")


def base(components: Iterable[tuple[str, str]], params: str) -> bytes:
    """Give what is signed (RFC 9421, section 2.5): each component with its value, the parameters last."""
    lines = [f'"{name}": {value}' for name, value in components]
    return "\n".join([*lines, f'"@signature-params": {params}']).encode()


def written(signatures: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Give the two headers for signatures with their parameters."""
    labels = [f"sig{number}" for number in range(1, len(signatures) + 1)]
    pairs = list(zip(labels, signatures, strict=True))
    return {
        INPUT: ", ".join(f"{label}={params}" for label, (params, _value) in pairs),
        SIGNATURE: ", ".join(f"{label}={_bytes(value)}" for label, (_params, value) in pairs),
    }


def read(said: str, values: str) -> list[Signature]:
    """Read the two headers; what is not written as a sender of simple components writes it is left out."""
    found = {label: base64.b64decode(value) for label, value in _VALUE.findall(values) if len(value) % 4 == 0}
    signatures = []
    for label, params, behind in _MEMBER.findall(said):
        if label in found:
            components = tuple(re.findall('"([^"]*)"', params[: params.index(")")]))
            values_of = {name: text or number for name, text, number in _PARAMETER.findall(behind)}
            signatures.append(Signature(components, params, values_of, found[label]))
    return signatures


def _bytes(value: bytes) -> str:
    """Write bytes (RFC 8941, section 3.3.5)."""
    return f":{base64.b64encode(value).decode()}:"
