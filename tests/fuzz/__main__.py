"""Compares very many random expressions with ``jsonpath2``, and a service with its own description.

The status is 1 if anything differs.

``python -m tests.fuzz --seed 7 --pairs 100000`` plays as many rounds as it takes; the same seed plays the same rounds.
``python -m tests.fuzz --round 7-123`` plays the one that a mismatch names. ``--pairs 0 --texts 0 --api 3600`` sends
requests for an hour.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.processes import Service

from .api import hold_to_description
from .rounds import Tally, play_pairs, play_texts
from .webhooks import webhooks

#: Mismatches after which it is not worth going on.
ENOUGH = 20


def main() -> None:
    """Play what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="another one each time")
    parser.add_argument("--pairs", type=int, default=2_000_000, help="expressions times events")
    parser.add_argument("--texts", type=int, default=50_000, help="damaged expressions, accepted or refused")
    parser.add_argument("--api", type=int, default=600, help="seconds for which requests are made up")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--round", help="the seed of a single round of pairs")
    options = parser.parse_args()
    if options.round:
        sys.exit("\n".join(play_pairs(options.round).mismatches) or 0)
    print(f"seed {options.seed}; {len(webhooks())} payloads of webhooks", flush=True)
    total = Tally()
    with ProcessPoolExecutor(options.jobs) as pool:
        seeds = (f"{options.seed}-{number}" for number in count())
        for name, play, wanted in (("texts", play_texts, options.texts), ("pairs", play_pairs, options.pairs)):
            _play(pool, options.jobs, seeds, play, total, name, wanted)
    for line in total.mismatches[:ENOUGH]:
        print(line)
    print(
        f"{total.pairs} pairs ({total.found} found, {total.failed} failed in both, {total.stopped} stopped here), "
        f"{total.texts} texts ({total.accepted} accepted), {len(total.mismatches)} mismatches; seed {options.seed}"
    )
    surprised = _hold_api(options.seed, options.api) if options.api else False
    sys.exit(bool(total.mismatches) or surprised)


def _hold_api(seed: int, seconds: int) -> bool:
    """Send requests by the description to a service for so long; tell whether any answer was a surprise."""
    with TemporaryDirectory() as folder, Service(Path(folder)) as service:
        status, printed = hold_to_description(service.url, seed, ["--max-time", str(seconds)], 3 * seconds + 600)
        print(printed)
        failed = "Traceback" in service.log
        if failed:
            print(service.log)
        service.terminate()
    return bool(status) or failed


def _play(
    pool: ProcessPoolExecutor,
    jobs: int,
    seeds: Iterator[str],
    play: Callable[[str], Tally],
    total: Tally,
    name: str,
    wanted: int,
) -> None:
    """Play rounds until there is enough of something, and say every few seconds how far it is."""
    said = time.monotonic()
    while getattr(total, name) < wanted and len(total.mismatches) < ENOUGH:
        for tally in pool.map(play, islice(seeds, 8 * jobs)):
            total.add(tally)
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print(f"{getattr(total, name)} of {wanted} {name}, {len(total.mismatches)} mismatches", flush=True)


if __name__ == "__main__":
    main()
