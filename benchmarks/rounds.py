"""One round: fresh installations of both releases, measured in turn, thing by thing."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.factories import ingest
from tests.support.servers import PostgreSQL, Redis

from .loader import Result
from .sides import CHECKOUT, Installation, Release, Sink, installed, usage

#: What was measured at one time, by the key of a line.
Figures = dict[str, float]
#: What was measured of a release, all times, by the key of a line.
Samples = dict[str, list[float]]

#: Subscriptions that match every event, once all of them are made.
MATCHES = 10
#: Connections that send at once.
CONNECTIONS = 8

#: Numbers of first events, far enough from each other that no event is sent twice.
_numbers = itertools.count(100_000, 100_000)


@dataclass(frozen=True)
class Scale:
    """How much is done in a round: how often short things are measured, how long others take.

    `bursts` are events, by the release that gets them.
    """

    starts: int
    idle_seconds: float
    samples: int
    bursts: dict[str, int]
    loads: int
    load_seconds: float


@dataclass(frozen=True)
class Bench:
    """What all rounds share, and what they have measured, by release."""

    scale: Scale
    users: int
    postgresql: PostgreSQL
    redis: Redis
    target: Sink
    policy: Sink
    found: dict[str, Samples]

    def round(self, releases: Sequence[Release], *, uwsgi: bool = False) -> None:
        """Measure fresh installations of the releases, each thing of all of them before the next thing."""
        scale = self.scale
        steps = [(self._ready, 1), (self._receiving, scale.loads)]
        if not uwsgi:
            steps = [
                (self._beginning, scale.starts),
                (self._ready, 1),
                (self._idle, 1),
                (self._arriving, 1),
                (self._burst, 1),
                (self._receiving, scale.loads),
            ]
        with ExitStack() as stack:
            installations = [stack.enter_context(self._installed(release, uwsgi)) for release in releases]
            for step, times in steps:
                for _ in range(times):
                    for installation in installations:
                        self._keep(installation.release, step(installation))

    @contextmanager
    def _installed(self, release: Release, uwsgi: bool) -> Iterator[Installation]:
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            installed(release, Path(folder), self.postgresql, self.redis, self.policy.url, uwsgi=uwsgi) as found,
        ):
            yield found

    def _keep(self, release: Release, figures: Figures) -> None:
        for key, value in figures.items():
            self.found.setdefault(release.name, {}).setdefault(key, []).append(value)
        if figures:
            print(
                f"{release.name}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()), file=sys.stderr
            )

    def _beginning(self, installation: Installation) -> Figures:
        """Measure import and start."""
        installation.service.close()
        return {"import": 1000 * installation.import_seconds(), "start": 1000 * installation.start_service()}

    def _ready(self, installation: Installation) -> Figures:
        """Let everything run, and make what is only made once: connections, caches."""
        if not installation.service.running:
            installation.start_service()
        installation.start_worker()
        installation.subscribe(self.target.url, "user0")
        load(installation, events=20, connections=4)
        self.target.arrivals(20)
        return {}

    def _idle(self, installation: Installation) -> Figures:
        """Measure what service and worker use while nothing happens."""
        time.sleep(2)
        before = [usage(part).cpu for part in (installation.service, installation.worker)]
        time.sleep(self.scale.idle_seconds)
        after = [usage(part) for part in (installation.service, installation.worker)]
        return {
            "idle": 1000 * (sum(part.cpu for part in after) - sum(before)) / self.scale.idle_seconds,
            "resident": sum(part.resident for part in after),
            "own": sum(part.own for part in after),
        }

    def _arriving(self, installation: Installation) -> Figures:
        """Measure how long one event takes to its one subscriber while nothing else happens."""
        taken = [one_way(installation.port, self.target) for _ in range(self.scale.samples)]
        accepted, sent = zip(*taken, strict=True)
        return {"accepted": statistics.median(accepted), "sent": statistics.median(sent)}

    def _burst(self, installation: Installation) -> Figures:
        """Measure deliveries while events come in as fast as they are accepted, until the last has arrived."""
        for number in range(1, MATCHES):
            installation.subscribe(self.target.url, f"user{number % self.users}")
        events = self.scale.bursts[installation.release.name]
        deliveries = events * MATCHES
        time.sleep(1)
        before = usage(installation.worker).cpu
        result = load(installation, events=events, connections=CONNECTIONS, first=next(_numbers))
        arrived = self.target.arrivals(deliveries, 600)
        # What it writes down after the last arrival counts too.
        time.sleep(1)
        return {
            "deliveries": deliveries / ((arrived[-1] - result.began) / 1e9),
            "worker_cpu": 1000 * (usage(installation.worker).cpu - before) / deliveries,
        }

    def _receiving(self, installation: Installation) -> Figures:
        """Measure the web server alone: the worker is there, but stands still."""
        os.killpg(installation.worker.pid, signal.SIGSTOP)
        load(installation, events=100, connections=CONNECTIONS, first=next(_numbers))
        before = usage(installation.service).cpu
        seconds = self.scale.load_seconds
        result = load(installation, seconds=seconds, connections=CONNECTIONS, first=next(_numbers))
        used = usage(installation.service).cpu - before
        accepted = len(result.seconds)
        return {
            "receive": accepted / ((result.ended - result.began) / 1e9),
            "p50": 1000 * statistics.median(result.seconds),
            "p99": 1000 * statistics.quantiles(result.seconds, n=100)[98],
            "web_cpu": 1000 * used / accepted,
        }


def load(installation: Installation, **options: float) -> Result:
    """Run the loader; an answer that is not 200 is said and counts as no event."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += [] if installation.keep_alive else ["--no-keep-alive"]
    command = [sys.executable, "-m", "benchmarks.loader", str(installation.port), *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise AssertionError(f"{installation.release.name}: {done.stderr}")
    result = Result(**json.loads(done.stdout))
    if set(result.statuses) != {"200"}:
        print(f"{installation.release.name} answered {dict(result.statuses)}", file=sys.stderr)
    return result


def one_way(port: int, target: Sink, pause: tuple[float, float] = (0.2, 0.6)) -> tuple[float, float]:
    """Send one event after a pause; give the milliseconds to its arrival, from the answer and from the request."""
    # At no fixed distance from what is done every second.
    time.sleep(random.uniform(*pause))
    began, ended = _send_one(port)
    arrived = target.arrivals(1)[0]
    return (arrived - ended) / 1e6, (arrived - began) / 1e6


def _send_one(port: int) -> tuple[int, int]:
    """Send one event; give when it was sent and when it was answered."""
    body = json.dumps(ingest(next(_numbers)), ensure_ascii=False).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    began = time.monotonic_ns()
    connection.request("POST", "/receive", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    ended = time.monotonic_ns()
    connection.close()
    if answer.status != 200:
        raise AssertionError(f"/receive answered {answer.status}")
    return began, ended
