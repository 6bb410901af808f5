"""The address policy at the doors: what a subscription may say, what a delivery waits for, what operators are told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from pacifica.notifications import orm
from pacifica.notifications.retry import State
from tests.support.doors import Doors
from tests.support.factories import make_subscription
from tests.support.process import HERE, variables
from tests.support.processes import Command, Service, Worker, write_config
from tests.support.target import RecordingTarget
from tests.support.wait import until

from .conftest import OpenDoors, Run

ALLOW = "targets.allow"
#: What holds where an operator sets nothing.
DEFAULT = {ALLOW: "", "targets.ports": "80,443,1024-65535"}


@pytest.fixture(scope="module")
def database_kind() -> str:
    """One kind: what is asked here is decided before the database is."""
    return "sqlite"


def strict(folder: Path, settings: Mapping[str, object] | None = None, **options: object) -> Service:
    """Return a service that is not told where the targets of the tests are."""
    return Service(folder, settings, env=variables(DEFAULT), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose targets are public."""
    started = strict(tmp_path_factory.mktemp("public"), {"targets.profile": "public", "targets.deny": "9.9.9.0/24"})
    started.kept = True
    with started:
        yield started


def refusal(service: Service, url: str, **members: object) -> dict[str, str]:
    """Return the faults of a subscription to a target, by their places."""
    sent = make_subscription(target_url=url, **members)
    answer = service.request("POST", "/eventmatch", user="alice", json=sent)
    assert answer.status_code in (200, 400), answer.text
    return {each["pointer"]: each["message"] for each in answer.json().get("errors", ())}


# At the request.


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://10.1.2.3/", "10.1.2.3 is a private address; the operator can allow it with targets.allow"),
        ("http://127.0.0.1:8080/", "127.0.0.1 is a loopback address; the operator can allow it with targets.allow"),
        ("https://[::1]/", "::1 is a loopback address; the operator can allow it with targets.allow"),
        ("http://[::ffff:10.1.2.3]/", "::ffff:10.1.2.3 is a private address; the operator can"),
        (
            "http://[64:ff9b::a01:203]/",
            "64:ff9b::a01:203 stands for 10.1.2.3, which is a private address; the operator",
        ),
        ("http://169.254.169.254/latest", "169.254.169.254 is an address of cloud metadata; the operator can allow it"),
        ("http://9.9.9.9/", "9.9.9.9 is denied by the operator (targets.deny)"),
        ("http://1.1.1.1:25/", "port 25 is not allowed; the operator can allow it with targets.ports"),
        ("http://localhost/", "the name localhost leads to an address that is not allowed; "),
        ("http://2130706433/", "has the host 2130706433, which is no name and no IPv4 address"),
    ],
)
def test_a_target_that_is_not_allowed_is_a_mistake_of_the_request(public: Service, url: str, said: str) -> None:
    """The answer is 400, and names what was typed and the setting that allows it."""
    found = refusal(public, url)

    assert list(found) == ["/target_url"]
    assert found["/target_url"].startswith(said)


def test_all_faults_are_named_with_it(public: Service) -> None:
    """A target that is not allowed is named beside what else is wrong."""
    assert set(refusal(public, "http://10.1.2.3/", name=7, jsonpath="$[")) == {"/target_url", "/name", "/jsonpath"}


def test_public_targets_are_taken_and_names_that_do_not_resolve(public: Service) -> None:
    """A name that leads nowhere yet is accepted with a hint: each attempt asks again."""
    answer = public.request(
        "POST", "/eventmatch", user="alice", json=make_subscription(target_url="http://nowhere.invalid/")
    )

    assert refusal(public, "http://1.1.1.1/") == {}
    assert answer.status_code == 200
    assert "the name nowhere.invalid does not resolve yet" in answer.headers["Notifications-Hint"]


def test_a_change_is_checked_like_a_new_one(public: Service) -> None:
    """PUT with another target is refused as POST is, and changes nothing; without, it is not asked."""
    made = public.subscribe(target_url="http://1.1.1.1/")
    path = f"/eventmatch/{made['uuid']}"

    refused = public.request("PUT", path, user="alice", json={"target_url": "http://10.0.0.1/", "name": "new"})
    changed = public.request("PUT", path, user="alice", json={"name": "newer"})

    assert refused.status_code == 400
    assert changed.json() | {"updated": ""} == made | {"name": "newer", "updated": ""}


