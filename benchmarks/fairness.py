"""Measures how much later healthy targets have everything because of bad ones beside them."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import PostgreSQL, RabbitMQ

from . import deployments, filling
from .deployments import Deployment
from .figures import Figure, ratios
from .sinks import fast_targets
from .unruly import unruly_targets

#: Healthy targets that an event goes to beside the one that hangs, which so has 20 % of the traffic.
_SHARE = 4


@dataclass(frozen=True)
class Run:
    """What one run took for the healthy targets; `late`: not all had everything when the time was up."""

    seconds: float
    late: bool


@dataclass(frozen=True)
class Scene:
    """Healthy targets and bad ones; each event goes to `per_event` healthy ones, in turn, and to all bad ones."""

    name: str
    healthy: Sequence[str]
    bad: Sequence[str]
    per_event: int
    events: int

    def run(self, postgresql: PostgreSQL, rabbitmq: RabbitMQ, *, beside: bool, patience: float) -> Run:
        """Deliver from a backlog, with the bad ones in the traffic or without; a worker with default settings."""
        database, broker = postgresql.create_database(), rabbitmq.create_vhost()
        filling.make_tables(database)
        rows = filling.subscribe(database, [*self.bad, *self.healthy])
        bad, healthy = rows[: len(self.bad)], rows[len(self.bad) :]
        turns = itertools.cycle(healthy)
        groups = ([*(bad if beside else []), *itertools.islice(turns, self.per_event)] for _ in range(self.events))
        with tempfile.TemporaryDirectory() as folder, deployments.worker(Path(folder), database, broker) as process:
            deployment = Deployment(process, database)
            filling.deliver(database, groups)
            measured = deployment.run(healthy, patience)
        postgresql.drop_database(database)
        rabbitmq.delete_vhost(broker)
        wanted = self.events * self.per_event
        late = measured.deliveries < wanted
        seconds = patience if late else measured.seconds
        print(
            f"{self.name}, {'with' if beside else 'without'} the bad: {measured.deliveries} of {wanted} healthy"
            f" deliveries in {seconds:.2f} s",
            file=sys.stderr,
        )
        return Run(seconds, late)


def main(arguments: Sequence[str]) -> list[Figure]:
    """Run both scenes, with and without in turn, and give the figures."""
    options = _options(arguments)
    for part in (PostgreSQL, RabbitMQ):
        reason = part.available()
        if reason:
            sys.exit(reason)
    rounds = options.rounds or (1 if options.quick else 3)
    deliveries = options.deliveries or (1_000 if options.quick else 10_000)
    figures = []
    with (
        tempfile.TemporaryDirectory() as name,
        PostgreSQL() as postgresql,
        RabbitMQ() as rabbitmq,
        fast_targets(Path(name), 29) as fast,
        unruly_targets(
            Path(name), ["hanging", "hanging", "hanging", "dripping", "endless", "resetting", "fickle"]
        ) as bad,
    ):
        one_hangs = Scene("one hangs", fast[:19], bad[:1], _SHARE, deliveries // (_SHARE + 1))
        six = Scene("six bad ones", fast[19:], bad[1:], 10, deliveries // 16)
        for scene, what in (
            (one_hangs, "19 healthy targets beside one that hangs with 20 % of the traffic"),
            (
                six,
                "10 healthy targets beside two that hang, one that answers a byte a second, one with an endless body,"
                " one that resets, one that answers 200 every third time",
            ),
        ):
            found: dict[bool, list[Run]] = {False: [], True: []}
            for number in range(rounds):
                for beside in (False, True) if number % 2 == 0 else (True, False):
                    run = scene.run(postgresql, rabbitmq, beside=beside, patience=options.patience)
                    found[beside].append(run)
            seconds = {beside: [run.seconds for run in runs] for beside, runs in found.items()}
            healthy = scene.events * scene.per_event
            figures.append(
                Figure(
                    f"{what}: time until they have everything, against the same without",
                    ratios(seconds[True], seconds[False]),
                    " ×",
                    f"{healthy:,} healthy deliveries, default settings, PostgreSQL",
                    most=1.2,
                    digits=2,
                    exceeds=any(run.late for run in found[True]),
                )
            )
    return figures


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fairness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round with 1,000 deliveries: a look")
    parser.add_argument("--rounds", type=int, help="rounds of each (default 3)")
    parser.add_argument("--deliveries", type=int, help="deliveries, those to bad targets included (default 10000)")
    parser.add_argument("--patience", type=float, default=120, help="seconds that a run may take (default 120)")
    return parser.parse_args(arguments)
