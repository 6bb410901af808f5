"""Logging in: who gets a token, what it is worth, and how often a password may be tried."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bcrypt
import jwt
import pytest
import requests

from pacifica.notifications import config, login
from pacifica.notifications.errors import ConfigError
from tests.support import raw
from tests.support.factories import make_event
from tests.support.missing import missing
from tests.support.processes import PROXY_SECRET, Service, Uwsgi, write_config
from tests.support.watched import Watched

from .conftest import Start

KEY = "7d1f0a9c3e5b2846" * 4
PAST_A_PROXY = {"Via": "1.1 proxy"}
#: A login of a site: who may is said by the name.
SITE = """
from pacifica.notifications.login import Login

class Site(Login):
    def get_roles(self, username, password):
        if username == "broken":
            raise RuntimeError("the directory is away")
        if username == "odd":
            return "admin"
        if password != "open sesame":
            return []
        return {"alice": ["staff"], "olga": ["operators", "unheard of"], "guest": ["unheard of"]}.get(username, [])
"""
#: Hashes of the password `open sesame`, cheap ones.
BCRYPT = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
SHA = "{SHA}" + base64.b64encode(hashlib.sha1(b"open sesame").digest()).decode()


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: a login leaves nothing in the database."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A service with the login of a site; two failures are enough."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "site_login.py").write_text(SITE, encoding="utf-8")
    settings = {
        "auth.module": "site_login",
        "auth.class": "Site",
        "auth.jwt_key": KEY,
        "auth.roles": "staff=user, operators=admin",
        "auth.login_failures": 2,
    }
    return start(settings, env={"PYTHONPATH": str(folder)})


@pytest.fixture(scope="module")
def with_a_file(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A service whose users stand in a file, with the key in another."""
    folder = tmp_path_factory.mktemp("files")
    long = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    lines = ["# users", f"alice:{BCRYPT}", f"bob:{BCRYPT.replace('$2b$', '$2y$')}", f"carol:{SHA}", f"long:{long}", ""]
    (folder / "users").write_text("\n".join(lines), encoding="utf-8")
    (folder / "key").write_text(f"{KEY}\n")
    settings = {
        "auth.login": "htpasswd",
        "auth.htpasswd_file": folder / "users",
        "auth.jwt_key_file": folder / "key",
        "auth.jwt_algorithm": "HS512",
        "auth.managers": "bob",
        "auth.login_failures": 100,
    }
    return start(settings)


def log_in(service: Watched | Uwsgi, username: Any, password: Any = "open sesame", **more: Any) -> requests.Response:
    """Send a name and a password."""
    body = {"username": username, "password": password, **more}
    return service.request("POST", "/auth/login", json=body, headers=PAST_A_PROXY)


def bring(service: Watched | Uwsgi, token: str) -> requests.Response:
    """Read subscriptions with a token."""
    return service.get("/eventmatch", headers={**PAST_A_PROXY, "Authorization": f"Bearer {token}"})


def signed(key: str = KEY, algorithm: str | None = "HS256", **claims: Any) -> str:
    """Return a token with claims of its own; None leaves one out."""
    good = {"iss": "pacifica-notifications", "sub": "alice", "roles": ["user"], "iat": 1_700_000_000, "exp": 4e9}
    return jwt.encode({k: v for k, v in (good | claims).items() if v is not None}, key, algorithm=algorithm)


def test_who_logs_in_gets_a_token(service: Watched) -> None:
    """A token has the user, the site's names of roles and an end, and is worth what auth.roles say of these."""
    service.subscribe("somebody-else")
    alice, olga = log_in(service, "alice"), log_in(service, "olga")

    assert (alice.status_code, alice.headers["Cache-Control"]) == (200, "no-store")
    assert alice.json() == {
        "token": alice.json()["token"],
        "token_type": "Bearer",
        "expires_in": 28800,
        "roles": ["staff"],
    }
    claims = jwt.decode(alice.json()["token"], KEY, algorithms=["HS256"])
    assert claims == {
        "iss": "pacifica-notifications",
        "sub": "alice",
        "roles": ["staff"],
        "iat": claims["iat"],
        "exp": claims["iat"] + 28800,
    }
    assert bring(service, alice.json()["token"]).json() == []
    assert [row["user"] for row in bring(service, olga.json()["token"]).json()] == ["somebody-else"]
    assert "open sesame" not in service.log
    assert alice.json()["token"] not in service.log


