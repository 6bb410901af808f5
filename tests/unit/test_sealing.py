"""Sealing: what is stored of a secret, where it opens, what is a key."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications.errors import BrokenSeal, UnknownKey
from pacifica.notifications.sealing import Keyring, key_id, new_key, read_key, read_keys

#: Bytes that were random once, and what was sealed with them once: what is stored today must open for ever.
SECRET = bytes.fromhex("b9da225b99d4aa4cfd57529c146a4b67f90cb3bacaa081d5d1e9aa8fa7fd32f8")
SEALED_ONCE = (
    '{"key": "once", "sealed": "c7zDdB+hXfhQZiPW/fWN/IOtYc+LgVEr7wkbnn9vKzlzZDpbsTaMC'
    'f8m2lC8X/OD4Nchnr/F3N83ZD6rYom0tzhQHWr2PiLzkaR6h6iTN4s0f/CtFPZfSaZySezdppjzU+P7"}'
)
OWNER, ROW = "alice", UUID("7b0c9f2e-4c39-4d0a-9d0e-0a5f6d3f1c11")
AUTH = {"type": "basic", "basic": {"username": "me", "password": "pa ss, ü"}}

TEXT = "a-secret-that-is-32-letters-long"


def encoded(secret: bytes) -> str:
    """Return bytes as they stand in a setting."""
    return base64.b64encode(secret).decode()


@pytest.fixture
def ring() -> Keyring:
    """Two keys, of which the first one seals."""
    return Keyring([new_key("new"), new_key("old")])


def sealed(ring: Keyring, value: dict[str, Any] | None = None) -> str:
    """Return the text to store."""
    return ring.seal(AUTH if value is None else value, "auth", OWNER, ROW)


def test_what_was_sealed_once_opens() -> None:
    """A text of the form that is documented opens with its key, whatever this release writes."""
    ring = Keyring([read_key(f"once:{encoded(SECRET)}")])

    assert ring.open(SEALED_ONCE, "auth", OWNER, ROW) == AUTH


@given(st.dictionaries(st.text(), st.text() | st.dictionaries(st.text(), st.text())))
def test_what_is_sealed_opens_where_it_was_sealed(value: dict[str, Any]) -> None:
    """Any object comes back as it was, and nothing of it stands in the text."""
    ring = Keyring([new_key("k")])

    text = sealed(ring, value)

    assert ring.open(text, "auth", OWNER, ROW) == value
    assert json.loads(text).keys() == {"key", "sealed"}
    assert len(base64.b64decode(json.loads(text)["sealed"])) == 12 + len(json.dumps(value)) + 16


def test_the_first_key_seals_and_each_of_them_opens(ring: Keyring) -> None:
    """What an older key sealed opens beside the new one; its text says which key it was."""
    keys = [new_key("new"), new_key("old")]
    by_old = sealed(Keyring(keys[1:]))
    both = Keyring(keys)

    assert key_id(by_old) == "old"
    assert key_id(sealed(both)) == "new"
    assert both.open(by_old, "auth", OWNER, ROW) == AUTH


def test_the_same_value_is_never_sealed_alike(ring: Keyring) -> None:
    """Two rows with one password can't be told from two with different ones."""
    assert len({sealed(ring) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("kind", "owner", "uuid"),
    [("auth", "mallory", ROW), ("auth", OWNER, UUID(int=7)), ("signing", OWNER, ROW), ('auth", "alice', "", ROW)],
)
def test_it_opens_nowhere_else(ring: Keyring, kind: str, owner: str, uuid: UUID) -> None:
    """A text that was copied to another owner, another row or another use does not open there."""
    text = sealed(ring)

    with pytest.raises(BrokenSeal, match="'new'") as caught:
        ring.open(text, kind, owner, uuid)

    assert not isinstance(caught.value, UnknownKey)


def test_a_key_that_is_missing_is_named(ring: Keyring) -> None:
    """Without the key, and with another one of the same id, nothing opens; the error names the id."""
    text = sealed(ring)

    with pytest.raises(UnknownKey, match="'new'"):
        Keyring([new_key("other")]).open(text, "auth", OWNER, ROW)
    with pytest.raises(BrokenSeal, match="'new'"):
        Keyring([new_key("new")]).open(text, "auth", OWNER, ROW)


def test_every_changed_byte_is_noticed(ring: Keyring) -> None:
    """Whichever bit of nonce, ciphertext and tag is another one, nothing opens."""
    text = json.loads(sealed(ring))
    stored = base64.b64decode(text["sealed"])

    for place in range(len(stored)):
        changed = bytearray(stored)
        changed[place] ^= 1 << place % 8
        with pytest.raises(BrokenSeal):
            ring.open(json.dumps(text | {"sealed": encoded(changed)}), "auth", OWNER, ROW)


@pytest.mark.parametrize(
    "text",
    [
        '{"key": "new"',
        '{"key": "new"}',
        '{"key": "new", "sealed": 7}',
        '{"key": "new", "sealed": ""}',
        '{"key": "new", "sealed": "AAAA"}',
        '{"key": "new", "sealed": "no base64"}',
        '{"key": "new", "sealed": "é"}',
        '{"key": "',
    ],
)
def test_what_is_no_sealed_text_is_refused(ring: Keyring, text: str) -> None:
    """A text that only begins as a sealed one is broken, and not an error of another kind."""
    with pytest.raises(BrokenSeal):
        ring.open(text, "auth", OWNER, ROW)


@pytest.mark.parametrize("text", [None, "", "{}", "null", "[]", json.dumps(AUTH), '{"type": "basic"}', "{broken"])
def test_what_stands_in_clear_has_no_key(text: str | None) -> None:
    """Texts of older releases are told from sealed ones."""
    assert key_id(text) is None


BAD_KEYS = {
    "no id": encoded(SECRET),
    "empty id": f":{encoded(SECRET)}",
    "capitals": f"Mine:{encoded(SECRET)}",
    "quote": f'a":{encoded(SECRET)}',
    "long id": f"{'a' * 65}:{encoded(SECRET)}",
    "short": f"a:{encoded(SECRET[:31])}",
    "long": f"a:{encoded(SECRET + SECRET)}",
    "no base64": f"a:{TEXT}",
    "nothing": "a:",
    "a text": f"a:{encoded(TEXT.encode())}",
    "zeros": f"a:{encoded(bytes(32))}",
    "a sequence": f"a:{encoded(bytes(range(200, 232)))}",
    "a repetition": f"a:{encoded(SECRET[:8] * 4)}",
}


@pytest.mark.parametrize("text", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_weak_key_is_refused(text: str) -> None:
    """What is no key, or not random, is refused with what makes one, and is not repeated."""
    with pytest.raises(ValueError, match="create-key") as caught:
        read_key(text)

    secret = text.rpartition(":")[2]
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("texts", [("a", "a"), ("a", "b")])
def test_two_keys_are_two(texts: tuple[str, str]) -> None:
    """Two keys with one id, or one key under two ids, are refused: a change of keys would be none."""
    secrets = [SECRET, SECRET if texts[0] != texts[1] else SECRET[::-1]]

    with pytest.raises(ValueError, match="create-key"):
        read_keys(f"{name}:{encoded(secret)}" for name, secret in zip(texts, secrets, strict=True))


def test_a_key_shows_itself_to_nobody() -> None:
    """Written into a log or an error by accident, keys and rings show ids only."""
    key = read_key(f"a:{encoded(SECRET)}")

    shown = f"{key} {key!r} {Keyring([key])!r}"

    assert "a" in shown
    assert encoded(SECRET) not in shown
    assert repr(SECRET) not in shown
    assert read_key(key.text) == key


def test_new_keys_are_new() -> None:
    """No two keys are the same, and each is taken as a key."""
    keys = [new_key(str(number)) for number in range(50)]

    assert len({key.secret for key in read_keys(key.text for key in keys)}) == 50
