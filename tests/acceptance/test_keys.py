"""Keys: made at the first start or by `create-key`, read from a setting or a file; what nothing starts without."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from pacifica.notifications.sealing import read_key
from pacifica.notifications.signing import keys as signing
from tests.support.keys import KEY, SETTING, VARIABLE, make_key
from tests.support.processes import Command, Service, Worker
from tests.support.tables import embedded_url, one

AUTH = {"type": "basic", "basic": {"username": "me", "password": "open sesame"}}
MASKED = {"type": "basic", "basic": {"username": "me", "password": "***"}}


def refused_by(process: Service | Worker, *words: str) -> None:
    """See a process end as a failure, with all the words in its last line."""
    process.start(0)
    try:
        status = process.wait(60)
    finally:
        process.close()
    last = process.log.strip().splitlines()[-1]
    assert status != 0
    assert all(word in last for word in words), last
    assert "Traceback" not in process.log


def test_the_first_start_makes_a_key(tmp_path: Path) -> None:
    """With nothing set, a file for its owner alone is made beside the database; later starts and commands read it."""
    environment = {VARIABLE: ""}
    file = tmp_path / "home" / ".pacifica-notifications" / "notifications.sqlite3.key"
    with Service(tmp_path, env=environment) as service:
        made = service.subscribe("alice", auth=AUTH, jsonpath="$.nothing")
        stored = one(embedded_url(tmp_path), "SELECT auth FROM eventmatch")
        first = file.read_text()
    with Service(tmp_path, env=environment) as service:
        shown = service.get(f"/eventmatch/{made['uuid']}", user="alice").json()
    done = Command(tmp_path, env=environment).run("rotate-keys")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == first
    assert [each.name for each in file.parent.glob("*.key*")] == [file.name]
    assert "sesame" not in stored
    assert shown["auth"] == MASKED
    assert done.returncode == 0
    assert read_key(first.splitlines()[-1]).text not in service.log + done.stdout + done.stderr


def test_of_several_first_starts_one_makes_the_key(tmp_path: Path) -> None:
    """Services that start at once on one database end up with one file, one key, and each other's secrets."""
    services = [Service(tmp_path, env={VARIABLE: ""}, name=f"service-{number}") for number in range(3)]
    assert Command(tmp_path, env={VARIABLE: ""}).run("dbsync").returncode == 0
    try:
        for service in services:
            service.start(0)
        for service in services:
            service.until(lambda service=service: "service.listening" in service.log, 60, "it to listen")
        made = services[0].subscribe("alice", auth=AUTH, jsonpath="$.nothing")
        shown = [service.get(f"/eventmatch/{made['uuid']}", user="alice").json()["auth"] for service in services]
    finally:
        for service in services:
            service.close()

    (file,) = (tmp_path / "home" / ".pacifica-notifications").glob("*.key*")
    assert len([line for line in file.read_text().splitlines() if not line.startswith("#")]) == 1
    assert sum("made the key" in service.log for service in services) == 1
    assert shown == [MASKED] * 3


def test_a_lost_key_is_named_at_the_start(tmp_path: Path) -> None:
    """Without the key of what is stored the service refuses to start, names it, and makes no other in its place."""
    environment = {VARIABLE: ""}
    file = tmp_path / "home" / ".pacifica-notifications" / "notifications.sqlite3.key"
    with Service(tmp_path, env=environment) as service:
        service.subscribe("alice", auth=AUTH, jsonpath="$.nothing")
    lost = read_key(file.read_text().splitlines()[-1])
    file.unlink()

    refused_by(Service(tmp_path, env=environment), lost.id, "secrets.key_file", str(file))
    refused_by(Service(tmp_path, {SETTING: make_key("new")}), lost.id, "secrets.keys")
    assert not file.exists()


@pytest.mark.parametrize("part", [Service, Worker])
@pytest.mark.parametrize("broker", ["memory://", "redis://127.0.0.1:1/0"])
def test_on_another_database_a_key_must_be_set(
    tmp_path: Path, postgresql_url: str, part: type[Service] | type[Worker], broker: str
) -> None:
    """Service and worker refuse to start without a key, and say in one line how to make one."""
    settings = {"database.peewee_url": postgresql_url, "celery.broker_url": broker}
    assert Command(tmp_path, settings, {VARIABLE: ""}).run("dbsync").returncode == 0

    refused_by(
        part(tmp_path, settings, {VARIABLE: ""}),
        "secrets.keys",
        "pacifica-notifications-cmd create-key FILE",
        "secrets.plaintext",
    )


def test_plaintext_is_warned_about(tmp_path: Path) -> None:
    """For development secrets may stand in clear; each start says so."""
    with Service(tmp_path, {"secrets.plaintext": "true"}, {VARIABLE: ""}) as service:
        service.subscribe("alice", auth=AUTH, jsonpath="$.nothing")

        assert json.loads(one(embedded_url(tmp_path), "SELECT auth FROM eventmatch")) == AUTH
        assert "secrets are stored in clear (secrets.plaintext)" in service.log
    assert not list((tmp_path / "home" / ".pacifica-notifications").glob("*.key"))


