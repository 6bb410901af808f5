"""The module for receivers: what it believes, what it does not and why, and what it has seen."""

from __future__ import annotations

import subprocess
import sys
import threading
from base64 import b64encode
from email.message import Message
from typing import Any

import pytest

from pacifica.notifications import receiver
from pacifica.notifications.receiver import (
    MissingHeader,
    OutOfTime,
    Receiver,
    Recent,
    VerificationError,
    WrongSignature,
    verify,
)
from pacifica.notifications.signing import standard
from pacifica.notifications.signing.keys import new_key
from pacifica.notifications.signing.standard import new_secret
from tests.support.signing import BODY, ID, OLD, PUBLIC, SECRET, TIMESTAMP, V1, V1_OLD, V1A

HEADERS = {"Webhook-Id": ID, "webhook-timestamp": str(TIMESTAMP), "WEBHOOK-SIGNATURE": f"{V1} {V1_OLD} {V1A}"}


def message() -> Message:
    """Return the headers as `http.server` has them."""
    found = Message()
    for name, value in HEADERS.items():
        found[name] = value
    return found


@pytest.mark.parametrize("key", [SECRET, OLD, PUBLIC], ids=["new", "old", "public"])
@pytest.mark.parametrize("headers", [HEADERS, list(HEADERS.items()), message()], ids=["mapping", "pairs", "message"])
def test_any_of_the_keys_will_do(headers: Any, key: str) -> None:
    """3.4 The vector: during a rotation whoever has the new or the old secret, or the public key, can verify."""
    found = verify(headers, BODY, [new_secret(), key], now=TIMESTAMP + 300)

    assert (found.id, found.timestamp) == (ID, TIMESTAMP)


@pytest.mark.parametrize(
    ("changes", "body", "now", "error"),
    [
        ({}, BODY + b" ", 0, WrongSignature),
        ({"Webhook-Id": "another"}, BODY, 0, WrongSignature),
        ({"webhook-timestamp": str(TIMESTAMP + 1)}, BODY, 0, WrongSignature),
        ({"WEBHOOK-SIGNATURE": V1_OLD}, BODY, 0, WrongSignature),
        ({"WEBHOOK-SIGNATURE": V1.replace("v1,", "v1a,")}, BODY, 0, WrongSignature),
        ({"WEBHOOK-SIGNATURE": V1A.replace("v1a,", "v1,")}, BODY, 0, WrongSignature),
        ({"WEBHOOK-SIGNATURE": "v1 v1, v2,x v1,%% v1a,QQ== " + V1[:-4] + "AAA="}, BODY, 0, WrongSignature),
        ({"WEBHOOK-SIGNATURE": f"{'v1,QQ== ' * 16}{V1}"}, BODY, 0, WrongSignature),
        ({}, BODY, 301, OutOfTime),
        ({}, BODY, -301, OutOfTime),
        ({"webhook-timestamp": "now"}, BODY, 0, OutOfTime),
        ({"webhook-timestamp": f"{TIMESTAMP}.0"}, BODY, 0, OutOfTime),
        ({"webhook-timestamp": "9" * 5000}, BODY, 0, OutOfTime),
        ({"Webhook-Id": ""}, BODY, 0, MissingHeader),
        ({"webhook-id": ID}, BODY, 0, MissingHeader),
    ],
    ids=str,
)
def test_anything_else_is_refused(changes: dict[str, str], body: bytes, now: int, error: type[Exception]) -> None:
    """A delivery that was changed, is old, from the future, or signed by somebody else is refused with a reason."""
    with pytest.raises(error):
        verify(HEADERS | changes, body, [SECRET, PUBLIC], now=TIMESTAMP + now)


@pytest.mark.parametrize(
    "keys", [[], ["open sesame"], [SECRET, "whsec_c2hvcnQ="], ["whpk_c2hvcnQ="], ["whpk_%"]], ids=str
)
def test_a_key_that_is_none_is_refused(keys: list[str]) -> None:
    """The mistake of an operator is no verdict about a delivery, and is said without the key."""
    with pytest.raises(ValueError, match="keys: ") as refused:
        Receiver(keys)

    assert not isinstance(refused.value, receiver.VerificationError)
    assert not any(key in str(refused.value) for key in keys)


