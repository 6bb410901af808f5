"""The rig: PostgreSQL, a broker, two web processes, two workers, a sink, and proxies between them."""

from __future__ import annotations

import copy
import itertools
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from kombu import Connection
from kombu.exceptions import KombuError

from tests.support import tables
from tests.support.process import Process
from tests.support.processes import Command, Service, Uwsgi, Worker
from tests.support.proxy import Proxy
from tests.support.servers import PostgreSQL, RabbitMQ, Redis
from tests.support.sink import Arrival, Sink
from tests.support.wait import until

from .sender import TURNS, Sender
from .verdict import Evidence, Verdict, judge

BROKERS: dict[str, type[Redis | RabbitMQ]] = {"redis": Redis, "rabbitmq": RabbitMQ}
QUEUE = "notifications"
#: Attempts that a worker has in flight, and deliveries that it claims at once.
IN_FLIGHT = 20
#: Seconds in which all must have ended after a run.
DRAIN = 120
#: What is set differently from the defaults, so that a run is short: leases, delays, time limits.
SETTINGS: dict[str, object] = {
    "notifications.policy_url": "",
    "delivery.lease": 2,
    "delivery.timeout": 3,
    "delivery.connect_timeout": 1,
    "delivery.retry_schedule": "0.3,0.5,1,1,1,2,2,2,2,5,5,5,5,5,5",
    "delivery.jitter": 0.1,
    "delivery.breaker_wait": 0.5,
    "delivery.breaker_max_wait": 1,
    "database.timeout": 4,
    "receive.timeout": 5,
    "delivery.in_flight": IN_FLIGHT,
    "delivery.batch": IN_FLIGHT,
    "database.connect_attempts": 600,
    "database.connect_wait": 0.2,
}
FAILPOINT = "NOTIFICATIONS_FAILPOINT"

Part = Service | Uwsgi | Worker


