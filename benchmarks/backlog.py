"""Measures a worker before a very large backlog, and what a delivery costs with backlogs of several sizes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.support.process import clean_environment
from tests.support.processes import write_config
from tests.support.servers import PostgreSQL, RabbitMQ

from . import copies, deployments, filling
from .deployments import Measured
from .figures import Figure
from .sides import CHECKOUT
from .sinks import fast_targets

#: Subscriptions that every event has a delivery for, each with a target of its own.
MATCHES = 10
#: Backlogs that are measured beside the one of the command line.
SIZES = (10, 1_000, 100_000)


def main(arguments: Sequence[str]) -> list[Figure]:
    """Measure the start, then the costs of all sizes in turn and the other way round, and give the figures."""
    options = _options(arguments)
    for part in (PostgreSQL, RabbitMQ):
        reason = part.available()
        if reason:
            sys.exit(reason)
    rows = options.rows or (10_000 if options.quick else 1_000_000)
    deliveries = options.deliveries or (1_000 if options.quick else 5_000)
    rounds = options.rounds or (1 if options.quick else 3)
    sizes = sorted({*(size for size in SIZES if size < rows), rows})
    with (
        tempfile.TemporaryDirectory() as name,
        PostgreSQL() as postgresql,
        RabbitMQ() as rabbitmq,
        fast_targets(Path(name), MATCHES) as targets,
    ):
        databases = {size: _prepared(postgresql, targets) for size in sizes}
        figures = _start(Path(name), databases[rows], rabbitmq.url, rows, deliveries)
        found: dict[int, list[Measured]] = {size: [] for size in sizes}
        for number in range(rounds):
            for size in sizes if number % 2 == 0 else reversed(sizes):
                measured = _drain(Path(name), databases[size], size, deliveries)
                found[size].append(measured)
                print(
                    f"{size:,} rows: {measured.cpu_each:.1f} us of CPU, {1e6 / measured.rate:.0f} us each",
                    file=sys.stderr,
                )
    return figures + _costs(found, deliveries)


def _prepared(postgresql: PostgreSQL, targets: Sequence[str]) -> str:
    """Give a database for a backlog."""
    database = postgresql.create_database()
    copies.prepare(database, targets)
    return database


def _start(folder: Path, database: str, broker: str, rows: int, deliveries: int) -> list[Figure]:
    """Fill the database and start a worker; measure its memory, and when the first delivery was made."""
    print(f"writing {rows:,} rows ...", file=sys.stderr)
    copies.top_up(database, rows)
    worker = deployments.worker(folder / "worker", database, broker)
    began = datetime.now(UTC)
    try:
        worker.start(0)
        deployments.wait(worker, lambda: filling.attempts(database) >= deliveries, 600)
        memory = deployments.highest_memory(worker)
        worker.terminate()
    finally:
        worker.close()
    first = (filling.first_answer(database) - began).total_seconds()
    how = f"{rows:,} pending rows, PostgreSQL and RabbitMQ"
    return [
        Figure("worker's start to the first delivery", [first], " s", how, most=2, digits=2),
        Figure(
            "worker's memory at its highest (VmHWM)",
            [memory],
            " MiB",
            f"{how}, in the first {deliveries:,} deliveries",
            most=200,
            digits=0,
        ),
    ]


def _drain(folder: Path, database: str, size: int, deliveries: int) -> Measured:
    """Run `benchmarks.draining`."""
    file = write_config(folder / "draining.ini", deployments.settings(database))
    words: list[str | Path] = [file, "--backlog", str(size), "--deliveries", str(deliveries)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.draining", *words],
        env=clean_environment(folder / "home"),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    return Measured(**json.loads(done.stdout))


def _costs(found: Mapping[int, Sequence[Measured]], deliveries: int) -> list[Figure]:
    """Give what a delivery costs with each backlog, and how much more it is with a larger one."""
    cpu = {size: [one.cpu_each for one in several] for size, several in found.items()}
    whole = {size: [1e6 / one.rate for one in several] for size, several in found.items()}
    how = f"{deliveries:,} deliveries, 10 of each event, a small backlog filled again and again"
    figures = []
    for size in found:
        figures.append(Figure(f"CPU per delivery, {size:,} rows of backlog", cpu[size], " us", how))
        figures.append(Figure(f"time per delivery, {size:,} rows of backlog", whole[size], " us", how, digits=0))
    growth = "a size against the cheapest smaller one, the largest ratio of each round"
    spread = "the dearest size against the cheapest: ten rows are claimed, and settled, by no more than ten"
    figures += [
        Figure("CPU per delivery: growth with the backlog", _growth(cpu), " ×", growth, most=1.3, digits=2),
        Figure("CPU per delivery: all sizes", _spread(cpu), " ×", spread, most=1.3, digits=2),
        Figure("time per delivery: growth with the backlog", _growth(whole), " ×", growth, most=1.3, digits=2),
        Figure("time per delivery: all sizes", _spread(whole), " ×", spread, most=1.3, digits=2),
    ]
    return figures


def _spread(costs: Mapping[int, Sequence[float]]) -> list[float]:
    """Give for each round how many times dearer the dearest size is than the cheapest."""
    return [max(of_one_round) / min(of_one_round) for of_one_round in zip(*costs.values(), strict=True)]


def _growth(costs: Mapping[int, Sequence[float]]) -> list[float]:
    """Give for each round how many times dearer a larger backlog is than a smaller one, at most."""
    sizes = sorted(costs)
    return [
        max(
            costs[size][number] / min(costs[smaller][number] for smaller in sizes[:place])
            for place, size in enumerate(sizes[1:], 1)
        )
        for number in range(len(costs[sizes[0]]))
    ]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks backlog", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, 10,000 rows, 1,000 deliveries: a look")
    parser.add_argument("--rows", type=int, help="rows of the large backlog (default 1000000)")
    parser.add_argument("--deliveries", type=int, help="deliveries that are measured of each size (default 5000)")
    parser.add_argument("--rounds", type=int, help="rounds of the costs (default 3)")
    return parser.parse_args(arguments)