def test_the_owner_of_a_target_that_is_not_allowed_any_more_is_told(tmp_path: Path, target: RecordingTarget) -> None:
    """What was stored before can be shown and sent back, with a hint."""
    settings = {"database.peewee_url": f"sqlite:///{tmp_path}/db.sqlite3"}
    with Service(tmp_path / "before", settings) as before:
        made = before.subscribe(target_url=target.url())

    with strict(tmp_path / "after", settings | {"targets.profile": "public"}) as after:
        answer = after.request("PUT", f"/eventmatch/{made['uuid']}", user="alice", json=made)

    assert answer.status_code == 200
    assert "target_url: 127.0.0.1 is a loopback address" in answer.headers["Notifications-Hint"]


def test_https_can_be_asked_for(tmp_path: Path) -> None:
    """Where only https is taken, http is refused with the setting's name."""
    with strict(tmp_path, {"targets.require_https": "true"}) as service:
        assert "targets.require_https" in refusal(service, "http://1.1.1.1/")["/target_url"]
        assert refusal(service, "https://1.1.1.1/") == {}


# Which profile is in force.


def test_one_process_on_loopback_serves_its_own_machine(tmp_path: Path, target: RecordingTarget) -> None:
    """Started by itself with nothing set, the service delivers on its own machine, but not to itself; it says so."""
    with strict(tmp_path) as service:
        service.subscribe(target_url=target.url(), jsonpath="$")
        service.post_event({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"})
        target.wait_for(1)

        assert "service.starting targets=local: public, private and loopback addresses" in service.log
        for host in (service.url, service.url.replace("127.0.0.1", "localhost")):
            assert "/target_url" in refusal(service, f"{host}/receive")
        assert "is this service itself" in refusal(service, f"{service.url}/receive")["/target_url"]


def test_one_process_for_everybody_is_public(tmp_path: Path) -> None:
    """Where others can reach it, targets are public, and the service itself is none at any address."""
    with strict(tmp_path, {ALLOW: "127.0.0.1/32"}, host="0.0.0.0") as service:
        assert "service.starting targets=public: public addresses, and 127.0.0.1/32" in service.log
        assert refusal(service, "http://127.0.0.1:9999/") == {}
        assert "is this service itself" in refusal(service, f"http://127.0.0.1:{service.port}/receive")["/target_url"]


def test_one_process_on_a_socket_file_is_public(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket file is for a proxy, which passes on whoever comes; commands know it, too."""
    file = tmp_path / "cherrypy.conf"
    file.write_text("[global]\nserver.socket_file: 'service.sock'\n", encoding="utf-8")
    with closing(strict(tmp_path, args=["--cpconfig", str(file)])) as service:
        service.start(0)
        service.until(lambda: "service.starting targets=" in service.log, 30, "the profile in the log")
        assert "service.starting targets=public: public addresses" in service.log

    monkeypatch.setenv("NOTIFICATIONS_CPCONFIG", str(file))
    assert run(write_config(tmp_path / "c.ini", {}), "check-target", "http://10.1.2.3:8080/").returncode == -1


def test_metadata_and_an_empty_facility_are_warned_of(tmp_path: Path) -> None:
    """What an operator may not have meant is said at start."""
    with strict(tmp_path / "a", {ALLOW: "169.254.169.254/32"}) as service:
        assert "WARNING service.starting targets.allow has 169.254.169.254/32" in service.log
        assert refusal(service, "http://169.254.169.254/") == {}
    with strict(tmp_path / "b", {"targets.profile": "facility"}) as service:
        assert "WARNING service.starting targets.profile = facility opens nothing without targets.allow" in service.log


def test_a_worker_says_it_too(tmp_path: Path, redis_url: str) -> None:
    """A worker has the policy of the same settings, and says which."""
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    settings = {"celery.broker_url": redis_url, "database.peewee_url": url, "notifications.policy_url": ""}
    assert Command(tmp_path, settings).run("dbsync").returncode == 0
    with Worker(tmp_path, settings, env=variables({ALLOW: "10.20.0.0/16", "targets.profile": "facility"})) as worker:
        assert "worker.starting targets=facility: public addresses, and 10.20.0.0/16 (targets.profile)" in worker.log


# At the attempt.


def forbid(doors: Doors) -> dict[str, object]:
    """Return the settings of doors that refuse every target of the tests."""
    return {ALLOW: "", "targets.profile": "public", "retention.held": 3600}


def test_what_is_refused_waits(open_doors: OpenDoors, doors: Doors, target: RecordingTarget) -> None:
    """It stays pending with the reason, has no attempt, disables nobody, and is delivered once it is allowed."""
    subscription = doors.subscribe(target.url())
    doors.accept()
    doors.route()
    doors.courier.stop(grace=0)
    shut = open_doors(forbid(doors))

    for _ in range(12):
        shut.again()

    delivery = shut.delivery()
    assert delivery.reason == (
        "target_url: 127.0.0.1 is a loopback address; the operator can allow it with targets.allow"
    )
    assert (delivery.state, delivery.attempts, shut.attempts(delivery)) == (State.PENDING, 0, [])
    with orm.session():
        assert 30 < (delivery.next_attempt_at - orm.now()).total_seconds() <= 900
    assert shut.subscription(subscription).disabled is None
    assert shut.subscription(subscription).failures == 0
    assert target.requests() == []

    shut.courier.stop(grace=0)
    open_doors({}).again()
    assert doors.delivery().state == State.DELIVERED
    assert target.requests()[0].attempt == 1


def test_it_waits_for_as_long_as_what_is_held(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """Past retention.held it is dead, with the reason."""
    shut = open_doors({ALLOW: "", "retention.held": 3600})
    shut.subscribe(target.url())
    shut.accept()
    shut.route()
    with orm.session():
        orm.EventLogMatch.update(created=orm.now() - timedelta(seconds=3601)).execute()

    shut.deliver()

    assert shut.delivery().state == State.DEAD
    assert "longer than retention.held" in str(shut.delivery().reason)


def test_disabling_at_the_first_failure_is_not_for_the_policy(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """Neither is a refusal a failure where the first one disables."""
    shut = open_doors({ALLOW: "", "delivery.disable_after": 0})
    subscription = shut.subscribe(target.url())

    shut.send()

    assert shut.delivery().state == State.PENDING
    assert shut.subscription(subscription).disabled is None


def test_others_are_delivered(open_doors: OpenDoors, target: RecordingTarget) -> None:
    """What waits for the operator keeps nobody's deliveries waiting."""
    shut = open_doors({})
    for host in ("10.255.255.1", "169.254.169.254"):
        shut.subscribe(f"http://{host}/")
    shut.subscribe(target.url())

    shut.send()

    assert sorted(each.state for each in shut.deliveries()) == ["delivered", "pending", "pending"]


# What operators are told.


def test_check_target_explains(run: Run, tmp_path: Path) -> None:
    """It says which address is of what kind, which rule decides, and which lines would open it."""
    file = write_config(tmp_path / "c.ini", {"targets.profile": "public", ALLOW: "10.20.0.0/16"})

    allowed, refused = (run(file, "check-target", url) for url in ("http://10.20.1.2/", "http://10.21.1.2/"))
    listed = run(file, "check-target", "--json", "http://[64:ff9b::a01:203]:8080/")
    broken = run(file, "check-target", "http://0x7f.1/")

    assert (allowed.returncode, refused.returncode, listed.returncode, broken.returncode) == (0, -1, -1, -1)
    assert "allowed: 10.20.1.2 is in 10.20.0.0/16 of targets.allow" in allowed.stdout
    assert "10.21.1.2 is a private address (10.0.0.0/8)" in refused.stdout
    assert refused.stdout.endswith("    [targets]\n    profile = facility\n    allow = 10.20.0.0/16, 10.21.1.2/32\n")
    assert json.loads(listed.stdout) == {
        "url": "http://[64:ff9b::a01:203]:8080/",
        "profile": "public",
        "host": "64:ff9b::a01:203",
        "port": 8080,
        "allowed": False,
        "reason": "64:ff9b::a01:203 stands for 10.1.2.3, which is a private address; the operator can allow it with"
        " targets.allow",
        "rule": "10.1.2.3 is a private address, in 64:ff9b::a01:203",
        "addresses": [{"address": "64:ff9b::a01:203", "kind": "a public address behind a translator (64:ff9b::/96)"}],
        "targets": ["profile = facility", "allow = 10.20.0.0/16, 10.1.2.3/32"],
    }
    assert "0x7f.1, which is no name and no IPv4 address" in broken.stderr


def test_the_lines_that_open_a_target_open_it(run: Run, tmp_path: Path) -> None:
    """What is printed can be used."""
    for url in ("http://10.21.1.2/", "http://localhost:8080/", "http://169.254.169.254/", "http://[2002:a01:203::1]/"):
        file = write_config(tmp_path / "before.ini", {"targets.profile": "public"})
        lines = json.loads(run(file, "check-target", "--json", url).stdout)["targets"]
        settings = {f"targets.{name}": value for name, value in (line.split(" = ") for line in lines)}

        assert run(write_config(tmp_path / "after.ini", settings), "check-target", url).returncode == 0


def test_dbsync_lists_targets_that_are_refused(run: Run, doors: Doors, tmp_path: Path, target: RecordingTarget) -> None:
    """It names their subscriptions, and ends with the two lines that open them."""
    with orm.session():
        for url in (
            "http://10.1.2.3/",
            "http://a@10.1.2.3/",
            "http://127.1/",
            "http://1.1.1.1/",
            target.url(),
            "http://localhost/",
        ):
            orm.EventMatch.add("alice", make_subscription(target_url=url, name=url))
    settings = {"database.peewee_url": doors.url, "targets.profile": "public", ALLOW: "127.0.0.1/32"}
    file = write_config(tmp_path / "c.ini", settings)

    told = run(file, "dbsync", "--differences").stdout
    data = json.loads(run(file, "dbsync", "--differences", "--json").stdout)

    refused = {each["name"]: each["detail"] for each in data["differences"] if each["kind"] == "address"}
    assert refused.pop("http://10.1.2.3/") == "10.1.2.3: 10.1.2.3 is a private address"
    # What is refused for something else as well is named for both, what leads nowhere that could be judged for that.
    assert refused.pop("http://a@10.1.2.3/") == "10.1.2.3: 10.1.2.3 is a private address"
    named = {each["name"] for each in data["differences"] if each["kind"] == "target_url"}
    assert named == {"http://a@10.1.2.3/", "http://127.1/"}
    # Where localhost has no IPv6 address, the one that it has is allowed.
    assert refused.keys() <= {"http://localhost/"}
    assert data["targets"][0] == "profile = facility"
    assert data["targets"][1].startswith("allow = 127.0.0.1/32, 10.1.2.3/32")
    assert "subscription" in told
    assert "have a target that the address policy refuses" in told
    assert f"    [targets]\n    profile = facility\n    {data['targets'][1]}\n" in told


def test_commands_have_the_profile_of_the_service(run: Run, tmp_path: Path) -> None:
    """With nothing set, what the service may send to on this machine a command may too."""
    file = write_config(tmp_path / "c.ini", {})

    assert run(file, "check-target", "http://127.0.0.1:8080/").returncode == 0
    assert "is this service itself" in run(file, "check-target", "http://127.0.0.1:8070/").stdout
    with_broker = write_config(tmp_path / "b.ini", {"celery.broker_url": "amqp://localhost//"})
    assert run(with_broker, "check-target", "http://127.0.0.1:8080/").returncode == -1
    assert "is part of this service" in run(with_broker, "check-target", "http://127.0.0.1:5672/").stdout


def test_the_service_keeps_waiting_deliveries_over_a_change(tmp_path: Path, target: RecordingTarget) -> None:
    """Seen from outside: shut, nothing arrives and nothing ends; opened and started anew, it arrives."""
    settings = {"database.peewee_url": f"sqlite:///{tmp_path}/db.sqlite3"}
    command = Command(tmp_path, settings)
    with Service(tmp_path / "before", settings | {"delivery.retry_schedule": "0.1"}) as before:
        before.subscribe(target_url=target.url(), jsonpath="$")
    with strict(tmp_path / "shut", settings | {"targets.profile": "public"}) as shut:
        uuid = shut.post_event({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"}).json()["uuid"]
        until(lambda: "is a loopback address" in shut.log, 30, "the refusal in the log")

    listed = json.loads(command.run("eventget", "--json", uuid).stdout)
    assert target.requests() == []
    assert "pending" in json.dumps(listed)
    assert Command(tmp_path, settings | HERE, name="open").run("eventget", uuid).returncode == 0
