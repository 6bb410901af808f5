"""The service in one process: how it starts, how it ends, and what it refuses to start with."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests
from playhouse.db_url import connect

from tests.support import tables
from tests.support.factories import make_event
from tests.support.ports import free_port
from tests.support.process import Process, clean_environment
from tests.support.processes import Service, Worker, script, write_config
from tests.support.target import Held, RecordingTarget
from tests.support.wait import until

#: Seconds within which it has to end when it is asked to: some, with an attempt in flight.
SOON = 20

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, which is also the place of the home."""
    return tmp_path


def program(folder: Path, *arguments: str | Path, **environment: str) -> Process:
    """Return `pacifica-notifications` with exactly these arguments, and nothing in the environment that steers it."""
    env = clean_environment(folder / "home", **environment)
    return Process([script("pacifica-notifications"), *arguments], folder / "program.log", env=env, cwd=folder)


def answers(origin: str, path: str = "/health/live") -> bool:
    """Tell whether something answers 200 there."""
    return requests.get(origin + path, timeout=5, proxies={"http": ""}).status_code == 200


def test_it_needs_no_settings(folder: Path, target: RecordingTarget) -> None:
    """Started without any settings it makes its tables, takes an event in and delivers it."""
    port = free_port()
    origin = f"http://localhost:{port}"

    with program(folder, "-p", str(port)) as service:
        service.until(lambda: answers(origin, "/health/ready"), 60, "the service to be ready")
        with requests.Session() as client:
            client.trust_env = False
            wanted = {"name": "all", "jsonpath": "data", "target_url": target.url("/hook")}
            subscribed = client.post(f"{origin}/eventmatch", json=wanted, timeout=15)
            sent = client.post(f"{origin}/receive", json=make_event(), timeout=15)
        (request,) = target.wait_for(1, "/hook")
        service.until(lambda: tables.states(tables.embedded_url(folder)) == {"delivered": 1}, 30, "its end")

        assert service.terminate(SOON) == 0
    assert (subscribed.status_code, sent.status_code) == (200, 200)
    assert subscribed.json()["user"] == "default_user"
    assert request.header("Notifications-Attempt") == "1"
    assert "policy=none" in service.log


@SIGNALS
def test_it_ends_when_it_is_asked_to(folder: Path, number: int) -> None:
    """SIGTERM and Ctrl-C end it as a success, without a word about an error."""
    with Service(folder) as service:
        assert service.end(number, SOON) == 0

    assert "Traceback" not in service.log
    assert "ERROR" not in service.log


@SIGNALS
def test_it_ends_before_it_has_begun(folder: Path, number: int) -> None:
    """A signal while it is starting ends it too, without a traceback."""
    service = Service(folder)
    service.start(0)
    service.wait_for_output("service.starting version")

    service.end(number, SOON)

    assert service.returncode in (0, 130, -signal.SIGTERM)
    assert "Traceback" not in service.log


@SIGNALS
def test_it_ends_with_an_attempt_in_flight(folder: Path, target: RecordingTarget, number: int) -> None:
    """An attempt that hangs does not keep it from ending; after the next start the delivery is sent again at once."""
    target.answers("/hook", [Held()])
    service = Service(folder)

    with service:
        service.subscribe(target_url=target.url("/hook"))
        service.post_event(make_event())
        target.wait_for(1, "/hook")
        assert service.end(number, SOON) == 0
        assert tables.rows(tables.embedded_url(folder), "SELECT state, attempts, lease IS NULL FROM eventlogmatch") == [
            ("pending", 0, 1)
        ]
        assert "Traceback" not in service.log
        service.start()
        first, second = target.wait_for(2, "/hook")
        service.until(lambda: tables.states(tables.embedded_url(folder)) == {"delivered": 1}, 30, "its end")
        service.stop()

    assert first.delivery == second.delivery
    assert first.body == second.body