def test_who_is_not_authorised_learns_nothing(service: Watched) -> None:
    """An unknown name and a wrong password are one 401; a user without a role of this service is 403."""
    wrong, unknown, roleless = log_in(service, "alice", "guessed"), log_in(service, "nobody"), log_in(service, "guest")

    assert (wrong.status_code, wrong.text) == (unknown.status_code, unknown.text) == (401, wrong.text)
    assert wrong.headers["WWW-Authenticate"] == 'Bearer realm="pacifica-notifications"'
    assert "the name or the password is wrong" in wrong.json()["message"]
    assert (roleless.status_code, "unheard of" in roleless.json()["message"]) == (403, True)


@pytest.mark.parametrize("name", ["broken", "odd"])
def test_a_login_that_fails_is_no_login(service: Watched, name: str) -> None:
    """What a site's class raises, or gives that is no list, is 503 and stands in the log, and lets nobody in."""
    answer = log_in(service, name)

    assert (answer.status_code, answer.json()["message"]) == (503, "The login can't be asked now; try again later.")
    assert f"login.failed user='{name}' login=Site" in service.log
    assert "directory" not in answer.text
    service.forget()


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/username", "/password"]),
        ({"username": "alice", "password": 7}, ["/password"]),
        ({"username": "alice", "password": "x", "roles": ["admin"], "a/b": 1}, ["/roles", "/a~1b"]),
        ({"username": "a,b", "password": "x"}, ["/username"]),
        ({"username": "alice", "password": ""}, ["/password"]),
        ({"username": "alice", "password": "a\0b"}, ["/password"]),
        ({"username": "alice", "password": "x" * 1025}, ["/password"]),
        ([], []),
    ],
)
def test_a_body_that_is_no_login_is_refused(service: Watched, body: Any, pointers: list[str]) -> None:
    """What is wrong with a body is named, and its values are not."""
    answer = service.request("POST", "/auth/login", json=body)

    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers
    assert not pointers or "xxx" not in answer.text


def test_a_login_is_json_by_post(service: Watched) -> None:
    """Forms, other methods, query parameters and long bodies are refused."""
    form = raw.send(
        service.port, "POST", "/auth/login", [("Content-Type", "text/plain")], b'{"username": "a", "password": "b"}'
    )

    assert form.status == 415
    assert service.get("/auth/login").status_code == 405
    assert service.request("POST", "/auth/login?x=1", json={}).status_code == 400
    assert service.request("POST", "/auth/login/x", json={}).status_code == 404
    assert service.request("POST", "/auth/login", json={"username": "x" * 9000}).status_code == 413
    assert service.get("/auth").status_code == 404


def test_failed_logins_of_a_user_are_bounded(service: Watched) -> None:
    """After auth.login_failures wrong passwords the right one is 429 too, with the time to wait; others go on."""
    assert [log_in(service, "victim", word).status_code for word in ("a", "b")] == [401, 401]

    after = log_in(service, "victim")

    assert after.status_code == 429
    assert 1 <= int(after.headers["Retry-After"]) <= 300
    assert "too many logins have failed" in after.json()["message"]
    assert [log_in(service, "olga").status_code for _ in range(5)] == [200] * 5


