"""Deliveries that are signed: what arrives, who verifies it, and what is shown and stored of the secrets.

On SQLite alone: but for the column, which the tests of the tables have, nothing differs.
"""

from __future__ import annotations

import json
import stat
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver, algorithms
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pacifica.notifications.receiver import verify_message
from pacifica.notifications.sealing import Keyring, read_key
from pacifica.notifications.signing.keys import new_key
from pacifica.notifications.signing.keys import read_key as read_signing_key
from tests.support.doors import Doors
from tests.support.factories import make_event, make_subscription
from tests.support.keys import KEY, SETTING, SIGNING, make_key
from tests.support.signing import OLD, PUBLIC, SECRET, headers_of, signing_key, verified_by_javascript
from tests.support.target import RecordingTarget, Request
from tests.support.watched import Watched

from .conftest import OpenDoors, Run, Start

NOWHERE = "http://127.0.0.1:9/"
V1 = {"schemes": ["v1"], "secret": SECRET}
MASKED = {"schemes": ["v1"], "secret": "***"}


@pytest.fixture(scope="module")
def database_kind() -> str:
    """One kind is enough here."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


@pytest.fixture
def user() -> str:
    """A user whom no other test knows."""
    return f"user-{uuid4()}"


def verified(secret: str, request: Request) -> bool:
    """Tell whether the library of Standard Webhooks for Python verifies a delivery."""
    try:
        Webhook(secret).verify(request.body, headers_of(request), json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def later(**time: float) -> str:
    """Return a time from now as a request has it."""
    return (datetime.now(UTC) + timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


# What arrives.


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_others_verify_what_is_signed(doors: Doors, target: RecordingTarget, mode: str) -> None:
    """3.4 The libraries for Python and JavaScript verify each delivery, in each mode, and no changed one."""
    doors.subscribe(target.url("/v1"), signing=V1, content_mode=mode, event_version="1.0", extensions={"a": "ü"})
    doors.send(make_event(data={"name": "Proben-Größe €"}))

    (request,) = target.wait_for(1, "/v1")

    headers = headers_of(request)
    assert headers["webhook-id"] == request.delivery
    assert ("ce-id" in headers) == (mode == "binary")
    assert verified(SECRET, request)
    assert not verified(OLD, request)
    assert verified_by_javascript(SECRET, headers, request.body)
    assert not verified_by_javascript(SECRET, headers, request.body + b" ")
    assert not verified_by_javascript(SECRET, headers | {"webhook-id": "another"}, request.body)


def test_who_does_not_ask_gets_no_signature(doors: Doors, target: RecordingTarget) -> None:
    """Without `signing` a delivery has none of its headers."""
    doors.subscribe(target.url("/none"))
    doors.send()

    (request,) = target.wait_for(1, "/none")

    assert not [name for name in headers_of(request) if name.startswith("webhook-")]


def test_each_attempt_is_signed_anew(doors: Doors, target: RecordingTarget) -> None:
    """3.4 All attempts have the same id, each the time of its own, and the signature of the secret as it is then."""
    target.answers("/again", [503, 200])
    began = datetime.now(UTC).timestamp()
    uuid = doors.subscribe(target.url("/again"), signing={"schemes": ["v1"], "secret": OLD})
    doors.send()
    doors.change(uuid, signing=V1)
    doors.again()

    first, second = target.wait_for(2, "/again")

    assert first.header("webhook-id") == second.header("webhook-id")
    assert [verified(OLD, first), verified(SECRET, second)] == [True, True]
    times = [int(request.header("webhook-timestamp") or 0) for request in (first, second)]
    assert int(began) <= times[0] <= times[1] <= datetime.now(UTC).timestamp()


def test_both_secrets_sign_during_a_rotation(doors: Doors, target: RecordingTarget) -> None:
    """3.4 Until the time that was named a receiver verifies with either secret, afterwards with the new one only."""
    uuid = doors.subscribe(target.url("/turn"), signing={"schemes": ["v1"], "secret": OLD})
    doors.change(uuid, signing=V1 | {"previous": {"until": later(hours=1)}})
    doors.send()
    doors.change(uuid, signing=V1 | {"previous": {"secret": "***", "until": later(seconds=-1)}})
    doors.send()

    during, after = target.wait_for(2, "/turn")

    assert [verified(secret, during) for secret in (SECRET, OLD)] == [True, True]
    assert len((during.header("webhook-signature") or "").split(" ")) == 2
    assert verified_by_javascript(OLD, headers_of(during), during.body)
    assert [verified(secret, after) for secret in (SECRET, OLD)] == [True, False]


class Message(NamedTuple):
    """A request as `http-message-signatures` wants it."""

    method: str
    url: str
    headers: dict[str, str]


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("scheme", ["hmac-sha256", "ed25519"])
def test_others_verify_signed_messages(open_doors: OpenDoors, target: RecordingTarget, scheme: str, mode: str) -> None:
    """RFC 9421: another library verifies each delivery, and so does our receiver, all attributes in headers covered."""
    doors = open_doors({SIGNING: signing_key("a")})
    secret = {"secret": SECRET} if scheme == "hmac-sha256" else {}
    url = target.url(f"/{scheme}-{mode}?x=1")
    uuid = doors.subscribe(
        url, signing={"schemes": [scheme], **secret}, content_mode=mode, event_version="1.0", extensions={"a": "ü"}
    )
    doors.send(make_event(data={"name": "Proben-Größe €"}))

    (request,) = target.wait_for(1, f"/{scheme}-{mode}")

    headers = headers_of(request)
    attributes = [name for name in headers if name.startswith("ce-")]
    assert bool(attributes) == (mode == "binary")
    keys = {str(uuid): b64decode(SECRET[6:]), "a": Ed25519PublicKey.from_public_bytes(b64decode(PUBLIC[5:]))}
    algorithm = {"hmac-sha256": algorithms.HMAC_SHA256, "ed25519": algorithms.ED25519}[scheme]
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithm, key_resolver=MappingKeyResolver(public_keys=keys, private_keys={})
    )
    covered = ("@method", "@target-uri", "content-type", "content-digest", "webhook-id", *attributes)
    message = Message("POST", url, headers)
    assert verifier.verify(message, require_components=covered, body=request.body)
    found = verify_message("POST", url, headers, request.body, [SECRET, PUBLIC])
    assert found.id == request.delivery
    with pytest.raises(InvalidSignature):
        verifier.verify(message._replace(url=f"{url}2"), body=request.body)


# With the service's own keys.


def published(service: Watched) -> list[dict[str, str]]:
    """Return the public keys of a service, which anybody may ask for."""
    found: list[dict[str, str]] = service.get("/keys").json()["keys"]
    return found


def test_everybody_can_verify_with_the_published_keys(start: Start, target: RecordingTarget, user: str) -> None:
    """3.4 Each key of the service signs and is published; who has one of the public keys can verify."""
    first, second = signing_key("first"), new_key("second")
    service = start({SIGNING: f"{first},{second.text}"})
    made = service.subscribe(user, jsonpath="$", target_url=target.url("/v1a"), signing={"schemes": ["v1a"]})
    service.post_event(make_event())

    (request,) = target.wait_for(1, "/v1a")

    assert made["signing"] == {"schemes": ["v1a"]}
    keys = published(service)
    assert [key["kid"] for key in keys] == ["first", "second"]
    assert [key["whpk"] for key in keys] == [PUBLIC, second.public_text]
    headers = headers_of(request)
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    signatures = headers["webhook-signature"].split(" ")
    for key, signature in zip(keys, signatures, strict=True):
        assert {name: key[name] for name in ("kty", "crv", "use")} == {"kty": "OKP", "crv": "Ed25519", "use": "sig"}
        public = b64decode(key["x"].translate(str.maketrans("-_", "+/")) + "=")
        assert public == b64decode(key["whpk"].removeprefix("whpk_"))
        Ed25519PublicKey.from_public_bytes(public).verify(b64decode(signature.removeprefix("v1a,")), content)
    assert all(text.partition(":whsk_")[2] not in service.log for text in (first, second.text))


def test_the_first_start_makes_a_key_to_sign_with(service: Watched) -> None:
    """Beside SQLite with nothing set there is a key, in a file for its owner alone; the log names it."""
    (key,) = published(service)
    file = Path(f"{service.database_url.removeprefix('sqlite:///')}.signing")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (line,) = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert (read_signing_key(line).id, read_signing_key(line).public_text) == (key["kid"], key["whpk"])
    assert key["kid"] in service.log
    assert line.partition(":whsk_")[2] not in service.log


def test_without_a_key_it_waits(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """A worker that has no key to sign with sends nothing unsigned: the delivery waits, and goes out when it has."""
    doors = open_doors({})
    doors.subscribe(target.url("/keyless"), signing={"schemes": ["v1a", "v1"], "secret": SECRET})
    doors.send()
    waiting = doors.delivery()
    doors = open_doors({SIGNING: signing_key("a")})
    doors.again()

    assert (waiting.state, waiting.attempts) == ("pending", 0)
    assert "signing.key_file" in waiting.reason
    (request,) = target.requests("/keyless")
    assert [text.partition(",")[0] for text in (request.header("webhook-signature") or "").split(" ")] == ["v1", "v1a"]
    assert verified(SECRET, request)
    assert verified_by_javascript(SECRET, headers_of(request), request.body)


# What is stored.


def test_a_secret_is_stored_sealed(doors: Doors, target: RecordingTarget) -> None:
    """In the table is nothing of it; it belongs to its column, row and owner, and goes with the subscription."""
    uuid = doors.subscribe(target.url(), signing=V1)
    stored = doors.subscription(uuid).signing
    ring = Keyring([read_key(KEY)])

    assert SECRET[6:] not in stored
    assert ring.open(stored, "signing", "alice", uuid) == V1
    doors.delete(uuid)
    assert doors.subscription(uuid).signing is None


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (lambda uuid: Keyring([read_key(make_key("other"))]).seal(V1, "signing", "alice", uuid), "pending"),
        (lambda uuid: Keyring([read_key(KEY)]).seal(V1, "signing", "mallory", uuid), "dead"),
        (lambda uuid: Keyring([read_key(KEY)]).seal(V1, "auth", "alice", uuid), "dead"),
        (lambda uuid: '{"schemes": ["v1"], "secret": "whsec_"}', "dead"),
        (lambda uuid: '{"schemes": ["v1"]}', "dead"),
        (lambda uuid: '{"schemes": ["v9"]}', "dead"),
        (lambda uuid: '{"schemes": []}', "dead"),
        (lambda uuid: '{"schemes": ["v1"', "dead"),
    ],
    ids=[
        *("a missing key", "a foreign row", "a foreign column", "a short secret", "no secret", "another scheme"),
        *("no scheme", "no JSON"),
    ],
)
def test_what_can_not_be_signed_is_not_sent(doors: Doors, target: RecordingTarget, text: Any, state: str) -> None:
    """What is to be signed never goes out without: it waits for a key that is missing, or is dead."""
    uuid = doors.subscribe(target.url("/unsigned"))
    doors.write(uuid, signing=text(uuid))

    doors.send()

    assert (doors.delivery().state, doors.delivery().attempts) == (state, 0)
    assert not target.requests("/unsigned")


def test_rotating_keys_seals_it_anew(open_doors: OpenDoors, target: RecordingTarget, run: Run) -> None:
    """`rotate-keys` takes up secrets to sign with as it does those of `auth`, each where it stands."""
    old, new = make_key("old"), make_key("new")
    auth = {"type": "header", "header": {"type": "Bearer", "credentials": "open sesame"}}
    doors = open_doors({SETTING: old})
    signed = doors.subscribe(target.url("/signed"), signing=V1)
    both = doors.subscribe(target.url("/both"), signing=V1, auth=auth)
    clear = doors.subscribe(target.url("/clear"), auth=auth)
    doors.write(clear, signing=json.dumps(V1))
    doors = open_doors({SETTING: f"{new},{old}"})

    done = run(doors.file, "rotate-keys", "--json")
    doors = open_doors({SETTING: new})
    doors.send()

    assert json.loads(done.stdout) == {
        "sealed": 3,
        "keys": [
            {"id": "new", "subscriptions": 3, "is": "the first, which seals"},
            {"id": "old", "subscriptions": 0, "is": "no longer needed"},
        ],
        "clear": 0,
        "faults": {},
    }
    for uuid in (signed, both, clear):
        row = doors.subscription(uuid)
        assert json.loads(row.signing)["key"] == "new"
        assert row.signing_values == V1
    for path in ("/signed", "/both", "/clear"):
        assert verified(SECRET, target.requests(path)[-1])


# Over REST.


def made(service: Watched, user: str, **members: Any) -> dict[str, Any]:
    """Make a subscription to which nothing is ever sent, and return it as it was answered."""
    return service.subscribe(user, **make_subscription(**{"jsonpath": "$.nothing", "target_url": NOWHERE, **members}))


def changed(service: Watched, user: str, uuid: str, **members: Any) -> Any:
    """Change a subscription and return it as it was answered."""
    answer = service.request("PUT", f"/eventmatch/{uuid}", user=user, json=members)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_secret_is_shown_once(service: Watched, user: str) -> None:
    """A secret, also one that was made, is in the answer to the request that set it, and masked in every other."""
    given, ours = made(service, user, signing=V1), made(service, user, signing={"schemes": ["v1"]})
    shown = service.get("/eventmatch", user=user).json()
    renamed = changed(service, user, ours["uuid"], name="another")
    sent_back = changed(service, user, ours["uuid"], signing=MASKED)
    with_auth = changed(service, user, ours["uuid"], auth={})

    assert given["signing"] == V1
    assert ours["signing"]["secret"].startswith("whsec_")
    assert [row["signing"] for row in (*shown, renamed, sent_back, with_auth)] == [MASKED] * 5


def test_a_rotation_shows_the_new_secret_alone(service: Watched, user: str) -> None:
    """The answer to a rotation has the new secret and until when the previous one signs, that one masked."""
    uuid, until = made(service, user, signing=V1)["uuid"], later(days=1)

    rotated = changed(service, user, uuid, signing={"schemes": ["v1"], "previous": {"until": until}})["signing"]
    shown = service.get(f"/eventmatch/{uuid}", user=user).json()
    same = changed(service, user, uuid, signing=shown["signing"])["signing"]
    ended = changed(service, user, uuid, signing=MASKED)["signing"]

    assert rotated["secret"] not in (SECRET, "***")
    assert rotated["previous"] == {"secret": "***", "until": until}
    assert shown["signing"] == same == rotated | {"secret": "***"}
    assert ended == MASKED


@pytest.mark.parametrize("nothing", [None, {}])
def test_it_can_be_taken_away(service: Watched, user: str, nothing: Any) -> None:
    """Without signing an answer has no such member."""
    uuid = made(service, user, signing=V1)["uuid"]

    assert "signing" not in changed(service, user, uuid, signing=nothing)
    assert "signing" not in service.get(f"/eventmatch/{uuid}", user=user).json()


def test_what_can_not_be_opened_is_not_lost(service: Watched, user: str) -> None:
    """Its owner sees that there is something, can change the rest, and can't send back what was never shown."""
    name = f"name-{uuid4()}"
    uuid = made(service, user, name=name, signing=V1)["uuid"]
    text = Keyring([read_key(make_key("lost"))]).seal(V1, "signing", user, UUID(uuid))
    service.execute(f"UPDATE eventmatch SET signing = '{text}' WHERE name = '{name}'")

    renamed = changed(service, user, uuid, target_url=f"{NOWHERE}new")
    refused = service.request("PUT", f"/eventmatch/{uuid}", user=user, json=renamed)

    assert renamed["signing"] == {"schemes": ["***"]}
    assert refused.status_code == 400
    assert service.rows(f"SELECT signing FROM eventmatch WHERE name = '{name}'") == [(text,)]


def test_secrets_stand_in_no_log(service: Watched, user: str) -> None:
    """Neither what was sent, taken or refused, nor what was made is in the service's log."""
    ours = made(service, user, signing={"schemes": ["v1"]})
    refused = service.request(
        "POST", "/eventmatch", user=user, json=make_subscription(signing={"schemes": ["x"], "secret": SECRET})
    )

    assert refused.status_code == 400
    assert SECRET[6:] not in refused.text + service.log
    assert ours["signing"]["secret"][6:] not in service.log


def test_the_owner_may_see_them(start: Start, user: str) -> None:
    """With `auth.show = owner` every answer has them."""
    service = start({"auth.show": "owner"})
    uuid = made(service, user, signing=V1)["uuid"]

    assert service.get(f"/eventmatch/{uuid}", user=user).json()["signing"] == V1
    assert changed(service, user, uuid, name="another")["signing"] == V1