def test_a_port_in_use_is_told_in_one_line(folder: Path) -> None:
    """Another program on its port: it ends with a failure, and one line names the address and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with program(folder, "-a", "127.0.0.1", "-p", str(port)) as service:
            status = service.wait(60)

    (line,) = [line for line in service.log.splitlines() if "ERROR" in line]
    assert status not in (0, None)
    assert f"127.0.0.1:{port}" in line
    assert "-p" in line
    assert "Traceback" not in service.log


@pytest.mark.parametrize("address", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_here_is_told_in_one_line(folder: Path, address: str) -> None:
    """An address of another machine, or a name that does not resolve: one line and a failure."""
    with program(folder, "-a", address, "-p", str(free_port())) as service:
        status = service.wait(60)

    (line,) = [line for line in service.log.splitlines() if "ERROR" in line]
    assert status not in (0, None)
    assert address in line
    assert "Traceback" not in service.log


def test_every_fault_of_the_settings_is_one_line(folder: Path) -> None:
    """Settings that can't be used are refused all at once, a line for each with file, section and key."""
    faulty = write_config(
        folder / "faulty.ini",
        {"delivery.timeout": "soon", "delivery.batch": 0, "celery.brocker_url": "x", "nowhere.key": 1},
    )

    with program(folder, "-c", faulty, "-p", str(free_port()), NOTIFICATIONS_RECEIVE_MAX_BODY="1") as service:
        status = service.wait(60)

    lines = service.log.strip().splitlines()
    assert status not in (0, None)
    for key in ("[delivery] timeout", "[delivery] batch", "[celery] brocker_url", "[nowhere] key"):
        assert len([line for line in lines if str(faulty) in line and key in line]) == 1, key
    assert len([line for line in lines if "NOTIFICATIONS_RECEIVE_MAX_BODY" in line]) == 1
    assert len(lines) == 5
    assert not (folder / "home" / ".pacifica-notifications").exists()


def test_a_cherrypy_file_that_is_named_must_exist(folder: Path) -> None:
    """NOTIFICATIONS_CPCONFIG with the name of no file is refused, like that of the settings."""
    missing = folder / "missing.conf"

    with program(folder, "-p", str(free_port()), NOTIFICATIONS_CPCONFIG=str(missing)) as service:
        status = service.wait(60)

    assert status not in (0, None)
    assert f"{missing}: there is no such file" in service.log
    assert "Traceback" not in service.log