class Rig:
    """Everything that a case needs, started once and mended before each case.

    The first web process and the first worker reach the database and the broker through proxies, the second ones
    reach them directly; `seed` decides everything that is left to chance. As a context manager it starts and stops.
    """

    def __init__(self, folder: Path, broker: str, seed: int) -> None:
        self.folder = folder
        self.broker_name = broker
        self.random = random.Random(seed)
        self.seed = seed
        self.database = PostgreSQL(kept=True)
        self.broker = BROKERS[broker](kept=True)
        self.sink = Sink(folder)
        #: A second one at an address of its own, for targets that misbehave.
        self.bad_sink = Sink(folder, "bad-sink")
        self.parts: list[Part] = []
        self._stack = ExitStack()
        self._runs = itertools.count(1)
        #: Fail points of each part, by its log file: that of its run, then those of its next starts.
        self._points: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def available(broker: str) -> str | None:
        """Return why it can't run here, or None."""
        return PostgreSQL.available() or BROKERS[broker].available()

    def close(self) -> None:
        """Leave nothing running."""
        for part in self.parts:
            part.close()
        self._stack.close()

    def _start(self) -> None:
        self._stack.enter_context(self.database)
        self._stack.enter_context(self.broker)
        for sink in (self.sink, self.bad_sink):
            sink.kept = True
            self._stack.enter_context(sink)
        self.database_proxy = self._stack.enter_context(Proxy(self.database.port))
        self.broker_proxy = self._stack.enter_context(Proxy(self.broker.port))
        self.sink_proxy = self._stack.enter_context(Proxy(self.sink.port))
        self.url = self.database.create_database()
        direct = self.settings()
        proxied = {
            **direct,
            "database.peewee_url": self.url.replace(f":{self.database.port}/", f":{self.database_proxy.port}/"),
            "celery.broker_url": self.broker.url.replace(f":{self.broker.port}/", f":{self.broker_proxy.port}/"),
        }
        done = Command(self.folder, direct).run("dbsync")
        assert done.returncode == 0, done
        self.webs: list[Service | Uwsgi] = [_web(self.folder, proxied), Service(self.folder, direct, name="web2")]
        self.workers = [
            Worker(self.folder, settings, name=f"worker{number}")
            for number, settings in enumerate((proxied, direct), 1)
        ]
        self.parts = [*self.webs, *self.workers]
        for part in self.parts:
            part.kept = True
        self.restore()

    @contextmanager
    def beside(
        self, database: PostgreSQL | None = None, env: Mapping[str, str] | None = None, **changes: object
    ) -> Iterator[Rig]:
        """Give a smaller rig on a database of its own, one web process and one worker; the rest is shared.

        `database` is another server than this rig's, `env` and `changes` (as for `settings`) are for its processes.
        """
        other = copy.copy(self)
        other.database = database or self.database
        other.url = other.database.create_database()
        settings = other.settings(**changes)
        done = Command(self.folder, settings, name="beside").run("dbsync")
        assert done.returncode == 0, done
        number = next(self._runs)
        web = Service(self.folder, settings, env, name=f"web-beside{number}")
        worker = Worker(self.folder, settings, env, name=f"worker-beside{number}")
        other.webs, other.workers, other.parts = [web, web], [worker], [web, worker]
        with web, worker:
            yield other

    def settings(self, **changes: object) -> dict[str, object]:
        """Return the settings of a process that reaches everything directly; `delivery__lease=1` changes one."""
        named = {name.replace("__", "."): value for name, value in changes.items()}
        return {**SETTINGS, "database.peewee_url": self.url, "celery.broker_url": self.broker.url, **named}

    def restore(self) -> None:
        """Have everything run as at the beginning."""
        for proxy in (self.database_proxy, self.broker_proxy, self.sink_proxy):
            proxy.switch("pass")
        for server in (self.database, self.broker):
            if not server.running:
                server.start()
        for part in self.parts:
            if self._points.pop(part.log_file.name, None):
                self.advance(part)
                part.kill()
        for process in (self.sink, self.bad_sink):
            if not process.running:
                process.start()
        self.start(*self.parts)
        for sink in (self.sink, self.bad_sink):
            sink.forget()

    def start(self, *parts: Part) -> None:
        """Start those parts that do not run, together, and wait until they are ready."""
        fresh = [part for part in parts if not part.running]
        for part in fresh:
            part.kill()
            part.start(0)
        for part in fresh:
            wait_until_ready(part)

    def arm(self, part: Part, *failpoints: str) -> None:
        """Kill a part and start it with a fail point; further ones are for its next starts by a keeper."""
        part.kill()
        self._points[part.log_file.name] = ["", *failpoints]
        self.advance(part)
        part.start(0)

    def advance(self, part: Part) -> None:
        """Let the next start of a part be one with its next fail point, or without one."""
        points = self._points.get(part.log_file.name, [])[1:]
        self._points[part.log_file.name] = points
        part.env.pop(FAILPOINT, None)
        if points:
            part.env[FAILPOINT] = points[0]

    @contextmanager
    def kept(self, *, sticky: bool = False) -> Iterator[Keeper]:
        """Start again at once whatever ends by itself, as a service manager does; `sticky`: with its fail point."""
        keeper = Keeper(self, sticky)
        keeper.start()
        try:
            yield keeper
        finally:
            keeper.end()

    def run(self) -> Run:
        """Begin a run with events of a type of its own."""
        return Run(self, next(self._runs))

    def queued(self) -> int:
        """Return how many messages wait in the broker."""
        with Connection(self.broker.url, connect_timeout=5) as connection:
            try:
                return int(connection.default_channel.queue_declare(QUEUE, passive=True).message_count)
            except (KombuError, *connection.channel_errors):
                return 0  # there is no such queue

    def request(self, method: str, path: str, web: int = 1, **options: Any) -> requests.Response:
        """Send a request to a web process as alice, to the second one unless another is named."""
        return self.webs[web].request(method, path, user="alice", **options)


class Keeper:
    """Looks after the parts in a thread, and counts how often one ended by itself."""

    def __init__(self, rig: Rig, sticky: bool) -> None:
        self.deaths = 0
        self._rig, self._sticky = rig, sticky
        self._ending = threading.Event()
        self._paused = threading.Lock()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Look no more; raises what went wrong."""
        self._ending.set()
        self._thread.join(60)
        if self._failures:
            raise self._failures[0]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the parts alone meanwhile."""
        with self._paused:
            yield

    def _keep(self) -> None:
        try:
            while not self._ending.wait(0.02):
                with self._paused:
                    for part in self._rig.parts:
                        if not part.running:
                            self.deaths += 1
                            if not self._sticky:
                                self._rig.advance(part)
                            part.kill()
                            part.start(0)
        except BaseException as error:  # noqa: BLE001 - told at the end
            self._failures.append(error)


