"""A process that routes events as a worker's routing thread does, and says what it took.

`python -m benchmarks.matching_routing SETTINGS EVENTS FIRST` prints one JSON object. EVENTS has an event in each line,
the first so many of which are routed before those that are measured. Storing them is not measured either.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from pacifica.notifications import config, events, orm
from pacifica.notifications.routing import Router

from .draining import Meter


def main() -> None:
    """Do what the command line says."""
    file, bodies, first = Path(sys.argv[1]), Path(sys.argv[2]).read_text().splitlines(), int(sys.argv[3])
    settings = config.use(config.load(file))
    log = logging.FileHandler(file.with_suffix(".log"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[log])
    orm.initialize(settings)
    router, meter = Router(settings), Meter()
    _store(bodies[:first])
    router.drain()
    _store(bodies[first:])
    with meter:
        deliveries = router.drain()
    events_routed = len(bodies) - first
    print(json.dumps({"events": events_routed, "deliveries": deliveries, "seconds": meter.seconds, "cpu": meter.cpu}))


def _store(bodies: list[str]) -> None:
    with orm.session(), orm.transaction():
        for body in bodies:
            orm.EventLog.store(events.parse(body.encode()))


if __name__ == "__main__":
    main()
