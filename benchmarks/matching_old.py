"""Measures what release 0.5.2 takes to dispatch an event to a few of very many subscriptions."""

from __future__ import annotations

import http.client
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import PostgreSQL, Redis

from .matching_rows import add_copies
from .sides import Installation, Release, Sink, installed, usage

#: Seconds of CPU in two seconds below which it has nothing more to do.
_STILL = 0.1


@dataclass(frozen=True)
class Dispatch:
    """Seconds of CPU of an event: all with its deliveries, and what of it was for those that do not match."""

    whole: float
    matching: float


def dispatch(
    release: Release,
    postgresql: PostgreSQL,
    redis: Redis,
    bodies: Sequence[str],
    expressions: Sequence[str],
    matches: int,
) -> Dispatch:
    """Send two events past as many subscriptions as match, then the others past all of them."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Sink(Path(folder), "target") as target,
        Sink(Path(folder), "policy") as policy,
        installed(release, Path(folder) / "old", postgresql, redis, policy.url) as installation,
    ):
        installation.start_service()
        installation.start_worker()
        for number in range(matches):
            installation.subscribe(target.url, f"user{number}")
        few = [_cpu(installation, target, body, matches) for body in bodies[:2]][-1]
        add_copies(installation.database, expressions)
        many = [_cpu(installation, target, body, matches) for body in bodies[2:]]
    whole = sum(many) / len(many)
    return Dispatch(whole, whole - few)


def _cpu(installation: Installation, target: Sink, body: str, matches: int) -> float:
    """Send an event; give the seconds of CPU of service and worker until all is still."""
    before = _used(installation)
    connection = http.client.HTTPConnection("127.0.0.1", installation.port, timeout=60)
    connection.request("POST", "/receive", body.encode(), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    connection.close()
    if answer.status != 200:
        raise AssertionError(f"/receive answered {answer.status}")
    used, last = _used(installation), before
    while used - before < _STILL or used - last > _STILL:
        time.sleep(2)
        used, last = _used(installation), used
    if len(target.arrivals()) != matches:
        raise AssertionError(f"not {matches} deliveries: {installation.worker.log[-3000:]}")
    print(f"{installation.release.name}: {used - before:.2f} s of CPU for an event", file=sys.stderr)
    return used - before


def _used(installation: Installation) -> float:
    return usage(installation.service).cpu + usage(installation.worker).cpu
