"""A process that delivers from a backlog of a size and says what each delivery took.

`python -m benchmarks.draining SETTINGS --backlog 10 --deliveries 5000` prints one JSON object. The database was
prepared by `benchmarks.copies`. What is missing of the backlog is added first, and again each time that all of it was
delivered; that is not measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

from pacifica.notifications import config, orm, runner

from . import copies

#: Deliveries before those that are measured: connections, caches.
_FIRST = 500
#: Seconds that what is in flight at the end may take.
_GRACE = 10.0


class Counted(logging.FileHandler):
    """Writes the log, and counts the attempts in it."""

    attempts = 0

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, or lines, of a record."""
        text = super().format(record)
        self.attempts += text.count("delivery.attempted ")
        return text


class Meter:
    """Seconds, and CPU seconds of this process, while it is running."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def __enter__(self) -> Meter:
        self.seconds -= time.perf_counter()
        self.cpu -= time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu += time.process_time()
        self.seconds += time.perf_counter()


def drain(settings: config.Settings, log: Counted, backlog: int, deliveries: int) -> dict[str, float]:
    """Deliver; give seconds, CPU seconds and number of the deliveries that were measured."""
    courier = runner.courier(settings)
    meter, unmeasured = Meter(), Meter()

    def some(most: int, meter: Meter) -> None:
        """Deliver about so many."""
        enough = log.attempts + most
        while log.attempts < enough:
            copies.top_up(settings.database_url, backlog)
            with meter:
                courier.drain(lambda: log.attempts >= enough)

    some(_FIRST, unmeasured)
    before = log.attempts
    some(deliveries, meter)
    with meter:
        courier.stop(_GRACE)
    return {"deliveries": log.attempts - before, "seconds": meter.seconds, "cpu": meter.cpu}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=Path)
    parser.add_argument("--backlog", type=int, required=True)
    parser.add_argument("--deliveries", type=int, required=True)
    options = parser.parse_args()
    settings = config.use(config.load(options.settings))
    log = Counted(options.settings.with_suffix(".log"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[log])
    orm.initialize(settings)
    print(json.dumps(drain(settings, log, options.backlog, options.deliveries)))


if __name__ == "__main__":
    main()
