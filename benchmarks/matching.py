"""Measures matching: the index beside jsonpath2, orjson and others, what is hard for it, and routing with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.servers import PostgreSQL, RabbitMQ, Redis

from . import matching_build, matching_hard, matching_index, matching_peers, matching_worker
from .figures import Figure
from .sides import release_0_5_2

FULL = matching_index.Scale(rounds=5, small=400, large=60)
QUICK = matching_index.Scale(rounds=1, small=100, large=20)
FULL_WORKER = matching_worker.Scale(rounds=3, events=500, old_events=3, subscriptions=100_000)
QUICK_WORKER = matching_worker.Scale(rounds=1, events=100, old_events=1, subscriptions=100_000)


def main(arguments: Sequence[str]) -> list[Figure]:
    """Measure each part that was chosen, and give the figures."""
    options = _options(arguments)
    ground = matching_index.Ground(QUICK if options.quick else FULL, options.seed)
    scale = QUICK_WORKER if options.quick else FULL_WORKER
    seed = options.seed
    parts: dict[str, Callable[[], list[Figure]]] = {
        "jsonpath2": lambda: matching_index.over_jsonpath2(ground),
        "growth": lambda: matching_index.growth(ground),
        "orjson": lambda: matching_index.against_orjson(ground),
        "unwanted": lambda: matching_index.unwanted(ground),
        "shapes": lambda: matching_hard.many_shapes(ground),
        "hard": lambda: matching_hard.hard_ones(ground),
        "dearest": lambda: matching_hard.dearest(ground),
        "changes": lambda: matching_index.changes(ground),
        "build": lambda: matching_build.build(ground.scale.most, seed, min(3, ground.scale.rounds)),
        "peers": lambda: matching_peers.peers(ground, options.environments),
        "start": lambda: matching_worker.start(scale, seed),
        "routing": lambda: matching_worker.routing(scale, seed, release_0_5_2(options.environments / "release-0.5.2")),
    }
    chosen = options.parts or list(parts)
    if unknown := set(chosen) - set(parts):
        sys.exit(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if {"start", "routing"} & set(chosen):
        for server in (PostgreSQL, RabbitMQ, Redis):
            if reason := server.available():
                sys.exit(reason)
    print(f"seed {seed}", file=sys.stderr)
    figures: list[Figure] = []
    for name in chosen:
        figures += parts[name]()
    return figures


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks matching", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="what of it to measure (default all)")
    parser.add_argument("--quick", action="store_true", help="one round with few events: a look")
    parser.add_argument("--seed", type=int, default=20261122, help="of events and subscriptions (default %(default)s)")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(sys.prefix),
        help="where release 0.5.2 and the other libraries are kept installed (default beside ours: %(default)s)",
    )
    return parser.parse_args(arguments)