FORGED: Mapping[str, str] = {
    "unsigned": jwt.encode({"iss": "pacifica-notifications", "sub": "alice", "exp": 4e9, "iat": 1}, None, "none"),
    "another key": signed("f" + KEY[1:]),
    "another algorithm": signed(algorithm="HS512"),
    "another issuer": signed(iss="elsewhere"),
    "no issuer": signed(iss=None),
    "no end": signed(exp=None),
    "no user": signed(sub=None),
    "two users": signed(sub="alice,bob"),
    "roles in a text": signed(roles="admin"),
    "roles of numbers": signed(roles=[1]),
    "nothing": "",
    "dots": "..",
    "changed": signed()[:-2] + ("AA" if not signed().endswith("AA") else "BB"),
    "of the future": signed(nbf=4e9),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_token_that_was_not_signed_here_is_none(service: Watched, name: str) -> None:
    """A token counts if it was signed with the key, by the algorithm of the settings, for a user, with an end."""
    answer = bring(service, FORGED[name])

    assert answer.status_code == 401, answer.text
    assert "none that this service gave" in answer.json()["message"]
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert bring(service, signed()).status_code == 200


def test_an_expired_token_is_told_apart(service: Watched) -> None:
    """A token whose time has passed says so; one without a role of this service may nothing."""
    expired, roleless = bring(service, signed(exp=1_700_000_100)), bring(service, signed(roles=["unheard of"]))

    assert (expired.status_code, "has expired; log in again" in expired.json()["message"]) == (401, True)
    assert (roleless.status_code, "it has none" in roleless.json()["message"]) == (403, True)


@pytest.mark.parametrize("user", ["alice", "bob", "carol"])
def test_users_of_a_file_log_in(with_a_file: Watched, user: str) -> None:
    """Passwords that htpasswd stored are taken, exactly; roles come from the settings."""
    granted = log_in(with_a_file, user)

    assert granted.status_code == 200, granted.text
    assert granted.json()["roles"] == (["manager", "user"] if user == "bob" else ["user"])
    assert bring(with_a_file, granted.json()["token"]).status_code == 200
    for word in ("open sesam", "Open sesame", "open sesame ", BCRYPT, SHA):
        assert log_in(with_a_file, user, word).status_code == 401
    assert jwt.get_unverified_header(granted.json()["token"])["alg"] == "HS512"


def test_odd_names_and_passwords_are_not_authorised(with_a_file: Watched) -> None:
    """What no line of the file says lets nobody in, and long passwords count as far as bcrypt knows them."""
    names = ["# users", "#", "Alice", "alice:", "mallory", ":"]

    assert {log_in(with_a_file, name).status_code for name in names} <= {400, 401}
    assert log_in(with_a_file, "long", "x" * 71).status_code == 401
    assert log_in(with_a_file, "long", "x" * 100).status_code == 200


def test_without_a_login_there_is_none(start: Start) -> None:
    """A service without a login has no place for it, and takes no token of one."""
    plain = start()

    assert log_in(plain, "alice").status_code == 404
    assert bring(plain, signed()).status_code == 401


def test_processes_share_what_a_login_is_worth(tmp_path: Path) -> None:
    """A token that one process of uWSGI gave is taken by each of them, for events too."""
    if Uwsgi.available():
        missing(str(Uwsgi.available()))
    (tmp_path / "users").write_text(f"ingest:{BCRYPT}\n")
    settings = {
        "auth.login": "htpasswd",
        "auth.htpasswd_file": tmp_path / "users",
        "auth.jwt_key": KEY,
        "auth.producers": "ingest",
        "receive.auth": "any",
    }
    with Uwsgi(tmp_path, settings, args=["--processes", "2", "--lazy-apps"]) as service:
        token = log_in(service, "ingest").json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        sent = [service.request("POST", "/receive", json=make_event(), headers=headers) for _ in range(6)]
        unsent = service.request("POST", "/receive", json=make_event(), headers=dict([PROXY_SECRET]))
        service.stop()

    assert [answer.status_code for answer in sent] == [200] * 6
    assert unsent.status_code == 401


BAD: list[tuple[dict[str, object], str]] = [
    ({"auth.login": "htpasswd", "auth.htpasswd_file": "USERS"}, "auth.jwt_key or auth.jwt_key_file: must be set"),
    ({"auth.login": "htpasswd", "auth.htpasswd_file": "USERS", "auth.jwt_key": ""}, "must be set, because"),
    ({"auth.login": "htpasswd", "auth.htpasswd_file": "USERS", "auth.jwt_key_file": "EMPTY"}, "is empty"),
    ({"auth.login": "htpasswd", "auth.htpasswd_file": "USERS", "auth.jwt_key_file": "EXAMPLE"}, "must be random"),
    ({"auth.login": "htpasswd", "auth.htpasswd_file": "USERS", "auth.jwt_key_file": "NOWHERE"}, "can't be read"),
    ({"auth.login": "htpasswd", "auth.jwt_key": "your-key-goes-here-your-key-goes-here"}, "must be random"),
    ({"auth.login": "htpasswd", "auth.jwt_key": KEY[:40], "auth.jwt_algorithm": "HS512"}, "auth.htpasswd_file"),
    (
        {
            "auth.login": "htpasswd",
            "auth.htpasswd_file": "USERS",
            "auth.jwt_key": KEY[:40],
            "auth.jwt_algorithm": "HS512",
        },
        "must have 64 characters or more for HS512",
    ),
    ({"auth.login": "htpasswd", "auth.htpasswd_file": "CRYPT", "auth.jwt_key": KEY}, "line 2: has no hash of bcrypt"),
    ({"auth.login": "htpasswd", "auth.jwt_key": KEY, "auth.htpasswd_file": "NOWHERE"}, "can't be read"),
    ({"auth.login": "directory", "auth.jwt_key": KEY}, "there is no login 'directory'; installed are htpasswd, none"),
    ({"auth.module": "nowhere", "auth.class": "Site", "auth.jwt_key": KEY}, "No module named 'nowhere'"),
    ({"auth.module": "json", "auth.class": "JSONDecoder", "auth.jwt_key": KEY}, "is no subclass of"),
    ({"auth.module": "json", "auth.jwt_key": KEY}, "auth.module and auth.class: both must be set"),
    (
        {"auth.login": "htpasswd", "auth.module": "json", "auth.class": "JSONDecoder", "auth.jwt_key": KEY},
        "auth.login must not be",
    ),
]


@pytest.mark.parametrize(("settings", "said"), BAD, ids=[said[:40] for _settings, said in BAD])
def test_a_login_that_can_not_be_trusted_does_not_start(tmp_path: Path, settings: dict[str, object], said: str) -> None:
    """A key that is missing, empty, an example or short ends the start, and so does a login that can't be used."""
    (tmp_path / "USERS").write_text(f"alice:{BCRYPT}\n")
    (tmp_path / "CRYPT").write_text(f"alice:{BCRYPT}\nbob:$6$salt$hash\n")
    (tmp_path / "EMPTY").write_text("\n")
    (tmp_path / "EXAMPLE").write_text("change-me-change-me-change-me-change-me\n")
    files = ("USERS", "CRYPT", "EMPTY", "EXAMPLE", "NOWHERE")
    used = {name: tmp_path / str(value) if value in files else value for name, value in settings.items()}

    lines = refused(tmp_path, used)

    assert len(lines) == 1, lines
    assert said in lines[0]
    assert not any(text in lines[0] for text in (KEY[:40], "change-me-change-me", "your-key-goes"))


def refused(folder: Path, settings: Mapping[str, object]) -> list[str]:
    """Prepare a service with settings and return what is said of them."""
    try:
        login.use(config.load(write_config(folder / "config.ini", settings), environ={}))
    except ConfigError as error:
        return str(error).splitlines()
    raise AssertionError("it would have started")


def test_the_start_is_where_it_is_told(tmp_path: Path) -> None:
    """The service itself ends with the line, before it listens."""
    service = Service(tmp_path, {"auth.login": "htpasswd"})
    service.start(0)

    assert service.wait() != 0
    assert "auth.htpasswd_file: must name the file" in service.log
    assert "Traceback" not in service.log
