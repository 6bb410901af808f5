"""Measures routing on PostgreSQL: the start with many subscriptions, and an event's way to its deliveries."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pacifica.notifications import events, orm
from pacifica.notifications.matching import Index
from tests.support import tables
from tests.support.factories import INGEST
from tests.support.process import clean_environment
from tests.support.processes import write_config
from tests.support.servers import PostgreSQL, RabbitMQ, Redis

from . import deployments, filling, matching_events
from .deployments import Deployment
from .figures import Figure
from .matching_old import Dispatch, dispatch
from .matching_rows import add_copies
from .matching_subscriptions import mix
from .sides import CHECKOUT, Release, usage
from .sinks import fast_targets

#: Subscriptions that every event matches, and all that there are.
MATCHES, ALL = 10, 10_000
_EVERY = f'$[?(@.eventType = "{INGEST}")]'
#: Events that are routed before those that are measured.
_FIRST = 20


@dataclass(frozen=True)
class Scale:
    """How much is measured: rounds, events of ours in each, events of 0.5.2, and subscriptions at the start."""

    rounds: int
    events: int
    old_events: int
    subscriptions: int


def start(scale: Scale, seed: int) -> list[Figure]:
    """Give the seconds from the start of a worker until it has routed its first event."""
    seconds: list[float] = []
    cpu: list[float] = []
    expressions = [one.text for one in mix(scale.subscriptions, seed)]
    with tempfile.TemporaryDirectory() as folder, PostgreSQL() as postgresql, RabbitMQ() as rabbitmq:
        for number in range(scale.rounds):
            database = _prepared(postgresql, ["http://127.0.0.1:9"], expressions)
            with filling.opened(database):
                orm.EventLog.store(events.parse(matching_events.events(1, matching_events.SMALL, seed)[0].encode()))
            worker = deployments.worker(Path(folder) / str(number), database, rabbitmq.create_vhost())
            began = time.monotonic()
            try:
                worker.start(0)
                worker.until(lambda url=database: not tables.unrouted(url), 120, "the first event to be routed")
                seconds.append(time.monotonic() - began)
                cpu.append(usage(worker).cpu)
                worker.terminate()
            finally:
                worker.close()
            print(f"start: {seconds[-1]:.2f} s, {cpu[-1]:.2f} s of CPU", file=sys.stderr)
            postgresql.drop_database(database)
    how = f"from the start of a Celery worker to the commit, on PostgreSQL; {statistics.median(cpu):.2f} s of CPU"
    text = f"start with {scale.subscriptions:,} subscriptions until the first event is routed"
    return [Figure(text, seconds, " s", how, most=5, digits=2)]


def routing(scale: Scale, seed: int, old: Release) -> list[Figure]:
    """Give how much less CPU an event takes than in release 0.5.2, from the claim to its deliveries."""
    bodies = matching_events.events(scale.events + _FIRST, matching_events.SMALL, seed)
    expressions = _quiet(bodies, ALL - MATCHES, seed)
    alone: list[float] = []
    together: list[float] = []
    with (
        tempfile.TemporaryDirectory() as name,
        PostgreSQL() as postgresql,
        RabbitMQ() as rabbitmq,
        Redis() as redis,
        fast_targets(Path(name), MATCHES) as targets,
    ):
        theirs = dispatch(old, postgresql, redis, bodies[: scale.old_events + 2], expressions, MATCHES)
        for number in range(scale.rounds):
            folder = Path(name) / str(number)
            alone.append(_alone(folder, postgresql, targets, expressions, bodies))
            together.append(_together(folder, postgresql, rabbitmq, targets, expressions, bodies))
            print(f"routing: {alone[-1]:.0f} us; with deliveries {together[-1]:.0f} us", file=sys.stderr)
    return _figures(alone, together, theirs, scale)


def _figures(alone: Sequence[float], together: Sequence[float], theirs: Dispatch, scale: Scale) -> list[Figure]:
    what = f"{scale.events} events, {MATCHES} of {ALL:,} match"
    old = f"0.5.2: {scale.old_events} events"
    return [
        Figure(
            "CPU of routing an event, less than in release 0.5.2",
            [theirs.matching / (value / 1e6) for value in alone],
            " ×",
            f"claim, decode, match, insert; {what}: {statistics.median(alone):.0f} us;"
            f" {old}, {theirs.matching:.2f} s each, what {MATCHES} subscriptions alone cost taken off",
            least=1000,
            digits=0,
        ),
        Figure(
            "CPU of the whole worker for an event, deliveries included, less than in release 0.5.2",
            [theirs.whole / (value / 1e6) for value in together],
            " ×",
            f"{what} and are delivered: {statistics.median(together):.0f} us; {old}, {theirs.whole:.2f} s each",
            digits=0,
        ),
    ]


def _quiet(bodies: Sequence[str], number: int, seed: int) -> list[str]:
    """Give so many of the mix that match none of the events."""
    index, texts = Index(), [one.text for one in mix(number + 2_000, seed)]
    for key, text in enumerate(texts):
        index.add(key, text)
    loud = {key for body in bodies for key in index.match(json.loads(body))}
    return [text for key, text in enumerate(texts) if key not in loud][:number]


def _prepared(postgresql: PostgreSQL, targets: Sequence[str], expressions: Sequence[str]) -> str:
    """Give a database with a subscription to every event for each target, and with these."""
    database = postgresql.create_database()
    filling.make_tables(database)
    filling.subscribe(database, targets)
    tables.execute(database, f"UPDATE eventmatch SET jsonpath = '{_EVERY}'")
    add_copies(database, expressions)
    return database


def _alone(
    folder: Path, postgresql: PostgreSQL, targets: Sequence[str], expressions: Sequence[str], bodies: Sequence[str]
) -> float:
    """Run `benchmarks.matching_routing`; give the microseconds of CPU of an event."""
    database = _prepared(postgresql, targets, expressions)
    settings = write_config(folder / "routing.ini", deployments.settings(database))
    file = folder / "events"
    file.write_text("".join(f"{body}\n" for body in bodies))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.matching_routing", settings, file, str(_FIRST)],
        env=clean_environment(folder / "home"),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    found = json.loads(done.stdout)
    if found["deliveries"] != MATCHES * found["events"]:
        raise AssertionError(found)
    postgresql.drop_database(database)
    return float(1e6 * found["cpu"] / found["events"])


def _together(
    folder: Path,
    postgresql: PostgreSQL,
    rabbitmq: RabbitMQ,
    targets: Sequence[str],
    expressions: Sequence[str],
    bodies: Sequence[str],
) -> float:
    """Let a worker route and deliver; give the microseconds of CPU of an event with all its deliveries."""
    database = _prepared(postgresql, targets, expressions)
    worker = deployments.worker(folder / "worker", database, rabbitmq.create_vhost())
    try:
        worker.start()
        _store(database, bodies[:_FIRST])
        deployments.wait(worker, lambda: _done(database), 120)
        Deployment(worker, database)
        _store(database, bodies[_FIRST:])
        before = usage(worker).cpu
        os.killpg(worker.pid, signal.SIGCONT)
        deployments.wait(worker, lambda: _done(database), 600)
        cpu = usage(worker).cpu - before
        if tables.states(database) != {"delivered": MATCHES * len(bodies)}:
            raise AssertionError(tables.states(database))
        worker.terminate()
    finally:
        worker.close()
    postgresql.drop_database(database)
    return 1e6 * cpu / (len(bodies) - _FIRST)


def _store(database: str, bodies: Sequence[str]) -> None:
    with filling.opened(database), orm.transaction():
        for body in bodies:
            orm.EventLog.store(events.parse(body.encode()))


def _done(database: str) -> bool:
    """Tell whether everything is routed and nothing is pending."""
    return not tables.unrouted(database) and "pending" not in tables.states(database)