def test_an_id_with_a_dot_is_refused() -> None:
    """What was signed once is not taken with the dots elsewhere: as another id, with another time and body."""
    signed = standard.content(ID, TIMESTAMP, f"{TIMESTAMP}.{{}}".encode())
    made = f"v1,{b64encode(standard.hmac_sha256(standard.read_secret(SECRET), signed)).decode()}"
    shifted = HEADERS | {"Webhook-Id": f"{ID}.{TIMESTAMP}", "WEBHOOK-SIGNATURE": made}

    with pytest.raises(VerificationError, match="webhook-id has a dot"):
        verify(shifted, b"{}", [SECRET], now=TIMESTAMP)


def test_the_tolerance_can_be_chosen() -> None:
    """A receiver may be stricter or milder about the time."""
    assert verify(HEADERS, BODY, SECRET, tolerance=3600, now=TIMESTAMP + 3000)
    with pytest.raises(OutOfTime, match="2 seconds ago, at most 1 "):
        verify(HEADERS, BODY, SECRET, tolerance=1, now=TIMESTAMP + 2)


def test_a_delivery_is_taken_once() -> None:
    """It is given the first time, not again, and again once its work is said to have failed; a false one never."""
    taking = Receiver([SECRET], tolerance=1e12)

    first, second = taking.take(HEADERS, BODY), taking.take(HEADERS, BODY)
    taking.seen.forget(ID)
    third = taking.take(HEADERS, BODY)
    with pytest.raises(WrongSignature):
        taking.take({**HEADERS, "Webhook-Id": "false"}, BODY)

    assert first is not None
    assert (first.id, second, third) == (ID, None, first)
    assert taking.seen.add("false")


def test_what_remembers_can_be_replaced() -> None:
    """Anything that adds and forgets will do, such as a table."""

    class Table:
        def __init__(self) -> None:
            self.ids = {ID}

        def add(self, delivery: str) -> bool:
            is_new = delivery not in self.ids
            self.ids.add(delivery)
            return is_new

        def forget(self, delivery: str) -> None:
            self.ids.discard(delivery)

    table = Table()
    taking = Receiver([SECRET], 1e12, table)

    assert taking.take(HEADERS, BODY) is None
    table.forget(ID)
    assert taking.take(HEADERS, BODY) is not None


def test_memory_is_bounded() -> None:
    """Beyond the bound the oldest are forgotten."""
    recent = Recent(most=3)

    assert [recent.add(delivery) for delivery in "abcad"] == [True, True, True, False, True]
    assert [recent.add(delivery) for delivery in "bcda"] == [False, False, False, True]


def test_of_many_threads_one_is_the_first() -> None:
    """However many ask at once about one delivery, one of them is told that it is new."""
    recent, ready = Recent(), threading.Barrier(8)
    found: list[int] = []

    def ask() -> None:
        ready.wait()
        found.append(sum(recent.add(str(number)) for number in range(1000)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(found) == 1000


def test_it_loads_nothing_of_the_service() -> None:
    """Importing it, and verifying with a secret, needs nothing but Python; a public key needs `cryptography`."""
    code = (
        "import sys; from pacifica.notifications import receiver;"
        f" receiver.verify({HEADERS!r}, {BODY!r}, {SECRET!r}, now={TIMESTAMP}); print(*sys.modules);"
        f" receiver.verify({HEADERS!r}, {BODY!r}, {PUBLIC!r}, now={TIMESTAMP}); print(*sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    with_secret, with_public = (set(line.split()) for line in done.stdout.splitlines())
    ours = {name.removeprefix("pacifica.notifications.") for name in with_secret if name.startswith("pacifica.")}
    assert ours == {"pacifica.notifications", "receiver", "signing", "signing.messages", "signing.standard"}
    heavy = {"cherrypy", "celery", "peewee", "pycurl", "jsonschema", "requests"}
    assert not with_secret & {"cryptography", *heavy}
    assert "cryptography" in with_public
    assert not with_public & heavy


def test_what_the_service_makes_can_be_read() -> None:
    """Keys and secrets in the forms in which the service makes them are taken."""
    assert Receiver([new_secret(), new_key("a").public_text])
