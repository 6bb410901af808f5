"""HTTP Message Signatures: held against the examples of RFC 9421 and RFC 9530, and a vector of another library."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pacifica.notifications.receiver import (
    MissingHeader,
    OutOfTime,
    VerificationError,
    WrongSignature,
    verify_message,
)
from pacifica.notifications.signing import messages, standard
from pacifica.notifications.signing.keys import new_key, read_key, read_keys
from pacifica.notifications.signing.signer import Attempt, Signer
from tests.support.signing import (
    BODY,
    DIGEST,
    ID,
    INPUT,
    KEY_ID,
    OLD,
    PUBLIC,
    SECRET,
    SIGNATURE,
    TIMESTAMP,
    URL,
    signing_key,
)

JSON = "application/cloudevents+json"
UNTIL = "2026-01-01T00:00:01Z"

#: RFC 9421, appendix B.1.4 (the private key's 32 bytes, the public one's) and B.1.5.
ED25519 = "n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU="
ED25519_PUBLIC = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
SHARED = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
#: The components of the requests of B.2.5 and B.2.6.
B25 = [("date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("@authority", "example.com"), ("content-type", "application/json")]
B26 = [
    ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
    ("@method", "POST"),
    ("@path", "/foo"),
    ("@authority", "example.com"),
    ("content-type", "application/json"),
    ("content-length", "18"),
]


def names(components: list[tuple[str, str]]) -> list[str]:
    """Return the names of components."""
    return [name for name, _value in components]


def test_hmac_of_the_rfc() -> None:
    """RFC 9421, B.2.5: base and signature with a shared secret."""
    params = messages.parameters(names(B25), 1618884473, "test-shared-secret")
    base = messages.base(B25, params)

    assert base.decode() == (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@authority": example.com\n"content-type": application/json\n'
        '"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    )
    made = messages.written([(params, standard.hmac_sha256(b64decode(SHARED), base))])["signature"]
    assert made == "sig1=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"


def test_ed25519_of_the_rfc() -> None:
    """RFC 9421, B.2.6: the signature with an Ed25519 key, which is the same each time."""
    key = read_key(f"rfc:whsk_{_joined(ED25519, ED25519_PUBLIC)}")
    params = messages.parameters(names(B26), 1618884473, "test-key-ed25519")

    made = messages.written([(params, key.sign(messages.base(B26, params)))])["signature"]

    assert made == ("sig1=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:")


def _joined(*parts: str) -> str:
    return b64encode(b"".join(map(b64decode, parts))).decode()


def test_digest_of_the_rfc() -> None:
    """RFC 9530, appendix B.1 and D: the digest of a body, alone and among others; RFC 9421, B.2 has the same form."""
    body = b'{"hello": "world"}'
    right = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"

    assert messages.digest(body) == right
    assert messages.is_digest(right, body)
    assert messages.is_digest(f"sha-512=:AAAA:, {right}", body)
    assert not messages.is_digest(right, body + b" ")
    assert not messages.is_digest("sha-512=:AAAA:", body)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://consumer.example.org/hook?x=1", "https://consumer.example.org/hook?x=1"),
        ("HTTP://Consumer.Example.ORG:80", "http://consumer.example.org/"),
        ("https://h:443?x=/A", "https://h/?x=/A"),
        ("https://h:80/A?", "https://h:80/A?"),
        ("http://h:443/%7e", "http://h:443/%7e"),
        ("http://[::1]:8080/a//b", "http://[::1]:8080/a//b"),
        ("http://h:", "http://h/"),
    ],
)
def test_the_target_is_what_its_host_sees(url: str, seen: str) -> None:
    """RFC 9421, 2.2.2 and RFC 9110, 4.2.3: two ways to write one URL are signed as one."""
    assert messages.target_uri(url) == seen


# What a delivery has.


def headers(
    signing: dict[str, Any], *keys: str, lines: tuple[bytes, ...] = (), kind: str = JSON, body: bytes = BODY
) -> dict[str, str]:
    """Return the headers of a signed attempt, those of the event among them, by their names."""
    attempt = Attempt(ID, URL, body, kind, lines)
    made = Signer.of(signing, read_keys(keys), KEY_ID).lines(attempt, TIMESTAMP)
    found = dict(line.decode().split(": ", 1) for line in (*lines, *made))
    return found | ({"content-type": kind} if kind else {})


HMAC = {"schemes": ["hmac-sha256"], "secret": SECRET}
BINARY = (b"ce-specversion: 1.0", b"ce-id: 42", b"ce-subject: Euro%20%E2%82%AC", b"ce-empty: ")


def test_the_vector() -> None:
    """3.4 The vector of `http-message-signatures`: digest, input and signature are the same."""
    found = headers(HMAC)

    assert (found["content-digest"], found["signature-input"], found["signature"]) == (DIGEST, INPUT, SIGNATURE)
    assert found["webhook-id"] == ID
    assert "webhook-signature" not in found


@pytest.mark.parametrize("kind", [JSON, ""], ids=["with a type", "without"])
def test_attributes_in_headers_are_covered(kind: str) -> None:
    """Every attribute of an event in binary mode is signed, and the type of its data if it has one."""
    found = headers(HMAC, lines=BINARY, kind=kind)

    (signature,) = messages.read(found["signature-input"], found["signature"])
    expected = ["@method", "@target-uri", *(["content-type"] if kind else []), "content-digest", "webhook-id"]
    assert list(signature.components) == [*expected, "ce-specversion", "ce-id", "ce-subject", "ce-empty"]
    assert verified(found)


def test_old_and_new_sign_for_a_time() -> None:
    """During a rotation each secret and each key has a signature of its own; any one of them is enough."""
    previous = {"previous": {"secret": OLD, "until": UNTIL}}
    other = new_key("other")

    found = headers({**HMAC, **previous, "schemes": ["ed25519", "hmac-sha256"]}, signing_key("a"), other.text)

    assert [part.partition("=")[0] for part in found["signature"].split(", ")] == ["sig1", "sig2", "sig3", "sig4"]
    assert found["signature-input"].count('keyid="facility-2026";alg="hmac-sha256"') == 2
    assert 'keyid="a";alg="ed25519"' in found["signature-input"]
    assert all(verified(found, key) for key in (SECRET, OLD, PUBLIC, other.public_text))
    with pytest.raises(WrongSignature):
        verified(found, new_key("stranger").public_text)


def test_both_standards_at_once() -> None:
    """A subscription may ask for both; each is there as it is alone."""
    found = headers({"schemes": ["v1a", "ed25519"]}, signing_key("a"))

    assert found["webhook-signature"] == headers({"schemes": ["v1a"]}, signing_key("a"))["webhook-signature"]
    assert found["signature"] == headers({"schemes": ["ed25519"]}, signing_key("a"))["signature"]
    (signature,) = messages.read(found["signature-input"], found["signature"])
    base = messages.base([("@method", "POST"), ("@target-uri", URL), ("content-type", JSON),
        ("content-digest", DIGEST), ("webhook-id", ID)], signature.parameters)  # fmt: skip
    Ed25519PublicKey.from_public_bytes(b64decode(PUBLIC[5:])).verify(signature.value, base)


# What a receiver believes.


def verified(found: dict[str, str], *keys: str, method: str = "POST", url: str = URL, now: int = 0) -> str:
    """Return the id of a delivery that is verified."""
    return verify_message(method, url, found, BODY, keys or [SECRET], now=TIMESTAMP + now).id


def changed(**changes: str) -> dict[str, str]:
    """Return the headers of a delivery in binary mode with changes."""
    return headers(HMAC, lines=BINARY) | {name.replace("_", "-"): value for name, value in changes.items()}


PARAMS = ';created=1767225600;keyid="k"'


def forged(components: str, params: str = PARAMS, value: str = "") -> dict[str, str]:
    """Return headers whose signature, with the right secret, covers something else."""
    of = {"@method": "POST", "@target-uri": URL, "content-type": JSON, "content-digest": DIGEST, "webhook-id": ID}
    named = [(name, of[name]) for name in components.split()]
    said = "(" + " ".join(f'"{name}"' for name, _value in named) + ")" + params
    signed = standard.hmac_sha256(standard.read_secret(SECRET), messages.base(named, said))
    return headers({}) | {"content-digest": DIGEST, "webhook-id": ID} | messages.written([(said, signed)])


ALL = "@method @target-uri content-type content-digest webhook-id"


def test_another_sender_is_understood() -> None:
    """Without `alg` the kind of the key decides; an `expires` that lies ahead is no hindrance."""
    assert verified(forged(ALL)) == ID
    assert verified(forged(ALL, PARAMS + ";expires=1767225700")) == ID


@pytest.mark.parametrize(
    ("found", "options", "error"),
    [
        (changed(ce_subject="other"), {}, WrongSignature),
        (changed(ce_new="x"), {}, WrongSignature),
        (changed(content_type="text/plain"), {}, WrongSignature),
        (changed(webhook_id="other"), {}, WrongSignature),
        (changed(content_digest=messages.digest(b"other")), {}, WrongSignature),
        (changed(signature="sig2=:AAAA:"), {}, WrongSignature),
        (changed(signature="nonsense"), {}, WrongSignature),
        (changed(signature="a" * 8193), {}, VerificationError),
        (changed(signature_input="a" * 8193), {}, VerificationError),
        (changed(signature_input="sig1=nonsense"), {}, WrongSignature),
        (changed(signature_input='sig1=("@method";req);created=1'), {}, WrongSignature),
        (changed(signature=""), {}, MissingHeader),
        (changed(**{"CE-ID": "42"}), {}, MissingHeader),
        (changed(), {"method": "PUT"}, WrongSignature),
        (changed(), {"url": "https://other.example.org/hook?x=1"}, WrongSignature),
        (changed(), {"now": 301}, OutOfTime),
        (changed(), {"now": -301}, OutOfTime),
        (forged("@method @target-uri content-type content-digest"), {}, WrongSignature),
        (forged("@target-uri content-type content-digest webhook-id"), {}, WrongSignature),
        (forged("@method content-type content-digest webhook-id"), {}, WrongSignature),
        (forged("@method @target-uri content-type webhook-id"), {}, WrongSignature),
        (forged(ALL, ';keyid="k"'), {}, OutOfTime),
        (forged(ALL, PARAMS + ';alg="ed25519"'), {}, WrongSignature),
        (forged(ALL, PARAMS + ";expires=1767225601"), {"now": 2}, OutOfTime),
    ],
)
def test_anything_else_is_refused(found: dict[str, str], options: dict[str, Any], error: type[Exception]) -> None:
    """What was changed, covers too little, is for somebody else or from another time is refused."""
    assert verified(changed())

    with pytest.raises(error) as refused:
        verified(found, **options)

    assert refused.type is error


def test_another_body_is_refused() -> None:
    """The digest ties the body to the headers."""
    with pytest.raises(WrongSignature, match="content-digest"):
        verify_message("POST", URL, headers(HMAC), BODY + b" ", [SECRET], now=TIMESTAMP)