def test_create_key_makes_files_that_are_used(tmp_path: Path) -> None:
    """A file is made for its owner alone; further keys come behind, so that they open before they seal."""
    file, environment = tmp_path / "keys" / "notifications.keys", {VARIABLE: ""}
    command = Command(tmp_path, {"secrets.key_file": file}, environment)

    missing = command.run("dbsync")
    first, second = command.run("create-key", str(file), "--id", "a"), command.run("create-key", str(file))
    twice = command.run("create-key", str(file), "--id", "a")
    synced, rotated = command.run("dbsync"), command.run("rotate-keys", "--json")

    assert missing.returncode == 255
    assert "secrets.key_file" in missing.stderr
    assert f"create-key {file}" in missing.stderr
    assert [done.returncode for done in (first, second, twice, synced, rotated)] == [0, 0, 255, 0, 0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    keys = [read_key(line) for line in file.read_text().splitlines() if not line.startswith("#")]
    assert [row["id"] for row in json.loads(rotated.stdout)["keys"]] == [key.id for key in keys]
    assert (len(keys), keys[0].id) == (2, "a")
    for done in (first, second, twice):
        assert not any(key.text.partition(":")[2] in done.stdout + done.stderr for key in keys)


def test_keys_to_sign_with_are_made_and_published(tmp_path: Path) -> None:
    """`create-key --signing` makes a file for its owner alone, and adds to it; each public half is published."""
    file, environment = tmp_path / "keys" / "signing", {VARIABLE: KEY}
    settings = {"signing.key_file": file}
    command = Command(tmp_path, settings, environment)

    missing = command.run("dbsync")
    made = [command.run("create-key", "--signing", str(file), "--id", name) for name in ("a", "b", "b")]
    printed, as_json = command.run("create-key", "--signing"), command.run("create-key", "--signing", "--json")
    keys = [signing.read_key(line) for line in file.read_text().splitlines() if not line.startswith("#")]
    with Service(tmp_path, settings, environment) as service:
        published = service.get("/keys").json()["keys"]

    assert (missing.returncode, f"create-key --signing {file}" in missing.stderr) == (255, True)
    assert [done.returncode for done in made] == [0, 0, 255]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [(key["kid"], key["whpk"]) for key in published] == [(key.id, key.public_text) for key in keys]
    assert [key.id for key in keys] == ["a", "b"]
    assert signing.read_key(printed.stdout).text != signing.read_key(json.loads(as_json.stdout)["key"]).text
    for text in (*(done.stdout + done.stderr for done in made), service.log):
        assert not any(key.text.partition(":")[2] in text for key in keys)


def test_without_a_key_to_sign_with_it_is_not_promised(tmp_path: Path, postgresql_url: str) -> None:
    """On another database than SQLite nothing is made: a subscription that asks for it is refused, others are not."""
    settings = {"database.peewee_url": postgresql_url}
    assert Command(tmp_path, settings).run("dbsync").returncode == 0
    with Service(tmp_path, settings) as service:
        body = {"name": "n", "jsonpath": "$.nothing", "target_url": "http://127.0.0.1:9/"}
        answers = [
            service.request("POST", "/eventmatch", user="alice", json=body | {"signing": {"schemes": [scheme]}})
            for scheme in ("v1a", "v1")
        ]
        published = service.get("/keys").json()

    assert published == {"keys": []}
    assert [answer.status_code for answer in answers] == [400, 200]
    assert [fault["pointer"] for fault in answers[0].json()["errors"]] == ["/signing/schemes"]
    assert "signing.key_file" in answers[0].text


def test_create_key_prints_a_key_whatever_is_set(tmp_path: Path) -> None:
    """Without a file it is printed, for a store of secrets; bad keys in the settings are no hindrance."""
    bad = "example:YWxsIG9mIHRoaXMgaXMgYSBwYXNzIHBocmFzZSwgbm8="
    command = Command(tmp_path, {SETTING: bad})

    refusal, done = command.run("dbchk"), command.run("create-key", "--id", "mine")

    assert (refusal.returncode, done.returncode) == (255, 0)
    assert "[secrets] keys: the key example is not random" in refusal.stderr
    assert "pacifica-notifications-cmd create-key" in refusal.stderr
    assert bad.partition(":")[2] not in refusal.stderr
    assert read_key(done.stdout).id == "mine"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has no key"),
        ("# nothing\n", "has no key"),
        ("a:c2hvcnQ=\n", "line 1: the key a must be 32 bytes"),
        (f"# one\n\n{KEY}\nnonsense\n", "line 4: a key must be ID:BASE64"),
        (f"{KEY}\n{KEY}\n", "two keys are the same"),
        ("\udcff", "must be text"),
    ],
    ids=["empty", "comments", "short", "nonsense", "twice", "bytes"],
)
def test_a_bad_key_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    """What is wrong with a file is said with its name, the line and the remedy, and without any key."""
    file = tmp_path / "keys"
    file.write_bytes(os.fsencode(content))

    done = Command(tmp_path, {"secrets.key_file": file}, {VARIABLE: ""}).run("dbsync")

    assert done.returncode == 255
    assert f"secrets.key_file: {file}" in done.stderr
    assert words in done.stderr
    assert "create-key" in done.stderr
    assert KEY.partition(":")[2] not in done.stderr


def test_keys_come_from_one_place(tmp_path: Path) -> None:
    """Which key seals must be plain: keys in a setting and in a file at once are refused."""
    done = Command(tmp_path, {"secrets.key_file": "/etc/keys", SETTING: KEY}).run("dbsync")

    assert done.returncode == 255
    assert "secrets.keys and secrets.key_file: only one" in done.stderr
