"""Secrets go to their target and nowhere else: planted ones are looked for in everything that the service leaves."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import Redis as Client

from pacifica.notifications.orm.sync import TABLES
from pacifica.notifications.sealing import read_key
from tests.support.factories import make_event
from tests.support.keys import SETTING, make_key
from tests.support.policy import PolicyServer
from tests.support.processes import Command, Process, Service, Worker
from tests.support.tables import execute, rows, states
from tests.support.target import RecordingTarget

#: What must be found nowhere, by where it is planted.
PLANTED = {
    name: f"geheim-{name}-{uuid4().hex}"
    for name in ("first", "second", "failing", "broken", "refused", "gone", "policy", "proxy")
}
OLD, NEW = make_key("old"), make_key("new")


def basic(name: str) -> dict[str, Any]:
    """Return an auth with a planted password."""
    return {"type": "basic", "basic": {"username": "me", "password": PLANTED[name]}}


def bearer(name: str) -> dict[str, Any]:
    """Return an auth with planted credentials."""
    return {"type": "header", "header": {"type": "Bearer", "credentials": PLANTED[name]}}


def forms() -> dict[str, str]:
    """Return every form in which something that was planted could turn up, and what it is."""
    found = {secret: name for name, secret in PLANTED.items()}
    for name, secret in PLANTED.items():
        found[base64.b64encode(f"me:{secret}".encode()).decode().rstrip("=")] = f"{name} for HTTP basic"
    for key in (OLD, NEW):
        secret = read_key(key).secret
        found |= {key.partition(":")[2]: "a key", secret.hex(): "a key in hex", repr(secret)[2:-1]: "a key's bytes"}
    return found


def leaks(text: str) -> list[str]:
    """Name what was planted and stands in a text."""
    return sorted({name for form, name in forms().items() if form in text})


@contextmanager
def listening(url: str, heard: list[str]) -> Iterator[None]:
    """Write down every command that the broker is given."""
    with Client.from_url(url, socket_timeout=None) as client, client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                heard.append(str(command))
                if "end-of-listening" in heard[-1]:
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield
        finally:
            with Client.from_url(url) as other:
                other.echo("end-of-listening")
            thread.join()


def processes() -> str:
    """Return what everybody on the machine sees of its processes."""
    return subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout


def test_secrets_go_to_their_targets_alone(
    tmp_path: Path, postgresql_url: str, redis_url: str, target: RecordingTarget, policy_server: PolicyServer
) -> None:
    """Made, changed, delivered, failed, listed, logged, retried, rotated: no table, log, message, answer has them."""
    settings = {
        "database.peewee_url": postgresql_url,
        "celery.broker_url": redis_url,
        "notifications.policy_url": policy_server.policy_url.replace("://", f"://me:{PLANTED['policy']}@"),
        "delivery.retry_schedule": "",
        SETTING: OLD,
    }
    target.always("/failing", 500)
    command = Command(tmp_path, settings)
    answers: list[str] = []
    heard: list[str] = []
    seen: list[str] = []
    assert command.run("dbsync").returncode == 0
    made = command.run("token", "create", "robot", "--user", "alice", "--role", "user")
    PLANTED["token"] = made.stdout.strip()
    guarded = Command(tmp_path, settings | {"auth.proxy_secret": PLANTED["proxy"]}, name="guarded")

    with listening(redis_url, heard), Service(tmp_path, settings) as web, Worker(tmp_path, settings) as worker:

        def ask(method: str, path: str, body: object = None, user: str | None = "alice", **headers: str) -> Any:
            answer = web.request(method, path, user=user, json=body, headers=headers)
            answers.append(f"{answer.headers} {answer.text}")
            return answer

        first = web.subscribe("alice", target_url=target.url("/first"), jsonpath="$", auth=basic("first"))
        failing = web.subscribe("alice", target_url=target.url("/failing"), jsonpath="$", auth=bearer("failing"))
        broken = web.subscribe("bob", target_url=target.url("/broken"), jsonpath="$", auth=basic("broken"))
        gone = web.subscribe("bob", target_url=target.url("/gone"), jsonpath="$.nothing", auth=basic("gone"))
        execute(
            postgresql_url,
            "UPDATE eventmatch SET revision = revision + 1, auth = (SELECT auth FROM eventmatch WHERE uuid ="
            f" '{first['uuid']}') WHERE uuid = '{broken['uuid']}'",
        )
        event = web.post_event(make_event()).json()["uuid"]
        worker.until(lambda: states(postgresql_url) == {"delivered": 1, "dead": 2}, 60, "the ends of three deliveries")
        seen.append(processes())
        changed = web.request("PUT", f"/eventmatch/{first['uuid']}", user="alice", json={"auth": bearer("second")})
        assert changed.json()["auth"] == bearer("second")
        web.post_event(make_event())
        worker.until(lambda: states(postgresql_url) == {"delivered": 2, "dead": 4}, 60, "the ends of six deliveries")

        bad = {"auth": {"type": "basic", "basic": {"username": "a:b", "password": PLANTED["refused"] + "\n"}}}
        unknown = {"auth": {"type": PLANTED["refused"], "header": {"credentials": 7}}}
        for made in (first, failing, broken, gone):
            owner = made["user"]
            one = f"/eventmatch/{made['uuid']}"
            shown = ask("GET", one, user=owner)
            assert shown.status_code == 200
            ask("PUT", one, shown.json() | {"name": "another"}, user=owner)
            ask("PUT", one, {"auth": {"type": "basic", "basic": {"username": "me", "password": "***"}}}, user=owner)
            ask("PUT", one, bad, user=owner)
            ask("PUT", one, unknown, user=owner)
            ask("GET", one, user="mallory")
        for path in ("/eventmatch", "/", "/health/ready", "/schemas/eventmatch", "/nothing"):
            ask("GET", path)
        assert ask("GET", "/eventmatch", user=None, Authorization=f"Bearer {PLANTED['token']}").status_code == 200
        for odd in ("Bearer {0}x", "Basic {0}", "{0}", "Bearer Bearer {0}", "Bearer {0}, Bearer {0}"):
            assert ask("GET", "/eventmatch", user=None, Authorization=odd.format(PLANTED["token"])).status_code == 401
        ask("DELETE", f"/eventmatch/{gone['uuid']}", user="bob")

        printed = [
            command.run(*words)
            for words in (
                ("config",),
                ("config", "--json"),
                ("dbsync", "--differences"),
                ("eventget", "--json"),
                ("deliveries", "list", "--json"),
                ("eventretry", "--all", event),
                ("token", "list", "--json"),
                ("token", "create", "robot", "--user", "alice", "--role", "user"),
            )
        ]
        printed += [guarded.run("config"), guarded.run("config", "--json")]
        rotating = Command(tmp_path, settings | {SETTING: f"{NEW},{OLD}"}, name="rotating")
        with Process(
            rotating.arguments("rotate-keys", "--json"), tmp_path / "rotation.log", env=rotating.env
        ) as rotation:
            seen.append(processes())
            rotation.wait()
        seen.append(processes())
        assert web.stop() in (0, -15)
        worker.stop()

    # What is looked for is there to be found.
    assert leaks((tmp_path / "service.ini").read_text()) == ["a key", "policy"]
    assert leaks((tmp_path / "guarded.ini").read_text()) == ["a key", "policy", "proxy"]
    sent = [request.header("Authorization") or "" for request in target.requests("/first")]
    assert leaks(" ".join(sent)) == ["first for HTTP basic", "second"]
    assert leaks(str([request.header("Authorization") for request in target.requests("/failing")])) == ["failing"]
    # And found nowhere else.
    tables = [model._meta.table_name for model in TABLES]
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".ini"]
    places = {
        **{name: str(rows(postgresql_url, f"SELECT * FROM {name}")) for name in tables},
        **{file.name: file.read_text(errors="replace") for file in files},
        "broker": "\n".join(heard),
        "answers": "\n".join(answers),
        "commands": "\n".join(done.stdout + done.stderr for done in printed),
        "processes": "\n".join(seen),
        "bodies": str([request.body for request in target.requests()]),
        "policy": str(policy_server.asks()),
    }
    assert {name: leaks(text) for name, text in places.items() if leaks(text)} == {}
    assert "notifications" in places["broker"]
    assert {"service.log", "worker.log", "rotation.log"} <= places.keys()
    assert all(places[name] for name in places if name.endswith(".log"))