class Run:
    """Subscriptions and events of one type, and what came of them."""

    def __init__(self, rig: Rig, number: int) -> None:
        self.rig = rig
        self.type = f"org.example.faults.r{number}"
        #: What is wrong besides what the verdict finds.
        self.problems: list[str] = []
        #: Numbers of events that were given up before they were routed, and must not be delivered.
        self.parked: set[int] = set()
        #: What was found, where a case had to judge before its servers are gone.
        self.ended: Verdict | None = None
        self.kills = 0
        #: Deliveries that may come again.
        self.excused = 0
        self._subscriptions: list[str] = []
        self._complete: set[str] = set()
        self._paths: dict[str, int] = {}
        self._senders: list[Sender] = []
        self._before: dict[str, Any] = {}

    def subscribe(self, url: str, *, complete: bool = True, rare: bool = False, **members: Any) -> str:
        """Subscribe a target to the events of this run and return the subscription's uuid.

        `rare`: to one in `TURNS`. `complete`: it must get every one of these, and the verdict looks at it.
        """
        jsonpath = f'$[?(@.type = "{self.type}"{" and @.data.turn = 0" if rare else ""})]'
        made = self.rig.webs[1].subscribe(target_url=url, jsonpath=jsonpath, name=self.type, **members)
        self._subscriptions.append(made["uuid"])
        if complete:
            self._complete.add(made["uuid"])
            self._paths[_path(url)] = TURNS if rare else 1
        return str(made["uuid"])

    def subscribe_good(self, count: int = 1, *, proxied: bool = False) -> list[str]:
        """Subscribe so many targets that take everything, on request behind the proxy; return their uuids."""
        port = self.rig.sink_proxy.port if proxied else None
        return [self.subscribe(self.rig.sink.url(f"/ok/{self.type}/{n}", port)) for n in range(count)]

    def sender(self, rate: float = 100, *, threads: int = 8, webs: Sequence[int] = (0, 1)) -> Sender:
        """Return what sends the events; only one at a time is needed, and numbers begin at 1."""
        sender = Sender([self.rig.webs[web].port for web in webs], self.type, rate=rate, threads=threads)
        self._senders.append(sender)
        self._before = self.told()
        return sender

    def told(self) -> dict[str, Any]:
        """Return the subscriptions of this run as they are told now."""
        listed = self.rig.request("GET", "/eventmatch").json()
        return {each["uuid"]: each for each in listed if each["uuid"] in self._complete}

    def arrivals(self, path: str | None = None) -> list[Arrival]:
        """Return what has arrived at the sinks."""
        found = [*self.rig.sink.arrivals(self.type), *self.rig.bad_sink.arrivals(self.type)]
        return [arrival for arrival in found if path is None or arrival.path == path]

    def states(self) -> dict[str, int]:
        """Return how many of its deliveries are in each state."""
        return dict(self._rows("SELECT d.state, COUNT(*) FROM {joined} GROUP BY d.state"))

    def unrouted(self) -> int:
        """Return how many of its events are not routed yet."""
        statement = f"SELECT COUNT(*) FROM eventlog WHERE type = '{self.type}' AND route_at IS NOT NULL"
        return int(tables.one(self.rig.url, statement))

    def killed(self, part: Part | None = None, times: int = 1) -> None:
        """Count kills; what a worker has in flight then may come again, nothing does for a web process."""
        self.kills += times
        if part is None or isinstance(part, Worker):
            self.excused += times * IN_FLIGHT

    def kill(self, part: Part) -> None:
        """Kill a part with -9, children and all, and start it again without waiting."""
        part.kill()
        self.killed(part)
        self.rig.advance(part)
        part.start(0)

    def check(self, condition: object, problem: str) -> None:
        """Note a problem unless the condition holds."""
        if not condition:
            self.problems.append(problem)

    def drain(self, seconds: float = DRAIN) -> None:
        """Wait until all is routed and every delivery has ended; what has not is for the verdict to say."""
        pause = threading.Event()

        def ended() -> bool:
            began = time.monotonic()
            done = not self.unrouted() and "pending" not in self.states()
            # Each look is a scan of the tables, and must not be most of what the database does.
            pause.wait(max(0.1, 10 * (time.monotonic() - began)))
            return done

        with suppress(AssertionError):
            until(ended, seconds, "all to have ended")

    def end(self) -> Verdict:
        """Drain, judge, and delete the subscriptions, so that nothing is left for the next run."""
        self.drain()
        rig = self.rig
        rig.start(*rig.parts)
        with suppress(AssertionError):
            until(lambda: rig.queued() == 0, 30, "the queue to be empty")
        owned = f"type = '{self.type}'"
        numbers = tables.rows(rig.url, f"SELECT event_id FROM eventlog WHERE {owned}")
        dead = self._rows("SELECT m.target_url, e.event_id FROM {joined} WHERE d.state = 'dead'")
        leased = self._rows("SELECT COUNT(*) FROM {joined} WHERE d.lease IS NOT NULL")[0][0]
        leased += tables.one(rig.url, f"SELECT COUNT(*) FROM eventlog WHERE {owned} AND lease IS NOT NULL")
        statuses = [s for sender in self._senders for s in sender.statuses if isinstance(s, int)]
        verdict = judge(
            Evidence(
                sent=range(1, self.sent + 1),
                acked=[number for sender in self._senders for number in sender.acked if number not in self.parked],
                rows=[int(number) for (number,) in numbers if str(number).isdigit()],
                paths=self._paths,
                arrivals=[arrival for arrival in self.arrivals() if arrival.path in self._paths],
                dead=[(_path(url), int(number)) for url, number in dead],
                statuses=statuses,
                unended=self.states().get("pending", 0),
                unrouted=self.unrouted(),
                leased=leased,
                queued=rig.queued(),
                unchanged=self.told() == self._before,
                bound=self.excused,
            )
        )
        self.check(not any(sender.rude for sender in self._senders), "an answer 503 had no Retry-After")
        verdict.problems += self.problems
        self.unsubscribe(*self._subscriptions)
        return verdict

    def unsubscribe(self, *uuids: str) -> None:
        """Delete subscriptions."""
        for uuid in uuids:
            self.rig.request("DELETE", f"/eventmatch/{uuid}")

    @property
    def sent(self) -> int:
        """How many events were sent, each counted once."""
        return max((sender.sent for sender in self._senders), default=0)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        joined = (
            f"eventlogmatch d JOIN eventlog e ON e.uuid = d.event_log_id AND e.type = '{self.type}'"
            " JOIN eventmatch m ON m.uuid = d.event_match_id"
        )
        return tables.rows(self.rig.url, statement.format(joined=joined))


def _path(url: str) -> str:
    return urlsplit(url).path


def _web(folder: Path, settings: Mapping[str, object]) -> Service | Uwsgi:
    """Return a web process under uWSGI, where there is one."""
    if Uwsgi.available():
        return Service(folder, settings, name="web1")
    args = ["--lazy-apps", "--enable-threads", "--threads", "8"]
    return Uwsgi(folder, settings, args=args, name="web1")


def wait_until_ready(part: Part) -> None:
    """Wait until a part that was started answers, or says that it is ready."""
    if isinstance(part, Worker):
        part.wait_for_output(r"\bready\b", 60)
    else:
        part.until(lambda: part.get("/health/live").status_code == 200, 60, "/health/live to answer 200")


def ended_well(process: Process, seconds: float = 30) -> float:
    """End a process as a service manager does, check that it ends in time, and return the seconds it took."""
    began = time.monotonic()
    status = process.stop(seconds)
    assert status == 0, f"{process!r} ended with {status}"
    return time.monotonic() - began


def deaths_in(web: Process) -> int:
    """Return how many of its processes uWSGI has lost."""
    return len(re.findall(r"DAMN ! worker \d+ \(pid: \d+\) died", web.log))
