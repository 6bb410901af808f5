"""The embedded service is killed in the middle, again and again."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from signal import SIGKILL

from tests.support import tables
from tests.support.factories import make_event
from tests.support.processes import Service
from tests.support.target import Dripping, RecordingTarget

TIMES = 25
#: Seconds between an answer and the kill at most: about what a delivery takes, so that it is hit at every stage.
LONGEST_DELAY = 0.06


def test_nothing_that_was_answered_200_is_lost_by_a_crash(tmp_path: Path, target: RecordingTarget) -> None:
    """What was answered 200 is delivered after the service was killed with -9 right after, fifty times in a row."""
    seed = int(os.environ.get("SEED") or random.randrange(1_000_000))
    chance = random.Random(seed)
    service = Service(tmp_path, {"delivery.lease": 1})
    cut_off = 0
    # Some 20 ms for an answer, so that attempts are under way at some of the kills.
    target.always("/hook", Dripping(pause=0.0005))

    with service:
        service.subscribe(target_url=target.url("/hook"))
        for number in range(TIMES):
            event = make_event(id=f"crash-{number}")
            answer = service.post_event(event)
            threading.Event().wait(chance.uniform(0, LONGEST_DELAY))
            service.signal(SIGKILL)
            service.wait()
            assert answer.status_code == 200, f"seed {seed}, event {number}: {answer.text}"
            cut_off += not _arrived(target, number)

            service.start()
            service.until(
                lambda number=number: _arrived(target, number), 60, f"event {number} to be delivered, seed {seed}"
            )
        url = tables.embedded_url(tmp_path)
        service.until(lambda: tables.states(url) == {"delivered": TIMES}, 60, f"{TIMES} ends, seed {seed}")
        service.stop()

    requests = target.requests("/hook")
    deliveries = {request.json()["eventID"]: request.delivery for request in requests}
    print(f"seed {seed}: {cut_off} killed before the delivery, {len(requests) - TIMES} sent again, 0 lost")
    assert cut_off, f"seed {seed}: no kill came before a delivery"
    assert tables.one(url, "SELECT COUNT(*) FROM eventlog") == TIMES
    assert len(set(deliveries.values())) == TIMES
    assert {(request.json()["eventID"], request.delivery) for request in requests} == set(deliveries.items())


def _arrived(target: RecordingTarget, number: int) -> bool:
    return any(request.json()["eventID"] == f"crash-{number}" for request in target.requests())
