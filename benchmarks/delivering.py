"""Measures how fast a backlog is delivered, beside a task per delivery and beside bare pycurl."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pacifica.notifications import orm
from pacifica.notifications.config import Settings
from tests.support.process import Process, clean_environment
from tests.support.processes import script, write_config
from tests.support.servers import PostgreSQL, RabbitMQ

from . import deployments, filling
from .deployments import Deployment, Measured
from .figures import Figure, ratios
from .sides import CHECKOUT
from .sinks import fast_targets

#: Subscriptions that every event has a delivery for, each with a target of its own.
MATCHES = 10


@dataclass(frozen=True)
class Ground:
    """What all sides share: servers, targets, how many deliveries."""

    folder: Path
    postgresql: PostgreSQL
    rabbitmq: RabbitMQ
    targets: Sequence[str]
    deliveries: int
    tasks: int
    in_flight: int

    def on_postgresql(self) -> Measured:
        """Our worker on PostgreSQL and RabbitMQ."""
        database, broker = self.postgresql.create_database(), self.rabbitmq.create_vhost()
        subscriptions = self._prepared(database)
        with tempfile.TemporaryDirectory() as folder, deployments.worker(Path(folder), database, broker) as process:
            deployment = Deployment(process, database)
            self._fill(database, subscriptions, self.deliveries)
            measured = _all(self.deliveries, deployment, subscriptions)
        self.postgresql.drop_database(database)
        self.rabbitmq.delete_vhost(broker)
        return measured

    def on_sqlite(self) -> Measured:
        """Our service with the worker in it, on SQLite."""
        with tempfile.TemporaryDirectory() as folder:
            database = f"sqlite:///{folder}/notifications.sqlite3"
            subscriptions = self._prepared(database)
            with deployments.embedded(Path(folder), database) as process:
                deployment = Deployment(process, database)
                self._fill(database, subscriptions, self.deliveries)
                return _all(self.deliveries, deployment, subscriptions)

    def by_tasks(self) -> Measured:
        """A task per delivery, on PostgreSQL and RabbitMQ; see `benchmarks.yardsticks.task_per_delivery`."""
        module = "benchmarks.yardsticks.task_per_delivery"
        database, broker = self.postgresql.create_database(), self.rabbitmq.create_vhost()
        subscriptions = self._prepared(database)
        with tempfile.TemporaryDirectory() as folder:
            file = write_config(Path(folder) / "settings.ini", deployments.settings(database, broker))
            env = clean_environment(Path(folder) / "home", NOTIFICATIONS_CONFIG=str(file))
            command: list[str | Path] = [
                script("celery"),
                "-A",
                module,
                "worker",
                "-P",
                "prefork",
                "-c",
                "2",
                "-l",
                "INFO",
            ]
            with Process(command, Path(folder) / "worker.log", env=env, cwd=CHECKOUT) as process:
                process.wait_for_output(r"\bready\b", 60)
                deployment = Deployment(process, database)
                self._fill(database, subscriptions, self.tasks)
                subprocess.run([sys.executable, "-m", module], env=env, cwd=CHECKOUT, check=True, timeout=600)
                measured = _all(self.tasks, deployment, subscriptions)
        self.postgresql.drop_database(database)
        self.rabbitmq.delete_vhost(broker)
        return measured

    def by_pycurl(self) -> Measured:
        """Bare pycurl; see `benchmarks.yardsticks.bare_pycurl`."""
        options = ["--requests", str(self.deliveries), "--in-flight", str(self.in_flight)]
        command = [sys.executable, "-m", "benchmarks.yardsticks.bare_pycurl", *self.targets, *options]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise AssertionError(done.stderr)
        return Measured(self.deliveries, **json.loads(done.stdout))

    def _prepared(self, database: str) -> list[orm.EventMatch]:
        filling.make_tables(database)
        return filling.subscribe(database, self.targets)

    def _fill(self, database: str, subscriptions: Sequence[orm.EventMatch], deliveries: int) -> None:
        filling.deliver(database, (subscriptions for _ in range(deliveries // MATCHES)))


def _all(deliveries: int, deployment: Deployment, subscriptions: Sequence[orm.EventMatch]) -> Measured:
    """Let a deployment deliver; raises `AssertionError` when not all of it was delivered."""
    measured = deployment.run(subscriptions)
    if measured.deliveries != deliveries:
        raise AssertionError(f"{measured.deliveries} of {deliveries}: {deployment.process.log[-3000:]}")
    return measured


def main(arguments: Sequence[str]) -> list[Figure]:
    """Run the rounds, the sides in turn and then the other way round, and give the figures."""
    options = _options(arguments)
    for part in (PostgreSQL, RabbitMQ):
        reason = part.available()
        if reason:
            sys.exit(reason)
    rounds = options.rounds or (1 if options.quick else 5)
    deliveries = options.deliveries or (2_000 if options.quick else 20_000)
    found: dict[str, list[Measured]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgreSQL() as postgresql,
        RabbitMQ() as rabbitmq,
        fast_targets(Path(folder), MATCHES) as targets,
    ):
        tasks = min(options.tasks, deliveries)
        ground = Ground(Path(folder), postgresql, rabbitmq, targets, deliveries, tasks, options.in_flight)
        sides: list[tuple[str, Callable[[], Measured]]] = [
            ("postgresql", ground.on_postgresql),
            ("sqlite", ground.on_sqlite),
            ("tasks", ground.by_tasks),
            ("pycurl", ground.by_pycurl),
        ]
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for name, measure in sides if number % 2 == 0 else reversed(sides):
                measured = measure()
                found.setdefault(name, []).append(measured)
                print(f"{name}: {measured.rate:,.0f}/s, {measured.cpu_each:,.1f} us of CPU each", file=sys.stderr)
    return _figures(found, deliveries)


def _figures(found: dict[str, list[Measured]], deliveries: int) -> list[Figure]:
    rates = {name: [one.rate for one in several] for name, several in found.items()}
    cpu = {name: [one.cpu_each for one in several] for name, several in found.items()}
    backlog = f"a backlog of {deliveries:,} deliveries, {MATCHES} of each event"
    against_tasks = "the other: Celery, RabbitMQ, prefork 2, requests, the same rows and log"
    return [
        Figure(
            "deliveries/s against a task per delivery, PostgreSQL",
            ratios(rates["postgresql"], rates["tasks"]),
            " ×",
            f"{backlog}; {against_tasks}",
            least=12,
        ),
        Figure("deliveries/s, PostgreSQL", rates["postgresql"], "", "our worker, RabbitMQ", digits=0),
        Figure("deliveries/s, SQLite", rates["sqlite"], "", "our service with its worker", digits=0),
        Figure("deliveries/s, a task per delivery", rates["tasks"], "", "as above", digits=0),
        Figure("requests/s, bare pycurl", rates["pycurl"], "", "the same targets, as many in flight", digits=0),
        Figure("worker CPU per delivery, PostgreSQL", cpu["postgresql"], " us", "the process' own accounting", most=60),
        Figure("CPU per delivery, SQLite", cpu["sqlite"], " us", "the process' own accounting, the service in it"),
        Figure("CPU per delivery, a task per delivery", cpu["tasks"], " us", "the processes' own accounting"),
        Figure(
            "deliveries/s as a share of bare pycurl, PostgreSQL",
            ratios(rates["postgresql"], rates["pycurl"]),
            "",
            "round by round",
            least=0.4,
            digits=2,
        ),
        Figure(
            "deliveries/s as a share of bare pycurl, SQLite",
            ratios(rates["sqlite"], rates["pycurl"]),
            "",
            "round by round",
            least=0.5,
            digits=2,
        ),
    ]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks delivering", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round with 2,000 deliveries: a look")
    parser.add_argument("--rounds", type=int, help="rounds of each (default 5)")
    parser.add_argument("--deliveries", type=int, help="backlog of ours, requests of pycurl (default 20000)")
    parser.add_argument("--tasks", type=int, default=2_000, help="backlog of the tasks, which are slow (default 2000)")
    parser.add_argument(
        "--in-flight",
        type=int,
        default=Settings().delivery.in_flight,
        help="requests that bare pycurl has in flight (default as delivery.in_flight: %(default)s)",
    )
    return parser.parse_args(arguments)