@pytest.mark.parametrize("part", ["service", "worker"])
def test_an_older_schema_is_refused(folder: Path, part: str) -> None:
    """A database of an older release is left as it is: service and worker refuse it and name the command."""
    url = f"sqlite:///{folder / 'old.sqlite3'}"
    old = connect(url)
    old.execute_sql("CREATE TABLE notificationsystem (part VARCHAR(255) PRIMARY KEY, value INTEGER)")
    old.execute_sql("INSERT INTO notificationsystem VALUES ('major', 3), ('minor', 0)")
    old.execute_sql("CREATE TABLE eventmatch (uuid TEXT PRIMARY KEY, name TEXT)")
    old.close()
    settings = {"database.peewee_url": url}
    refused: Process = (
        Service(folder, settings)
        if part == "service"
        else Worker(folder, {**settings, "celery.broker_url": "redis://127.0.0.1:1/0"})
    )

    refused_by(refused, "schema 3.0", "pacifica-notifications-cmd dbsync")

    left = {name for (name,) in tables.rows(url, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert left == {"notificationsystem", "eventmatch"}


@pytest.mark.parametrize("part", [Service, Worker])
def test_a_database_without_tables_is_refused(folder: Path, postgresql_url: str, part: type[Service | Worker]) -> None:
    """Beyond the embedded default tables are made by the command only, which is named."""
    settings = {"database.peewee_url": postgresql_url, "celery.broker_url": "redis://127.0.0.1:1/0"}

    refused_by(part(folder, settings), "no tables", "pacifica-notifications-cmd dbsync")


def refused_by(process: Process, *words: str) -> None:
    """See a process end as a failure, with all the words in its last line."""
    process.start() if not isinstance(process, Service | Worker) else process.start(0)
    status = process.wait(60)
    process.close()
    last = process.log.strip().splitlines()[-1]
    assert status not in (0, None)
    assert all(word in last for word in words), last
    assert "Traceback" not in process.log


@pytest.fixture
def files(folder: Path) -> Iterator[tuple[Path, Path, int]]:
    """A settings file with a default user of its own, a CherryPy file with a port, and that port."""
    port = free_port()
    settings = write_config(folder / "my.ini", {"DEFAULT.default_user": "somebody"})
    cherrypys = folder / "my.conf"
    cherrypys.write_text(f"[global]\nserver.socket_host: '127.0.0.1'\nserver.socket_port: {port}\n")
    return settings, cherrypys, port


@pytest.mark.parametrize(
    ("options", "user"),
    [
        (["-c", "CP"], "default_user"),
        (["--cpconfig", "CP"], "default_user"),
        (["-c", "INI", "--cpconfig", "CP"], "somebody"),
        (["-c", "INI", "-c", "CP"], "somebody"),
        (["-c", "CP", "--config", "INI"], "somebody"),
    ],
    ids=" ".join,
)
def test_the_files_are_told_apart(
    folder: Path, files: tuple[Path, Path, int], options: Sequence[str], user: str
) -> None:
    """`-c` takes the settings or the CherryPy file, also both; `--cpconfig` takes the latter."""
    settings, cherrypys, port = files
    places = {"INI": str(settings), "CP": str(cherrypys)}
    origin = f"http://127.0.0.1:{port}"

    with program(folder, *[places.get(option, option) for option in options]) as service:
        service.until(lambda: answers(origin), 60, "an answer at the port of the file")
        found = whoever(origin)
        service.terminate(SOON)

    assert found == user


def test_the_command_line_beats_the_file(folder: Path, files: tuple[Path, Path, int]) -> None:
    """`-a` and `-p` beat what the CherryPy file says."""
    _, cherrypys, port_of_the_file = files
    port = free_port("127.0.0.2")

    with program(folder, "-c", cherrypys, "-a", "127.0.0.2", "-p", str(port)) as service:
        service.until(lambda: answers(f"http://127.0.0.2:{port}"), 60, "an answer where the command line says")
        for host, other in (("127.0.0.1", port_of_the_file), ("127.0.0.1", port)):
            with socket.socket() as client:
                assert client.connect_ex((host, other)) != 0
        service.terminate(SOON)


def test_a_file_that_is_missing_is_told_in_one_line(folder: Path) -> None:
    """A file that is named and not there is refused, not passed over."""
    with program(folder, "-c", "nowhere.ini") as service:
        status = service.wait(60)

    assert status not in (0, None)
    assert len(service.log.strip().splitlines()) == 1
    assert "nowhere.ini" in service.log


def whoever(origin: str) -> str:
    """Return the user of a request without a name."""
    wanted = {"name": "x", "jsonpath": "data", "target_url": "http://127.0.0.1:1/"}
    answer = requests.post(f"{origin}/eventmatch", json=wanted, timeout=15, proxies={"http": ""})
    user: str = answer.json()["user"]
    return user


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="only on Linux can a running process be limited")
def test_without_a_file_descriptor_new_clients_are_sent_away(folder: Path) -> None:
    """They are not left to wait, connections that are there are served, and the log has a line for many of them."""
    with Service(folder, {"celery.broker_url": "memory://"}) as service:
        process = psutil.Process(service.pid)
        limits = process.rlimit(psutil.RLIMIT_NOFILE)
        # It answers before its start is over.
        until(lambda: "service.listening" in service.log, 30, "the end of the start")
        assert service.get("/health/live").status_code == 200
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds(), limits[1]))

        with ExitStack() as held:

            def refused() -> bool:
                """Tell whether one connection more is closed at once; others are held."""
                client = held.enter_context(requests.Session())
                try:
                    return client.get(service.url + "/health/live", timeout=10).status_code != 200
                except requests.ConnectionError:
                    return True

            until(refused, 30, "the file descriptors to be used up")
            assert all(refused() for _ in range(200))
            served = service.get("/health/live").status_code
        process.rlimit(psutil.RLIMIT_NOFILE, limits)

        assert served == 200
        assert requests.get(service.url + "/health/live", timeout=10).status_code == 200
        assert 1 <= service.log.count("connections.refused") < 100
        assert "Traceback" not in service.log
