"""Compares what is installed beside this Python with release 0.5.2."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.processes import Uwsgi
from tests.support.servers import PostgreSQL, Redis

from .figures import Figure
from .rounds import Bench, Scale
from .sides import OURS, Sink, release_0_5_2
from .table import figures

FULL = Scale(starts=3, idle_seconds=10, samples=20, bursts={"ours": 600, "0.5.2": 60}, loads=3, load_seconds=4)
QUICK = Scale(starts=1, idle_seconds=3, samples=5, bursts={"ours": 150, "0.5.2": 15}, loads=1, load_seconds=3)


def main(arguments: Sequence[str]) -> list[Figure]:
    """Run the rounds, the sides in turn first, and give how many times better ours is."""
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
    found = figures(embedded.found[OURS.name], embedded.found[old.name], "embedded server")
    if options.uwsgi:
        found += figures(uwsgi.found[OURS.name], uwsgi.found[old.name], "uWSGI, 2 processes of 4 threads")
    return found


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks releases", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each: a look, no figures to keep")
    parser.add_argument("--rounds", type=int, help="rounds of each (default 5)")
    parser.add_argument("--users", type=int, default=10, help="users that the 10 subscriptions belong to (default 10)")
    parser.add_argument(
        "--uwsgi",
        action=argparse.BooleanOptionalAction,
        default=Uwsgi.available() is None,
        help="measure both under uWSGI as well (where it is installed)",
    )
    parser.add_argument(
        "--environment",
        type=Path,
        default=Path(sys.prefix) / "release-0.5.2",
        help="where release 0.5.2 is kept installed (default beside ours: %(default)s)",
    )
    return parser.parse_args(arguments)
