"""Signatures: held against the vectors that the libraries of Standard Webhooks made."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pacifica.notifications import subscriptions
from pacifica.notifications.errors import InvalidSubscription
from pacifica.notifications.signing import standard
from pacifica.notifications.signing.keys import new_key, read_key, read_keys
from pacifica.notifications.signing.signer import Attempt, Signer
from tests.support.factories import make_subscription
from tests.support.signing import BODY, ID, OLD, PUBLIC, SECRET, SEED, TIMESTAMP, URL, V1, V1_OLD, V1A, signing_key

UNTIL = "2026-01-01T00:00:01Z"


def lines(signing: dict[str, Any], now: float = TIMESTAMP, *keys: str) -> dict[str, str]:
    """Return the headers of a signed attempt by their names."""
    signer = Signer.of(signing, read_keys(keys))
    found = [line.decode().split(": ", 1) for line in signer.lines(Attempt(ID, URL, BODY), now)]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_v1_is_that_of_the_libraries() -> None:
    """3.4 The vector: HMAC-SHA256 over id, timestamp and body, joined by dots."""
    assert lines({"schemes": ["v1"], "secret": SECRET}, TIMESTAMP + 0.9) == {
        "webhook-id": ID,
        "webhook-timestamp": str(TIMESTAMP),
        "webhook-signature": V1,
    }


def test_both_secrets_sign_for_a_time() -> None:
    """3.4 During a rotation the new and the previous secret sign; from the time that was named only the new one."""
    signing = {"schemes": ["v1"], "secret": SECRET, "previous": {"secret": OLD, "until": UNTIL}}

    assert lines(signing)["webhook-signature"] == f"{V1} {V1_OLD}"
    assert " " not in lines(signing, TIMESTAMP + 1)["webhook-signature"]


def test_v1a_is_that_of_the_vector() -> None:
    """3.4 The vector: Ed25519 over the same bytes, behind the signatures of the secrets."""
    assert lines({"schemes": ["v1a"]}, TIMESTAMP, signing_key("a"))["webhook-signature"] == V1A
    rotated = {"schemes": ["v1a", "v1"], "secret": SECRET, "previous": {"secret": OLD, "until": UNTIL}}
    assert lines(rotated, TIMESTAMP, signing_key("a"))["webhook-signature"] == f"{V1} {V1_OLD} {V1A}"


def test_every_key_signs() -> None:
    """3.4 With two keys there are two signatures, so that who has either public key can verify."""
    other = new_key("b")

    found = lines({"schemes": ["v1a"]}, TIMESTAMP, signing_key("a"), other.text)["webhook-signature"].split(" ")

    assert found[0] == V1A
    public = Ed25519PublicKey.from_public_bytes(other.public)
    public.verify(b64decode(found[1].removeprefix("v1a,")), f"{ID}.{TIMESTAMP}.".encode() + BODY)


def test_a_key_is_written_as_the_libraries_write_it() -> None:
    """3.4 `whsk_` has the seed and the public key, `whpk_` the latter; nothing shows the former by accident."""
    key = read_key(signing_key("a"))

    assert (key.text, key.public_text) == (signing_key("a"), PUBLIC)
    assert read_key(new_key("b").text).id == "b"
    assert new_key("b").text != new_key("b").text
    for shown in (str(key), repr(key)):
        assert key.text.partition(":whsk_")[2] not in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "ID:whsk_BASE64"),
        ("a:" + SEED, "ID:whsk_BASE64"),
        ("A b:whsk_" + SEED, "ID:whsk_BASE64"),
        ("a:whsk_" + SEED, "the key a must be 64 bytes"),
        ("a:whsk_!", "the key a must be 64 bytes"),
        ("a:whsk_" + b64encode(b64decode(SEED) * 2).decode(), "do not belong together"),
    ],
    ids=str,
)
def test_what_is_no_key_is_refused(text: str, words: str) -> None:
    """The refusal says what is wrong and how to make one, and has nothing of the key."""
    with pytest.raises(ValueError, match=words) as refused:
        read_keys([text])

    assert "create-key --signing" in str(refused.value)
    assert SEED not in str(refused.value)


def test_who_signs_shows_no_secret() -> None:
    """Written anywhere by accident, what signs has neither secrets nor private keys in it."""
    signer = Signer.of({"schemes": ["v1"], "secret": SECRET}, read_keys([signing_key("a")]))

    shown = repr(signer)

    assert not any(repr(part) in shown for part in (b64decode(SECRET[6:]), b64decode(SEED)))
    assert "v1" in shown


def test_a_secret_is_made_at_random() -> None:
    """One that we make has 32 bytes, and is another one each time."""
    found = {standard.new_secret() for _ in range(10)}

    assert len(found) == 10
    assert {len(standard.read_secret(secret)) for secret in found} == {32}


# What a subscription may say.


def sent(stored: dict[str, Any] | None, signing: Any) -> Any:
    """Return what is stored for a member that is sent."""
    if stored is None:
        return subscriptions.validate(make_subscription(signing=signing))["signing"]
    return subscriptions.validate({"signing": signing}, {"signing": stored})["signing"]


def faults(stored: dict[str, Any] | None, signing: Any) -> dict[str, str]:
    """Return what is wrong with a member that is sent."""
    with pytest.raises(InvalidSubscription) as refused:
        sent(stored, signing)
    return refused.value.faults


STORED = {"schemes": ["v1"], "secret": OLD}
ROTATED = {"schemes": ["v1"], "secret": SECRET, "previous": {"secret": OLD, "until": UNTIL}}


@pytest.mark.parametrize("nothing", [None, {}])
@pytest.mark.parametrize("stored", [None, STORED])
def test_nothing_signs(stored: dict[str, Any] | None, nothing: Any) -> None:
    """Null and the empty object end signing, or never begin it."""
    assert sent(stored, nothing) == {}


def test_a_secret_that_is_not_sent_is_made() -> None:
    """Without a secret there is a new one, also where one is stored."""
    made, again = sent(None, {"schemes": ["v1"]}), sent(STORED, {"schemes": ["v1"], "secret": None})

    assert made["secret"] != again["secret"]
    assert again == {"schemes": ["v1"], "secret": again["secret"]}
    assert standard.read_secret(again["secret"])


def test_what_is_replaced_signs_until_a_time() -> None:
    """The stored secret is the previous one where another takes its place and a time is named, kept in UTC."""
    rotated = sent(STORED, {"schemes": ["v1"], "secret": SECRET, "previous": {"until": "2026-01-01T01:00:01+01:00"}})

    assert rotated == ROTATED
    assert sent(STORED, {"schemes": ["v1"], "secret": SECRET}) == {"schemes": ["v1"], "secret": SECRET}


@pytest.mark.parametrize("secret", ["***", SECRET])
def test_what_was_shown_can_be_sent_back(secret: str) -> None:
    """A mask stands for what is stored, of either secret."""
    shown = {"schemes": ["v1"], "secret": secret, "previous": {"secret": "***", "until": UNTIL}}

    assert sent(ROTATED, shown) == ROTATED
    assert sent(ROTATED, shown | {"previous": None}) == {"schemes": ["v1"], "secret": SECRET}


@pytest.mark.parametrize(
    ("stored", "signing", "pointer"),
    [
        (None, [], ""),
        (None, {"secret": SECRET}, "/schemes"),
        (None, {"schemes": []}, "/schemes"),
        (None, {"schemes": ["v1", "v1"]}, "/schemes"),
        (None, {"schemes": ["v2"]}, "/schemes/0"),
        (None, {"schemes": ["v1a"], "secret": SECRET}, "/secret"),
        (STORED, {"schemes": ["v1a"], "previous": {"until": UNTIL}}, "/previous"),
        (None, {"schemes": ["v1"], "key": 1}, "/key"),
        (None, {"schemes": ["v1"], "secret": "***"}, "/secret"),
        (None, {"schemes": ["v1"], "secret": "open sesame"}, "/secret"),
        (None, {"schemes": ["v1"], "secret": "whsec_" + b64encode(bytes(23)).decode()}, "/secret"),
        (None, {"schemes": ["v1"], "secret": "whsec_" + b64encode(bytes(65)).decode()}, "/secret"),
        (None, {"schemes": ["v1"], "secret": SECRET[:-1]}, "/secret"),
        (None, {"schemes": ["v1"], "previous": {"until": UNTIL}}, "/previous/secret"),
        (None, {"schemes": ["v1"], "previous": {"secret": "***", "until": UNTIL}}, "/previous/secret"),
        (None, {"schemes": ["v1"], "previous": {"secret": SECRET}}, "/previous/until"),
        (None, {"schemes": ["v1"], "previous": {"secret": OLD, "until": "tomorrow"}}, "/previous/until"),
        (STORED, {"schemes": ["v1"], "secret": "***", "previous": {"until": UNTIL}}, "/previous/secret"),
        (STORED, {"schemes": ["v1"], "secret": OLD, "previous": {"until": UNTIL}}, "/previous/secret"),
        (STORED, {"schemes": ["v1"], "previous": {"secret": "***", "until": UNTIL}}, "/previous/secret"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(stored: dict[str, Any] | None, signing: Any, pointer: str) -> None:
    """A mistake is refused with its place and without the secret."""
    found = faults(stored, signing)

    assert list(found) == [f"/signing{pointer}"]
    assert not any(secret[6:] in str(found) for secret in (SECRET, OLD))
    assert "sesame" not in str(found)
