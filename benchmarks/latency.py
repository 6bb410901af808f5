"""Measures how long an event takes from its 200 to its subscriber while nothing else happens."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.processes import Service
from tests.support.servers import PostgreSQL, RabbitMQ

from . import deployments, filling
from .figures import Figure
from .rounds import one_way
from .sides import Sink

#: Seconds between two events, at least and at most.
_PAUSE = (0.05, 0.25)
#: Events before the first that is measured: connections, caches.
_FIRST = 10


def main(arguments: Sequence[str]) -> list[Figure]:
    """Measure both deployments in turn, part by part, and give the figures."""
    options = _options(arguments)
    for part in (PostgreSQL, RabbitMQ):
        reason = part.available()
        if reason:
            sys.exit(reason)
    samples = options.samples or (30 if options.quick else 300)
    taken: dict[str, list[float]] = {"embedded": [], "postgresql": []}
    with (
        tempfile.TemporaryDirectory() as name,
        PostgreSQL() as postgresql,
        RabbitMQ() as rabbitmq,
        Sink(Path(name), "target") as target,
    ):
        folder = Path(name)
        inside = f"sqlite:///{name}/embedded/notifications.sqlite3"
        outside, broker = postgresql.create_database(), rabbitmq.url
        for database in (inside, outside):
            filling.make_tables(database)
            filling.subscribe(database, [target.url])
        with (
            deployments.embedded(folder / "embedded", inside) as embedded,
            Service(folder / "web", deployments.settings(outside, broker)) as web,
            deployments.worker(folder / "worker", outside, broker),
        ):
            services = {"embedded": embedded, "postgresql": web}
            for service in services.values():
                for _ in range(_FIRST):
                    one_way(service.port, target, _PAUSE)
            for _ in range(10):
                for side, service in services.items():
                    taken[side] += [one_way(service.port, target, _PAUSE)[0] for _ in range(samples // 10)]
    return [
        figure
        for side, what in (("embedded", "embedded, SQLite"), ("postgresql", "PostgreSQL, RabbitMQ, a worker"))
        for figure in _figures(taken[side], what)
    ]


def _figures(milliseconds: Sequence[float], what: str) -> list[Figure]:
    how = f"{len(milliseconds)} events, one about every {sum(_PAUSE) / 2:g} s, one subscription"
    p50, p99 = statistics.median(milliseconds), statistics.quantiles(milliseconds, n=100)[98]
    return [
        Figure(f"idle: from the 200 to the arrival, p50: {what}", [p50], " ms", how, most=10),
        Figure(f"the same, p99: {what}", [p99], " ms", how),
    ]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks latency", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="30 events each: a look")
    parser.add_argument("--samples", type=int, help="events that are measured of each, in tens (default 300)")
    return parser.parse_args(arguments)
