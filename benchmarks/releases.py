"""Compares what is installed beside this Python with release 0.5.2, and prints a table of its own in Markdown."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.processes import Uwsgi
from tests.support.servers import PostgreSQL, Redis

from .figures import Figure, ratios
from .rounds import Bench, Samples, Scale
from .sides import OURS, Sink, release_0_5_2
from .table import table

FULL = Scale(starts=3, idle_seconds=10, samples=20, bursts={"ours": 600, "0.5.2": 60}, loads=3, load_seconds=4)
QUICK = Scale(starts=1, idle_seconds=3, samples=5, bursts={"ours": 150, "0.5.2": 15}, loads=1, load_seconds=3)


def main(arguments: Sequence[str]) -> list[Figure]:
    """Run the rounds, the sides in turn first, print what came of them, and give the figures that are wanted."""
    options = _options(arguments)
    for part in (PostgreSQL, Redis, Uwsgi) if options.uwsgi else (PostgreSQL, Redis):
        reason = part.available()
        if reason:
            sys.exit(reason)
    old = release_0_5_2(options.environment, uwsgi=options.uwsgi)
    rounds = options.rounds or (1 if options.quick else 5)
    scale = QUICK if options.quick else FULL
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgreSQL() as postgresql,
        Redis() as redis,
        Sink(Path(folder), "target") as target,
        Sink(Path(folder), "policy") as policy,
    ):
        embedded = Bench(scale, options.users, postgresql, redis, target, policy, {})
        uwsgi = Bench(scale, options.users, postgresql, redis, target, policy, {})
        for number in range(rounds):
            releases = [OURS, old] if number % 2 == 0 else [old, OURS]
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            embedded.round(releases)
            if options.uwsgi:
                uwsgi.round(releases, uwsgi=True)
    print(table(embedded.found[OURS.name], embedded.found[old.name], "embedded server"), end="\n\n")
    if options.uwsgi:
        print(table(uwsgi.found[OURS.name], uwsgi.found[old.name], "uWSGI, 2 processes × 4 threads"), end="\n\n")
    return _figures(embedded.found[OURS.name], embedded.found[old.name])


def _figures(ours: Samples, old: Samples) -> list[Figure]:
    """Give those lines that something is wanted of."""
    return [
        Figure(
            "worker CPU per delivery, less than in release 0.5.2",
            ratios(old["worker_cpu"], ours["worker_cpu"]),
            " ×",
            "events come in meanwhile, 10 matches each, policy server asked",
            least=100,
        ),
        Figure(
            "CPU of `/receive` per request, as a share of release 0.5.2, which stores nothing",
            ratios(ours["web_cpu"], old["web_cpu"]),
            " ×",
            "embedded server, 8 connections, on PostgreSQL",
            most=0.4,
            digits=2,
        ),
        Figure(
            "idle: from the 200 to the arrival, as a share of release 0.5.2",
            ratios(ours["accepted"], old["accepted"]),
            " ×",
            "medians of each round, on PostgreSQL and Redis",
            most=0.4,
            digits=2,
        ),
    ]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks releases", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each: a look, no figures to keep")
    parser.add_argument("--rounds", type=int, help="rounds of each (default 5)")
    parser.add_argument("--users", type=int, default=10, help="users that the 10 subscriptions belong to (default 10)")
    parser.add_argument("--uwsgi", action="store_true", help="measure both under uWSGI as well")
    parser.add_argument(
        "--environment",
        type=Path,
        default=Path(sys.prefix) / "release-0.5.2",
        help="where release 0.5.2 is kept installed (default beside ours: %(default)s)",
    )
    return parser.parse_args(arguments)
